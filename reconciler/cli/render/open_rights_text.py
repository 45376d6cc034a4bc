"""Open rights as text: what other roles can write or execute, and what shows rows that the service hides."""

from typing import TYPE_CHECKING

from reconciler.cli.render.text import for_line

if TYPE_CHECKING:
    from reconciler.database.open_rights import OpenRights


def open_rights_lines(found: "OpenRights") -> list[str]:
    """Return a line for each object that is open; no line where nothing is."""
    lines = [
        for_line(f"open to {each.role}: {each.kind} {each.name}: {', '.join(each.rights)}")
        for each in found.open
    ]
    lines += (
        f"row security is off, where the service hides rows of its own: {for_line(each.name)}"
        if each.kind == "table"
        else f"the view shows rows that the service hides, to roles that can read it: {for_line(each.name)}"
        for each in found.unsecured
    )
    return lines
