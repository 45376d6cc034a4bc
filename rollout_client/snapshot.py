"""The snapshot file: a client's data, stored for a start without the database.

Its first line has the format and the digest of the rest. A file with another digest, of another
database, or from a possibly different user is not used. Its age counts as staleness.
"""

import json
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from hashlib import sha256
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from rollout_client.atomic_write import remove_leftovers, replace_file
from rollout_client.errors import SetupInvalid
from rollout_client.reads import Feature, Features
from rollout_client.repositories import Page, Repositories
from rollout_client.route import JobRule, Routing
from rollout_client.state import State
from rollout_client.store import Store
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.eligibility import Targeting
from rollout_client.targeting.strategy import Strategy
from rollout_client.threads import Wake, park

_LOG = logging.getLogger("reconciler.client")

FORMAT: Final = 2
"""A release with another format does not know the meaning of the file's features."""
_OWNER_ONLY: Final = 0o600
_AND_GROUP: Final = 0o640
_REST_FOR_WORK: Final = 20
"""Writing takes at most this part of the time (1 of 10 means a tenth)."""
_SHORTEST_REST_SECONDS: Final = 0.5
_CLOCK_STEP_SECONDS: Final = 1.0
"""Up to this far in the future, the clock was set back; further ahead, the age is unknown."""
_UNREADABLE: Final = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip


class SnapshotUnusable(Exception):
    """A file is not used; the reason."""


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """The place of a client's stored data, and its database."""

    path: Path
    database: str
    """The database, without secrets."""
    features: frozenset[str] | None
    """The followed features; None means all."""
    allows_group: bool = False
    """Whether the group of the file may read and write it, as with Kubernetes' `fsGroup`."""

    def write(self, state: State, age: float, now: float) -> None:
        """Replace the file in one step with a state that was confirmed `age` seconds before `now`.

        Raises:
            SetupInvalid: It cannot be written; the old file stays.
        """
        pages = [(number, page, page.ids) for number, page in state.repositories.pages.items()]
        described = {
            "database": self.database,
            "followed": None if self.features is None else sorted(self.features),
            "confirmed_at": now - age,
            "newest": _plain_features(state.newest),
            "whole": _plain_features(
                {
                    name: each
                    for name, each in state.whole.items()
                    if each is not state.newest.get(name)
                }
            ),
            "same": [name for name, each in state.whole.items() if each is state.newest.get(name)],
            "stops": dict(state.stops),
            "page_count": state.repositories.page_count,
            "has_categories": state.repositories.has_categories,
            "pages": [
                [number, page.digest.hex(), len(ids), len(page.facts), len(page.names)]
                for number, page, ids in pages
            ],
        }
        parts = [json.dumps(described).encode(), b"\n"]
        for _, page, ids in pages:
            parts += [ids, page.facts, page.names]
        digest = sha256()
        for part in parts:
            digest.update(part)
        header = json.dumps({"format": FORMAT, "digest": digest.hexdigest()}).encode()
        replace_file(
            self.path, header, b"\n", *parts, mode=_AND_GROUP if self.allows_group else _OWNER_ONLY
        )

    def read(self, now: float) -> tuple[State, float]:
        """Return the stored state, without times, and its age in seconds.

        Raises:
            SnapshotUnusable: There is no file, or it cannot be trusted.
        """
        body = _checked(_read_own(self.path, allows_group=self.allows_group))
        try:
            written, _, content = body.partition(b"\n")
            described = json.loads(written)
            if described["database"] != self.database:
                raise SnapshotUnusable("it is of another database")
            if described["followed"] != (None if self.features is None else sorted(self.features)):
                raise SnapshotUnusable("it is of other features")
            age = now - described["confirmed_at"]
            state = _state(described, content)
        except _UNREADABLE as error:
            raise SnapshotUnusable(f"it can't be read: {type(error).__name__}") from error
        if not age >= -_CLOCK_STEP_SECONDS:
            raise SnapshotUnusable("it is from the future")
        return state, max(0.0, age)


def _read_own(path: Path, *, allows_group: bool) -> bytes:
    try:
        # Opening a pipe would wait for a process that writes into it.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SnapshotUnusable("it is not a regular file")
            if hasattr(os, "geteuid"):
                _refuse_foreign(status, allows_group=allows_group)
            return file.read()
    except OSError as error:
        raise SnapshotUnusable(error.strerror or "it can't be read") from error


def _refuse_foreign(status: os.stat_result, *, allows_group: bool) -> None:
    """Refuse a file that an untrusted user may have written.

    Raises:
        SnapshotUnusable: An untrusted user may have written it.
    """
    own_groups = {os.getegid(), *os.getgroups()} if allows_group else set()
    is_own_group = status.st_gid in own_groups
    if status.st_uid not in (0, os.geteuid()) and not is_own_group:
        raise SnapshotUnusable("another user owns it; remove it")
    if status.st_mode & stat.S_IWOTH:
        raise SnapshotUnusable("all users may write to it; set its mode to 600")
    if status.st_mode & stat.S_IWGRP and not is_own_group:
        raise SnapshotUnusable(
            "its group may write to it; set its mode to 600, or allow the group by snapshot_group"
        )


