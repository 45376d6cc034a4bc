"""A start without the database: a snapshot file is used while it is recent and complete."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from math import nan
from pathlib import Path
from typing import Any

import pytest

from rollout_client import Answer, ClientRule, RolloutClient
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Rule
from tests.database.proxy import Proxy
from tests.database.test_client import ACME, NOBODY, OTHER, Clock, change, following, load
from tests.eventually import eventually
from tests.postgres import Database


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    load(
        database,
        rollout_strategy="repository_size",
        rollout_percentage="10.50",
        excluded_repositories=["other/*"],
    )
    with Proxy(database) as proxy:
        yield proxy


@contextmanager
def cut_off(proxy: Proxy, file: Path, **settings: Any) -> Iterator[RolloutClient]:
    """A client that cannot reach the database."""
    proxy.is_up = False
    with RolloutClient(
        proxy.url, snapshot_file=file, start_timeout=timedelta(milliseconds=100), **settings
    ) as client:
        yield client
    proxy.is_up = True


@pytest.fixture
def file(proxy: Proxy, tmp_path: Path) -> Path:
    """A snapshot as a client left it."""
    path = tmp_path / "rollout.snapshot"
    with following(Database(proxy.url), snapshot_file=path) as client:
        assert client.is_eligible(ACME, "f")
    return path


def test_a_client_from_a_snapshot_answers_like_its_writer(proxy: Proxy, file: Path) -> None:
    with cut_off(proxy, file) as client:
        assert client.is_eligible(ACME, "f")
        assert client.is_eligible("acme/SITE", "f")
        assert client.explain(ACME, "f") == Answer(
            eligible=True,
            rule=Rule.SIZE_STRATEGY,
            reason="test repositories are eligible from 10 %, the percentage is 10.5 %",
            bucket=1915,
            category=Category.TEST,
            percentage=Decimal("10.5"),
        )
        assert client.explain(OTHER, "f").rule is Rule.EXCLUDED
        assert client.explain(NOBODY, "f").rule is Rule.UNKNOWN_REPOSITORY


def test_the_age_of_a_snapshot_counts_as_staleness(
    proxy: Proxy, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 200)
    with cut_off(proxy, file, clock=clock) as client:
        assert client.is_eligible(ACME, "f")
        clock.now += 101
        assert not client.is_eligible(ACME, "f")
        assert client.explain(ACME, "f").rule is ClientRule.STALE


@pytest.mark.parametrize("seconds", [301, -60])
def test_an_old_snapshot_is_stale_and_a_future_one_is_ignored(
    proxy: Proxy, file: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + seconds)
    with cut_off(proxy, file) as client:
        assert client.explain(ACME, "f").rule is ClientRule.STALE


def test_damage_anywhere_in_a_snapshot_is_detected(proxy: Proxy, file: Path) -> None:
    whole = file.read_bytes()
    for position in range(0, len(whole), 61):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        file.write_bytes(damaged)
        assert_not_believed(proxy, file)
    for length in (0, 10, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert_not_believed(proxy, file)


def assert_not_believed(proxy: Proxy, file: Path) -> None:
    proxy.is_up = False
    client = RolloutClient(proxy.url, snapshot_file=file)
    client.start()
    assert client.status().age is None
    client.close()
    proxy.is_up = True


def test_a_snapshot_that_other_users_can_write_is_ignored(proxy: Proxy, file: Path) -> None:
    file.chmod(0o666)
    assert_not_believed(proxy, file)


def test_a_snapshot_of_another_database_or_features_is_ignored(proxy: Proxy, file: Path) -> None:
    with cut_off(proxy, file, features=["f"]) as client:
        assert client.status().age is None
    client = RolloutClient(proxy.url.replace("/test_", "/other_"), snapshot_file=file)
    client.start()
    assert client.status().age is None
    client.close()


def test_a_stop_is_in_the_snapshot_at_once(proxy: Proxy, file: Path, database: Database) -> None:
    with following(Database(proxy.url), snapshot_file=file) as client:
        change(database, "emergency_stop = true")
        eventually(lambda: not client.is_eligible(ACME, "f"))
        eventually(lambda: b'"emergency_stop": true' in file.read_bytes())

    with cut_off(proxy, file) as client:
        assert client.explain(ACME, "f").rule is Rule.EMERGENCY_STOP


def test_only_the_owner_can_read_a_snapshot(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_the_database_takes_precedence_over_a_snapshot(
    proxy: Proxy, file: Path, database: Database
) -> None:
    change(database, "rollout_percentage = 0")
    with following(Database(proxy.url), snapshot_file=file) as client:
        eventually(lambda: not client.is_eligible(ACME, "f"))


def test_a_client_with_a_stale_snapshot_waits_for_the_database(
    proxy: Proxy, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 3600)
    with RolloutClient(proxy.url, snapshot_file=file, start_timeout=timedelta(minutes=1)) as client:
        assert client.is_eligible(ACME, "f")


def test_a_missing_snapshot_folder_is_logged_and_harmless(
    proxy: Proxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with following(Database(proxy.url), snapshot_file=tmp_path / "no" / "file") as client:
        assert client.is_eligible(ACME, "f")
    assert "is not written" in caplog.text


@pytest.mark.parametrize(
    "header", [b"[" * 100_000, b"[]", b"7", b"\xff", b'{"format": 1, "digest": "0"}']
)
def test_a_snapshot_with_other_content_is_ignored(proxy: Proxy, file: Path, header: bytes) -> None:
    file.write_bytes(header)
    assert_not_believed(proxy, file)


@pytest.mark.parametrize(
    "damage", [{"stops": []}, {"newest": 7}, {"confirmed_at": nan}, {"pages": [[0]]}, []]
)
def test_a_file_with_a_valid_digest_and_wrong_content_is_not_used(
    proxy: Proxy, file: Path, damage: Any
) -> None:
    _, described, content = file.read_bytes().split(b"\n", 2)
    said = {**json.loads(described), **damage} if isinstance(damage, dict) else damage
    body = json.dumps(said).encode() + b"\n" + content
    header = json.dumps({"format": 1, "digest": sha256(body).hexdigest()}).encode()
    file.write_bytes(header + b"\n" + body)
    assert_not_believed(proxy, file)


def test_a_pipe_instead_of_a_snapshot_is_ignored(proxy: Proxy, file: Path) -> None:
    file.unlink()
    os.mkfifo(file)
    assert_not_believed(proxy, file)


def test_a_client_without_connection_keeps_a_newer_snapshot(proxy: Proxy, file: Path) -> None:
    with cut_off(proxy, file) as client:
        assert client.is_eligible(ACME, "f")
        file.write_bytes(b"what another process read later")
    assert file.read_bytes() == b"what another process read later"


def test_what_a_killed_process_left_beside_it_is_removed(proxy: Proxy, file: Path) -> None:
    left, young = (file.parent / f".{file.name}.{name}" for name in ("abcdefgh", "12345678"))
    other = file.parent / ".other.snapshot.abcdefgh"
    for each in (left, young, other):
        each.write_bytes(b"half")
    for each in (left, other):
        os.utime(each, (time.time() - 3600,) * 2)
    with cut_off(proxy, file):
        pass
    assert {each.name for each in file.parent.iterdir()} == {file.name, young.name, other.name}


def test_a_snapshot_writable_by_its_group_is_used_if_allowed(
    proxy: Proxy, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.chmod(0o660)
    assert_not_believed(proxy, file)
    assert (
        f"snapshot {file} is not used: its group may write to it; set its mode to 600, or allow the "
        "group by snapshot_group"
    ) in caplog.messages

    with cut_off(proxy, file, snapshot_group=True) as client:
        assert client.is_eligible(ACME, "f")
    with following(Database(proxy.url), snapshot_file=file, snapshot_group=True):
        pass
    assert file.stat().st_mode & 0o777 == 0o640
    file.chmod(0o666)
    assert_not_believed(proxy, file)
