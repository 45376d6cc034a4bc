"""The client compared with SQL, while all its inputs change at random."""

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rollout_client import RolloutClient
from rollout_client.targeting.categories import Category
from tests.database.test_client import following
from tests.database.test_eligibility import (
    OWNERS,
    UNKNOWN_IDS,
    WrittenFeature,
    _load_repositories,
    _write_features,
    written_features,
)
from tests.eventually import eventually
from tests.postgres import Database

if TYPE_CHECKING:
    import psycopg

FEATURES = 6
NAMES = [*(f"feature_{number}" for number in range(FEATURES)), "unknown"]
EXPLAINED = 150

Eligible = frozenset[tuple[str, UUID]]
Reasons = dict[tuple[str, UUID], tuple[Any, ...]]


def test_client_and_sql_agree_and_every_yes_has_a_state(
    database: Database, at_size: Callable[[int, int], int]
) -> None:
    ids = [UUID(each.id) for each in _load_repositories(database)] + UNKNOWN_IDS
    chance = random.Random(20261125)
    asked = wrong = 0
    committed: list[Eligible] = [frozenset()]
    settled = 0
    stop = threading.Event()

    with (
        database.connect() as connection,
        following(database, poll_every=timedelta(milliseconds=500)) as client,
    ):

        def ask() -> None:
            """A yes must be that of a state between the last settled one and the newest."""
            nonlocal asked, wrong
            own_chance = random.Random(7)
            while not stop.wait(0.001):
                oldest = settled
                pair = own_chance.choice(NAMES), own_chance.choice(ids)
                is_yes = client.is_eligible(pair[1], pair[0])
                asked += 1
                if is_yes and not any(pair in each for each in committed[oldest:]):
                    wrong += 1

        @settings(
            max_examples=at_size(6, 300),
            suppress_health_check=list(HealthCheck),
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
        )
        @given(st.lists(written_features, min_size=FEATURES, max_size=FEATURES))
        def compare(features: list[WrittenFeature]) -> None:
            nonlocal settled
            _change_at_random(connection, features, chance)
            eligible: Eligible = frozenset(
                connection.execute(
                    "SELECT feature, eligible.id FROM unnest(%s::text[]) AS feature,"
                    " eligible_repositories(feature) AS eligible (id)",
                    (NAMES,),
                ).fetchall()
            )
            committed.append(eligible)
            some = chance.sample(ids, EXPLAINED)
            reasons = _reasons(connection, some)
            connection.commit()
            eventually(lambda: _answers(client, some) == reasons)
            eventually(lambda: _eligible(client, ids) == eligible)
            settled = len(committed) - 1

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            compare()
        finally:
            stop.set()
            asking.join()

    assert asked
    assert wrong == 0


def _change_at_random(
    connection: "psycopg.Connection[Any]", features: list[WrittenFeature], chance: random.Random
) -> None:
    """Change some of the features, or their repositories, or both, in one transaction."""
    if chance.random() < 0.8:
        _write_features(connection, features)
    else:
        connection.execute(
            "UPDATE rollout_configuration SET rollout_percentage = %s, emergency_stop = %s"
            " WHERE feature_name = %s",
            (chance.randrange(101), chance.random() < 0.2, chance.choice(NAMES)),
        )
    part = chance.randrange(5)
    connection.execute(
        "UPDATE repositories SET full_name = %s || split_part(full_name, '/', 2)"
        " WHERE get_byte(uuid_send(id), 3) %% 5 = %s AND full_name NOT LIKE '%%/new-%%'",
        (f"{chance.choice(OWNERS)}/", part),
    )
    connection.execute(
        "UPDATE repository_categories SET category = %s, marked_as_test = %s"
        " WHERE get_byte(uuid_send(repository_id), 4) %% 5 = %s",
        (chance.choice(list(Category)).value, chance.random() < 0.3, part),
    )
    connection.execute(
        "UPDATE category_threshold SET stars = %s WHERE category = 'small'", (chance.randrange(90),)
    )
    # Some are removed, and added again by the next change.
    connection.execute(
        "CREATE TABLE IF NOT EXISTS away (LIKE repositories);"
        "INSERT INTO repositories SELECT * FROM away; TRUNCATE away"
    )
    connection.execute(
        "WITH leaving AS (DELETE FROM repositories"
        " WHERE get_byte(uuid_send(id), 5) %% 20 = %s RETURNING *)"
        " INSERT INTO away SELECT * FROM leaving",
        (chance.randrange(20),),
    )


def _eligible(client: RolloutClient, ids: list[UUID]) -> Eligible:
    return frozenset(
        (feature, id_) for feature in NAMES for id_ in ids if client.is_eligible(id_, feature)
    )


def _reasons(connection: "psycopg.Connection[Any]", ids: list[UUID]) -> Reasons:
    answers = connection.execute(
        "SELECT feature, repository, explained.eligible, rule, reason, bucket"
        " FROM unnest(%s::text[]) AS feature, unnest(%s::uuid[]) AS repository,"
        " explain_repository_eligibility(repository, feature) AS explained",
        (NAMES, ids),
    )
    return {(feature, id_): tuple(answer) for feature, id_, *answer in answers}


def _answers(client: RolloutClient, ids: list[UUID]) -> Reasons:
    answers = {}
    for feature in NAMES:
        for id_ in ids:
            answer = client.explain(id_, feature)
            answers[feature, id_] = (
                answer.eligible,
                answer.rule.value,
                answer.reason,
                answer.bucket,
            )
    return answers