def _checked(text: bytes) -> bytes:
    header, _, body = text.partition(b"\n")
    try:
        said = json.loads(header)
        is_format, digest = said["format"] == FORMAT, said["digest"]
    except _UNREADABLE as error:
        raise SnapshotUnusable("it is not a snapshot") from error
    if not is_format:
        raise SnapshotUnusable("it is of another version")
    if sha256(body).hexdigest() != digest:
        raise SnapshotUnusable("it is damaged")
    return body


def _state(described: Mapping[str, Any], content: bytes) -> State:
    newest = _features(described["newest"])
    whole = _features(described["whole"]) | {name: newest[name] for name in described["same"]}
    pages, position = {}, 0
    for number, digest, *lengths in described["pages"]:
        parts = []
        for length in lengths:
            parts.append(content[position : position + length])
            position += length
        pages[int(number)] = Page(bytes.fromhex(digest), *parts)
    return State(
        newest=MappingProxyType(newest),
        whole=MappingProxyType(whole),
        stops=MappingProxyType({str(k): float(v) for k, v in described["stops"].items()}),
        repositories=Repositories(
            MappingProxyType(pages), int(described["page_count"]), bool(described["has_categories"])
        ),
    )


def _plain_features(features: Features) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "active": each.targeting.active,
            "emergency_stop": each.targeting.emergency_stop,
            "strategy": each.targeting.strategy.value,
            "percentage": str(each.targeting.percentage),
            "salt": each.targeting.salt,
            "bucketing": each.targeting.bucketing.value,
            "whitelist": sorted(each.targeting.whitelist),
            "exclusions": sorted(each.targeting.exclusions),
            "version": each.version,
            "updated_at": each.updated_at,
            "processor": each.routing.processor,
            "fallback": each.routing.fallback,
            "rules": [_plain_rule(rule) for rule in each.routing.rules],
        }
        for name, each in features.items()
    }


def _features(plain: Mapping[str, Any]) -> dict[str, Feature]:
    return {
        name: Feature(
            Targeting(
                active=each["active"],
                emergency_stop=each["emergency_stop"],
                strategy=Strategy(each["strategy"]),
                percentage=Decimal(each["percentage"]),
                salt=each["salt"],
                bucketing=Bucketing(each["bucketing"]),
                whitelist=frozenset(each["whitelist"]),
                exclusions=frozenset(each["exclusions"]),
            ),
            each["version"],
            each["updated_at"],
            # A file of an earlier release has no processors or no rules.
            Routing(
                **{key: each[key] for key in ("processor", "fallback") if key in each},
                rules=tuple(map(_rule, each.get("rules", ()))),
            ),
        )
        for name, each in plain.items()
    }


def _plain_rule(rule: JobRule) -> dict[str, Any]:
    return asdict(rule) | {"kinds": sorted(rule.kinds), "categories": sorted(rule.categories)}


def _rule(plain: Mapping[str, Any]) -> JobRule:
    sets = {key: frozenset(plain[key]) for key in ("kinds", "categories")}
    return JobRule(**{**plain, **sets})


class SnapshotKeeper:
    """Reads a client's snapshot file once, and then writes it in a separate thread."""

    def __init__(
        self, file: SnapshotFile, store: Store, every: float, clock: Callable[[], float]
    ) -> None:
        self._file = file
        self._store = store
        self._every = every
        self._clock = clock
        self._stopping = threading.Event()
        self._is_abandoned = False
        self._changed = Wake()
        self._kept_at = -inf, -inf
        """The time at which the content of the file was read."""
        self._thread = threading.Thread(target=self._run, name="rollout-snapshot", daemon=True)

    def start(self) -> None:
        """Use the content of the file if there is no data yet, and begin to write the file.

        Raises:
            RuntimeError: The system cannot start a thread now.
        """
        remove_leftovers(self._file.path)
        if self._store.current.state.confirmed_at == -inf:
            try:
                state, age = self._file.read(time.time())
            except SnapshotUnusable as error:
                level = logging.WARNING if self._file.path.exists() else logging.INFO
                _LOG.log(level, "snapshot %s is not used: %s", self._file.path, error)
            else:
                at = self._clock() - age
                self._kept_at = at, at
                self._store.set_kept(replace(state, newest_at=at, whole_at=at))
        self._thread.start()

    def note_change(self) -> None:
        """Request a write of the file soon."""
        self._changed.set()

    def stop(self, timeout: float) -> None:
        """Write it a last time."""
        self._stopping.set()
        self._changed.set()
        self._thread.join(timeout)

    def restart_after_fork(self) -> None:
        """In a forked child: leave the file to the parent; a new thread of the child also writes it."""
        self._is_abandoned = True

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._changed.wait(self._every)
            began = time.monotonic()
            self._write()
            took = time.monotonic() - began
            self._stopping.wait(max(_SHORTEST_REST_SECONDS, took * _REST_FOR_WORK))
        self._write()

    def _write(self) -> None:
        """Write it, unless nothing was read since: another process may have written newer data."""
        if self._is_abandoned:
            park()
        state = self._store.current.state
        read_at = state.newest_at, state.whole_at
        if state.confirmed_at == -inf or read_at == self._kept_at:
            return
        try:
            self._file.write(state, self._clock() - state.confirmed_at, time.time())
        except SetupInvalid as error:
            _LOG.warning("the snapshot is not written: %s", error)
        else:
            self._kept_at = read_at
