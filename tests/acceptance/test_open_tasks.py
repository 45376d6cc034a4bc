"""Tasks that wait for a person: each kind with the command that completes it."""

import pytest

from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.operations.open_tasks import SectionName, TaskSection, read_open_tasks
from tests.builders import FEATURE, add_repositories, report_jobs, rollout_file
from tests.postgres import Database
from tests.site import Site


def sections(database: Database) -> dict[SectionName, TaskSection]:
    opened = OpenedDatabase.at(database.address)
    return {section.name: section for section in read_open_tasks(opened)}


def test_a_new_rollout_has_every_section_and_nothing_waits(database: Database) -> None:
    found = sections(database)

    assert list(found) == list(SectionName)
    assert all(not section.items and section.problem is None for section in found.values())


def test_a_limit_waits_for_git_until_it_is_written(site: Site) -> None:
    site.reconcile("--yes")
    site.reconcile("stop", "--reason", "it fails", "--yes", "--no-write-back")

    (item,) = sections(site.database)[SectionName.WRITE_BACK].items

    assert (item.feature, item.command) == (FEATURE, "reconcile write-back")
    assert "the stop is not in git yet" in item.sentence
    assert "it fails" in item.sentence
    site.reconcile("write-back")
    assert not sections(site.database)[SectionName.WRITE_BACK].items


def test_drift_names_the_command_by_what_an_apply_does(site: Site) -> None:
    add_repositories(site.database, "acme/tools")
    site.reconcile("--yes")
    site.database.execute("UPDATE rollout_configuration SET rollout_percentage = 5")
    (kept,) = sections(site.database)[SectionName.DRIFT].items
    site.database.execute(
        "UPDATE rollout_configuration SET rollout_percentage = 10, excluded_repositories = '{acme/tools}'"
    )
    (held,) = sections(site.database)[SectionName.DRIFT].items

    assert kept.command == "reconcile"
    assert "10 → 5" in kept.sentence
    assert held.command == f"reconcile drift revert --feature {FEATURE}"


def test_a_stage_that_has_soaked_with_a_passing_verdict_is_ready(site: Site) -> None:
    stages = [{"percentage": 10, "soak": "1s"}, {"percentage": 50, "soak": "1d"}]
    health = {"min_jobs": 1, "window": "1h"}
    feature = {"percentage": 10, "progression": stages, "health": health}
    site.write(rollout_file({FEATURE: feature}))
    add_repositories(site.database, "acme/tools")
    site.reconcile("--yes")
    assert not sections(site.database)[SectionName.PROMOTIONS].items

    site.database.execute(
        "ALTER TABLE rollout_history DISABLE TRIGGER USER;"
        "UPDATE rollout_history SET created_at = created_at - interval '1 hour';"
    )
    report_jobs(site.database, 5, feature=FEATURE)
    (item,) = sections(site.database)[SectionName.PROMOTIONS].items

    assert item.command == f"reconcile promote --feature {FEATURE}"
    assert item.sentence == "ready for stage 50: 10 → 50 percent"


@pytest.mark.parametrize(
    ("state", "age", "command"),
    [
        ("dead", "0 s", "reconcile notify retry"),
        ("pending", "1 hour", "reconcile notify deliver"),
    ],
)
def test_a_notification_that_is_dead_or_late_waits(
    database: Database, state: str, age: str, command: str
) -> None:
    database.execute(
        "INSERT INTO rollout_notification (target, event, severity, dedup_key, occurrence, state,"
        " last_answer, created_at) VALUES ('team', 'rolled_back', 'page', 'k', 'o', %(state)s,"
        " '503', now() - %(age)s::interval)",
        state=state,
        age=age,
    )

    (item,) = sections(database)[SectionName.NOTIFICATIONS].items

    assert item.command.startswith(command)
    assert "rolled back to team" in item.sentence
    assert "503" in item.sentence


def test_a_notification_that_is_on_its_way_does_not_wait(database: Database) -> None:
    database.execute(
        "INSERT INTO rollout_notification (target, event, severity, dedup_key, occurrence)"
        " VALUES ('team', 'rolled_back', 'page', 'k', 'o')"
    )

    assert not sections(database)[SectionName.NOTIFICATIONS].items


def test_a_refused_commit_waits_until_the_next_apply(site: Site) -> None:
    site.database.execute(
        "INSERT INTO rollout_notification (target, event, severity, dedup_key, occurrence, details)"
        " SELECT target, 'refused', 'ticket', 'k', 'abc1234def', jsonb_build_object("
        "'commit', 'abc1234def', 'reason', 'it widens too much')"
        " FROM (VALUES ('team'), ('pager')) AS targets (target)"
    )
    (item,) = sections(site.database)[SectionName.REFUSED_APPLIES].items
    assert item.sentence == "the apply of abc1234 was refused: it widens too much"

    site.reconcile("--yes")

    assert not sections(site.database)[SectionName.REFUSED_APPLIES].items


def test_a_long_section_says_that_more_waits(database: Database) -> None:
    database.execute(
        "INSERT INTO rollout_notification (target, event, severity, dedup_key, occurrence, state)"
        " SELECT 'team', 'rolled_back', 'page', n, n, 'dead'"
        " FROM (SELECT n::text FROM generate_series(1, 60) n) AS numbers (n)"
    )

    section = sections(database)[SectionName.NOTIFICATIONS]

    assert (len(section.items), section.has_more) == (50, True)


def test_a_section_that_cannot_be_read_does_not_hide_the_others(database: Database) -> None:
    database.execute("DROP TABLE rollout_notification CASCADE")

    found = sections(database)

    assert found[SectionName.NOTIFICATIONS].problem is not None
    assert found[SectionName.REFUSED_APPLIES].problem is not None
    assert found[SectionName.WRITE_BACK].problem is None
