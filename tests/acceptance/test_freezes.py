"""A rollout with freezes: what waits, what does not, how a person goes through, and what happens after the end."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.eventually import eventually
from tests.site import Site
from tests.watching import Start, watching

FILE = """\
version: 1
features:
  capture:
    percentage: 10
    whitelist: [acme/tool-1]
    exclusions: [acme/tool-2]
  search:
    percentage: 10
"""
FREEZE = "  - {name: holidays, zone: Europe/Berlin, from: 2020-01-01 00:00, to: 2199-12-31 12:00}\n"
REPOSITORIES = "full_name,stars,contributors,pull_requests\n" + "".join(
    f"acme/tool-{number},10,2,10\n" for number in range(40)
)


@pytest.fixture
def frozen(site: Site) -> Site:
    """A site that was applied, and whose file then got a freeze that holds now."""
    (site.folder / "r.csv").write_text(REPOSITORIES)
    site.reconcile("repositories", "load", "r.csv")
    site.write(FILE)
    apply(site, "Begin")
    site.write(f"{FILE}freezes:\n{FREEZE}")
    apply(site, "Freeze the holidays")
    return site


def apply(site: Site, message: str, *arguments: str, exit_code: int = 0) -> str:
    site.commit(message)
    site.push()
    done = site.reconcile(*arguments)
    assert done.exit_code == exit_code, done.stdout + done.stderr
    return done.stdout


def read(site: Site, *arguments: str) -> Any:
    done = site.reconcile(*arguments, "--format", "json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def actions(site: Site) -> list[str]:
    return [each["action"] for each in site.database.rows("SELECT action FROM rollout_history")]


def freezes_in_history(site: Site) -> list[Any]:
    rows = site.database.rows(
        "SELECT action, metadata -> 'freeze' AS freeze FROM rollout_history"
        " WHERE metadata ? 'freeze' ORDER BY position"
    )
    return [(each["action"], each["freeze"]["names"], each["freeze"]["reason"]) for each in rows]


WIDENING = [
    pytest.param("percentage: 10\n    w", "percentage: 20\n    w", id="a raise"),
    pytest.param("[acme/tool-1]", "[acme/tool-1, acme/tool-3]", id="a whitelist entry"),
    pytest.param("[acme/tool-1]", "[acme/tool-1, nobody/knows]", id="an unknown whitelist entry"),
    pytest.param("[acme/tool-2]", "[]", id="a lifted exclusion"),
    pytest.param("freezes:", "test_repositories: [acme/*]\nfreezes:", id="a mark as test"),
    pytest.param(
        "  search:\n", "  another:\n    whitelist: [acme/tool-4]\n  search:\n", id="a new feature"
    ),
]
NARROWING = [
    pytest.param("percentage: 10\n    w", "percentage: 5\n    w", id="a lower percentage"),
    pytest.param("[acme/tool-1]", "[]", id="a removed whitelist entry"),
    pytest.param("[acme/tool-2]", "[acme/tool-2, acme/tool-5]", id="an exclusion"),
    pytest.param("  search:\n", "  search:\n    active: false\n", id="a switch off"),
    pytest.param("  search:\n", "  search:\n    description: words\n", id="a description"),
    pytest.param(
        "  search:\n", "  another:\n    percentage: 0\n  search:\n", id="an empty feature"
    ),
]


@pytest.mark.parametrize(("old", "new"), WIDENING)
def test_what_widens_waits(frozen: Site, old: str, new: str) -> None:
    if "test_repositories" in new:
        frozen.replace("  search:\n", "  search:\n    strategy: repository_size\n")
    frozen.replace(old, new)
    before = actions(frozen)

    shown = apply(frozen, "Widen", exit_code=3)

    assert "freeze: the freeze holidays holds every widening until" in " ".join(shown.split())
    assert actions(frozen) == before


@pytest.mark.parametrize(("old", "new"), NARROWING)
def test_what_does_not_widen_is_applied(frozen: Site, old: str, new: str) -> None:
    frozen.replace(old, new)
    before = actions(frozen)

    apply(frozen, "Narrow", "--allow", "list-emptied")

    assert len(actions(frozen)) > len(before)


def test_a_refusal_names_the_end_and_the_ways_on(frozen: Site) -> None:
    frozen.replace("percentage: 10\n    w", "percentage: 20\n    w")

    shown = apply(frozen, "Raise", exit_code=3)

    assert shown.split("Refused")[1] == snapshot("""\
: nothing was written. A person decides:
  wait: from 2199-12-31T11:00:00Z on the same file is allowed; reconcile watch --follow or the
    scheduled workflow applies it then
  or make a smaller change in the file
  or allow it by name: --allow freeze --reason "TEXT"; in a pull request, by a line in the message
    of the commit that changes it: Rollout-Allow: freeze and Freeze-Reason: TEXT
