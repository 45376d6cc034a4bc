"""Reading the data for eligibility: features alone, or everything as of one moment.

Known data is not sent again: neither a feature's lists if its row is unchanged, nor a page of
repositories if its digest is unchanged. If no repository changed, no page is read.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from secrets import randbits
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from rollout_client.connection import Connection, statement
from rollout_client.repositories import Page, Repositories
from rollout_client.route import DEFAULT_ROUTING, NO_LIMITS, Load, Routing, read_routing
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.eligibility import Targeting
from rollout_client.targeting.strategy import Strategy


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """A feature, read from one version of its row."""

    targeting: Targeting
    version: str
    """A text that changes with each change of the row."""
    updated_at: float
    """The row's time of writing, in seconds since 1970."""
    routing: Routing = DEFAULT_ROUTING
    """The processors of its jobs."""


Features = Mapping[str, Feature]

_SEED: Final = randbits(63)
"""The seed of fingerprints, for this process only: no chosen name can produce a known fingerprint."""


def read_features(
    connection: Connection, followed: Collection[str] | None, known: Features
) -> Features:
    """Return the followed features (None means all); an unchanged feature is the known object.

    Raises:
        psycopg.Error: The database did not answer, or refused.
    """
    with connection.begun():
        return _read_features(connection, followed, known)


def read_everything(
    connection: Connection,
    followed: Collection[str] | None,
    known_features: Features,
    known_repositories: Repositories,
    *,
    pages: bool = True,
) -> tuple[Features, Repositories] | None:
    """Return features and repositories as of one moment, with categories if a strategy needs them.

    Unchanged repositories are the known objects. If some changed and `pages` is False, they are
    None.

    Raises:
        psycopg.Error: The database did not answer, or refused.
        ValueError: It sent a page whose parts do not agree.
    """
    with connection.begun(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
        features = _read_features(connection, followed, known_features)
        connection.execute(statement("without_compiling"))
        categories = needs_categories(features)
        fingerprint = _read_fingerprint(connection, categories=categories)
        if fingerprint == known_repositories.fingerprint:
            return features, known_repositories
        if not pages:
            return None
        repositories = _read_repositories(connection, known_repositories, categories=categories)
    return features, replace(repositories, fingerprint=fingerprint)


def read_loads(connection: Connection, features: Features, reporter: UUID) -> Mapping[str, Load]:
    """Return the processors that have a limit and the jobs that run there, if a rule depends on them.

    Args:
        connection: the database.
        features: the features.
        reporter: the process whose own jobs do not count.

    Raises:
        psycopg.Error: The database did not answer, or refused.
    """
    processors = {
        name
        for each in features.values()
        if each.routing.spills
        for name in (each.routing.processor, each.routing.fallback)
    }
    if not processors:
        return NO_LIMITS
    with connection.begun():
        rows = connection.execute(
            statement("loads"), {"processors": sorted(processors), "reporter": reporter}
        )
        return MappingProxyType({name: Load(limit, running) for name, limit, running in rows})


def needs_categories(features: Features) -> bool:
    """Return whether the size of repositories decides about any feature or its jobs."""
    return any(
        each.targeting.strategy is Strategy.REPOSITORY_SIZE or each.routing.needs_categories
        for each in features.values()
    )


def _read_features(
    connection: Connection, followed: Collection[str] | None, known: Features
) -> Features:
    with connection.cursor(binary=True) as cursor:
        cursor.execute(
            statement("features"),
            {
                "followed": None if followed is None else list(followed),
                "known_features": list(known),
                "known_versions": [each.version for each in known.values()],
            },
        )
        return MappingProxyType({row[0]: _feature(row, known.get(row[0])) for row in cursor})


def _feature(row: tuple[Any, ...], known: Feature | None) -> Feature:
    _, active, stopped, strategy, percentage, salt, bucketing, *more = row
    processor, fallback, rules, choices, version, updated_at, *lists = more
    if known is not None and known.version == version:
        return known
    whitelist, exclusions = map(frozenset, lists)
    targeting = Targeting(
        active=active,
        emergency_stop=stopped,
        strategy=_strategy(strategy),
        percentage=percentage,
        salt=salt,
        bucketing=Bucketing(bucketing),
        whitelist=whitelist,
        exclusions=exclusions,
    )
    return Feature(
        targeting, version, updated_at or 0.0, read_routing(processor, fallback, rules, choices)
    )


def _strategy(name: str) -> Strategy:
    """Return a strategy; an older one of a service's rows admits the whitelist only, as in SQL."""
    try:
        return Strategy(name)
    except ValueError:
        return Strategy.WHITELIST


def _read_fingerprint(connection: Connection, *, categories: bool) -> tuple[object, ...]:
    row = connection.execute(
        statement("fingerprint"), {"categories": categories, "seed": _SEED}
    ).fetchone()
    return (categories, *(row or ()))


def _read_repositories(
    connection: Connection, known: Repositories, *, categories: bool
) -> Repositories:
    pages: dict[int, Page] = {}
    page_count = 1
    changed = len(known.pages)
    with connection.cursor(binary=True) as cursor:
        rows = cursor.stream(
            statement("repositories"),
            {
                "categories": categories,
                "known_numbers": list(known.pages),
                "known_digests": [each.digest for each in known.pages.values()],
            },
        )
        for page_count, number, digest, *content in rows:  # noqa: B007 - it is the same in every row
            if content[0] is None:
                pages[number] = known.pages[number]
            else:
                before = known.pages.get(number)
                renewed = Page if before is None else before.renewed
                pages[number] = renewed(digest, *content)
                changed = -1
    if changed == len(pages) and categories == known.has_categories:
        return known
    return Repositories(MappingProxyType(pages), page_count, categories)
