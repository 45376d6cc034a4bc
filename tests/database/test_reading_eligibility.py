"""Reading eligibility: the explanation of a repository, participation, the next repositories."""

from sqlalchemy import Connection, text

from reconciler.database.categories import categorize
from reconciler.database.eligibility import (
    Explanation,
    Participation,
    explain_repository,
    read_participation,
    read_ready,
)
from reconciler.database.lists import read_marked
from reconciler.database.repositories import find_repository, list_repositories
from rollout_client.targeting.categories import Activity, Category
from rollout_client.targeting.eligibility import Rule
from rollout_client.targeting.environment import NO_OVERRIDE, EnvironmentOverride
from tests.postgres import Database

REPOSITORIES = """
INSERT INTO repositories (id, owner, name, full_name, stargazers_count)
SELECT
    ('00000000-0000-0000-0000-' || lpad(stars::text, 12, '0'))::uuid,
    'acme', 'at-' || stars, 'acme/at-' || stars, stars
FROM unnest(ARRAY[0, 7, 40, 90, 700, 9000]) AS stars;
SELECT categorize_all_repositories();
"""


def _configure(database: Database, values: str) -> None:
    database.execute(REPOSITORIES)
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_strategy, rollout_percentage,"
        f" target_repositories, excluded_repositories) VALUES ('f', {values})"
    )


def _explain(
    database: Database,
    name: str,
    feature: str = "f",
    environment: EnvironmentOverride = NO_OVERRIDE,
) -> Explanation:
    with database.engine.connect() as connection:
        return explain_repository(
            connection, find_repository(connection, name), feature, environment
        )


def test_an_explanation_has_the_decision_the_metrics_and_every_rule(database: Database) -> None:
    _configure(database, "'percentage', 0, '{acme/*}', '{}'")

    explanation = _explain(database, "acme/at-40")

    assert explanation.decision.eligible
    assert explanation.decision.reason == "the whitelist has acme/*"
    assert explanation.activity == Activity(stars=40)
    assert explanation.repository is not None
    assert explanation.repository.category is Category.SMALL
    assert explanation.is_categorized
    assert [each.rule for each in explanation.rules] == list(Rule)
    assert [each.found for each in explanation.rules if each.decides] == [
        explanation.decision.reason
    ]


def test_a_repository_without_a_category_is_explained_by_metrics(database: Database) -> None:
    _configure(database, "'repository_size', 25, '{}', '{}'")
    database.execute("DELETE FROM repository_categories")

    explanation = _explain(database, "acme/at-40")

    assert not explanation.is_categorized
    assert explanation.decision.category is Category.SMALL
    assert explanation.decision.eligible
    assert database.value("SELECT count(*) FROM repository_categories") == 0


def test_an_unknown_feature_is_explained_too(database: Database) -> None:
    _configure(database, "'percentage', 100, '{}', '{}'")

    assert _explain(database, "acme/at-40", "other").decision.rule is Rule.UNKNOWN_FEATURE


def test_an_environment_decides_for_its_own_process(database: Database) -> None:
    _configure(database, "'percentage', 100, '{}', '{}'")
    stopped = EnvironmentOverride.parse({"ROLLOUT_EMERGENCY_STOP": "f"})

    explanation = _explain(database, "acme/at-40", environment=stopped)

    assert explanation.decision.rule is Rule.ENVIRONMENT_STOP
    assert not explanation.decision.eligible


def _read_participation(database: Database, feature: str = "f") -> Participation:
    with database.engine.connect() as connection:
        return read_participation(connection, feature)


def test_participation_counts_repositories_and_jobs(database: Database) -> None:
    _configure(database, "'repository_size', 25, '{acme/at-9000}', '{acme/at-7}'")
    database.execute(
        "DELETE FROM repository_categories USING repositories"
        " WHERE repositories.id = repository_id AND name = 'at-90';"
        "INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,"
        " error_count, success_count, metrics_window_start, metrics_window_end)"
        " SELECT c.id, r.id, 'inngest', 10, 2, 8, now() - age, now() - age + interval '5 minutes'"
        " FROM rollout_configuration AS c, repositories AS r,"
        " unnest(ARRAY[interval '5 minutes', interval '2 hours', interval '30 hours']) AS age"
        " WHERE r.name IN ('at-0', 'at-40')"
    )

    assert _read_participation(database) == Participation(
        total=6,
        categorized=5,
        test_repositories=1,
        eligible=3,
        eligible_by_category={
            Category.TEST: 1,
            Category.SMALL: 1,
            Category.MEDIUM: 0,
            Category.LARGE: 0,
            Category.ENTERPRISE: 1,
        },
        active=2,
        jobs=40,
        errors=8,
    )
    assert _read_participation(database).rate == 0.5


def test_participation_of_an_empty_database_is_zero(database: Database) -> None:
    participation = _read_participation(database, "unknown")

    assert (participation.total, participation.eligible, participation.rate) == (0, 0, 0.0)


def _ready(connection: Connection, most: int) -> list[str]:
    return [each.full_name for each in read_ready(connection, "f", most)]


def test_ready_lists_by_priority_and_activity(database: Database) -> None:
    _configure(database, "'repository_size', 10, '{acme/at-9000}', '{acme/at-7}'")

    with database.engine.connect() as connection:
        assert _ready(connection, 10) == ["acme/at-40", "acme/at-90", "acme/at-700"]
        assert _ready(connection, 2) == ["acme/at-40", "acme/at-90"]

        connection.execute(text("UPDATE public.repository_categories SET marked_as_test = true"))
        assert _ready(connection, 10) == []


def test_ready_includes_repositories_without_a_category(database: Database) -> None:
    _configure(database, "'percentage', 0, '{}', '{}'")
    database.execute(
        "DELETE FROM repository_categories USING repositories"
        " WHERE repositories.id = repository_id AND name IN ('at-7', 'at-700')"
    )

    with database.engine.connect() as connection:
        found = read_ready(connection, "f", 10)

    assert [(each.full_name, each.category, each.priority, each.activity) for each in found] == [
        ("acme/at-0", Category.TEST, 100, 0),
        ("acme/at-40", Category.SMALL, 80, 40),
        ("acme/at-7", Category.SMALL, 80, 7),
        ("acme/at-90", Category.MEDIUM, 60, 90),
        ("acme/at-700", Category.LARGE, 40, 100),
        ("acme/at-9000", Category.ENTERPRISE, 20, 100),
    ]


def test_a_repository_without_a_name_is_shown_by_its_id(database: Database) -> None:
    """As the table of a service may have it."""
    database.execute("ALTER TABLE repositories ALTER full_name DROP NOT NULL")
    _configure(database, "'percentage', 0, '{}', '{}'")
    nameless = "00000000-0000-0000-0000-000000009000"
    database.execute(
        f"UPDATE repositories SET full_name = NULL WHERE id = '{nameless}';"
        "DELETE FROM repository_categories;"
    )

    with database.engine.connect() as connection:
        every = list_repositories(
            connection,
            owner=None,
            category=Category.ENTERPRISE,
            only_test=False,
            eligible_for=None,
            limit=None,
        )
        ready = read_ready(connection, "f", 10)
        categorized = categorize(connection)
        connection.execute(text("UPDATE public.repository_categories SET marked_as_test = true"))
        marked = read_marked(connection)

    assert [each.full_name for each in every] == [nameless]
    assert ready[-1].full_name == nameless
    assert categorized.names[0].full_name == nameless
    assert marked[0].name == nameless
