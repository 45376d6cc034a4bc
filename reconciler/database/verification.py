"""The evidence of a rollback, over every repository; `planning.verification` judges it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.database.blast_radius import measure_blast_radius
from reconciler.database.driver import execute
from reconciler.database.live_state import read_configurations
from reconciler.database.override_actions import FoundFeature
from reconciler.database.queries import queries
from reconciler.planning.feature_config import Configuration, from_state
from reconciler.planning.overrides import narrow
from reconciler.planning.verification import GitAnswer, JobsSince, RollbackFacts
from reconciler.rollout_file.override import Override

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("verification")


def read_rollback_facts(
    connection: "AnyConnection",
    found: FoundFeature,
    override: Override,
    *,
    fallback: str,
    git: GitAnswer,
) -> RollbackFacts:
    """Return the evidence about a feature under the override in force; writes nothing."""
    live = read_configurations(connection)[found.name]
    desired = found.standing.desired
    wanted = replace(
        _without_widening(live, _read_applied(connection, found.name)),
        active=desired.active,
        emergency_stop=False,
        percentage=desired.percentage,
    )
    demanded = narrow(wanted, override)
    # The violations are the repositories that a change from live to the override's state would
    # move.
    radius = measure_blast_radius(connection, found.name, live.targeting, demanded.targeting)
    # The answer of the function that services call counts.
    eligible: int = execute(connection, _SQL["eligible"], {"feature": found.name}).scalar()
    beyond = eligible - radius.before
    parameters = {"feature": found.name, "since": override.at}
    jobs = execute(connection, _SQL["jobs_since"], parameters | {"fallback": fallback}).one()
    history_rows = execute(
        connection, _SQL["history_rows"], parameters | {"override": str(override.id)}
    ).scalar()
    return RollbackFacts(
        override=override,
        live=found.standing.live,
        desired=desired,
        too_many=radius.lost + max(0, beyond),
        too_few=radius.gained + max(0, -beyond),
        repositories=radius.repositories,
        eligible=eligible,
        jobs=JobsSince(jobs.on_fallback, jobs.elsewhere, jobs.last_elsewhere_at),
        fallback=fallback,
        history_rows=history_rows,
        git=git,
    )


def _read_applied(connection: "AnyConnection", feature: str) -> Configuration | None:
    """Return a feature as the newest apply stored it; None if it had no such feature."""
    stored = execute(connection, _SQL["applied"], {"feature": feature}).scalar()
    return None if stored is None else from_state(feature, stored)


def _without_widening(live: Configuration, applied: Configuration | None) -> Configuration:
    """Return the live configuration without the widening that SQL made since the last apply."""
    if applied is None:
        return live
    return replace(
        live,
        strategy=applied.strategy,
        salt=applied.salt,
        bucketing=applied.bucketing,
        whitelist=live.whitelist & applied.whitelist,
        exclusions=live.exclusions | applied.exclusions,
    )
