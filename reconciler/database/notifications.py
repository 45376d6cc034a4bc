"""The queue of notifications: when it is over half full, the schema's triggers stop notifying.

With a full queue each commit that notifies would fail, and a stop must not fail.
"""

from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.queries import queries

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("notifications")

NOTIFIES_UP_TO_PERCENT: Final = 50.0
"""The same number as in the schema's triggers."""
PAUSED: Final = (
    "the database's queue of notifications is over half full, so triggers stopped sending notifications "
    "and clients only poll; end the session that listens and is idle in a transaction"
)


def read_queue_usage(connection: "AnyConnection") -> float:
    """Return how full the server's queue of notifications is, in percent."""
    return float(execute(connection, _SQL["queue_usage"]).scalar())
