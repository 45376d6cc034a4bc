"""The screen *Why this repository*: every rule in order for each feature, now or at a moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from reconciler.database.eligibility import Explanation, explain_everywhere, explain_then
from reconciler.database.names import read_feature_names
from reconciler.database.now import LimitInForce, read_features_now
from reconciler.database.repositories import FoundRepository
from reconciler.database.repository_search import (
    LastJobs,
    RepositoryMatches,
    find_repositories,
    has_repositories,
    read_last_jobs,
)
from reconciler.database.time_travel import Then, parse_moment, read_then
from reconciler.errors import NotFound

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

AS_OF_NOTE: Final = "Names and sizes are those of today; environment variables do not count."


@dataclass(frozen=True, slots=True)
class FeatureAnswer:
    """Whether the repository has one feature, and why."""

    explanation: Explanation
    then: Then | None
    """The moment of the answer; None for now."""
    limit: LimitInForce | None = None
    """The limit that can be the reason that the repository is not eligible now."""


@dataclass(frozen=True, slots=True)
class RepositoriesScreen:
    """What a text in the search box finds."""

    query: str
    at: str
    matches: RepositoryMatches
    chosen: FoundRepository | None = None
    """The repository that is explained; None where the text names none, or several."""
    answers: Sequence[FeatureAnswer] = ()
    last_jobs: Sequence[LastJobs] = ()
    problem: str | None = None
    """The error in the text of `at`; None if the time was found."""
    is_empty: bool = False
    """Whether the database has no repositories."""
    has_features: bool = True
    note: str = AS_OF_NOTE


def read_repositories_screen(
    connection: "AnyConnection", query: str, at: str
) -> RepositoriesScreen:
    """Return the repositories that a text finds, and the answers for the one that it names.

    Args:
        connection: a read-only transaction.
        query: a name, its beginning, or an id.
        at: a generation, a commit or a time; empty for now.
    """
    query, at = query.strip(), at.strip()
    matches = find_repositories(connection, query)
    chosen = _chosen(matches)
    if chosen is None:
        is_empty = not matches.beginning and not has_repositories(connection)
        return RepositoriesScreen(query, at, matches, is_empty=is_empty)
    last_jobs = read_last_jobs(connection, chosen.id)
    try:
        answers = _answers(connection, chosen, at)
        problem = None
    except (NotFound, ValueError) as error:
        answers, problem = (), str(error)
    has_features = bool(answers) or bool(read_feature_names(connection))
    return RepositoriesScreen(
        query, at, matches, chosen, answers, last_jobs, problem, has_features=has_features
    )


def _chosen(matches: RepositoryMatches) -> FoundRepository | None:
    """Return the repository with exactly this name, or the only one that begins with it."""
    for found in (matches.exact, matches.beginning):
        if len(found) == 1:
            return found[0]
    return None


def _answers(
    connection: "AnyConnection", chosen: FoundRepository, at: str
) -> tuple[FeatureAnswer, ...]:
    if not at:
        limits = {each.name: each.limit for each in read_features_now(connection)}
        return tuple(
            FeatureAnswer(each, None, limits.get(each.feature) if each.can_be_limited else None)
            for each in explain_everywhere(connection, chosen)
        )
    moment = parse_moment(at, datetime.now(UTC))
    answers = []
    for feature in read_feature_names(connection):
        then = read_then(connection, feature, moment)
        answers.append(FeatureAnswer(explain_then(connection, chosen, feature, then), then))
    return tuple(answers)
