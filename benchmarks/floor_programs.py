"""The programs that are floors, the configuration of octoDNS, and the rows of a used database."""

from typing import Final, LiteralString

IMPORTS: Final = "import click, yaml, pydantic, sqlalchemy, psycopg"
IMPORTS_OF_A_STOP: Final = "import click, pydantic, psycopg"

FLOOR_OF_A_LIST: Final = """
import click, yaml, pydantic, sqlalchemy, psycopg, os
document = yaml.load(open("rollout.yaml"), yaml.CSafeLoader)
names = next(each["whitelist"] for each in document["features"].values() if "whitelist" in each)
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("CREATE TEMPORARY TABLE given (listed text)")
    with connection.cursor().copy("COPY given FROM STDIN") as copy:
        for name in names:
            copy.write_row((name,))
    connection.execute(
        "SELECT array_agg(id) FROM repositories JOIN given ON lower(full_name) = lower(listed)"
    ).fetchall()
"""
_INSERT: Final = """
    connection.execute("CREATE TABLE written (key text PRIMARY KEY, id uuid)")
    connection.execute(
        "INSERT INTO written SELECT full_name, id FROM repositories"
        " JOIN given ON lower(full_name) = lower(listed)"
    )
    connection.rollback()
"""
FLOOR_OF_AN_APPLY: Final = FLOOR_OF_A_LIST + _INSERT
FLOOR_OF_A_PLAN: Final = """
import click, yaml, pydantic, sqlalchemy, psycopg, os
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    for _ in range(20):
        connection.execute(
            "SELECT count(sha256(convert_to('salt:' || id::text, 'UTF8'))) FROM repositories"
        ).fetchall()
"""
OCTODNS: Final = """
providers:
  source:
    class: octodns.provider.yaml.YamlProvider
    directory: zones/source
    default_ttl: 300
  target:
    class: octodns.provider.yaml.YamlProvider
    directory: zones/target
    default_ttl: 300
zones:
  example.com.:
    sources: [source]
    targets: [target]
"""
METRICS: LiteralString = """
INSERT INTO rollout_metrics (
    rollout_config_id, repository_id, processor_type, total_jobs, error_count,
    metrics_window_start, metrics_window_end, updated_at, category
)
SELECT
    configuration.id, repository.id, (ARRAY['github_actions', 'inngest'])[1 + series.number %% 2], 2,
    (series.number %% 100 = 0)::integer, bin.start, bin.start + interval '5 minutes',
    bin.start + interval '1 minute', 'small'
FROM generate_series(1, %(rows)s / 20) AS series (number)
CROSS JOIN rollout_configuration AS configuration
INNER JOIN (
    SELECT id, row_number() OVER () AS number FROM repositories LIMIT 1000
) AS repository ON repository.number = series.number %% 1000 + 1
CROSS JOIN LATERAL (
    SELECT date_bin(
        '5 minutes', now() - interval '23 hours' * series.number * 20 / %(rows)s,
        '2000-01-01 00:00:00+00'
    ) AS start
) AS bin
"""
HISTORY: LiteralString = """
INSERT INTO rollout_history (rollout_config_id, action, reason, triggered_by, created_at)
SELECT configuration.id, 'updated', 'a benchmark', 'a benchmark', now() - interval '1 second' * number
FROM generate_series(1, %(rows)s / 20) AS number
CROSS JOIN rollout_configuration AS configuration
"""
