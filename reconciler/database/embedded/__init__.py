"""The embedded database: a Postgres of the project's own, beside its rollout file.

`EmbeddedServer` starts it on demand, reports its state and stops it; the other modules own its binaries,
its account, its data folder and its process.
"""

from reconciler.database.embedded.binaries import Binaries, installed_binaries
from reconciler.database.embedded.server import EmbeddedServer, ServerState, ServerStatus

__all__ = ["Binaries", "EmbeddedServer", "ServerState", "ServerStatus", "installed_binaries"]
