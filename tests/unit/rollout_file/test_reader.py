"""A read document: the desired state, its places and its digest; the speed of reading."""

import hashlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pydantic
import pytest

from reconciler.errors import FileInvalid
from reconciler.rollout_file import Place, parse_rollout, read_rollout_file
from reconciler.rollout_file.model import Feature, Guards, Health, Rollout, Stage
from reconciler.rollout_file.override import Override
from rollout_client.targeting.categories import Category, Threshold
from rollout_client.targeting.strategy import Strategy
from tests.unit.rollout_file.corpus import CORPUS


def test_every_key_is_read() -> None:
    document = read_rollout_file(CORPUS / "valid-everything.yaml")

    assert document.rollout == Rollout(
        version=1,
        features={
            "hybrid_progressive_capture": Feature(
                description="Capture through GitHub Actions instead of Inngest",
                active=True,
                strategy=Strategy.REPOSITORY_SIZE,
                percentage=Decimal(25),
                salt="hybrid_progressive_capture",
                whitelist=(
                    "microsoft/vscode",
                    "my-company/*",
                    "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11",
                ),
                exclusions=("legacy-org/monolith",),
                health=Health(
                    max_error_rate=Decimal(5),
                    min_jobs=10,
                    window=timedelta(hours=24),
                    auto_rollback=True,
                    rollback_to=Decimal(0),
                ),
                guards=Guards(max_increase=Decimal(25), max_removal=Decimal(30), max_gain=500),
                progression=(
                    Stage(percentage=Decimal(10), soak=timedelta(days=1)),
                    Stage(percentage=Decimal(25), soak=timedelta(days=3)),
                    Stage(percentage=Decimal(50), soak=timedelta(days=7)),
                    Stage(percentage=Decimal(75), soak=timedelta(days=7)),
                    Stage(percentage=Decimal(100), soak=timedelta(days=14)),
                ),
                override=Override(
                    id=UUID("019343a7-6f8e-7c34-9a55-0b8a1f0d2c11"),
                    percentage=Decimal(0),
                    reason="error rate 12.50% over 5% (25 of 200 jobs in 24h)",
                    by="auto-rollback",
                    at=datetime(2026, 11, 23, 12, tzinfo=UTC),
                ),
            )
        },
        test_repositories=("my-org/test-repo-1",),
        categories={Category.SMALL: Threshold(50, 10, 100, 80)},
    )


def test_an_absent_key_means_its_default() -> None:
    rollout = parse_rollout("version: 1\nfeatures: {my_feature: {}}\n").rollout

    feature = rollout.features["my_feature"]
    assert (rollout.test_repositories, rollout.categories) == ((), {})
    assert feature.active is True
    assert feature.strategy is Strategy.PERCENTAGE
    assert feature.percentage == 0
    assert (feature.description, feature.salt, feature.override) == (None, None, None)
    assert (feature.whitelist, feature.exclusions, feature.progression) == ((), (), ())
    assert feature.health.max_error_rate == 5
    assert feature.health.min_jobs == 10
    assert feature.health.window == timedelta(hours=24)
    assert feature.health.auto_rollback is True
    assert feature.health.rollback_to == 0
    assert feature.guards.max_increase == 25
    assert feature.guards.max_removal == 30
    assert feature.guards.max_gain is None


def test_the_salt_defaults_to_the_features_name() -> None:
    features = parse_rollout("version: 1\nfeatures: {a: {}, b: {salt: s}}\n").rollout.features

    assert features["a"].salt_or("a") == "a"
    assert features["b"].salt_or("b") == "s"


def test_a_category_keeps_the_thresholds_the_file_does_not_name() -> None:
    rollout = parse_rollout(
        "version: 1\ncategories: {medium: {stars: 700}, large: {}, enterprise: {priority: 5}}\n"
    ).rollout

    assert rollout.categories == {
        Category.MEDIUM: Threshold(700, 50, 1_000, 60),
        Category.LARGE: Threshold(5_000, 200, 10_000, 40),
        Category.ENTERPRISE: Threshold(None, None, None, 5),
    }


