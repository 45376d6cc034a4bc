"""The first files of a user: the one that `init` writes, and the example with its repositories."""

import csv
from pathlib import Path

from reconciler.rollout_file import first_rollout_file, parse_rollout, read_rollout_file
from reconciler.rollout_file.durations import format_duration
from reconciler.rollout_file.list_entries import entry_key, is_entry
from rollout_client.targeting.categories import Activity, Category, categorize

ROOT = Path(__file__).parents[3]
SCHEMA_COMMENT = "# yaml-language-server: $schema=schemas/rollout.schema.json\n"


def test_with_the_first_file_no_repository_is_eligible() -> None:
    rollout = parse_rollout(first_rollout_file()).rollout

    (feature,) = rollout.features.values()
    assert feature.percentage == 0
    assert feature.whitelist == ()
    assert feature.override is None
    assert rollout.test_repositories == ()


def test_the_first_file_has_the_safe_default_progression() -> None:
    (feature,) = parse_rollout(first_rollout_file()).rollout.features.values()

    stages = [(int(each.percentage), format_duration(each.soak)) for each in feature.progression]
    assert stages == [(10, "1d"), (25, "3d"), (50, "7d"), (75, "7d"), (100, "14d")]


def test_both_files_name_the_schema_in_their_first_line() -> None:
    assert first_rollout_file().startswith(SCHEMA_COMMENT)
    assert (ROOT / "rollout.yaml").read_text(encoding="utf-8").startswith(SCHEMA_COMMENT)


def test_the_example_names_only_sample_repositories() -> None:
    rollout = read_rollout_file(ROOT / "rollout.yaml").rollout
    rows = _sample_repositories()
    names = {entry_key(row["full_name"]) for row in rows}
    known = names | {row["id"] for row in rows} | {name.split("/")[0] + "/*" for name in names}

    (feature,) = rollout.features.values()

    listed = {*feature.whitelist, *feature.exclusions, *rollout.test_repositories}
    assert {entry_key(entry) for entry in listed} <= known
    assert feature.whitelist
    assert feature.exclusions
    assert len(rollout.test_repositories) >= 5


def test_the_sample_repositories_are_of_every_category() -> None:
    rows = _sample_repositories()

    categories = [
        categorize(Activity(int(row["stars"]), int(row["contributors"]), int(row["pull_requests"])))
        for row in rows
    ]

    assert {category: categories.count(category) >= 5 for category in Category} == dict.fromkeys(
        Category, True
    )
    assert all(is_entry(row["full_name"]) and is_entry(row["id"]) for row in rows)
    assert len({row["full_name"].lower() for row in rows}) == len(rows) >= 36
    assert len({row["id"] for row in rows}) == len(rows)


def _sample_repositories() -> list[dict[str, str]]:
    with (ROOT / "examples" / "repositories.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
