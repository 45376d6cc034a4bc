"""The blast radius of a plan: every repository under the live and the planned configuration.

One scan of the repositories measures all features, in the caller's transaction. It writes nothing, not even a
temporary table, so a read-only transaction and the right to SELECT are enough.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

from reconciler.database.arrays import plain_array, text_array
from reconciler.database.blast_radius_statement import STATEMENTS, composed_statement
from reconciler.database.driver import execute
from reconciler.planning.blast_radius import MOST_OWNERS, MOST_SAMPLES, BlastRadius, Moved
from reconciler.planning.eligible_count import EligibleCount
from reconciler.rollout_file.list_entries import is_pattern
from reconciler.uuid_text import uuids_among
from rollout_client.targeting.categories import Category, Threshold
from rollout_client.targeting.eligibility import Targeting
from rollout_client.targeting.steps import step_in_force
from rollout_client.targeting.strategy import Strategy

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

SMALL_STEP: Final = 500
"""Up to this number of buckets, a lookup for each moved repository takes less time than a read of all."""
_Item = TypeVar("_Item")

NO_AUDIENCE: Final = Targeting(
    active=False,
    emergency_stop=False,
    strategy=Strategy.PERCENTAGE,
    percentage=Decimal(0),
    salt="",
)
"""The targeting of a feature that is not in the database: 0 repositories are eligible."""

MOST_FEATURES_OF_A_SCAN: Final = 30
"""Two bits of an integer of 64 are needed for each feature."""
_NO_LIMIT: Final = 2**31 - 1
"""The largest value of a category's limit, as in the view `category_limits`."""


@dataclass(frozen=True, slots=True)
class AudienceMove:
    """A feature's targeting before and after a plan.

    `live` is the feature as this transaction has read it, so that long lists are read once; it is
    `NO_AUDIENCE` if the feature is not in the database. Entries that both lists have can be left out of both.
    """

    feature: str
    live: Targeting
    planned: Targeting

    @property
    def is_of_lists_alone(self) -> bool:
        """Whether only a repository in a list can be eligible, before and after."""
        return all(_is_of_lists_alone(each) for each in (self.live, self.planned))

    @property
    def is_small_step(self) -> bool:
        """Whether only a percentage or single entries of lists change, and few repositories probably move."""
        live, planned = self.live, self.planned
        changed = (live.whitelist ^ planned.whitelist) | (live.exclusions ^ planned.exclusions)
        return (
            live.strategy is planned.strategy is Strategy.PERCENTAGE
            and live.off_rule is planned.off_rule
            and (live.salt, live.bucketing) == (planned.salt, planned.bucketing)
            and abs(planned.bucket_limit - live.bucket_limit) <= SMALL_STEP
            # An owner can have any number of repositories.
            and not any(map(is_pattern, changed))
        )


def _is_of_lists_alone(targeting: Targeting) -> bool:
    if targeting.off_rule is not None:
        return True
    match targeting.strategy:
        case Strategy.WHITELIST:
            return True
        case Strategy.PERCENTAGE:
            return targeting.bucket_limit == 0
        case Strategy.REPOSITORY_SIZE:
            return step_in_force(targeting.percentage) == 0


@dataclass(frozen=True, slots=True)
class EligibleCounts:
    """The numbers of repositories, and of those that are eligible for each feature."""

    total: int
    categorized: int
    test_repositories: int
    eligible: Mapping[str, EligibleCount]


def measure_blast_radius(
    connection: "AnyConnection", feature: str, live: Targeting, planned: Targeting, **plan: Any
) -> BlastRadius:
    """Return the repositories that gain and that lose one feature; see `measure_blast_radii`."""
    (radius,) = measure_blast_radii(connection, [AudienceMove(feature, live, planned)], **plan)
    return radius


