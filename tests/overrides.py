"""Set and resume overrides by SQL as the commands do: row, configuration and history at once."""

from uuid import UUID, uuid4

from tests.postgres import Database

FEATURE = "hybrid_progressive_capture"
REASON = "error rate 12.50% over 5% (25 of 200 jobs in 24h)"

_LIMIT = """
    WITH superseded AS (
        UPDATE rollout_override SET state = 'done', superseded_by = %(id)s
        WHERE state = 'on' AND rollout_config_id =
            (SELECT id FROM rollout_configuration WHERE feature_name = %(feature)s)
    ), limited AS (
        UPDATE rollout_configuration SET
            rollout_percentage = least(rollout_percentage, coalesce(%(percentage)s, 0)),
            emergency_stop = emergency_stop OR %(percentage)s::numeric IS NULL
        WHERE feature_name = %(feature)s
        RETURNING id
    )
    INSERT INTO rollout_history (rollout_config_id, action, reason, triggered_by)
    SELECT id, 'auto_rollback', %(reason)s, %(by)s FROM limited
"""

_MAKE = """
    INSERT INTO rollout_override
        (id, rollout_config_id, percentage, emergency_stop, reason, triggered_by)
    SELECT %(id)s, id, %(percentage)s, %(percentage)s::numeric IS NULL, %(reason)s, %(by)s
    FROM rollout_configuration WHERE feature_name = %(feature)s
"""

_RESUME = """
    WITH RECURSIVE resumed AS (
        SELECT id, rollout_config_id FROM rollout_override
        WHERE state = 'on' AND rollout_config_id =
            (SELECT id FROM rollout_configuration WHERE feature_name = %(feature)s)
        UNION
        SELECT o.id, o.rollout_config_id
        FROM rollout_override AS o JOIN resumed ON o.superseded_by = resumed.id
    ), off AS (
        UPDATE rollout_override SET state = 'off' WHERE id IN (SELECT id FROM resumed)
    ), widened AS (
        UPDATE rollout_configuration SET rollout_percentage = %(percentage)s, emergency_stop = false
        WHERE feature_name = %(feature)s RETURNING id
    )
    INSERT INTO rollout_history (rollout_config_id, action, reason, triggered_by)
    SELECT id, 'resumed', 'fixed', 'ada' FROM widened
"""


def limit(
    database: Database,
    feature: str = FEATURE,
    *,
    to: int | None = None,
    reason: str = REASON,
    by: str = "auto-rollback",
) -> UUID:
    """Limit a feature to a percentage, or stop it; return the override's id."""
    override = uuid4()
    parameters = {
        "id": override,
        "feature": feature,
        "percentage": to,
        "reason": reason,
        "by": by,
    }
    with database.connect() as connection:
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        connection.execute(_LIMIT, parameters)
        connection.execute(_MAKE, parameters)
    return override


def resume(database: Database, feature: str = FEATURE, *, to: int = 10) -> None:
    """Resume a feature, as `resume` does, with the percentage that the file declares."""
    with database.connect() as connection:
        connection.execute(_RESUME, {"feature": feature, "percentage": to})