@pytest.mark.parametrize(("written", "read"), [("25.00", "25"), ("12.50", "12.5"), ("-0.0", "0")])
def test_a_number_has_one_form_however_it_is_written(written: str, read: str) -> None:
    rollout = parse_rollout(f"version: 1\nfeatures: {{a: {{percentage: {written}}}}}\n").rollout

    assert str(rollout.features["a"].percentage) == read


def test_a_time_is_read_into_utc() -> None:
    document = read_rollout_file(CORPUS / "valid-override-with-offset-and-fraction.yaml")

    override = document.rollout.features["my_feature"].override
    assert override is not None
    assert override.at.isoformat() == "2026-11-23T06:30:00.123456+00:00"


def test_a_document_knows_its_path_content_and_digest(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    content = b"\xef\xbb\xbfversion: 1\r\n"
    file.write_bytes(content)

    document = read_rollout_file(file)

    assert document.path == str(file)
    assert document.content == content
    assert document.digest == "sha256:" + hashlib.sha256(content).hexdigest()


def test_a_desired_state_cannot_change() -> None:
    rollout = parse_rollout("version: 1\nfeatures: {a: {}}\n").rollout

    with pytest.raises(pydantic.ValidationError, match="frozen"):
        rollout.features["a"].percentage = Decimal(5)  # type: ignore[misc]


def test_keys_and_list_entries_have_places() -> None:
    places = parse_rollout(
        "\ufeffversion: 1\nfeatures:\n  a:\n    percentage: 5\n    whitelist:\n      - b/c\n      - d/*\n"
        "    health: {min_jobs: 5}\n"
    ).places

    assert dict(places) == {
        (): Place(1, 1),
        ("version",): Place(1, 1),
        ("features",): Place(2, 1),
        ("features", "a"): Place(3, 3),
        ("features", "a", "percentage"): Place(4, 5),
        ("features", "a", "whitelist"): Place(5, 5),
        ("features", "a", "whitelist", 0): Place(6, 9),
        ("features", "a", "whitelist", 1): Place(7, 9),
        ("features", "a", "health"): Place(8, 5),
        ("features", "a", "health", "min_jobs"): Place(8, 14),
    }
    assert len(places) == 10


@pytest.mark.parametrize(
    "path", [("other",), ("version", 0), ("features", "a", "whitelist", 5), ("features", 0)]
)
def test_an_absent_key_has_no_place(path: tuple[str | int, ...]) -> None:
    places = parse_rollout("version: 1\nfeatures: {a: {whitelist: [b/c]}}\n").places

    assert path not in places


def test_a_message_has_the_path_that_was_given() -> None:
    with pytest.raises(FileInvalid) as raised:
        parse_rollout("version: 2\n", path="main:config/rollout.yaml")

    assert str(raised.value).startswith("main:config/rollout.yaml:1:1: version: ")


def test_findings_are_in_line_order() -> None:
    with pytest.raises(FileInvalid) as raised:
        read_rollout_file(CORPUS / "all-errors-at-once.yaml")

    places = [(each.line, each.column) for each in raised.value.findings]
    assert places == sorted(places)
    assert len(places) == 12


def test_reading_loads_no_database_no_git_and_no_schema_library() -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from reconciler.rollout_file import read_rollout_file\n"
        f"read_rollout_file(Path({str(CORPUS / 'valid-everything.yaml')!r}))\n"
        "print(*{'sqlalchemy', 'psycopg', 'alembic', 'git', 'jsonschema', 'difflib'} & set(sys.modules))"
    )

    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert run.stdout.strip() == ""


def test_the_grammar_of_names_loads_neither_yaml_nor_pydantic() -> None:
    program = (
        "import sys, reconciler.rollout_file.list_entries, reconciler.rollout_file.durations\n"
        "print(*{'yaml', 'pydantic'} & set(sys.modules))"
    )

    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert run.stdout.strip() == ""
