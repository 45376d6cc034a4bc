"""The names of features and repositories, without anything else, on a connection of either kind."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler.database.driver import execute
from reconciler.database.queries import queries

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("names")


def read_feature_names(connection: "AnyConnection") -> Sequence[str]:
    """Return every feature's name, without its configuration."""
    return [row.feature_name for row in execute(connection, _SQL["feature_names"])]


def names_with_prefix(connection: "AnyConnection", prefix: str, limit: int) -> Sequence[str]:
    """Return names of repositories that begin with a prefix, in any case, in order."""
    parameters = {"prefix": prefix, "limit": limit}
    return [row.full_name for row in execute(connection, _SQL["repository_names"], parameters)]
