"""Open rights as text: objects that other roles can write or execute, and hidden rows that they can read."""

from collections import Counter
from typing import TYPE_CHECKING

from reconciler.cli.render.text import for_line
from reconciler.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.database.open_rights import OpenRight, OpenRights


def open_rights_lines(found: "OpenRights") -> list[str]:
    """Return a line for each object that is open; no line where nothing is."""
    lines = [
        for_line(f"open to {each.role}: {each.kind} {each.name}: {', '.join(each.rights)}")
        for each in found.open
    ]
    lines += (
        f"row security is off, but the service uses it on its own tables: {for_line(each.name)}"
        if each.kind == "table"
        else f"the view shows rows that the service hides, to roles that can read it: {for_line(each.name)}"
        for each in found.unsecured
    )
    lines += (
        for_line(f"missing for {each.role}: {each.kind} {each.name}: {', '.join(each.rights)}")
        for each in found.missing
    )
    if found.missing:
        lines.append("to grant the missing rights, run: reconcile db roles --apply")
    return lines


def missing_rights_line(missing: "Sequence[OpenRight]") -> str | None:
    """Return how many rights each role lacks and what to do, in a line; None if no right is missing."""
    if not missing:
        return None
    lacking = Counter(each.role for each in missing)
    roles = ", ".join(
        f"{role} lacks {counted(number, 'right')}" for role, number in sorted(lacking.items())
    )
    return f"{roles}; run: reconcile db roles --apply"
