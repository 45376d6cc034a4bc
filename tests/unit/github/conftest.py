from collections.abc import Iterator

import pytest

from reconciler.github.client import GitHub
from reconciler.github.transport import Transport
from tests.github.server import TOKEN, FakeGitHub


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    """A small GitHub that received only correct requests at the end of the test."""
    with FakeGitHub().serving() as fake:
        yield fake
    assert fake.wrong == []


@pytest.fixture
def waits() -> list[float]:
    """The durations of the client's waits; the client does not wait."""
    return []


@pytest.fixture
def reports() -> list[str]:
    """What the client reported about its waits."""
    return []


@pytest.fixture
def github(
    fake: FakeGitHub, waits: list[float], reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[GitHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    transport = Transport(fake.url, TOKEN)
    yield GitHub(fake.url, transport, waits.append, reports.append)
    transport.close()
