"""Eligibility in SQL: the same answers and reasons as in Python."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.categories import Activity, Category, categorize
from rollout_client.targeting.eligibility import Repository, Targeting, folded
from rollout_client.targeting.explanation import decide
from rollout_client.targeting.strategy import Strategy
from tests.postgres import Database
from tests.vectors import bucket_vectors, hashtext_vectors

if TYPE_CHECKING:
    import psycopg

REPOSITORIES = 500
FEATURES = 20
"""Pairs of one example: 500 repositories and 4 unknown ids, 20 features and an unknown one."""

OWNERS = ["acme", "Acme-Corp", "x", "legacy-org", "İΣ-ΑΣ"]
"""In some languages the last ones have a longer lower case, or another letter at the end of a word."""
UNKNOWN_IDS = [UUID(int=2**127 + number) for number in range(4)]


def _id(number: int) -> UUID:
    return UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128)


def _name(number: int) -> str:
    return f"{OWNERS[number % len(OWNERS)]}/Repo-{number}"


@dataclass(frozen=True)
class WrittenFeature:
    """A row of `rollout_configuration` as a statement written by hand may leave it."""

    active: bool
    emergency_stop: bool
    strategy: Strategy
    percentage: Decimal
    salt: str | None
    bucketing: Bucketing
    whitelist: list[str | None]
    exclusions: list[str | None]

    def targeting(self, name: str) -> Targeting:
        return Targeting(
            active=self.active,
            emergency_stop=self.emergency_stop,
            strategy=self.strategy,
            percentage=self.percentage,
            salt=name if self.salt is None else self.salt,
            bucketing=self.bucketing,
            whitelist=_keys(self.whitelist),
            exclusions=_keys(self.exclusions),
        )


def _keys(entries: list[str | None]) -> frozenset[str]:
    return frozenset(folded(entry.strip()) for entry in entries if entry is not None)


numbers = st.integers(0, REPOSITORIES - 1)
entries = st.one_of(
    numbers.map(_id).map(str),
    numbers.map(_id).map(lambda each: str(each).upper()),
    numbers.map(_name),
    numbers.map(_name).map(str.upper),
    st.sampled_from([f"{owner}/*" for owner in OWNERS]),
    st.sampled_from([None, "", "acme", "*", "acme/unknown", " acme/* ", str(UNKNOWN_IDS[0])]),
)
written_features = st.builds(
    WrittenFeature,
    # Mostly on, so that most pairs reach the later rules.
    active=st.integers(0, 9).map(bool),
    emergency_stop=st.integers(0, 9).map(lambda each: not each),
    strategy=st.sampled_from(Strategy),
    percentage=st.one_of(
        st.sampled_from([Decimal(each) for each in ("0", "5", "10", "25", "30", "99", "100")]),
        st.decimals(0, 100, places=2),
    ),
    salt=st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    bucketing=st.sampled_from(Bucketing),
    whitelist=st.lists(entries, max_size=12),
    exclusions=st.lists(entries, max_size=6),
)


def _load_repositories(database: Database) -> list[Repository]:
    """Insert repositories of every kind; return each as Python knows it, whatever the tables have."""
    categories = list(Category)
    known = []
    with database.connect() as connection:
        for number in range(REPOSITORIES):
            figures = ((number % 7) ** 5, (number % 5) ** 3, (number % 11) ** 4)
            connection.execute(
                "INSERT INTO repositories (id, owner, name, full_name, stargazers_count,"
                " contributors_count, pull_requests_count) VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (_id(number), *_name(number).split("/"), _name(number), *figures),
            )
            # A third has no category yet; the others have one that may differ from their metrics.
            recorded = None if number % 3 == 0 else categories[number % len(categories)]
            if recorded is not None:
                connection.execute(
                    "INSERT INTO repository_categories (repository_id, category, marked_as_test)"
                    " VALUES (%s, %s, %s)",
                    (_id(number), recorded.value, number % 4 == 0),
                )
            known.append(
                Repository(
                    id=str(_id(number)),
                    full_name=_name(number),
                    category=recorded or categorize(Activity(*figures)),
                    marked_as_test=recorded is not None and number % 4 == 0,
                )
            )
    return known


def _write_features(connection: "psycopg.Connection[Any]", features: list[WrittenFeature]) -> None:
    connection.execute("DELETE FROM rollout_configuration")
    for number, each in enumerate(features):
        connection.execute(
            "INSERT INTO rollout_configuration (feature_name, is_active, emergency_stop,"
            " rollout_strategy, rollout_percentage, salt, bucketing, target_repositories,"
            " excluded_repositories) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                f"feature_{number}",
                each.active,
                each.emergency_stop,
                each.strategy.value,
                each.percentage,
                each.salt,
                each.bucketing.value,
                each.whitelist,
                each.exclusions,
            ),
        )


def test_sql_and_python_decide_the_same_for_the_same_reason(
    database: Database, at_size: Callable[[int, int], int]
) -> None:
    """Twenty thousand pairs and more for each change, a million at night."""
    known: dict[UUID, Repository | None] = {
        UUID(each.id): each for each in _load_repositories(database)
    }
    known.update(dict.fromkeys(UNKNOWN_IDS))
    compared = 0

    with database.connect(autocommit=True) as connection:

        @settings(
            max_examples=at_size(3, 100),
            suppress_health_check=list(HealthCheck),
            deadline=None,
            # One example is ten thousand pairs, and a different pair is named: shrinking would not
            # help.
            phases=[Phase.explicit, Phase.generate],
        )
        @given(st.lists(written_features, min_size=FEATURES, max_size=FEATURES))
        def compare(features: list[WrittenFeature]) -> None:
            nonlocal compared
            _write_features(connection, features)
            targeting: dict[str, Targeting | None] = {
                f"feature_{number}": each.targeting(f"feature_{number}")
                for number, each in enumerate(features)
            }
            targeting["unknown"] = None
            eligible = {
                (feature, repository)
                for feature, repository in connection.execute(
                    "SELECT feature, eligible.id FROM unnest(%s::text[]) AS feature,"
                    " eligible_repositories(feature) AS eligible (id)",
                    (list(targeting),),
                )
            }
            answers = connection.execute(
                "SELECT feature, repository, explained.*,"
                " is_repository_eligible_for_rollout(repository, feature)"
                " FROM unnest(%s::text[]) AS feature, unnest(%s::uuid[]) AS repository,"
                " explain_repository_eligibility(repository, feature) AS explained",
                (list(targeting), list(known)),
            )
            for feature, id_, is_in, rule, reason, bucket, category, answer in answers:
                decision = decide(feature, targeting[feature], known[id_])
                assert (is_in, rule, reason, bucket, category) == (
                    decision.eligible,
                    decision.rule,
                    decision.reason,
                    decision.bucket,
                    decision.category,
                ), (targeting[feature], known[id_])
                assert answer is is_in, (targeting[feature], known[id_])
                assert ((feature, id_) in eligible) is is_in, (targeting[feature], known[id_])
                compared += 1

        compare()

    assert compared >= at_size(20_000, 1_000_000)


def test_every_frozen_vector_holds(database: Database) -> None:
    vectors = bucket_vectors()
    rows = database.rows(
        "SELECT rollout_bucket(vector.salt, vector.id) AS bucket FROM unnest("
        " %(salts)s::text[], %(ids)s::uuid[]) WITH ORDINALITY AS vector (salt, id, position)"
        " ORDER BY vector.position",
        salts=[salt for salt, _, _ in vectors],
        ids=[id_ for _, id_, _ in vectors],
    )

    assert [row["bucket"] for row in rows] == [bucket for _, _, bucket in vectors]


def test_hashtext_of_the_server_is_that_of_the_frozen_vectors(database: Database) -> None:
    vectors = hashtext_vectors()
    rows = database.rows(
        "SELECT hashtext(vector.text) AS hash"
        " FROM unnest(%(texts)s::text[]) WITH ORDINALITY AS vector (text, position)"
        " ORDER BY vector.position",
        texts=[text for text, _ in vectors],
    )

    assert [row["hash"] for row in rows] == [hash_ for _, hash_ in vectors]


def test_hashtext_lets_in_what_the_services_own_expression_does(database: Database) -> None:
    _load_many(database, 500)
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, bucketing, rollout_percentage)"
        " SELECT 'at_' || percentage, 'hashtext', percentage FROM unnest(ARRAY[0, 1, 10, 12.5, 50, 99.99,"
        " 100]) AS percentages (percentage)"
    )

    differing = database.value("""
        SELECT count(*) FROM repositories CROSS JOIN rollout_configuration AS configuration
        WHERE is_repository_eligible_for_rollout(repositories.id, feature_name)
            <> (abs(hashtext(repositories.id::text) % 100) < rollout_percentage)
    """)

    assert differing == 0
    assert database.value("SELECT count(*) FROM eligible_repositories('at_10')") not in {0, 500}


def test_a_bucket_is_eligible_if_the_percentage_is_above_it(database: Database) -> None:
    _load_many(database, 20)
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, salt, rollout_percentage)"
        " SELECT 'at_' || name, 's', rollout_bucket('s', id) / 100.0 FROM repositories"
        " UNION ALL"
        " SELECT 'above_' || name, 's', (rollout_bucket('s', id) + 1) / 100.0 FROM repositories"
    )

    (row,) = database.rows(
        "SELECT count(*) AS repositories,"
        " count(*) FILTER (WHERE is_repository_eligible_for_rollout(id, 'at_' || name)) AS at,"
        " count(*) FILTER (WHERE is_repository_eligible_for_rollout(id, 'above_' || name)) AS above,"
        " count(*) FILTER (WHERE id IN (SELECT eligible_repositories('at_' || name))) AS all_at,"
        " count(*) FILTER (WHERE id IN (SELECT eligible_repositories('above_' || name))) AS all_above"
        " FROM repositories"
    )

    assert list(row.values()) == [20, 0, 20, 0, 20]


def _load_many(database: Database, count: int) -> None:
    database.execute(
        "INSERT INTO repositories (id, owner, name, full_name)"
        " SELECT md5(number::text)::uuid, 'acme', number, 'acme/' || number"
        f" FROM generate_series(1, {count}) AS number"
    )


def test_25_percent_is_a_quarter_of_200000_repositories(database: Database) -> None:
    _load_many(database, 200_000)
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('f', 25)"
    )

    taken = database.value("SELECT count(*) FROM eligible_repositories('f')")

    assert 0.245 < taken / 200_000 < 0.255


@pytest.mark.parametrize("strategy", Strategy)
def test_at_0_percent_only_the_whitelist_is_eligible(
    database: Database, strategy: Strategy
) -> None:
    _load_many(database, 2_000)
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage, rollout_strategy,"
        " target_repositories) VALUES ('f', 0, %(strategy)s, %(whitelist)s)",
        strategy=strategy.value,
        whitelist=["acme/7", "acme/8", "acme/unknown"],
    )

    rows = database.rows(
        "SELECT full_name FROM repositories"
        " WHERE is_repository_eligible_for_rollout(id, 'f') ORDER BY full_name"
    )

    assert [row["full_name"] for row in rows] == ["acme/7", "acme/8"]
    assert database.value("SELECT count(*) FROM eligible_repositories('f')") == 2


@pytest.mark.parametrize(
    ("percentage", "categories"),
    [
        (5, []),
        (30, ["test", "small"]),
        (99, ["test", "small", "medium", "large"]),
        (100, ["test", "small", "medium", "large", "enterprise"]),
    ],
)
def test_between_two_sizes_the_lower_step_applies(
    database: Database, percentage: int, categories: list[str]
) -> None:
    _load_many(database, 5)
    database.execute(
        "INSERT INTO repository_categories (repository_id, category)"
        " SELECT repositories.id, threshold.category FROM category_threshold AS threshold"
        " JOIN repositories ON repositories.name = threshold.position::text;"
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage, rollout_strategy)"
        f" VALUES ('f', {percentage}, 'repository_size')"
    )

    rows = database.rows(
        "SELECT category FROM repository_categories"
        " WHERE repository_id IN (SELECT eligible_repositories('f'))"
    )

    assert {row["category"] for row in rows} == set(categories)


def test_unknown_and_missing_arguments_are_not_eligible(database: Database) -> None:
    rows = database.rows(
        "SELECT eligible, rule, reason, is_repository_eligible_for_rollout(NULL, NULL) AS nothing,"
        " is_repository_eligible_for_rollout(NULL) AS without_feature"
        " FROM explain_repository_eligibility(NULL, NULL)"
    )

    assert rows == [
        {
            "eligible": False,
            "rule": "unknown_feature",
            "reason": "no feature has this name",
            "nothing": False,
            "without_feature": False,
        }
    ]


def test_null_values_of_a_configuration_count_as_not_eligible(database: Database) -> None:
    """The older columns of a service may have nulls: they have no NOT NULL."""
    _load_many(database, 1)
    database.execute(
        "ALTER TABLE rollout_configuration ALTER is_active DROP NOT NULL;"
        "ALTER TABLE rollout_configuration ALTER emergency_stop DROP NOT NULL;"
        "ALTER TABLE rollout_configuration ALTER rollout_percentage DROP NOT NULL;"
        "INSERT INTO rollout_configuration (feature_name, is_active, emergency_stop,"
        " rollout_percentage) VALUES ('open', NULL, false, 100), ('stopped', true, NULL, 100),"
        " ('nobody', true, false, NULL)"
    )

    rows = database.rows(
        "SELECT feature, rule, eligible, (SELECT count(*) FROM eligible_repositories(feature)) AS n"
        " FROM repositories, unnest(ARRAY['open', 'stopped', 'nobody']) AS feature,"
        " explain_repository_eligibility(repositories.id, feature) ORDER BY feature"
    )

    assert [tuple(row.values()) for row in rows] == [
        ("nobody", "percentage_strategy", False, 0),
        ("open", "inactive", False, 0),
        ("stopped", "emergency_stop", False, 0),
    ]


def test_the_functions_take_named_arguments_and_default_the_feature(
    database: Database,
) -> None:
    _load_many(database, 1)
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage)"
        " VALUES ('hybrid_progressive_capture', 100)"
    )

    (row,) = database.rows(
        "SELECT is_repository_eligible_for_rollout(id) AS by_default,"
        " is_repository_eligible_for_rollout(feature_name => 'other', repo_id => id) AS named,"
        " categorize_repository(repo_id => id) AS category,"
        " rollout_bucket(salt => 'a', repo_id => id) = rollout_bucket('a', id) AS bucket,"
        " (SELECT rule FROM explain_repository_eligibility(repo_id => id, feature_name => 'other'))"
        " FROM repositories"
    )

    assert list(row.values()) == [True, False, "test", True, "unknown_feature"]


HOSTILE = """
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.sha256(bytea) RETURNS bytea LANGUAGE sql RETURN '\\x00000000'::bytea;
CREATE FUNCTION hostile.lower(text) RETURNS text LANGUAGE sql RETURN 'stolen';
CREATE FUNCTION hostile.get_byte(bytea, integer) RETURNS integer LANGUAGE sql RETURN 0;
CREATE FUNCTION hostile.convert_to(text, name) RETURNS bytea LANGUAGE sql RETURN ''::bytea;
CREATE FUNCTION hostile.always(text, text) RETURNS boolean LANGUAGE sql RETURN true;
CREATE FUNCTION hostile.always(integer, integer) RETURNS boolean LANGUAGE sql RETURN true;
CREATE FUNCTION hostile.always(uuid, uuid) RETURNS boolean LANGUAGE sql RETURN true;
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.always);
CREATE OPERATOR hostile.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = hostile.always);
CREATE OPERATOR hostile.< (LEFTARG = integer, RIGHTARG = integer, FUNCTION = hostile.always);
CREATE OPERATOR hostile.<= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = hostile.always);
CREATE TABLE hostile.rollout_configuration AS TABLE public.rollout_configuration;
UPDATE hostile.rollout_configuration SET rollout_percentage = 100;
CREATE TABLE hostile.repositories AS TABLE public.repositories;
CREATE VIEW hostile.category_limits AS SELECT * FROM public.category_limits WHERE false;
"""


def test_no_search_path_changes_an_answer(database: Database) -> None:
    _load_many(database, 50)
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage, target_repositories)"
        " VALUES ('f', 30, '{acme/7}')"
    )
    database.execute(HOSTILE)
    asked = (
        "SELECT repository.full_name, explained.*, public.rollout_bucket('f', repository.id),"
        " public.is_repository_eligible_for_rollout(repository.id, 'f'),"
        " public.categorize_repository(repository.id), array(SELECT public.eligible_repositories('f'))"
        " FROM public.repositories AS repository, LATERAL"
        " public.explain_repository_eligibility(repository.id, 'f') AS explained"
    )
    found = {}

    for path in ("public", "hostile, pg_catalog", "hostile, public, pg_catalog"):
        with database.connect() as connection:
            connection.execute(f"SET search_path = {path}".encode())
            answers = connection.execute(asked.encode()).fetchall()
            written = connection.execute("SELECT public.categorize_all_repositories()").fetchone()
            found[path] = (sorted(map(str, answers)), written)
            connection.rollback()

    answers_in_public, written_in_public = found["public"]
    assert len(answers_in_public) == 50
    assert written_in_public == (50,)
    assert list(found.values()) == [found["public"]] * 3


READING = """
SELECT public.is_repository_eligible_for_rollout(repository.id, 'f'), explained.rule,
    public.categorize_repository(repository.id),
    (SELECT count(*) FROM public.eligible_repositories('f'))
FROM public.repositories AS repository,
    public.explain_repository_eligibility(repository.id, 'f') AS explained
"""


def test_reading_never_writes(database: Database) -> None:
    """A role that only reads, in a read-only transaction."""
    _load_many(database, 20)
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage, rollout_strategy)"
        " VALUES ('f', 30, 'repository_size')"
    )
    reader = "reader_of_eligibility"
    with database.connect() as connection:
        connection.execute(f"CREATE ROLE {reader}".encode())
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}".encode())
        connection.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {reader}".encode())
        connection.execute(f"SET LOCAL ROLE {reader}".encode())
        connection.execute("SET TRANSACTION READ ONLY")

        rows = connection.execute(READING.encode()).fetchall()

        assert rows == [(True, "size_strategy", "test", 20)] * 20
        # The end of the transaction also removes the role.
        connection.rollback()
    assert database.value("SELECT count(*) FROM repository_categories") == 0
