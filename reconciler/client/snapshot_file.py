"""The snapshot file: what a client knows, kept for a start without the database.

One line says the format and the digest of the rest; what does not agree with it is not believed, nor what
is another database's, or could have been written by somebody else. Its age counts as staleness.
"""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from reconciler.client.reads import Feature, Features
from reconciler.client.repositories import Page, Repositories
from reconciler.client.state import State
from reconciler.targeting.eligibility import Targeting
from reconciler.targeting.strategy import Strategy

FORMAT: Final = 1
_CLOCK_STEP_SECONDS: Final = 1.0
"""A file this much from the future is of a clock that was set; more, and its age can't be known."""
_UNREADABLE: Final = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip


class SnapshotUnusable(Exception):
    """Why a file is not believed."""


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """Where a client's knowledge is kept, and whose it is."""

    path: Path
    database: str
    """Which database, without secrets."""
    features: frozenset[str] | None
    """Which features are followed; None is all."""

    def write(self, state: State, age: float, now: float) -> None:
        """Replace the file, in one step, with a state that was confirmed `age` seconds before `now`.

        Raises:
            OSError: It can't be written; what was there stays.
        """
        pages = [
            (number, page, page.packed_ids()) for number, page in state.repositories.pages.items()
        ]
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
        _replace(self.path, [header, b"\n", *parts])

    def read(self, now: float) -> tuple[State, float]:
        """Return the state that is kept, without times, and its age in seconds.

        Raises:
            SnapshotUnusable: There is no file, or it is not to be believed.
        """
        body = _checked(_read_own(self.path))
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


def _read_own(path: Path) -> bytes:
    try:
        # Whoever opens a pipe waits for somebody to write into it.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SnapshotUnusable("it is no file")
            if hasattr(os, "geteuid") and status.st_uid not in (0, os.geteuid()):
                raise SnapshotUnusable("it is another user's")
            if hasattr(os, "geteuid") and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise SnapshotUnusable("others may write to it")
            return file.read()
    except OSError as error:
        raise SnapshotUnusable(error.strerror or "it can't be read") from error


def _checked(text: bytes) -> bytes:
    header, _, body = text.partition(b"\n")
    try:
        said = json.loads(header)
        is_format, digest = said["format"] == FORMAT, said["digest"]
    except _UNREADABLE as error:
        raise SnapshotUnusable("it is no snapshot") from error
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
            "whitelist": sorted(each.targeting.whitelist),
            "exclusions": sorted(each.targeting.exclusions),
            "version": each.version,
            "updated_at": each.updated_at,
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
                whitelist=frozenset(each["whitelist"]),
                exclusions=frozenset(each["exclusions"]),
            ),
            each["version"],
            each["updated_at"],
        )
        for name, each in plain.items()
    }


def _replace(path: Path, parts: list[bytes]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
