"""Servers for tests of a service's database: the embedded one, and an older one with its extensions."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.postgres import Database, TestRun
from tests.server import distribution_server, needs_distribution_server

NewDatabase = Callable[..., AbstractContextManager[Database]]


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("distribution", marks=needs_distribution_server)],
)
def new_database(request: pytest.FixtureRequest, databases: TestRun) -> Iterator[NewDatabase]:
    """Makes a database from a template, on each of the two servers."""
    if request.param == "embedded":
        yield databases.database
        return
    with distribution_server() as server:
        yield server.database
