"""Categories in SQL: the same as in Python, written only where something changed."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.database.categories import (
    Categorized,
    Move,
    MovedRepository,
    categorize,
    read_category_totals,
)
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS, Activity, Category, Threshold
from rollout_client.targeting.categories import categorize as categorize_in_python
from tests.builders import RepositoryRow, add_repositories
from tests.postgres import Database

FIGURES = "stargazers_count, contributors_count, pull_requests_count"


def _load(database: Database, *figures: tuple[int, int, int]) -> None:
    add_repositories(
        database,
        *(
            RepositoryRow(f"acme/{number}", f"00000000-0000-0000-0000-{number:012}", *each)
            for number, each in enumerate(figures)
        ),
    )


def _categorize_all(database: Database) -> int:
    written: int = database.value("SELECT categorize_all_repositories()")
    return written


figures = st.one_of(
    st.sampled_from([0, 1, 2, 3, 9, 10, 11, 50, 51, 100, 101, 5_000, 10_001]),
    st.integers(0, 2**31 - 1),
)
limits = st.none() | st.integers(0, 20_000)
thresholds = st.fixed_dictionaries(
    {
        each: st.builds(Threshold, limits, limits, limits, st.integers(0, 1000))
        for each in list(Category)[:-1]
    }
)


def test_sql_categorises_as_python_does_under_any_thresholds(database: Database) -> None:
    with database.connect() as connection:

        @settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
        @given(thresholds, st.lists(st.builds(Activity, figures, figures, figures), min_size=1))
        def compare(moved: dict[Category, Threshold], activities: list[Activity]) -> None:
            connection.execute("DELETE FROM repositories")
            for category, threshold in moved.items():
                connection.execute(
                    "UPDATE category_threshold SET stars = %s, contributors = %s,"
                    " pull_requests = %s, priority = %s WHERE category = %s",
                    (
                        threshold.stars,
                        threshold.contributors,
                        threshold.pull_requests,
                        threshold.priority,
                        category.value,
                    ),
                )
            for number, each in enumerate(activities):
                connection.execute(
                    f"INSERT INTO repositories (owner, name, full_name, {FIGURES})"
                    " VALUES ('acme', %s, %s, %s, %s, %s)",
                    (number, f"acme/{number}", each.stars, each.contributors, each.pull_requests),
                )
            written = connection.execute("SELECT categorize_all_repositories()").fetchone()
            rows = connection.execute(
                "SELECT category, priority_level, monthly_activity_score, categorize_repository(r.id)"
                " FROM repository_categories JOIN repositories AS r ON r.id = repository_id"
                " ORDER BY r.name::integer"
            ).fetchall()

            used = {**DEFAULT_THRESHOLDS, **moved}
            expected = [categorize_in_python(each, used) for each in activities]
            assert written == (len(activities),)
            assert rows == [
                (category, used[category].priority, each.monthly_score, category)
                for category, each in zip(expected, activities, strict=True)
            ]

        compare()
        connection.rollback()


def test_a_second_run_writes_nothing(database: Database) -> None:
    _load(database, (0, 0, 0), (60, 0, 0), (10_000, 300, 20_000))

    assert _categorize_all(database) == 3
    before = database.rows("SELECT ctid::text, xmin::text FROM repository_categories")
    assert _categorize_all(database) == 0
    assert database.rows("SELECT ctid::text, xmin::text FROM repository_categories") == before


def test_only_rows_that_changed_are_written(database: Database) -> None:
    _load(database, (0, 0, 0), (60, 0, 0), (70, 0, 0))
    _categorize_all(database)
    database.execute("UPDATE repositories SET stargazers_count = 61 WHERE name = '1'")
    assert _categorize_all(database) == 1

    database.execute("UPDATE category_threshold SET priority = 61 WHERE category = 'medium'")
    assert _categorize_all(database) == 2
    database.execute(
        "UPDATE repository_categories SET monthly_activity_score = 1 WHERE pr_count = 0"
    )
    assert _categorize_all(database) == 3


def test_marks_survive_every_recategorisation(database: Database) -> None:
    _load(database, (60, 0, 0), (60, 0, 0))
    _categorize_all(database)
    database.execute(
        "UPDATE repository_categories SET marked_as_test = true FROM repositories"
        " WHERE repositories.id = repository_id AND name = '0';"
        "UPDATE repositories SET stargazers_count = 6000"
    )

    assert _categorize_all(database) == 2

    rows = database.rows(
        "SELECT name, category, marked_as_test, is_test_repository FROM repository_categories"
        " JOIN repositories ON repositories.id = repository_id ORDER BY name"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("0", "enterprise", True, True),
        ("1", "enterprise", False, False),
    ]


def test_the_largest_metrics_do_not_overflow(database: Database) -> None:
    largest = 2**31 - 1
    _load(database, (largest, largest, largest))

    assert _categorize_all(database) == 1
    assert database.value("SELECT monthly_activity_score FROM repository_categories") == 100


def test_a_metric_below_0_counts_as_missing(database: Database) -> None:
    """A service may write a negative number for an unknown one."""
    _load(database, (-1, -40, -2_147_483_648))
    _categorize_all(database)

    assert database.rows(
        "SELECT stars, contributors, pull_requests, category, monthly_activity_score"
        " FROM repository_activity JOIN repository_categories USING (repository_id)"
    ) == [
        {
            "stars": 0,
            "contributors": 0,
            "pull_requests": 0,
            "category": "test",
            "monthly_activity_score": 0,
        }
    ]


def test_categorising_returns_the_changes(database: Database) -> None:
    _load(database, (0, 0, 0), (60, 0, 0))
    with database.engine.connect() as connection:
        categorize(connection)
        connection.commit()
    database.execute(
        "UPDATE repositories SET stargazers_count = 40 WHERE name = '1';"
        "UPDATE repositories SET contributors_count = 1 WHERE name = '0'"
    )
    add_repositories(database, "new/one")

    with database.engine.connect() as connection:
        outcome = categorize(connection)

    assert outcome == Categorized(
        written=3,
        moves=(
            Move(before=None, after=Category.TEST, repositories=1),
            Move(before=Category.MEDIUM, after=Category.SMALL, repositories=1),
        ),
        names=(
            MovedRepository("acme/1", Category.MEDIUM, Category.SMALL),
            MovedRepository("new/one", None, Category.TEST),
        ),
    )


def test_one_repository_can_be_categorised_alone(database: Database) -> None:
    _load(database, (0, 0, 0), (60, 0, 0))

    with database.engine.connect() as connection:
        outcome = categorize(connection, "00000000-0000-0000-0000-000000000001")
        connection.commit()

    assert outcome.written == 1
    assert outcome.moves == (Move(None, Category.MEDIUM, 1),)
    assert database.value("SELECT category FROM repository_categories") == "medium"


def test_the_table_has_every_category_with_its_sums(database: Database) -> None:
    _load(database, (60, 1, 19), (80, 0, 0), (0, 0, 0))
    _categorize_all(database)

    with database.engine.connect() as connection:
        totals = read_category_totals(connection)

    assert [(each.category, each.repositories) for each in totals] == [
        (Category.TEST, 1),
        (Category.SMALL, 0),
        (Category.MEDIUM, 2),
        (Category.LARGE, 0),
        (Category.ENTERPRISE, 0),
    ]
    medium = totals[2]
    assert (medium.stars, medium.contributors, medium.pull_requests) == (140, 1, 19)
    assert medium.mean_activity == (62 + 80) / 2
