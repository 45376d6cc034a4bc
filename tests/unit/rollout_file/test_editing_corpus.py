"""Every edit of every file in the corpus: the exact diff, without a further change.

`NAME.diffs` has the result of each edit of `NAME.yaml`: removed lines after `-`, added ones after
`+`, and line breaks other than a line feed escaped. An edit that is missing changes nothing. A
refused edit could not be made without changing more, or its result would be refused by the reader.
"""

import difflib
import re
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
import yaml

from reconciler.errors import EditRefused
from reconciler.rollout_file import parse_rollout
from reconciler.rollout_file.editing import (
    edit_rollout_file,
    editable_text,
    with_entries,
    with_override,
    with_value,
    without_entries,
    without_override,
    without_value,
)
from reconciler.rollout_file.override import Override

CORPUS = Path(__file__).parents[2] / "corpus" / "editing"
CASES = sorted(CORPUS.glob("*.yaml"))

STOP = Override(
    id=UUID("0196b1a0-0000-7000-8000-000000000001"),
    emergency_stop=True,
    reason="it hurts",
    by="ann",
    at=datetime(2026, 11, 24, tzinfo=UTC),
)

Edit = Callable[[bytes], bytes]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)


def edits(content: bytes) -> Mapping[str, Edit]:
    """Return every edit of every feature, by its name in `NAME.diffs`."""
    found: dict[str, Edit] = {
        "test_repositories + new/one": partial(
            with_entries, path=("test_repositories",), entries=["new/one"]
        ),
        "test_repositories − all": partial(
            without_entries,
            path=("test_repositories",),
            entries=parse_rollout(content).rollout.test_repositories,
        ),
    }
    for name, feature in parse_rollout(content).rollout.features.items():
        path = ("features", name)
        whitelist, exclusions = (*path, "whitelist"), (*path, "exclusions")
        found |= {
            f"{name} override": partial(with_override, feature=name, override=STOP),
            f"{name} override gone": partial(without_override, feature=name),
            f"{name} percentage 30.5": partial(
                with_value, path=(*path, "percentage"), value=Decimal("30.50")
            ),
            f"{name} percentage gone": partial(without_value, path=(*path, "percentage")),
            f"{name} strategy": partial(
                with_value, path=(*path, "strategy"), value="repository_size"
            ),
            f"{name} active": partial(with_value, path=(*path, "active"), value=False),
            f"{name} auto_rollback": partial(
                with_value, path=(*path, "health", "auto_rollback"), value=False
            ),
            f"{name} description": partial(
                with_value, path=(*path, "description"), value="a: b # c"
            ),
            f"{name} health gone": partial(without_value, path=(*path, "health")),
            f"{name} whitelist + new/one new/*": partial(
                with_entries, path=whitelist, entries=["new/one", "New/One", "new/*"]
            ),
            f"{name} whitelist − first": partial(
                without_entries, path=whitelist, entries=feature.whitelist[:1]
            ),
            f"{name} whitelist − last": partial(
                without_entries, path=whitelist, entries=feature.whitelist[-1:]
            ),
            f"{name} whitelist − all": partial(
                without_entries, path=whitelist, entries=feature.whitelist
            ),
            f"{name} exclusions + new/one": partial(
                with_entries, path=exclusions, entries=["new/one"]
            ),
            f"{name} exclusions − all": partial(
                without_entries, path=exclusions, entries=feature.exclusions
            ),
        }
    return found


def lines_of(content: bytes) -> list[str]:
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", content.decode())


def changed_lines(before: bytes, after: bytes) -> list[str]:
    """Return the different lines and their places, each after its sign, with its line break."""
    return list(difflib.unified_diff(lines_of(before), lines_of(after), n=0))[2:]


def shown(line: str) -> str:
    if line.endswith("\n"):
        return line[:-1].replace("\r", "\\r")
    return line.replace("\r", "\\r") + "\\ no line feed"


def observe(content: bytes) -> str:
    """Return the expected content of `NAME.diffs`."""
    said: list[str] = []
    for name, edit in edits(content).items():
        try:
            lines = [shown(each) for each in changed_lines(content, edit(content))]
        except EditRefused as error:
            lines = [f"refused: {error}"]
        if lines:
            said += [f"== {name}", *lines]
    return "\n".join([*said, ""])


@each_case
def test_each_edit_of_the_corpus_has_the_expected_result(case: Path) -> None:
    assert observe(case.read_bytes()) == case.with_suffix(".diffs").read_bytes().decode()


@pytest.mark.parametrize(
    "case",
    # The pure loader refuses a tab before a comment, and the reader would refuse it too.
    [case for case in CASES if case.stem != "comments-with-tabs"],
    ids=lambda case: case.stem,
)
def test_each_edit_has_the_same_result_with_the_pure_loader(
    case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editable_text, "LOADER", yaml.BaseLoader)

    assert observe(case.read_bytes()) == case.with_suffix(".diffs").read_bytes().decode()


@each_case
def test_an_override_set_and_removed_leaves_the_same_bytes(case: Path) -> None:
    content = case.read_bytes()
    for name, feature in parse_rollout(content).rollout.features.items():
        stopped = with_override(content, name, STOP)

        assert parse_rollout(stopped).rollout.features[name] == feature.model_copy(
            update={"override": STOP}
        )
        if feature.override is None:
            assert without_override(stopped, name) == content


@each_case
def test_setting_the_same_override_again_changes_nothing(case: Path) -> None:
    content = case.read_bytes()
    for name in parse_rollout(content).rollout.features:
        stopped = with_override(content, name, STOP)

        assert with_override(stopped, name, STOP) == stopped


@each_case
def test_no_edit_changes_a_comment_on_its_own_line(case: Path) -> None:
    content = case.read_bytes()
    before = own_comments(content)
    for name, edit in edits(content).items():
        if "override" in name:
            continue
        with suppress(EditRefused):
            assert own_comments(edit(content)) == before


def own_comments(content: bytes) -> list[str]:
    return [line.strip() for line in lines_of(content) if line.lstrip().startswith("#")]


def test_every_case_of_the_corpus_has_its_files() -> None:
    assert len(CASES) >= 60
    assert {case.stem for case in CASES} == {each.stem for each in CORPUS.glob("*.diffs")}


REVERTED = [
    "plain",
    "plain-byte-order-mark-crlf",
    "plain-no-final-newline-crlf",
    "comments-at-the-end-of-a-block",
    "flow-tall-feature",
    "feature-empty",
]


@pytest.mark.parametrize("stem", REVERTED)
def test_reverting_the_commit_restores_the_file(stem: str, tmp_path: Path) -> None:
    content = (CORPUS / f"{stem}.yaml").read_bytes()
    file = tmp_path / "rollout.yaml"
    file.write_bytes(content)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "Declare")
    for number, feature in enumerate(parse_rollout(content).rollout.features):
        stop = STOP.model_copy(update={"id": UUID(int=number)})
        edit_rollout_file(file, partial(with_override, feature=feature, override=stop))
    stopped = file.read_bytes()
    commit(tmp_path, "Stop")

    git(tmp_path, "revert", "--no-edit", "HEAD")

    assert stopped != content
    assert file.read_bytes() == content


def git(folder: Path, *arguments: str) -> None:
    settings = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "core.autocrlf=no")
    subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "rollout.yaml")
    git(folder, "commit", "--quiet", "--message", message)
