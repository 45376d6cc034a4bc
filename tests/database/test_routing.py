"""The processor of a job, decided by SQL and by the client from the same rules."""

import json
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from rollout_client import RolloutClient
from rollout_client.route import Job, Load, read_routing, rule_identity
from rollout_client.targeting.categories import Category
from tests.builders import RepositoryRow, add_repositories
from tests.postgres import Database

KINDS = ("", "reviews", "comments", "pull_requests")
SIZES = (0, 1, 9, 10, 11, 100, 1_000)
RULES: list[dict[str, Any]] = [
    {"when": {"size": "<=10"}, "to": "inngest", "because": "somebody waits for it"},
    {"when": {"category": ["enterprise"]}, "to": "github_actions"},
    {"to": "inngest"},
]


def random_rule(random: Random) -> dict[str, Any]:
    when: dict[str, Any] = {}
    if random.random() < 0.5:
        comparison = random.choice(["<=", "<", ">=", ">", "=", "<= ", "> "])
        when["size"] = f"{comparison}{random.choice(SIZES)}"
    if random.random() < 0.4:
        when["kind"] = random.sample(KINDS[1:], random.randint(0, 2))
    if random.random() < 0.4:
        when["category"] = [
            each.value for each in random.sample(list(Category), random.randint(0, 3))
        ]
    rule: dict[str, Any] = {"to": random.choice(["new", "old", "cheapest"])}
    if rule["to"] == "cheapest" and random.random() < 0.3:
        rule["if"] = {"error_rate": "<2%"}
    if when or random.random() < 0.5:
        rule["when"] = when
    if random.random() < 0.4:
        rule["spill"] = random.random() < 0.8
    if random.random() < 0.3:
        rule["because"] = random.choice(["it is quicker", "it is cheaper"])
    return rule


def random_case(random: Random) -> dict[str, Any]:
    rules = [random_rule(random) for _ in range(random.randint(0, 4))]
    cheapest = [rule_identity(each) for each in rules if each["to"] == "cheapest"]
    return {
        "rules": rules,
        "choices": [
            {
                "rule": random.choice(cheapest),
                "category": random.choice(list(Category)).value,
                "processor": random.choice(["new", "old"]),
            }
            for _ in range(random.randint(0, 3) if cheapest else 0)
        ],
        "kind": random.choice([*KINDS, None]),
        "size": random.choice([*SIZES, None, -1, 2**62]),
        "category": random.choice(list(Category)).value,
        "loads": {
            name: {"concurrency": random.randint(1, 3), "running": random.randint(0, 4)}
            for name in random.sample(["new", "old", "other"], random.randint(0, 3))
        },
    }


def decided_by_sql(database: Database, cases: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    rows = database.rows(
        """
        SELECT fitting.rule,
            CASE
                WHEN rollout_is_over(
                    (item -> 'loads' -> chosen ->> 'concurrency')::integer,
                    (item -> 'loads' -> chosen ->> 'running')::bigint,
                    (item -> 'loads' -> other ->> 'concurrency')::integer,
                    (item -> 'loads' -> other ->> 'running')::bigint
                ) AND other IS NOT null THEN other
                ELSE chosen
            END AS processor,
            coalesce(fitting.because, '') AS because
        FROM json_array_elements(%(cases)s) WITH ORDINALITY AS asked (item, number)
        LEFT JOIN LATERAL rollout_rule_of(
            (item -> 'rules')::jsonb, (item -> 'choices')::jsonb, item ->> 'kind', (item ->> 'size')::bigint, item ->> 'category'
        ) AS fitting ON true
        CROSS JOIN LATERAL coalesce(fitting.processor, 'new') AS chosen
        CROSS JOIN LATERAL rollout_other_of(
            (item -> 'rules')::jsonb, fitting.rule, chosen, 'new', 'old'
        ) AS other
        ORDER BY asked.number
        """,
        cases=json.dumps(cases),
    )
    return [tuple(row.values()) for row in rows]


def decided_by_client(case: dict[str, Any]) -> tuple[Any, ...]:
    routing = read_routing("new", "old", case["rules"], case["choices"])
    job = Job("f", case["kind"] or "", case["size"] or 0)
    loads = {name: Load(**each) for name, each in case["loads"].items()}
    route = routing.route(job, eligible=True, category=case["category"], loads=loads)
    return route.rule, route.processor, route.because


def require_equal_decisions(database: Database, number: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(0, number, 10_000):
        cases = [random_case(random) for _ in range(10_000)]
        found = decided_by_sql(database, cases)
        differing = [
            (case, sql, client)
            for case, sql in zip(cases, found, strict=True)
            if sql != (client := decided_by_client(case))
        ]
        assert differing[:1] == []


def test_sql_and_the_client_decide_equally(database: Database) -> None:
    require_equal_decisions(database, 20_000, seed=1)


@pytest.mark.nightly
def test_sql_and_the_client_decide_a_million_jobs_equally(database: Database) -> None:
    require_equal_decisions(database, 1_000_000, seed=2)


def add_feature(database: Database, percentage: int, rules: list[dict[str, Any]]) -> None:
    add_repositories(database, RepositoryRow("acme/huge", stars=90_000), "acme/tiny")
    database.execute("SELECT categorize_all_repositories()")
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage, routing)"
        " VALUES ('capture', %(percentage)s, %(rules)s::jsonb)",
        percentage=percentage,
        rules=json.dumps(rules),
    )


