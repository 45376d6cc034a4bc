"""A rollout that continues stage by stage; the program writes each stage into the file."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from inline_snapshot import snapshot

from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.errors import EditRefused
from reconciler.operations.promote import promote as promote_step
from reconciler.rollout_file import read_rollout_file
from tests.builders import RepositoryRow, add_repositories, report_jobs
from tests.site import Site

FILE = """\
version: 1
features:
  capture:
    percentage: 0  # raised by promote
    progression:
      - {percentage: 10, soak: 1d}
      - {percentage: 25, soak: 3d}
      - {percentage: 50, soak: 7d}
      - {percentage: 75, soak: 7d}
      - {percentage: 100, soak: 14d}
"""
IN_FROM_14_23 = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d13"


@pytest.fixture
def begun(site: Site) -> Site:
    """A site before the first stage, with a repository."""
    add_repositories(site.database, RepositoryRow("acme/tools", id=IN_FROM_14_23))
    site.write(FILE)
    apply(site, "Begin")
    return site


@pytest.fixture
def at_ten(begun: Site) -> Site:
    """A site that has just reached its first stage."""
    begun.replace("percentage: 0 ", "percentage: 10 ")
    apply(begun, "Raise")
    return begun


def apply(site: Site, message: str) -> None:
    site.commit(message)
    applied = site.reconcile()
    assert applied.exit_code == 0, applied.stdout + applied.stderr


def promote(site: Site, *arguments: str) -> dict[str, Any]:
    ended = site.reconcile("promote", "--format", "json", *arguments)
    found: dict[str, Any] = json.loads(ended.stdout)
    assert ended.exit_code == (3 if found["missing"] else 0)
    return found


def missing(site: Site) -> list[str]:
    before = site.file.read_bytes()
    found = promote(site)
    assert found["promoted"] is False
    assert site.file.read_bytes() == before
    return [each["message"] for each in found["missing"]]


def let_pass(site: Site, time: str) -> None:
    """Set the times of all earlier changes back."""
    site.database.execute(f"""
        SET session_replication_role = replica;
        UPDATE rollout_history SET created_at = created_at - interval '{time}';
        UPDATE rollout_configuration SET created_at = created_at - interval '{time}';
    """)


def test_the_five_stages_are_promoted_in_their_order(begun: Site) -> None:
    report_jobs(begun.database, 40)
    reached = [0]
    for percentage, soak in ((10, "1 day"), (25, "3 days"), (50, "7 days"), (75, "7 days")):
        found = promote(begun)
        assert (found["promoted"], found["missing"], found["holds_at"]) == (True, [], None)
        assert (found["percentage"], found["next_stage"]) == (reached[-1], percentage)
        apply(begun, f"Promote to {percentage}")
        reached.append(percentage)

        let_pass(begun, f"{soak} -1 minute")
        if percentage == 75:
            (message,) = missing(begun)
            assert "stage 75 reached 20" in message
        let_pass(begun, "1 minute")

    assert promote(begun)["promoted"] is True
    assert begun.file.read_text() == FILE.replace("percentage: 0 ", "percentage: 100 ")
    apply(begun, "Promote to 100")
    assert begun.database.value("SELECT rollout_percentage FROM rollout_configuration") == 100
    found = promote(begun)
    assert (found["promoted"], found["next_stage"], found["reason"]) == (
        False,
        None,
        "capture: nothing to promote: the last stage is reached: 100 of 100",
    )


def test_promote_shows_the_diff_and_the_blast_radius(at_ten: Site) -> None:
    report_jobs(at_ten.database, 40)
    let_pass(at_ten, "1 day")

    shown = at_ten.reconcile("promote")

    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    lines = [each if " against generation " not in each else "(headline)" for each in lines]
    assert "\n".join(lines) == snapshot("""\
capture: 10 → 25, stage 2 of 5; written to rollout.yaml

--- rollout.yaml
+++ rollout.yaml
@@ -1,7 +1,7 @@
 version: 1
 features:
   capture:
-    percentage: 10  # raised by promote
+    percentage: 25  # raised by promote
     progression:
       - {percentage: 10, soak: 1d}
       - {percentage: 25, soak: 3d}

(headline)

~ capture
    percentage   10 → 25
    eligible     0 → 1 of 1 repository   +1 gain   −0 lose
                 test +1
    gain         acme/tools

Plan: 1 feature to change, 1 change.

