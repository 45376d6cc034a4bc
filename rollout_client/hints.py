"""Hints: likely mistakes of a service, logged once each."""

import logging
import sys
import threading
from collections import Counter
from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

_LOG = logging.getLogger("reconciler.client")

_MOST_FEATURES_NAMED: Final = 100
_CLIENTS_BEFORE_HINT: Final = 3

_THREAD_OPTIONS: Final = frozenset(("enable-threads", "threads"))

_made: Final[Counter[str]] = Counter()
_lock = threading.Lock()


def note_client(database: str) -> None:
    """Count a client for a database; the third one in a process is most likely a client for each call."""
    with _lock:
        _made[database] += 1
        is_hint_due = _made[database] == _CLIENTS_BEFORE_HINT
    if is_hint_due:
        _LOG.warning(
            "%s: this is the third client of this process; make one and share it, since each has "
            "its own connections and loads all repositories",
            database,
        )


def note_server_without_threads() -> None:
    """Log the option that uWSGI needs to run Python's threads in its workers."""
    uwsgi = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", None)
    # Without options the module was only imported; there is no server.
    if options is not None and not _THREAD_OPTIONS & {str(each) for each in options}:
        _LOG.warning(
            "uWSGI runs without enable-threads: no thread runs between two requests, so nothing is "
            "followed or recorded then; add enable-threads = true"
        )


class FeatureHints:
    """Hints about the features in one client's questions."""

    def __init__(self) -> None:
        self._named: set[str] = set()
        self._is_early_noted = False

    def note_asked_early(self) -> None:
        """Check a question before anything was read from the database."""
        if not self._is_early_noted:
            self._is_early_noted = True
            _LOG.warning(
                "asked before anything was read from the database: the answer is no; "
                "enter the client, call wait_until_ready, or ask with wait=SECONDS"
            )

    def note_unknown(self, feature: str, known: Collection[str], *, is_followed: bool) -> None:
        """Check a question for an unknown feature."""
        if feature in self._named or len(self._named) >= _MOST_FEATURES_NAMED:
            return
        self._named.add(feature)
        if not is_followed:
            _LOG.warning("feature %r is not followed: add it to features=[...]", feature)
            return
        nearest = get_close_matches(str(feature), known, n=1)
        _LOG.warning(
            "feature %r is not known%s: the answer is no",
            feature,
            f", the nearest name is {nearest[0]!r}" if nearest else "",
        )
