"""The fixtures keep their word: each database whole and a test's own, each site ready to act in."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.postgres import Database
from tests.site import FIRST_FILE, Site


@pytest.mark.parametrize("_round", range(2))
def test_a_database_is_migrated_and_nobody_elses(database: Database, _round: int) -> None:
    assert database.value("SELECT count(*) FROM rollout_configuration") == 0
    database.execute(
        "INSERT INTO rollout_configuration (feature_name) VALUES (%(name)s)", name="somebody_s"
    )
    assert database.rows("SELECT feature_name FROM rollout_configuration") == [
        {"feature_name": "somebody_s"}
    ]


def test_an_empty_database_has_no_table(empty_database: Database) -> None:
    assert empty_database.value("SELECT to_regclass('rollout_configuration')") is None
