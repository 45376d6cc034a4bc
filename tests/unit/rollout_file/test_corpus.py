"""Reader and schema with every case of the corpus: the exact verdicts and messages."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from reconciler.rollout_file import rollout_schema, yaml_parser
from tests.unit.rollout_file.corpus import CORPUS, observe

CASES = sorted(CORPUS.glob("*.yaml"))
LOADERS_DIFFER = {
    "character-surrogate-escape",  # accepted by the pure loader, refused by the check of the text
    "character-tab-in-text",  # the other way round
    "yaml-syntax-unknown-escape",  # one column further
}


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    return Draft202012Validator(rollout_schema())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_reader_and_schema_report_the_expected_errors(
    case: Path, schema: Draft202012Validator
) -> None:
    assert observe(case, schema) == case.with_suffix(".expected").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_pure_loader_reports_the_same_errors(
    case: Path, schema: Draft202012Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_parser, "LOADER", yaml.SafeLoader)

    observed = observe(case, schema)

    expected = case.with_suffix(".expected").read_text(encoding="utf-8")
    if case.stem in LOADERS_DIFFER:
        assert observed.startswith("reader: refuses")
    else:
        assert observed == expected


def test_every_expectation_has_its_case() -> None:
    assert {case.stem for case in CASES} == {each.stem for each in CORPUS.glob("*.expected")}


def test_the_schema_accepts_every_file_the_reader_accepts() -> None:
    """The schema may refuse less than the reader, never more."""
    verdicts = [
        case.with_suffix(".expected").read_text(encoding="utf-8").splitlines()[:2] for case in CASES
    ]

    assert ["reader: accepts", "schema: accepts"] in verdicts
    assert ["reader: accepts", "schema: refuses"] not in verdicts
