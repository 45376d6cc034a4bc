"""The blast radius: its prediction equals the database after the apply."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text

from reconciler.database import blast_radius
from reconciler.database.blast_radius import (
    NO_AUDIENCE,
    AudienceMove,
    measure_blast_radii,
    measure_blast_radius,
)
from reconciler.database.eligibility import read_participations
from reconciler.database.live_state import read_configurations
from reconciler.planning.blast_radius import BlastRadius, Moved
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS, Category, Threshold
from rollout_client.targeting.eligibility import Targeting
from rollout_client.targeting.strategy import Strategy
from tests.builders import RepositoryRow, add_repositories, targeting
from tests.postgres import Database

REPOSITORIES = 120
OWNERS = ["acme", "Acme-Corp", "x"]

TARGETING = targeting(0, salt="f")


def _id(number: int) -> str:
    return str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128))


def _name(number: int) -> str:
    return f"{OWNERS[number % len(OWNERS)]}/repo-{number}"


def _load(database: Database, count: int = REPOSITORIES) -> None:
    add_repositories(
        database,
        *(
            RepositoryRow(
                _name(each), _id(each), (each % 7) ** 5, (each % 5) ** 3, (each % 11) ** 4
            )
            for each in range(count)
        ),
    )
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO public.repository_categories (repository_id, category, marked_as_test)"
            " SELECT id, (ARRAY['test', 'small', 'medium', 'large', 'enterprise'])"
            "[1 + get_byte(uuid_send(id), 0) % 5], get_byte(uuid_send(id), 1) % 6 = 0"
            " FROM public.repositories WHERE get_byte(uuid_send(id), 2) % 3 > 0"
        )


def _measure(connection: Connection, planned: Targeting, **plan: Any) -> BlastRadius:
    """Return the effect of the feature's plan, counted from the live state."""
    live = read_configurations(connection).get("f")
    return measure_blast_radius(
        connection, "f", NO_AUDIENCE if live is None else live.targeting, planned, **plan
    )


def _apply(
    connection: Connection,
    targeting: Targeting,
    *,
    name: str = "f",
    marked: Iterable[str] = (),
    unmarked: Iterable[str] = (),
    thresholds: dict[Category, Threshold] | None = None,
) -> None:
    """Write as an apply does, in its order."""
    for category, each in (thresholds or {}).items():
        connection.execute(
            text(
                "UPDATE public.category_threshold SET stars = :stars, contributors = :contributors,"
                " pull_requests = :pull_requests WHERE category = :category"
            ),
            {
                "category": category.value,
                "stars": each.stars,
                "contributors": each.contributors,
                "pull_requests": each.pull_requests,
            },
        )
    if thresholds is not None:
        connection.execute(text("SELECT public.categorize_all_repositories()"))
    for id_ in marked:
        connection.execute(
            text(
                "INSERT INTO public.repository_categories (repository_id, category, marked_as_test)"
                " VALUES (:id, public.categorize_repository(:id), true)"
                " ON CONFLICT (repository_id) DO UPDATE SET marked_as_test = true"
            ),
            {"id": id_},
        )
    for id_ in unmarked:
        connection.execute(
            text(
                "UPDATE public.repository_categories SET marked_as_test = false WHERE repository_id = :id"
            ),
            {"id": id_},
        )
    connection.execute(
        text(
            "INSERT INTO public.rollout_configuration (feature_name, is_active, emergency_stop,"
            " rollout_strategy, rollout_percentage, salt, bucketing, target_repositories,"
            " excluded_repositories) VALUES (:name, :active, :emergency_stop, :strategy, :percentage,"
            " :salt, :bucketing, :whitelist, :exclusions) ON CONFLICT (feature_name) DO UPDATE SET"
            " is_active = excluded.is_active, emergency_stop = excluded.emergency_stop,"
            " rollout_strategy = excluded.rollout_strategy, salt = excluded.salt,"
            " bucketing = excluded.bucketing,"
            " rollout_percentage = excluded.rollout_percentage,"
            " target_repositories = excluded.target_repositories,"
            " excluded_repositories = excluded.excluded_repositories"
        ),
        {
            "name": name,
            "active": targeting.active,
            "emergency_stop": targeting.emergency_stop,
            "strategy": targeting.strategy.value,
            "percentage": targeting.percentage,
            "salt": targeting.salt,
            "bucketing": targeting.bucketing.value,
            "whitelist": list(targeting.whitelist),
            "exclusions": list(targeting.exclusions),
        },
    )


