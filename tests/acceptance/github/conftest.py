"""A site on GitHub: its API as a small server, and its workflows run by act."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.github.runner import Runner
from tests.github.server import FakeGitHub
from tests.site import Site


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    """A small GitHub that was asked nothing wrong by the test's end."""
    with FakeGitHub().serving() as fake:
        yield fake
    assert fake.wrong == []


@pytest.fixture
def runner(site: Site, hub: FakeGitHub, tmp_path: Path) -> Runner:
    folder = tmp_path / "runs"
    folder.mkdir()
    hub.remote = site.remote
    return Runner(site, hub, folder)
