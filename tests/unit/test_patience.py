"""Which failed connections an act waits for: those that the end of a switchover may mend."""

import psycopg
import pytest

from reconciler.database.patience import is_of_switchover


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        ("failed to resolve host 'db.example': [Errno -2] Name or service not known", False),
        ('could not translate host name "db.example" to address: Name or service not known', False),
        ("failed to resolve host 'db': [Errno -3] Temporary failure in name resolution", True),
        ('connection to server at "127.0.0.1", port 1 failed: Connection refused', True),
        ("connection timeout expired", True),
    ],
)
def test_a_name_that_does_not_exist_is_a_mistake_and_not_waited_for(
    said: str, *, waits: bool
) -> None:
    assert is_of_switchover(psycopg.OperationalError(said), None) is waits


@pytest.mark.parametrize(
    ("state", "waits"),
    [("25006", True), ("57P01", True), ("57P03", True), ("08006", True), ("28P01", False)],
)
def test_the_state_that_a_server_gave_comes_before_its_words(state: str, *, waits: bool) -> None:
    said = psycopg.OperationalError("failed to resolve host 'db': Name or service not known")
    assert is_of_switchover(said, state) is waits
