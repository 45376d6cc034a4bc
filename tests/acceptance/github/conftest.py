"""A site on GitHub: a small server with its API, and its workflows run by act."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.github.runner import Runner
from tests.github.server import FakeGitHub
from tests.site import Site


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    """A small GitHub that received only correct requests at the end of the test."""
    with FakeGitHub().serving() as fake:
        yield fake
    assert fake.wrong == []


@pytest.fixture
def runner(site: Site, hub: FakeGitHub, tmp_path: Path) -> Runner:
    folder = tmp_path / "runs"
    folder.mkdir()
    hub.remote = site.remote
    return Runner(site, hub, folder)
