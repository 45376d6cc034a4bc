"""The statements of the database's room, in `sql/*.sql`."""

from collections.abc import Mapping

from rollout_client.statements import statements


def queries(subject: str) -> Mapping[str, str]:
    """Return the statements of the file `sql/<subject>.sql` by their names."""
    return statements("reconciler.database", subject)
