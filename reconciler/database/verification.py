"""Reading what a rollback left, for every repository: the evidence that `planning.verifying` judges."""

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import text

from reconciler.database.blast_radius import measure_blast_radius
from reconciler.database.live_state import read_configurations
from reconciler.database.override_actions import FoundFeature
from reconciler.database.queries import queries
from reconciler.planning.overrides import narrow
from reconciler.planning.verification import Evidence, GitAnswer, JobsSince
from reconciler.rollout_file.model import Override

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("verification")


def read_evidence(
    connection: "Connection",
    found: FoundFeature,
    override: Override,
    *,
    fallback: str,
    git: GitAnswer,
) -> Evidence:
    """Return what there is to tell of a feature under the override in force; reads, writes nothing."""
    live = read_configurations(connection)[found.name]
    desired = found.standing.desired
    meant = replace(
        live, active=desired.active, emergency_stop=False, percentage=desired.percentage
    )
    demanded = narrow(meant, override)
    # What a change from live to what the override demands would move is what does not hold.
    radius = measure_blast_radius(connection, found.name, live.targeting, demanded.targeting)
    parameters = {"feature": found.name, "since": override.at}
    jobs = connection.execute(text(_SQL["jobs_since"]), parameters | {"fallback": fallback}).one()
    history_rows = connection.execute(
        text(_SQL["history_rows"]), parameters | {"override": str(override.id)}
    ).scalar_one()
    return Evidence(
        override=override,
        live=found.standing.live,
        desired=desired,
        too_many=radius.lost,
        too_few=radius.gained,
        repositories=radius.repositories,
        eligible=radius.before,
        jobs=JobsSince(jobs.on_fallback, jobs.elsewhere, jobs.last_elsewhere_at),
        fallback=fallback,
        history_rows=history_rows,
        git=git,
    )
