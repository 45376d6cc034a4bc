"""`reconcile drift`: what somebody changed live is shown, and taken back where it holds an apply."""

import json

import pytest

from tests.replay import live_state, replayed_state
from tests.site import Site

FEATURE = "hybrid_progressive_capture"


@pytest.fixture
def drifted(site: Site) -> Site:
    """A site where somebody took an entry off the whitelist and pulled the percentage, by SQL."""
    site.write(f"version: 1\nfeatures:\n  {FEATURE}: {{percentage: 10, whitelist: [a/b, c/d]}}\n")
    site.commit("Begin")
    assert site.reconcile().exit_code == 0
    site.database.execute(
        "UPDATE rollout_configuration SET target_repositories = '{a/b}', rollout_percentage = 5"
    )
    return site


def test_drift_is_shown_with_what_an_apply_does_about_it(drifted: Site) -> None:
    text = drifted.reconcile("drift")
    found = json.loads(drifted.reconcile("drift", "--format", "json").stdout)

    assert "rollout_percentage 10 → 5, by somebody live: kept" in " ".join(text.stdout.split())
    assert found["features"][0]["drift"] == [
        {"field": "rollout_percentage", "last_applied": 10, "live": 5, "decision": "keep"},
        {
            "field": "target_repositories",
            "last_applied": ["a/b", "c/d"],
            "live": ["a/b"],
            "decision": "hold",
        },
    ]


def test_reverting_takes_back_what_is_held_and_leaves_what_is_kept(drifted: Site) -> None:
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


def test_reverting_where_nothing_is_held_writes_nothing(site: Site) -> None:
    site.reconcile()
    before = site.database.rows("SELECT * FROM rollout_history")

    done = site.reconcile("drift", "revert")

    assert done.stdout == "nothing is held; nothing was written\n"
    assert site.database.rows("SELECT * FROM rollout_history") == before


def test_no_drift_says_so(site: Site) -> None:
    site.reconcile()

    assert site.reconcile("drift").stdout == "nothing drifted\n"