def _eligible(connection: Connection, feature: str = "f") -> dict[str, tuple[str, Category]]:
    """Return the id and the category of each eligible repository, by name."""
    rows = connection.execute(
        text(
            "SELECT r.full_name, r.id::text AS id,"
            " coalesce(c.category, public.categorize_repository(r.id)) AS category"
            " FROM public.repositories AS r LEFT JOIN public.repository_categories AS c ON c.repository_id = r.id"
            " WHERE r.id IN (SELECT public.eligible_repositories(:feature))"
        ),
        {"feature": feature},
    )
    return {row.full_name: (row.id, Category(row.category)) for row in rows}


numbers = st.integers(0, REPOSITORIES - 1)
keys = st.frozensets(
    st.one_of(
        numbers.map(_id),
        numbers.map(_name).map(str.lower),
        st.sampled_from(["acme/*", "acme-corp/*", "acme/unknown", "junk", _id(999)]),
    ),
    max_size=12,
)
targetings = st.builds(
    Targeting,
    active=st.integers(0, 9).map(bool),
    emergency_stop=st.integers(0, 9).map(lambda each: not each),
    strategy=st.sampled_from(Strategy),
    percentage=st.sampled_from(["0", "5", "10", "25", "33.33", "75", "100"]).map(Decimal),
    salt=st.sampled_from(["f", "g", "ü"]),
    bucketing=st.sampled_from(Bucketing),
    whitelist=keys,
    exclusions=keys,
)
ids = st.frozensets(numbers.map(_id), max_size=8)
moved_thresholds = st.none() | st.fixed_dictionaries(
    {
        category: st.builds(
            replace,
            st.just(DEFAULT_THRESHOLDS[category]),
            stars=st.none() | st.integers(0, 9_000),
            contributors=st.none() | st.integers(0, 100),
        )
        for category in list(Category)[:-1]
    }
).map(lambda moved: {**DEFAULT_THRESHOLDS, **moved})


def test_the_predicted_blast_radius_is_the_actual_one(
    database: Database, at_size: Callable[[int, int], int]
) -> None:
    _load(database)
    with database.engine.connect() as connection:

        @settings(
            max_examples=at_size(150, 5000),
            suppress_health_check=list(HealthCheck),
            deadline=None,
        )
        @given(st.none() | targetings, targetings, ids, ids, moved_thresholds)
        def compare(
            live: Targeting | None,
            planned: Targeting,
            marked: frozenset[str],
            unmarked: frozenset[str],
            thresholds: dict[Category, Threshold] | None,
        ) -> None:
            if live is not None:
                _apply(connection, live)
            before = _eligible(connection)
            plan: dict[str, Any] = {
                "marked": marked - unmarked,
                "unmarked": unmarked - marked,
                "thresholds": thresholds,
            }
            predicted = _measure(connection, planned, **plan)
            _apply(connection, planned, **plan)
            after = _eligible(connection)
            categories = {
                row.full_name: Category(row.category)
                for row in connection.execute(
                    text(
                        "SELECT r.full_name, coalesce(c.category, public.categorize_repository(r.id))"
                        " AS category FROM public.repositories AS r"
                        " LEFT JOIN public.repository_categories AS c ON c.repository_id = r.id"
                    )
                )
            }
            connection.rollback()

            gained, lost = after.keys() - before.keys(), before.keys() - after.keys()
            assert _counts(predicted) == (
                REPOSITORIES, len(before), len(after), len(gained), len(lost),
            )  # fmt: skip
            assert predicted.by_category == _moved(gained, lost, categories.__getitem__)
            assert predicted.by_owner == _moved(gained, lost, lambda name: name.partition("/")[0])
            assert len(predicted.sample_gained) == min(20, len(gained))
            assert len(predicted.sample_lost) == min(20, len(lost))
            assert set(predicted.sample_gained) <= gained
            assert set(predicted.sample_lost) <= lost

        compare()


