"""Overrides that the database lost: a failover or a restore ended its log before they were written.

The file on the rollout's branch has them, or a watcher that saw them in force. They are put in force
again under their own ids. Nothing is widened: a row with the same id counts more, in any state.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.database.override_actions import lock_feature, write_act
from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, write_transaction
from reconciler.errors import NotFound
from reconciler.git.checkout import CannotWriteBack, Checkout, Remote, find_checkout
from reconciler.git.quarantine import quarantine
from reconciler.git.rollout_branch import rollout_branch
from reconciler.git.write_back import read_tip
from reconciler.operations.events import OverrideRestored, Witness
from reconciler.operations.listeners import Emit
from reconciler.planning.history import Action, HistoryCause
from reconciler.planning.override_actions import AUTO_ROLLBACK, put_back
from reconciler.rollout_file.override import Override
from reconciler.wording import describe_limit

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

OverridesByFeature = Mapping[str, Override]


def put_back_lost(
    database: Database, overrides: OverridesByFeature, witness: Witness, emit: Emit
) -> None:
    """Put each override in force that the database does not know, and that is narrower than the one in force.

    Each is a transaction of its own, with one row of history. A feature that the database does not have
    is left to the next apply, which creates it with its override.

    Args:
        database: the rollout's database.
        overrides: the overrides that were in force.
        witness: where they were found.
        emit: receives each one that is put back.

    Raises:
        ReconcilerError: the database refused; those before it are in force.
    """
    for feature, override in overrides.items():
        try:
            is_put_back = write_transaction(
                database, partial(_put_back, feature=feature, override=override, witness=witness)
            )
        except NotFound:
            continue
        if is_put_back:
            emit(OverrideRestored(feature, override, witness))


def read_branch_overrides(
    file: Path, *, remote: str | None = None, branch: str | None = None
) -> OverridesByFeature:
    """Return the overrides of the file at a branch's tip; none where no remote has the file.

    Args:
        file: the rollout file in a checkout, which is not changed.
        remote: the remote; by default the upstream's, else `origin`.
        branch: the branch; by default the rollout's (`rollout_branch`).

    Raises:
        CannotWriteBack: the remote does not answer or has no such branch, or the file there is invalid.
    """
    found = _find_remote(file, remote)
    if found is None:
        return {}
    checkout, chosen = found
    with quarantine(checkout, chosen) as place:
        tip = read_tip(place, branch or rollout_branch(checkout, place))
        return {
            name: each.override
            for name, each in tip.document.rollout.features.items()
            if each.override is not None
        }


def _find_remote(file: Path, remote: str | None) -> tuple[Checkout, Remote] | None:
    try:
        checkout = find_checkout(file)
        return checkout, checkout.choose_remote(remote)
    except CannotWriteBack:
        return None


def _put_back(
    connection: "AnyConnection", *, feature: str, override: Override, witness: Witness
) -> bool:
    require_newest(connection)
    found = lock_feature(connection, feature)
    act = put_back(found.standing, override)
    if act is None:
        return False
    limit = describe_limit(override.percentage)
    cause = HistoryCause(
        by=AUTO_ROLLBACK,
        reason=f"a failover or a restore lost {limit} by {override.by}; {witness} had it: {override.reason}",
        details={"witness": witness.value},
    )
    write_act(connection, found, act, action=Action.RESTORED, override=override.id, cause=cause)
    return True
