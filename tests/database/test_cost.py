"""What recorded jobs cost."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from reconciler.database.cost import read_job_groups
from reconciler.planning.cost import CostReport, cost_report
from reconciler.rollout_file.routing import Cost
from rollout_client.route import Routing
from tests.builders import RepositoryRow, add_repositories
from tests.postgres import Database

COSTS = {
    "github_actions": Cost(per_minute=Decimal("0.006"), round_up=timedelta(minutes=1)),
    "inngest": Cost(per_execution=Decimal("0.0001"), executions_per_job=6),
}


def read(database: Database) -> CostReport:
    since = datetime.now(UTC) - timedelta(hours=1)
    with database.engine.connect() as connection:
        groups = read_job_groups(connection, "capture", since, COSTS)
    return cost_report("capture", groups, COSTS, Routing())


@pytest.mark.parametrize(
    "repositories",
    [
        pytest.param(5, id="busy rows"),
        pytest.param(2_000, id="rows of few jobs", marks=pytest.mark.nightly),
    ],
)
def test_a_forecast_is_near_the_bill_of_replayed_jobs(
    database: Database, repositories: int
) -> None:
    random = Random(repositories)
    rows = [
        RepositoryRow(f"acme/r{number}", stars=random.choice([0, 40, 400, 4_000]))
        for number in range(repositories)
    ]
    add_repositories(database, *rows)
    database.execute("INSERT INTO rollout_configuration (feature_name) VALUES ('capture')")
    ids = [row["id"] for row in database.rows("SELECT id FROM repositories ORDER BY full_name")]
    means = {"comments": 8, "reviews": 55, "pull_requests": 200}
    bill = 0.0
    for _ in range(10):
        kinds = random.choices(list(means), k=10_000)
        seconds = [random.lognormvariate(math.log(means[kind]), 0.8) for kind in kinds]
        bill += sum(math.ceil(each / 60) * 0.006 for each in seconds)
        database.execute(
            "SELECT record_rollout_jobs('capture', %(ids)s::uuid[], %(processors)s::text[],"
            " %(succeeded)s::boolean[], %(seconds)s::double precision[],"
            " job_kinds => %(kinds)s::text[])",
            ids=random.choices(ids, k=10_000),
            processors=["inngest"] * 10_000,
            succeeded=[True] * 10_000,
            seconds=seconds,
            kinds=kinds,
        )

    found = read(database)

    assert found.jobs == 100_000
    assert found.now == pytest.approx(100_000 * 0.0006)
    assert found.at_100 == pytest.approx(bill, rel=0.05)
