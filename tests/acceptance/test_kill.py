"""An apply that is killed at any moment is complete or did not happen."""

import random
import time
from collections.abc import Callable

from tests.eventually import eventually
from tests.replay import live_state, replayed_state
from tests.site import Site

OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def test_a_kill_leaves_changes_and_history_in_agreement(
    site: Site, at_size: Callable[[int, int], int]
) -> None:
    # The first run waits for the process from which others are forked.
    site.reconcile()
    site.write(_file(0))
    started = time.monotonic()
    assert site.reconcile().exit_code == 0
    whole = time.monotonic() - started
    chance = random.Random(20261124)
    outcomes = {"whole": 0, "killed": 0}

    for number in range(1, at_size(40, 200) + 1):
        site.write(_file(number))
        with site.run_to_kill() as process:
            process.join(chance.uniform(0.1, 1.2) * whole)
            outcomes["killed" if process.exitcode is None else "whole"] += 1
        # The server completes or rolls back what it received before the kill.
        eventually(lambda: site.database.value(OTHERS) == 0)
        live = live_state(site.database)
        assert live == replayed_state(site.database)
        generation = site.database.value("SELECT generation FROM rollout_state")
        newest = site.database.rows(
            "SELECT generation, effective FROM rollout_generation ORDER BY generation DESC LIMIT 1"
        )[0]
        assert newest["generation"] == generation
        stored = newest["effective"]["features"]["hybrid_progressive_capture"]
        assert stored["percentage"] == live["hybrid_progressive_capture"]["percentage"]

    # If all runs, or none, were killed in time, the test would prove nothing.
    assert outcomes["killed"] > 0, outcomes
    assert site.database.value("SELECT count(*) FROM rollout_generation") > 1


def _file(number: int) -> str:
    entries = "".join(f"      - acme/repository-{number}-{index}\n" for index in range(200))
    return (
        "version: 1\nfeatures:\n  hybrid_progressive_capture:\n"
        f"    percentage: {number % 100}\n    guards: {{max_removal: 100}}\n    whitelist:\n{entries}"
    )
