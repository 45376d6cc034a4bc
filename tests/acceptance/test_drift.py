"""`reconcile drift`: live changes are shown; held ones can be adopted or reverted."""

import json
import os
import sys

import pexpect
import pytest
from inline_snapshot import snapshot

from tests.postgres import PROJECT
from tests.replay import live_state, replayed_state
from tests.site import Site

FEATURE = "hybrid_progressive_capture"


@pytest.fixture
def drifted(site: Site) -> Site:
    """A site whose whitelist and percentage were narrowed by SQL."""
    site.write(f"version: 1\nfeatures:\n  {FEATURE}: {{percentage: 10, whitelist: [a/b, c/d]}}\n")
    site.commit("Begin")
    assert site.reconcile().exit_code == 0
    site.database.execute(
        "UPDATE rollout_configuration SET target_repositories = '{a/b}', rollout_percentage = 5"
    )
    return site


def test_drift_is_shown_with_the_decision_of_an_apply(drifted: Site) -> None:
    text = drifted.reconcile("drift")
    found = json.loads(drifted.reconcile("drift", "--format", "json").stdout)

    assert "rollout_percentage 10 → 5, changed live by hand: the apply keeps it" in " ".join(
        text.stdout.split()
    )
    assert found["features"][0]["drift"] == [
        {"field": "rollout_percentage", "last_applied": 10, "live": 5, "decision": "keep"},
        {
            "field": "target_repositories",
            "last_applied": ["a/b", "c/d"],
            "live": ["a/b"],
            "decision": "hold",
        },
    ]


def test_reverting_undoes_held_drift_and_leaves_kept_drift(drifted: Site) -> None:
    held = drifted.reconcile()
    reverted = drifted.reconcile("drift", "revert", "--reason", "removed by mistake")
    live = live_state(drifted.database)[FEATURE]
    applied = drifted.reconcile()

    assert (held.exit_code, reverted.exit_code, applied.exit_code) == (3, 0, 0)
    assert (live["whitelist"], live["percentage"]) == (["a/b", "c/d"], 5.0)
    assert live_state(drifted.database)[FEATURE]["percentage"] == 5.0
    assert live_state(drifted.database) == replayed_state(drifted.database)
    row = drifted.database.rows(
        "SELECT reason, metadata ->> 'field' AS field FROM rollout_history"
        " WHERE action = 'drift_reverted'"
    )
    assert row == [{"reason": "removed by mistake", "field": "whitelist"}]


def test_reverting_without_held_drift_writes_nothing(site: Site) -> None:
    site.reconcile()
    before = site.database.rows("SELECT * FROM rollout_history")

    done = site.reconcile("drift", "revert")

    assert done.stdout == "there is no held drift; nothing was written\n"
    assert site.database.rows("SELECT * FROM rollout_history") == before


COMMENTED = f"""\
# Who gets what
version: 1
features:
  {FEATURE}:
    percentage: 10  # careful
    whitelist:
      # friends
      - acme/tools
      - acme/site  # since May
      - "beta/later"  # not there yet
    # enemies
    exclusions: [legacy/one]  # never
"""


@pytest.fixture
def narrowed(site: Site) -> Site:
    """A site whose lists were narrowed by SQL: one known and one unknown name gone, one id excluded."""
    (site.folder / "repositories.csv").write_text(
        "full_name,stars,contributors,pull_requests\n"
        "acme/tools,1,1,1\nacme/site,1,1,1\nAcme/Shop,1,1,1\nlegacy/one,1,1,1\n"
    )
    assert site.reconcile("repositories", "load", "repositories.csv").exit_code == 0
    site.write(COMMENTED)
    site.commit("Begin")
    assert site.reconcile().exit_code == 0
    site.database.execute(
        "UPDATE rollout_configuration SET"
        " target_repositories = array_remove(array_remove(target_repositories, 'beta/later'),"
        "  (SELECT id::text FROM repositories WHERE full_name = 'acme/site')),"
        " excluded_repositories = excluded_repositories || "
        "  (SELECT id::text FROM repositories WHERE full_name = 'Acme/Shop')"
    )
    return site


def test_adopting_writes_held_drift_to_the_file(narrowed: Site) -> None:
    live = live_state(narrowed.database)
    held = narrowed.reconcile()

    adopted = narrowed.reconcile("drift", "adopt")
    text = narrowed.file.read_text()
    narrowed.commit("Keep what was done live")
    applied = narrowed.reconcile()

    assert (held.exit_code, adopted.exit_code, applied.exit_code) == (3, 0, 0)
    assert "reconcile drift adopt" in held.stdout
    assert adopted.stderr == snapshot(
        "The file has the live state now. Next: review it, commit it, and run reconcile\n"
    )
    assert adopted.stdout == snapshot("""\
--- rollout.yaml
+++ rollout.yaml
@@ -6,7 +6,5 @@
     whitelist:
       # friends
       - acme/tools
-      - acme/site  # since May
-      - "beta/later"  # not there yet
     # enemies
-    exclusions: [legacy/one]  # never
+    exclusions: [legacy/one, Acme/Shop]  # never
""")
    assert text == COMMENTED.replace("      - acme/site  # since May\n", "").replace(
        '      - "beta/later"  # not there yet\n', ""
    ).replace("[legacy/one]", "[legacy/one, Acme/Shop]")
    assert "target_repositories −2, changed live by hand: the apply keeps it" in applied.stdout
    assert "excluded_repositories +1, changed live by hand: the apply keeps it" in applied.stdout
    assert live_state(narrowed.database) == live == replayed_state(narrowed.database)
    assert narrowed.reconcile("drift").stdout == "there is no drift\n"
    assert narrowed.reconcile("--dry-run", "--detailed-exitcode").exit_code == 0


