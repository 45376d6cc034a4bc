"""Checks of a client's arguments."""

from collections.abc import Iterable
from datetime import timedelta
from math import isfinite

Duration = timedelta | float
"""A time span: a `timedelta`, or seconds."""


def seconds_of(duration: object, name: str) -> float:
    """Return a duration in seconds.

    Args:
        duration: a number of seconds, or a `timedelta`.
        name: the name of the argument.

    Raises:
        ValueError: It is neither, or not a finite number.
    """
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, int | float) and not isinstance(duration, bool) and isfinite(duration):
        return float(duration)
    raise ValueError(f"{name} is {duration!r:.40}: give a number of seconds or a timedelta")


def checked_url(database_url: object) -> str:
    """Return the database URL.

    Raises:
        ValueError: It is not a text, for example because an environment variable is not set.
    """
    if isinstance(database_url, str):
        return database_url
    named = "None" if database_url is None else type(database_url).__name__
    raise ValueError(f"database_url is {named}: give it a text, such as os.environ['DATABASE_URL']")


def checked_features(features: Iterable[str] | None) -> frozenset[str] | None:
    """Return the names of the features to follow; None means all.

    Raises:
        ValueError: It is one text, whose characters would each be a name.
    """
    if features is None:
        return None
    if not isinstance(features, str | bytes):
        return frozenset(features)
    raise ValueError(f"features is a text: write features=[{features!r}]")