""")


def test_a_preview_says_until_when(frozen: Site) -> None:
    frozen.replace("percentage: 10\n    w", "percentage: 20\n    w")

    done = frozen.reconcile("--dry-run", "--format", "json")

    assert done.exit_code == 3
    (guard,) = json.loads(done.stdout)["features"][0]["guards"]
    assert (guard["name"], guard["until"], guard["allowed"]) == (
        "freeze",
        "2199-12-31T11:00:00Z",
        False,
    )


def test_a_person_goes_through_with_a_reason(frozen: Site) -> None:
    frozen.replace("percentage: 10\n    w", "percentage: 20\n    w")

    without = frozen.reconcile("--allow", "freeze")
    apply(frozen, "Raise", "--allow", "freeze", "--reason", "the fix cannot wait")

    assert without.exit_code == 64
    assert "--allow freeze and --reason need each other" in without.stderr
    assert freezes_in_history(frozen) == [
        ("percentage_changed", ["holidays"], "the fix cannot wait")
    ]


def test_going_through_a_freeze_is_notified(frozen: Site) -> None:
    frozen.write(frozen.file.read_text() + "notifications: {team: {kind: slack}}\n")
    apply(frozen, "Notify the team")
    frozen.replace("percentage: 10\n    w", "percentage: 20\n    w")

    apply(frozen, "Raise", "--allow", "freeze", "--reason", "the fix cannot wait")
    frozen.reconcile("stop", "--feature", "search", "--reason", "it hurts")
    frozen.reconcile("resume", "--feature", "search", "--reason", "fixed", "--allow", "freeze")

    rows = frozen.database.rows(
        "SELECT feature_name, details ->> 'reason' AS reason FROM rollout_notification"
        " WHERE event = 'freeze_overridden' ORDER BY created_at"
    )
    assert [(each["feature_name"], each["reason"]) for each in rows] == [
        ("capture", "the fix cannot wait"),
        ("search", "fixed"),
    ]


def test_a_commit_goes_through_only_with_a_reason(frozen: Site) -> None:
    frozen.replace("percentage: 10\n    w", "percentage: 20\n    w")
    refused = apply(frozen, "Raise\n\nRollout-Allow: freeze", exit_code=3)
    frozen.replace("percentage: 20", "percentage: 25")
    apply(frozen, "Raise\n\nRollout-Allow: freeze\nFreeze-Reason: the fix cannot wait")

    assert "the message has no line Freeze-Reason" in " ".join(refused.split())
    assert freezes_in_history(frozen) == [
        ("percentage_changed", ["holidays"], "the fix cannot wait")
    ]


def test_a_stop_is_never_held_and_a_resume_waits(frozen: Site) -> None:
    assert frozen.reconcile("stop", "--feature", "capture", "--reason", "it hurts").exit_code == 0

    refused = frozen.reconcile("resume", "--feature", "capture", "--reason", "fixed")
    done = frozen.reconcile(
        "resume", "--feature", "capture", "--reason", "fixed", "--allow", "freeze"
    )

    assert refused.exit_code == 3
    assert "the freeze holidays holds every widening until" in refused.stderr
    assert done.exit_code == 0, done.stderr
    assert freezes_in_history(frozen) == [("resumed", ["holidays"], "fixed")]


def test_reverting_a_narrowing_by_sql_waits_too(frozen: Site) -> None:
    frozen.database.execute(
        "UPDATE rollout_configuration SET target_repositories = '{}' WHERE feature_name = 'capture'"
    )

    refused = frozen.reconcile("drift", "revert", "--yes")
    done = frozen.reconcile(
        "drift", "revert", "--yes", "--allow", "freeze", "--reason", "a mistake"
    )

    assert refused.exit_code == 3
    assert done.exit_code == 0, done.stderr
    assert freezes_in_history(frozen) == [("drift_reverted", ["holidays"], "a mistake")]


def test_a_block_removed_by_hand_waits_as_a_resume_does(frozen: Site) -> None:
    assert frozen.reconcile("stop", "--feature", "capture", "--reason", "it hurts").exit_code == 0
    frozen.git("pull", "--quiet", "--ff-only")
    text = frozen.file.read_text()
    begin, end = text.index("    override:"), text.index("  search:")
    frozen.write(text[:begin] + text[end:])

    shown = apply(frozen, "Resume", exit_code=3)

    assert "freeze: the freeze holidays holds" in " ".join(shown.split())


def test_a_promotion_waits_for_its_date_and_for_the_freeze(frozen: Site) -> None:
    frozen.replace(
        "  search:\n    percentage: 10\n",
        "  search:\n    percentage: 10\n    progression:\n"
        "      - {percentage: 10, soak: 1s}\n"
        "      - {percentage: 20, soak: 1d, not_before: 2190-01-11 09:00, zone: Europe/Berlin}\n",
    )
    apply(frozen, "Plan the stages")

    done = frozen.reconcile("promote", "--feature", "search", "--format", "json")

    missing = {each["message"]: each["holds_at"] for each in json.loads(done.stdout)["missing"]}
    assert done.exit_code == 3
    assert (
        missing[
            "percentage 10 → 20: stage 20 does not begin before 2190-01-11T08:00:00Z"
            " (2190-01-11 09:00 Europe/Berlin)"
        ]
        == "2190-01-11T08:00:00Z"
    )
    assert any(each.startswith("the freeze holidays holds") for each in missing)


def test_an_increase_before_the_date_of_its_stage_is_refused(site: Site) -> None:
    site.write(
        "version: 1\nfeatures:\n  capture:\n    percentage: 0\n    progression:\n"
        "      - {percentage: 10, soak: 1s, not_before: 2190-01-11 09:00+01:00}\n"
    )
    apply(site, "Begin")
    site.replace("percentage: 0", "percentage: 4")

    shown = apply(site, "Raise", exit_code=3)

    assert "not-before: percentage 0 → 4: stage 10 does not begin before 2190-01-11T08:00:00Z" in (
        " ".join(shown.split())
    )


def test_status_and_the_plan_show_the_freeze(frozen: Site) -> None:
    status = read(frozen, "status")
    frozen.replace(FREEZE, FREEZE.replace("12:00}", "13:00}"))

    plan = read(frozen, "--dry-run")

    assert status["features"][0]["freeze"]["until"] == "2199-12-31T11:00:00Z"
    assert plan["freezes"]["changed"]["holidays"]["after"]["to"] == "2199-12-31 13:00"
    assert plan["has_changes"]


def test_freezes_are_shown_at_a_time(frozen: Site) -> None:
    frozen.write(
        f"{FILE}freezes:\n  - {{name: weekend, zone: Europe/Berlin, from: fri 16:00, to: mon 08:00}}\n"
        "  - {name: year end, from: 2026-12-18 16:00, to: 2027-01-04 08:00, features: [search]}\n"
    )

    done = frozen.reconcile("freezes", "--at", "2026-11-28T10:00Z")

    assert done.stdout == snapshot("""\