Next: commit the file and open a pull request; its merge applies it.\
""")
    assert at_ten.git("diff", "--numstat") == "1\t1\trollout.yaml"


def test_a_pull_request_has_the_stage_the_diff_and_the_plan(at_ten: Site) -> None:
    report_jobs(at_ten.database, 40)
    let_pass(at_ten, "1 day")

    shown = at_ten.reconcile("promote", "--format", "markdown")

    assert shown.exit_code == 0
    assert shown.stdout.startswith(
        "## capture: 10 → 25, stage 2 of 5; written to rollout.yaml\n\n```diff\n--- rollout.yaml\n"
    )
    assert "\n+    percentage: 25  # raised by promote\n" in shown.stdout
    assert "<!-- rollout-plan " in shown.stdout


def test_everything_missing_is_shown_with_the_earliest_time(at_ten: Site) -> None:
    report_jobs(at_ten.database, 40, errors=4)

    shown = at_ten.reconcile("promote")
    as_json = promote(at_ten)

    assert shown.exit_code == 3
    lines = " ".join(shown.stdout.split())
    assert lines.startswith(
        "capture: 10 → 25, stage 2 of 5: not yet; nothing was written"
        " missing percentage 10 → 25: stage 10 reached 20"
    )
    assert "the verdict is fail, error rate 10.00% over 5% (4 of 40 jobs in 24h)" in lines
    assert lines.endswith(f" earliest {as_json['holds_at']}")
    reached_at = at_ten.database.value("SELECT max(created_at) FROM rollout_history")
    waits = datetime.fromisoformat(as_json["holds_at"]) - reached_at
    assert timedelta(days=1) <= waits < timedelta(days=1, seconds=1)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true,"
            " updated_at = '2026-11-23T12:00:00Z'",
            "an override stops it since 2026-11-23T12:00:00Z; when the cause is fixed: reconcile resume",
        ),
        (
            "UPDATE rollout_configuration SET rollout_percentage = 5,"
            " updated_at = '2026-11-23T12:00:00Z'",
            "an override limits it to 5 since 2026-11-23T12:00:00Z; when the cause is fixed:"
            " reconcile resume",
        ),
    ],
)
def test_a_rolled_back_feature_is_not_promoted(at_ten: Site, sql: str, expected: str) -> None:
    report_jobs(at_ten.database, 40)
    let_pass(at_ten, "1 day")
    at_ten.database.execute(sql)

    assert expected in missing(at_ten)


def test_a_stop_by_the_program_is_an_override_too(begun: Site) -> None:
    stopped = begun.reconcile("stop", "--reason", "odd", "--yes", "--no-write-back")
    assert stopped.exit_code == 0, stopped.stderr

    (message,) = missing(begun)
    assert message.startswith("an override stops it since 20")


def test_a_file_must_be_applied_before_the_next_stage(at_ten: Site) -> None:
    report_jobs(at_ten.database, 40)
    let_pass(at_ten, "30 days")
    at_ten.replace("percentage: 10 ", "percentage: 25 ")

    assert missing(at_ten) == ["the present file is not applied yet: apply it first"]


def test_an_inactive_feature_is_not_promoted(at_ten: Site) -> None:
    report_jobs(at_ten.database, 40)
    let_pass(at_ten, "1 day")
    at_ten.replace("  capture:\n", "  capture:\n    active: false\n")
    apply(at_ten, "Turn it off")

    assert missing(at_ten) == ["the feature is not active: set active: true and apply it"]


def test_a_guard_that_would_refuse_the_apply_is_shown(begun: Site) -> None:
    begun.write(
        FILE.replace("      - {percentage: 10, soak: 1d}\n      - {percentage: 25, soak: 3d}\n", "")
    )
    apply(begun, "Begin at fifty")

    (message,) = missing(begun)
    assert message.startswith("the guard max-increase refuses: percentage 0 → 50 is 50 points")


def test_a_file_changed_during_promote_is_not_overwritten(begun: Site) -> None:
    document = read_rollout_file(begun.file)
    changed = FILE.replace("# raised by promote", "# changed meanwhile")
    begun.write(changed)

    with pytest.raises(EditRefused, match="the file changed during the edit; try again"):
        promote_step(OpenedDatabase.at(begun.database.address), document, "capture", by="a test")
    assert begun.file.read_text() == changed


def test_without_a_progression_there_is_nothing_to_promote(site: Site) -> None:
    assert site.reconcile().exit_code == 0

    ended = site.reconcile("promote")

    assert (ended.exit_code, ended.stdout) == (
        0,
        "hybrid_progressive_capture: nothing to promote: there is no progression in the file, "
        "so there is no next stage\n",
    )
