"""Open rights: what other roles can write or execute of the rollout, and which of its rows are not hidden.

Only grants count, not who inherits them: a role that is a member of another has that one's rights too.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import text

from reconciler.database.queries import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

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
    """A table or view that shows all rows, where the service hides rows of its own tables."""

    kind: str
    """`table` without row security, or `view` that reads with its owner's rights."""
    name: str


@dataclass(frozen=True, slots=True)
class OpenRights:
    """What is open, and what is missing; nothing where all lists are empty."""

    open: list[OpenRight]
    unsecured: list[Unsecured]
    missing: list[OpenRight] = field(default_factory=list)
    """The rights that the rollout's own roles lack, because an older release granted them."""


def find_open_rights(connection: "Connection", *, trusted: Collection[str] = ()) -> OpenRights:
    """Return what is open to roles that are not trusted; the rollout's own four roles are.

    The schema is this release's.
    """
    rights = connection.execute(text(_SQL["open_rights"]), {"trusted": list(trusted)})
    unsecured = connection.execute(text(_SQL["unsecured"]))
    return OpenRights(
        [OpenRight(**row) for row in rights.mappings()],
        [Unsecured(**row) for row in unsecured.mappings()],
    )