def measure_blast_radii(
    connection: "AnyConnection",
    moves: Sequence[AudienceMove],
    *,
    marked: Collection[str] = (),
    unmarked: Collection[str] = (),
    thresholds: Mapping[Category, Threshold] | None = None,
    counts: bool = False,
) -> tuple[BlastRadius, ...]:
    """Return the repositories that gain and that lose each feature when a plan is applied.

    `marked` and `unmarked` are the ids of repositories that gain or lose the mark as test. `thresholds` are
    given if they change: an apply then categorises every repository again by its present metrics. With
    `counts`, each radius has the count of the eligible repositories, which takes longer.
    """
    changes_all = bool(marked or unmarked or thresholds is not None)
    of_lists = [not changes_all and each.is_of_lists_alone for each in moves]
    radii: dict[int, BlastRadius] = {}
    for of_lists_alone in (True, False):
        numbers = [number for number, each in enumerate(of_lists) if each is of_lists_alone]
        for batch in _batches(numbers):
            some = [moves[each] for each in batch]
            parameters = {
                **_plan_parameters(marked, unmarked),
                "owners": MOST_OWNERS,
                "samples": MOST_SAMPLES,
                "of_lists_alone": of_lists_alone,
                "counts": counts,
                "categorised_later": not counts
                and thresholds is None
                and len(some) == 1
                and some[0].is_small_step,
            }
            row = _scan(connection, "radius", some, thresholds, parameters)
            tests = row.test_repositories
            if counts and of_lists_alone:
                tests = execute(connection, STATEMENTS["test_repositories"]).scalar()
            radii |= {each: _radius(row, number, tests) for number, each in enumerate(batch)}
    return tuple(radii[number] for number in range(len(moves)))


def count_eligible(
    connection: "AnyConnection", targetings: Mapping[str, Targeting]
) -> EligibleCounts:
    """Return the number of eligible repositories of each feature.

    `targetings` are the features as this transaction has read them; their lists are not needed.
    """
    moves = [AudienceMove(name, NO_AUDIENCE, each) for name, each in targetings.items()]
    eligible: dict[str, EligibleCount] = {}
    # Without a feature, the repositories are counted all the same.
    for batch in tuple(_batches(moves)) or ((),):
        parameters = {**_plan_parameters((), ()), "of_lists_alone": False}
        row = _scan(connection, "participation", batch, None, parameters)
        for number, move in enumerate(batch):
            by_category = _by_category(row._asdict()[f"eligible_{number}"])
            eligible[move.feature] = EligibleCount(row.total, row.test_repositories, by_category)
    return EligibleCounts(row.total, row.categorized, row.test_repositories, eligible)


def _by_category(counts: Sequence[int]) -> Mapping[Category, int]:
    return dict(zip(Category, counts, strict=True))


