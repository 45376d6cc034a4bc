"""Time travel: a feature as an earlier generation applied it, with the stops and resumes that followed.

A generation stores the configuration, the marks and the thresholds. Names and the counts that decide a
category are not stored, so those of today count. Changes by SQL alone are not known.
Rows of history store the processors that were chosen for rules to the cheapest one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from reconciler.database.driver import execute
from reconciler.database.live_state import read_thresholds
from reconciler.database.queries import queries
from reconciler.errors import NotFound
from reconciler.planning.desired import stored_thresholds
from reconciler.planning.exposure import exposure_from_state
from reconciler.planning.feature_config import Configuration, from_state
from reconciler.planning.history import Action
from reconciler.planning.routing_shift import routing_of
from reconciler.planning.times import parse_time
from reconciler.wording import short_commit, show_time
from rollout_client.route import Routing
from rollout_client.targeting.categories import Activity, Category, Threshold, categorize
from rollout_client.targeting.eligibility import Repository, Targeting

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("time_travel")

_GENERATION: Final = re.compile("[0-9]{1,30}")
_COMMIT: Final = re.compile("[0-9a-f]{7,64}")
_MOST_NAMED: Final = 3
_MOST_GENERATIONS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment as the user wrote it, and its possible meanings: digits can be a generation or a commit."""

    written: str
    generation: int | None = None
    commit: str | None = None
    """The commit's name or its beginning, lower case."""
    time: datetime | None = None


def parse_moment(text: str, now: datetime) -> Moment:
    """Return the moment in a text; digits alone may be a generation or a commit.

    A time without a fraction, as output shows it, includes all of its second.

    Raises:
        ValueError: it is none of these; the message has a correct example.
    """
    written = text.lower()
    generation = int(written) if _GENERATION.fullmatch(written) else None
    commit = written if _COMMIT.fullmatch(written) else None
    if generation is not None or commit is not None:
        return Moment(written, generation, commit)
    try:
        time = parse_time(text, now)
    except ValueError as error:
        raise ValueError(
            f"{error}, the number of a generation, or seven characters or more of a commit"
        ) from None
    return Moment(written, time=time if time.microsecond else time.replace(microsecond=999_999))


@dataclass(frozen=True, slots=True)
class ActThen:
    """A stop, a rollback or a resume after an apply."""

    action: Action
    at: datetime


@dataclass(frozen=True, slots=True)
class Then:
    """One feature at that time."""

    generation: int
    commit: str | None
    applied_at: datetime
    act: ActThen | None
    """The last one up to the requested time; None for a generation or a commit."""
    targeting: Targeting | None
    """None if the feature did not exist."""
    routing: Routing
    """The processors of jobs and their rules, with the cheapest ones that were chosen up to that time."""
    marked: frozenset[str]
    """The ids of the repositories marked as test."""
    thresholds: Mapping[Category, Threshold] | None
    """None if they are today's."""

    def repository(
        self, identifier: str, full_name: str | None, category: Category, activity: Activity
    ) -> Repository:
        """Return a repository for a decision at that time; name, recorded category and counts are today's."""
        if self.thresholds is not None:
            category = categorize(activity, self.thresholds)
        return Repository(identifier, full_name, category, identifier in self.marked)


def read_then(connection: "AnyConnection", feature: str, moment: Moment) -> Then:
    """Return a feature at a moment.

    Raises:
        NotFound: no generation matches, or several do; the message has the nearest ones.
    """
    found = _find(connection, moment)
    stored = execute(
        connection, _SQL["effective"], {"feature": feature, "generation": found.generation}
    ).one()
    configuration = None if stored.feature is None else from_state(feature, stored.feature)
    act = None
    if configuration is not None and moment.time is not None:
        configuration, act = _acted(
            connection, feature, configuration, found.generation, moment.time
        )
    thresholds = stored_thresholds(stored.categories)
    return Then(
        generation=found.generation,
        commit=found.commit,
        applied_at=found.applied_at,
        act=act,
        targeting=None if configuration is None else configuration.targeting,
        routing=Routing()
        if configuration is None
        else routing_of(
            configuration, _choices(connection, feature, moment.time or found.applied_at)
        ),
        marked=frozenset(stored.marked),
        thresholds=None if thresholds == read_thresholds(connection) else thresholds,
    )


def _acted(
    connection: "AnyConnection",
    feature: str,
    configuration: Configuration,
    generation: int,
    time: datetime,
) -> tuple[Configuration, ActThen | None]:
    parameters = {"feature": feature, "generation": generation, "time": time}
    row = execute(connection, _SQL["acted"], parameters).one_or_none()
    if row is None:
        return configuration, None
    exposure = exposure_from_state(feature, row.exposure)
    return replace(
        configuration,
        active=exposure.active,
        emergency_stop=exposure.emergency_stop,
        percentage=exposure.percentage,
    ), ActThen(Action(row.action), row.created_at)


def _choices(
    connection: "AnyConnection", feature: str, time: datetime
) -> Sequence[Mapping[str, Any]]:
    """Return the processors that were chosen for rules to the cheapest one up to a time."""
    parameters = {"feature": feature, "time": time}
    row = execute(connection, _SQL["choices"], parameters).one_or_none()
    return () if row is None else tuple(row.choices)


def _find(connection: "AnyConnection", moment: Moment) -> "Any":
    """Return a moment's generation: its number, its commit and the time of its apply."""
    newest = execute(connection, _SQL["newest"], {"most": _MOST_NAMED}).all()
    if not newest:
        raise NotFound(
            "nothing was applied yet, so no earlier state exists; apply first: reconcile"
        )
    if moment.time is not None:
        return _find_by_time(connection, moment.time)
    found: list[Any] = []
    if moment.generation is not None and moment.generation <= _MOST_GENERATIONS:
        parameters = {"generation": moment.generation}
        found += execute(connection, _SQL["by_generation"], parameters)
    if moment.commit is not None:
        found += execute(connection, _SQL["by_commit"], {"beginning": moment.commit})
    if len(found) > 1:
        named = ", ".join(map(_named, found[:_MOST_NAMED]))
        more = ", …" if len(found) > _MOST_NAMED else ""
        raise NotFound(
            f"{moment.written} matches generations {named}{more}; give the number of one"
        )
    if not found:
        raise NotFound(_unknown(moment, newest))
    return found[0]


def _find_by_time(connection: "AnyConnection", time: datetime) -> "Any":
    found = execute(connection, _SQL["by_time"], {"time": time}).one_or_none()
    if found is None:
        first = execute(connection, _SQL["first"]).one()
        raise NotFound(
            f"nothing was applied before {show_time(time)}; the first apply made "
            f"generation {first.generation}, at {show_time(first.applied_at)}"
        )
    return found


def _unknown(moment: Moment, newest: "Sequence[Any]") -> str:
    named = ", ".join(map(_named, newest))
    if moment.commit is None:
        return f"generation {moment.written} does not exist; the newest are {named}"
    if moment.generation is not None:
        return (
            f"{moment.written} is neither a generation nor an applied commit; "
            f"the newest generations are {named}"
        )
    return (
        f"no generation was applied from {moment.written}; the newest generations are {named}; "
        "you can also give a time, such as the commit's"
    )


def _named(row: "Any") -> str:
    return f"{row.generation} ({short_commit(row.commit or 'no commit')})"