def routed(
    database: Database, repository: str, kind: str | None = None, size: int | None = None
) -> dict[str, Any]:
    (row,) = database.rows(
        """
        SELECT routed.* FROM repositories,
        LATERAL route_rollout_job('capture', repositories.id, %(kind)s, %(size)s) AS routed
        WHERE full_name = %(repository)s
        """,
        repository=repository,
        kind=kind,
        size=size,
    )
    return row


def test_the_function_names_the_rule_that_decides(database: Database) -> None:
    add_feature(database, 100, RULES)
    assert routed(database, "acme/tiny", size=10) == {
        "processor": "inngest",
        "eligible": True,
        "rule": 1,
        "because": "somebody waits for it",
    }
    assert routed(database, "acme/huge", size=11)["rule"] == 2
    assert routed(database, "acme/tiny", size=11)["rule"] == 3


@pytest.mark.parametrize(
    "change",
    [
        "rollout_percentage = 0",
        "emergency_stop = true",
        "is_active = false",
        "feature_name = 'other'",
    ],
)
def test_only_the_fallback_takes_jobs_without_eligibility(database: Database, change: str) -> None:
    add_feature(database, 100, [{"to": "github_actions"}])
    database.execute(f"UPDATE rollout_configuration SET {change}")
    found = routed(database, "acme/tiny")
    assert (found["processor"], found["eligible"], found["rule"]) == ("inngest", False, None)


def test_a_client_routes_by_the_rules_of_the_database(database: Database) -> None:
    add_feature(database, 100, RULES)
    with RolloutClient(database.url) as client:
        for repository in ("acme/tiny", "acme/huge"):
            for size in SIZES:
                route = client.route(repository, Job("capture", size=size))
                found = routed(database, repository, size=size)
                assert (route.processor, route.rule) == (found["processor"], found["rule"])


def test_a_snapshot_has_the_rules(database: Database, tmp_path: Path) -> None:
    add_feature(database, 100, RULES)
    file = tmp_path / "snapshot"
    with RolloutClient(database.url, snapshot_file=file) as client:
        before = client.route("acme/huge", Job("capture", size=11))
    database.execute("ALTER TABLE rollout_configuration RENAME TO hidden")
    with RolloutClient(database.url, snapshot_file=file) as client:
        assert client.route("acme/huge", Job("capture", size=11)) == before
    assert before.rule == 2


@pytest.mark.parametrize(
    "rules",
    [
        {},
        [1],
        [{}],
        [{"to": 1}],
        [{"to": "a", "when": []}],
        [{"to": "a", "because": 1}],
        [{"to": "a", "spill": "true"}],
        [{"to": "a", "when": {"size": "ten"}}],
        [{"to": "a", "when": {"size": 10}}],
        [{"to": "a", "when": {"size": None}}],
        [{"to": "a", "when": {"kind": "reviews"}}],
        [{"to": "a", "when": {"kind": [1]}}],
        [{"to": "a", "when": {"category": "large"}}],
        [{"to": "a"}, {"to": "a", "when": {"category": ["huge"]}}],
    ],
    ids=str,
)
def test_the_database_refuses_rules_that_it_cannot_read(database: Database, rules: Any) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        add_feature(database, 100, rules)


def test_no_rule_lets_a_repository_in() -> None:
    random = Random(3)
    for _ in range(20_000):
        case = random_case(random)
        routing = read_routing("new", "old", case["rules"], case["choices"])
        job = Job("f", case["kind"] or "", case["size"] or 0)
        loads = {name: Load(**each) for name, each in case["loads"].items()}
        for known in (loads, None):
            found = routing.route(job, eligible=False, category=case["category"], loads=known)
            assert found.processor == "old"