def _batches(moves: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for begin in range(0, len(moves), MOST_FEATURES_OF_A_SCAN):
        yield moves[begin : begin + MOST_FEATURES_OF_A_SCAN]


def _scan(
    connection: "AnyConnection",
    result: str,
    moves: Sequence[AudienceMove],
    thresholds: Mapping[Category, Threshold] | None,
    parameters: Mapping[str, Any],
) -> "Any":
    """Return the row that a statement computes from both sides of every repository, or of the listed ones."""
    found = execute(
        connection, STATEMENTS["found"], {"features": [each.feature for each in moves]}
    ).one()
    source, listed = "listed", _list_parameters(moves, found.configurations)
    if not parameters["of_lists_alone"]:
        statement = composed_statement(len(moves), "arrays", listed="listed")
        source, listed = "given", _given(execute(connection, statement, listed).one(), len(moves))
    return execute(
        connection,
        composed_statement(len(moves), result, listed=source, sides="sides"),
        {
            **parameters,
            **{
                name: value
                for number, move in enumerate(moves)
                for name, value in _feature_parameters(number, move)
            },
            **listed,
            "live_limits": found.limits,
            "planned_limits": found.limits if thresholds is None else category_limits(thresholds),
            "recategorises": thresholds is not None,
        },
    ).one()


def _list_parameters(
    moves: Sequence[AudienceMove], configurations: Mapping[str, str]
) -> dict[str, Any]:
    numbers = range(len(moves))
    return {
        **{f"number_{number}": number for number in numbers},
        "numbers": list(numbers),
        "names": [each.feature for each in moves],
        "configurations": plain_array([configurations.get(each.feature, "NULL") for each in moves]),
        **_entries("added", _differences(moves, 4, 8, lambda move: (move.planned, move.live))),
        **_entries("removed", _differences(moves, 16, 32, lambda move: (move.live, move.planned))),
    }


def _given(row: "Any", count: int) -> dict[str, str]:
    """Return the listed repositories, and for each feature the lists that they are in, as texts of arrays."""
    return {
        "listed_ids": row.ids or "{}",
        **{f"lists_{number}": row[number] or "{}" for number in range(count)},
    }


def _feature_parameters(number: int, move: AudienceMove) -> Iterator[tuple[str, Any]]:
    yield f"gain_{number}", 1 << 2 * number
    yield f"loss_{number}", 2 << 2 * number
    for side, targeting in (("live", move.live), ("planned", move.planned)):
        yield f"{side}_is_on_{number}", targeting.off_rule is None
        yield f"{side}_strategy_{number}", targeting.strategy.value
        yield f"{side}_percentage_{number}", targeting.percentage
        yield f"{side}_bucket_limit_{number}", targeting.bucket_limit
        yield f"{side}_salt_{number}", targeting.salt
        yield f"{side}_bucketing_{number}", targeting.bucketing.value


def _plan_parameters(marked: Collection[str], unmarked: Collection[str]) -> dict[str, Any]:
    return {"marked": plain_array(marked), "unmarked": plain_array(unmarked)}


def _differences(
    moves: Sequence[AudienceMove],
    whitelist: int,
    exclusions: int,
    sides: Callable[[AudienceMove], tuple[Targeting, Targeting]],
) -> Iterator[tuple[int, int, Collection[str]]]:
    """Yield for each list the feature's number, the list's bit, and the entries that one side has alone."""
    for number, move in enumerate(moves):
        here, there = sides(move)
        yield number, whitelist, here.whitelist - there.whitelist
        yield number, exclusions, here.exclusions - there.exclusions


def _entries(kind: str, lists: Iterable[tuple[int, int, Collection[str]]]) -> dict[str, Any]:
    """Return entries as the arrays of the statement: the ids, and the names and patterns."""
    ids, names = _Entries(), _Entries()
    for number, bit, keys in lists:
        known = uuids_among(keys)
        ids.add(number, bit, known)
        names.add(number, bit, set(keys) - known)
    return {
        f"{kind}_id_numbers": plain_array(ids.numbers),
        f"{kind}_id_lists": plain_array(ids.bits),
        f"{kind}_ids": plain_array(ids.keys),
        f"{kind}_name_numbers": plain_array(names.numbers),
        f"{kind}_name_lists": plain_array(names.bits),
        f"{kind}_names": text_array(names.keys),
    }


class _Entries:
    """Entries of lists, as three lists in the same order."""

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self.bits: list[str] = []
        self.keys: list[str] = []

    def add(self, number: int, bit: int, keys: Collection[str]) -> None:
        """Add the entries of one list of one feature."""
        self.numbers += [str(number)] * len(keys)
        self.bits += [str(bit)] * len(keys)
        self.keys += keys


def _radius(row: "Any", number: int, test_repositories: int | None) -> BlastRadius:
    found = row._asdict()
    by_category = _moved(found[f"by_category_{number}"])
    count = None
    if test_repositories is not None:
        eligible = _by_category(found[f"eligible_{number}"])
        count = EligibleCount(row.repositories, test_repositories, eligible)
    return BlastRadius(
        repositories=row.repositories,
        before=found[f"before_{number}"],
        after=found[f"after_{number}"],
        gained=sum(each.gained for each in by_category.values()),
        lost=sum(each.lost for each in by_category.values()),
        by_category={each: by_category[each] for each in Category if each in by_category},
        by_owner=_moved(found[f"by_owner_{number}"]),
        sample_gained=tuple(found[f"samples_{number}"][0]),
        sample_lost=tuple(found[f"samples_{number}"][1]),
        count=count,
    )


def category_limits(thresholds: Mapping[Category, Threshold]) -> list[int]:
    """Return thresholds as the columns of a row of the view `category_limits`."""
    limits = [
        _NO_LIMIT if limit is None else limit
        for category in Category
        if category is not Category.ENTERPRISE
        for limit in (
            thresholds[category].stars,
            thresholds[category].contributors,
            thresholds[category].pull_requests,
        )
    ]
    priorities = [thresholds[category].priority for category in Category]
    return [*limits, *priorities]


def _moved(groups: list[list[Any]]) -> dict[str, Moved]:
    return {name: Moved(gained=gained, lost=lost) for name, gained, lost in groups}
