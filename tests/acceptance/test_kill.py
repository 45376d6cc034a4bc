"""Killed at any moment, an apply is there as a whole or not at all."""

import random
import subprocess
import time
from collections.abc import Callable

from tests.replay import live_state, replayed_state
from tests.site import Site


def test_a_kill_leaves_no_change_without_history_and_no_history_without_change(
    site: Site, at_size: Callable[[int, int], int]
) -> None:
    site.write(_file(0))
    started = time.monotonic()
    site.start().communicate()
    whole = time.monotonic() - started
    chance = random.Random(20261124)
    outcomes = {"whole": 0, "killed": 0}

    for number in range(1, at_size(40, 200) + 1):
        site.write(_file(number))
        process = site.start()
        try:
            process.wait(timeout=chance.uniform(0.3, 1.2) * whole)
            outcomes["whole"] += 1
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            outcomes["killed"] += 1
        live = live_state(site.database)
        assert live == replayed_state(site.database)
        generation = site.database.value("SELECT generation FROM rollout_state")
        newest = site.database.rows(
            "SELECT generation, effective FROM rollout_generation ORDER BY generation DESC LIMIT 1"
        )[0]
        assert newest["generation"] == generation
        stored = newest["effective"]["features"]["hybrid_progressive_capture"]
        assert stored["percentage"] == live["hybrid_progressive_capture"]["percentage"]

    # Killed only, or never, would say nothing.
    assert outcomes["killed"] > 0
    assert site.database.value("SELECT count(*) FROM rollout_generation") > 1


def _file(number: int) -> str:
    entries = "".join(f"      - acme/repository-{number}-{index}\n" for index in range(200))
    return (
        "version: 1\nfeatures:\n  hybrid_progressive_capture:\n"
        f"    percentage: {number % 100}\n    guards: {{max_removal: 100}}\n    whitelist:\n{entries}"
    )
