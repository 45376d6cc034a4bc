"""Open rights: the rollout's objects that other roles can write or execute, and rows that are not hidden.

Only direct grants are listed. A role that is a member of another role also has that role's rights.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.database.driver import execute
from reconciler.database.queries import queries

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("open_rights")


@dataclass(frozen=True, slots=True)
class OpenRight:
    """What one role can do with one object of the rollout."""

    kind: str
    """`table`, `view`, `sequence`, `function`, or `schema` for the right to create objects beside it."""
    name: str
    role: str
    """`PUBLIC` for every role."""
    rights: list[str]


@dataclass(frozen=True, slots=True)
class Unsecured:
    """A table or view that shows all rows, in a database whose service hides rows of its own tables."""

    kind: str
    """`table` without row security, or `view` that reads with its owner's rights."""
    name: str


@dataclass(frozen=True, slots=True)
class OpenRights:
    """The open rights, and the missing rights; all lists are empty if there are none."""

    open: list[OpenRight]
    unsecured: list[Unsecured]
    missing: list[OpenRight] = field(default_factory=list)
    """The rights that the rollout's own roles lack, because an older release granted them."""


def find_open_rights(connection: "AnyConnection", *, trusted: Collection[str] = ()) -> OpenRights:
    """Return the rights of roles that are not trusted; the rollout's own four roles are trusted.

    The schema is this release's.
    """
    rights = execute(connection, _SQL["open_rights"], {"trusted": list(trusted)})
    unsecured = execute(connection, _SQL["unsecured"])
    return OpenRights(
        [OpenRight(**row) for row in rights.mappings()],
        [Unsecured(**row) for row in unsecured.mappings()],
    )