def test_one_scan_measures_all_features_as_each_alone(
    database: Database, at_size: Callable[[int, int], int]
) -> None:
    _load(database)
    names = [f"feature-{number}" for number in range(35)]
    with database.engine.connect() as connection:

        @settings(
            max_examples=at_size(40, 1000), suppress_health_check=list(HealthCheck), deadline=None
        )
        @given(
            st.lists(st.tuples(st.none() | targetings, targetings), min_size=1, max_size=35),
            ids,
            ids,
            moved_thresholds,
        )
        def compare(
            features: list[tuple[Targeting | None, Targeting]],
            marked: frozenset[str],
            unmarked: frozenset[str],
            thresholds: dict[Category, Threshold] | None,
        ) -> None:
            for name, (live, _) in zip(names, features, strict=False):
                if live is not None:
                    _apply(connection, live, name=name)
            moves = [
                AudienceMove(name, NO_AUDIENCE if live is None else live, planned)
                for name, (live, planned) in zip(names, features, strict=False)
            ]
            plan: dict[str, Any] = {
                "marked": marked - unmarked,
                "unmarked": unmarked - marked,
                "thresholds": thresholds,
            }
            together = measure_blast_radii(connection, moves, **plan)
            alone = [
                measure_blast_radius(connection, each.feature, each.live, each.planned, **plan)
                for each in moves
            ]
            connection.rollback()

            assert list(together) == alone

        compare()