at 2026-11-28T10:00:00Z
    holds        weekend: fri 2026-11-27 16:00 to mon 2026-11-30 08:00 Europe/Berlin
    next         weekend: fri 2026-12-04 16:00 to mon 2026-12-07 08:00 Europe/Berlin
    next         year end: fri 2026-12-18 16:00 to mon 2027-01-04 08:00 UTC; features search
    frozen       capture, until mon 2026-11-30 08:00 Europe/Berlin (2026-11-30T07:00:00Z)
    frozen       search, until mon 2026-11-30 08:00 Europe/Berlin (2026-11-30T07:00:00Z)
""")


def test_a_freeze_is_added_and_removed_by_command(frozen: Site) -> None:
    before = frozen.file.read_text()
    add = ("freeze", "add", "release", "--from", "2027-01-01 00:00", "--to", "2027-01-02 00:00")

    added = frozen.reconcile(*add, "--zone", "Europe/Berlin", "--only", "search")
    text = frozen.file.read_text()
    removed = frozen.reconcile("freeze", "remove", "release")

    assert added.exit_code == 0, added.stderr
    assert text == before + (
        '  - {name: release, zone: Europe/Berlin, from: "2027-01-01 00:00", to: "2027-01-02 00:00",'
        " features: [search]}\n"
    )
    assert removed.exit_code == 0, removed.stderr
    assert frozen.file.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("add", "f", "--from", "fri 16", "--to", "mon 08:00"), "is not a time of a freeze"),
        (
            ("add", "f", "--from", "fri 16:00", "--to", "mon 08:00", "--zone", "Mars"),
            "not a time zone",
        ),
        (("remove", "f"), "the file has no freeze 'f'; it has: holidays"),
    ],
)
def test_a_wrong_freeze_is_not_written(
    frozen: Site, arguments: tuple[str, ...], problem: str
) -> None:
    before = frozen.file.read_bytes()

    done = frozen.reconcile("freeze", *arguments)

    assert done.exit_code != 0
    assert problem in done.stderr
    assert frozen.file.read_bytes() == before


@pytest.fixture
def start(frozen: Site) -> Iterator[Start]:
    with watching(frozen) as start:
        yield start


@pytest.mark.nightly
def test_a_watch_applies_the_merge_by_itself_at_the_end(frozen: Site, start: Start) -> None:
    """It waits for the end of a minute: a freeze has no shorter times."""
    end = datetime.now(UTC) + timedelta(seconds=75)
    frozen.replace("to: 2199-12-31 12:00", f"to: {end:%Y-%m-%d %H:%M}")
    frozen.replace("zone: Europe/Berlin, ", "")
    frozen.replace("percentage: 10\n    w", "percentage: 20\n    w")
    commit = frozen.commit("Raise")
    frozen.push()

    watcher = start("--follow", "origin/main", "--listen", "127.0.0.1:0")
    watcher.tells("not_applied", commit=commit)
    eventually(lambda: bool(watcher.events("applied", commit=commit)), seconds=200)

    (row,) = frozen.database.rows(
        "SELECT created_at, reason FROM rollout_history WHERE action = 'percentage_changed'"
    )
    assert row["created_at"] >= end.replace(second=0, microsecond=0)
    assert row["reason"] == "Raise"
