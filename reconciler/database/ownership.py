"""Objects of other accounts under the rollout's names: refused before a statement uses one of them."""

import re
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.errors import SetupInvalid

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("ownership")

_CREATED_FUNCTION: Final = re.compile(
    r"^CREATE (?:OR REPLACE )?FUNCTION public\.(\w+)", re.MULTILINE
)


def require_trusted_owners(connection: "AnyConnection", *, adopted: bool) -> None:
    """Refuse tables, views and functions under the rollout's names that belong to an untrusted account.

    Args:
        connection: where to look.
        adopted: whether the schema is there already; the service's tables then belong to the service.

    Raises:
        SetupInvalid: there is such an object; the message names it and its owner.
    """
    from reconciler.database.migrations.files import object_texts

    functions = {name for each in object_texts() for name in _CREATED_FUNCTION.findall(each)}
    parameters = {"adopted": adopted, "functions": sorted(functions)}
    found = execute(connection, _SQL["foreign"], parameters).all()
    if found:
        named = "; ".join(f"the {row.kind} {row.name} belongs to {row.owner}" for row in found)
        raise SetupInvalid(
            f"{named}; it is neither a superuser nor the owner of the database or of the schema, and could "
            "change what runs with the rights of this account; nothing was written; upgrade as that owner, "
            "give the object to a trusted owner, or drop it"
        )