def test_adopting_writes_the_live_strategy_to_the_file(site: Site) -> None:
    (site.folder / "repositories.csv").write_text(
        "full_name,stars,contributors,pull_requests\nacme/tools,1,1,1\n"
    )
    site.reconcile("repositories", "load", "repositories.csv")
    site.write(f"version: 1\nfeatures:\n  {FEATURE}: {{percentage: 100}}  # all\n")
    site.commit("Begin")
    site.reconcile("--allow", "max-increase")
    site.database.execute("UPDATE rollout_configuration SET rollout_strategy = 'whitelist'")
    assert site.reconcile().exit_code == 3

    site.reconcile("drift", "adopt")
    site.commit("Keep it to the whitelist")

    assert "{strategy: whitelist, percentage: 100}  # all" in site.file.read_text()
    assert site.reconcile().exit_code == 0
    assert live_state(site.database)[FEATURE]["strategy"] == "whitelist"


def test_adopting_an_exclusion_removes_it_from_the_whitelist(drifted: Site) -> None:
    drifted.database.execute(
        "UPDATE rollout_configuration SET target_repositories = '{a/b,c/d}',"
        " rollout_percentage = 10, excluded_repositories = '{c/d}'"
    )

    drifted.reconcile("drift", "adopt")
    drifted.commit("Keep c/d out")

    assert "whitelist: [a/b], exclusions: [c/d]" in drifted.file.read_text()
    assert drifted.reconcile().exit_code == 0


def test_adopting_as_json_lists_the_adopted_changes(drifted: Site) -> None:
    adopted = drifted.reconcile("drift", "adopt", "--format", "json")

    assert json.loads(adopted.stdout) == {
        "features": [
            {
                "name": FEATURE,
                "drift": [
                    {
                        "field": "target_repositories",
                        "last_applied": ["a/b", "c/d"],
                        "live": ["a/b"],
                        "decision": "adopt",
                    }
                ],
            }
        ]
    }
    assert "whitelist: [a/b]}" in drifted.file.read_text()


def test_adopting_a_second_time_changes_nothing(drifted: Site) -> None:
    drifted.reconcile("drift", "adopt")
    text = drifted.file.read_text()

    again = drifted.reconcile("drift", "adopt")

    assert (again.exit_code, again.stdout) == (0, "")
    assert "has the live state already" in again.stderr
    assert drifted.file.read_text() == text


def test_adopting_without_held_drift_keeps_the_file(site: Site) -> None:
    site.reconcile()

    done = site.reconcile("drift", "adopt")

    assert (done.exit_code, done.stdout) == (
        0,
        "there is no held drift; the file was not changed\n",
    )
    assert site.git("status", "--porcelain") == ""


def test_a_feature_that_is_not_in_the_file_is_not_adopted(drifted: Site) -> None:
    drifted.write("version: 1\n")

    done = drifted.reconcile("drift", "adopt")

    assert done.exit_code == 1
    assert f"the file has no feature '{FEATURE}'" in done.stderr
    assert drifted.file.read_text() == "version: 1\n"


def test_on_a_terminal_adopting_shows_the_diff_and_asks(drifted: Site) -> None:
    text = drifted.file.read_text()
    environment = {**os.environ, "DATABASE_URL": drifted.database.url, "PYTHONPATH": str(PROJECT)}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "reconciler", "drift", "adopt"],
        cwd=str(drifted.folder),
        env=environment,
        encoding="utf-8",
        timeout=60,
    )

    child.expect_exact("Edit rollout.yaml? [y/N]: ")
    assert "whitelist: [a/b]}" in str(child.before)
    child.sendline("n")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus != 0
    assert drifted.file.read_text() == text


def test_the_absence_of_drift_is_reported(site: Site) -> None:
    site.reconcile()

    assert site.reconcile("drift").stdout == "there is no drift\n"


@pytest.fixture
def applied(site: Site) -> Site:
    """A site whose first file is applied."""
    assert site.reconcile().exit_code == 0
    return site


def test_kept_drift_is_on_the_branch_and_stays_until_the_next_apply(
    applied: Site,
) -> None:
    before = applied.remote_text()
    stop_by_sql(applied)

    left_alone = applied.reconcile("--no-write-back")
    untouched = applied.remote_text()
    carried = applied.reconcile("write-back")
    applied.git("pull", "--quiet")
    again = applied.reconcile()

    assert (left_alone.exit_code, carried.exit_code, again.exit_code) == (0, 0, 0)
    assert untouched == before
    assert "      by: database\n" in applied.remote_text()
    assert "Nothing to change" in again.stdout


def test_an_apply_that_keeps_drift_writes_it_back(applied: Site) -> None:
    stop_by_sql(applied)

    done = applied.reconcile()

    assert "written to origin/main by " in done.stderr
    assert "      emergency_stop: true\n" in applied.remote_text()


def stop_by_sql(site: Site) -> None:
    site.database.execute(
        "UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true"
    )