@pytest.mark.parametrize("step", [-1, 10_000], ids=["one read", "lookups"])
def test_the_radius_is_the_same_where_the_eligible_are_not_counted(
    database: Database,
    at_size: Callable[[int, int], int],
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    """Without counts, and with a small step, the categories are read of the moved repositories alone."""
    monkeypatch.setattr(blast_radius, "SMALL_STEP", step)
    _load(database)
    with database.engine.connect() as connection:

        @settings(
            max_examples=at_size(100, 5000), suppress_health_check=list(HealthCheck), deadline=None
        )
        @given(st.none() | targetings, targetings, st.booleans(), ids)
        def compare(
            live: Targeting | None,
            planned: Targeting,
            is_step: bool,
            uncategorized: frozenset[str],
        ) -> None:
            if is_step and live is not None:
                live = replace(live, strategy=Strategy.PERCENTAGE)
                planned = replace(
                    live,
                    percentage=planned.percentage,
                    whitelist=planned.whitelist,
                    exclusions=planned.exclusions,
                )
            connection.execute(
                text("DELETE FROM public.repository_categories WHERE repository_id = ANY(:ids)"),
                {"ids": [UUID(each) for each in uncategorized]},
            )
            if live is not None:
                _apply(connection, live, name="f")
            moves = [AudienceMove("f", NO_AUDIENCE if live is None else live, planned)]
            (found,) = measure_blast_radii(connection, moves)
            (counted,) = measure_blast_radii(connection, moves, counts=True)
            connection.rollback()

            assert found.count is None
            assert counted.count is not None
            assert counted.count.eligible == counted.after == found.after
            assert replace(counted, count=None) == found

        compare()


few_targetings = st.builds(
    replace,
    targetings,
    strategy=st.sampled_from(Strategy),
    percentage=st.sampled_from(["0", "0.01", "9.99", "10"]).map(Decimal),
)


def test_the_listed_repositories_alone_give_the_result_of_all(
    database: Database, at_size: Callable[[int, int], int]
) -> None:
    _load(database)
    names = [f"feature-{number}" for number in range(4)]
    unknown = _id(REPOSITORIES + 1)
    with database.engine.connect() as connection:

        @settings(
            max_examples=at_size(150, 5000), suppress_health_check=list(HealthCheck), deadline=None
        )
        @given(
            st.lists(st.tuples(st.none() | few_targetings, few_targetings), min_size=1, max_size=4)
        )
        def compare(features: list[tuple[Targeting | None, Targeting]]) -> None:
            for name, (live, _) in zip(names, features, strict=False):
                if live is not None:
                    _apply(connection, live, name=name)
            moves = [
                AudienceMove(name, NO_AUDIENCE if live is None else live, planned)
                for name, (live, planned) in zip(names, features, strict=False)
            ]
            found = measure_blast_radii(connection, moves, counts=True)
            # A plan that changes marks evaluates every repository.
            of_all = measure_blast_radii(connection, moves, marked=(unknown,), counts=True)
            connection.rollback()

            assert found == of_all
            assert all(each.count is not None for each in found)

        compare()


def test_one_scan_counts_the_answers_of_every_feature(
    database: Database, at_size: Callable[[int, int], int]
) -> None:
    _load(database)
    names = [f"feature-{number}" for number in range(35)]
    with database.engine.connect() as connection:

        @settings(
            max_examples=at_size(60, 2000), suppress_health_check=list(HealthCheck), deadline=None
        )
        @given(st.lists(targetings, max_size=35))
        def compare(features: list[Targeting]) -> None:
            live = dict(zip(names, features, strict=False))
            for name, each in live.items():
                _apply(connection, each, name=name)
            found = read_participations(connection, [*live, "unknown"])
            answers = {name: _eligible(connection, name) for name in [*live, "unknown"]}
            connection.rollback()

            for name, answer in answers.items():
                categories = Counter(category for _, category in answer.values())
                assert found[name].total == REPOSITORIES
                assert found[name].eligible == len(answer)
                assert found[name].eligible_by_category == {
                    category: categories[category] for category in Category
                }

        compare()


def _counts(radius: BlastRadius) -> tuple[int, ...]:
    return radius.repositories, radius.before, radius.after, radius.gained, radius.lost


def _moved(
    gained: Iterable[str], lost: Iterable[str], group: Callable[[str], Any]
) -> dict[Any, Moved]:
    comes, goes = Counter(map(group, gained)), Counter(map(group, lost))
    return {each: Moved(comes[each], goes[each]) for each in comes.keys() | goes.keys()}


def test_all_eligible_repositories_gain_a_new_feature(database: Database) -> None:
    _load(database, 10)
    with database.engine.connect() as connection:
        radius = _measure(connection, replace(TARGETING, whitelist=frozenset({"acme/*"})))

    assert (radius.before, radius.gained, radius.lost, radius.moves) == (0, 4, 0, True)
    assert radius.by_owner == {"acme": Moved(gained=4, lost=0)}


def test_a_sample_lists_the_most_active_repositories_first(database: Database) -> None:
    _load(database)
    database.execute(
        "UPDATE public.repositories SET stargazers_count = 90, contributors_count = 0,"
        " pull_requests_count = 0 WHERE name = 'repo-8';"
        "UPDATE public.repositories SET stargazers_count = 0, contributors_count = 0,"
        " pull_requests_count = 0 WHERE name IN ('repo-1', 'repo-2')"
    )
    whitelist = frozenset(f"{_name(each).lower()}" for each in (1, 2, 8))

    with database.engine.connect() as connection:
        radius = _measure(connection, replace(TARGETING, whitelist=whitelist))

    assert radius.sample_gained == ("x/repo-8", "Acme-Corp/repo-1", "x/repo-2")


def test_a_sample_has_the_twenty_most_active_repositories(database: Database) -> None:
    database.execute(
        "INSERT INTO public.repositories (owner, name, full_name, stargazers_count)"
        " SELECT 'acme', n, 'acme/' || n, n FROM generate_series(10, 59) AS n"
    )
    with database.engine.connect() as connection:
        radius = _measure(connection, replace(TARGETING, percentage=Decimal(100)))

    assert radius.sample_gained == tuple(f"acme/{each}" for each in range(59, 39, -1))


def test_a_sample_has_quiet_repositories_behind_thousands_of_others(database: Database) -> None:
    database.execute(
        "INSERT INTO public.repositories (owner, name, full_name, stargazers_count)"
        " SELECT 'busy', n, 'busy/' || n, 50000 FROM generate_series(1, 2100) AS n"
    )
    quiet = [f"quiet/{each}" for each in range(10, 35)]
    add_repositories(database, *quiet)
    database.execute(
        "INSERT INTO public.rollout_configuration (feature_name, target_repositories)"
        " VALUES ('leaves', %(quiet)s)",
        quiet=quiet,
    )
    all_of_them = replace(TARGETING, percentage=Decimal(100))
    with database.engine.connect() as connection:
        live = read_configurations(connection)["leaves"].targeting
        every, comes, leaves = measure_blast_radii(
            connection,
            [
                AudienceMove("every", NO_AUDIENCE, all_of_them),
                AudienceMove("comes", NO_AUDIENCE, replace(TARGETING, whitelist=frozenset(quiet))),
                AudienceMove("leaves", live, replace(live, whitelist=frozenset())),
            ],
            # A change of marks concerns all repositories, so one scan measures the three.
            marked=[_id(1)],
        )

    assert every.gained == 2125
    assert all(each.startswith("busy/") for each in every.sample_gained)
    assert comes.sample_gained == leaves.sample_lost == tuple(quiet[:20])
    assert comes.sample_lost == leaves.sample_gained == ()


def test_the_ten_owners_with_most_changes_are_listed(database: Database) -> None:
    database.execute(
        "INSERT INTO public.repositories (owner, name, full_name)"
        " SELECT 'owner-' || owner, name, 'owner-' || owner || '/' || name"
        " FROM generate_series(1, 15) AS owner, generate_series(1, owner) AS name"
    )
    with database.engine.connect() as connection:
        radius = _measure(connection, replace(TARGETING, percentage=Decimal(100)))

    assert [(owner, moved.gained) for owner, moved in radius.by_owner.items()] == [
        (f"owner-{each}", each) for each in range(15, 5, -1)
    ]
    assert len(radius.sample_gained) == 20


def _cost(connection: Connection, memory: str) -> float:
    """Return the planner's estimate for a plan, with this much memory."""
    asked: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        asked.append((sql, parameters))

    live = read_configurations(connection)["f"].targeting
    connection.execute(text(f"SET LOCAL work_mem = '{memory}'"))
    event.listen(connection, "before_cursor_execute", listen)
    measure_blast_radius(connection, "f", live, replace(live, percentage=Decimal(50)))
    event.remove(connection, "before_cursor_execute", listen)
    sql, parameters = asked[-1]
    (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", parameters).scalar_one()
    return float(plan["Plan"]["Total Cost"])


def test_unknown_exclusions_are_read_once_and_not_per_repository(
    database: Database,
) -> None:
    database.execute(
        "INSERT INTO public.repositories (owner, name, full_name)"
        " SELECT 'acme', number, 'acme/' || number FROM generate_series(1, 5000) AS number;"
        "INSERT INTO public.rollout_configuration (feature_name, excluded_repositories)"
        " SELECT 'f', array_agg(id::text) FROM public.repositories;"
        "ANALYZE repositories, rollout_membership"
    )
    with database.engine.connect() as connection:
        assert _cost(connection, "64kB") < 10 * _cost(connection, "64MB")


def test_measuring_needs_only_the_right_to_read(database: Database) -> None:
    _load(database, 20)
    with database.engine.connect() as connection:
        connection.execute(text("CREATE ROLE reader_of_radius"))
        connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_of_radius"))
        connection.execute(
            text("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO reader_of_radius")
        )
        connection.execute(text("SET LOCAL ROLE reader_of_radius"))
        connection.execute(text("SET TRANSACTION READ ONLY"))
        radius = _measure(
            connection,
            replace(TARGETING, percentage=Decimal(100)),
            marked=(_id(1),),
            thresholds=DEFAULT_THRESHOLDS,
        )
        connection.rollback()

    assert (radius.repositories, radius.gained) == (20, 20)
