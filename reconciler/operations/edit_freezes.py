"""Editing the freezes of the rollout file."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from reconciler.errors import NotFound
from reconciler.operations.edit import Edit
from reconciler.rollout_file.characters import quoted
from reconciler.rollout_file.editing import with_item, without_item

if TYPE_CHECKING:
    from reconciler.rollout_file.model import Rollout


def add_freeze(
    content: bytes, rollout: "Rollout", values: Mapping[str, str | Sequence[str]]
) -> Edit:
    """Return the edit that adds a freeze; the file's reader refuses wrong values.

    Args:
        content: of the file.
        rollout: its desired state.
        values: the keys of the freeze and their texts, without defaults.
    """
    name = values["name"]
    if any(each.name == name for each in rollout.freezes):
        remark = f"there is a freeze {name} already; remove it to write another"
        return Edit(None, content, f"Add the freeze {name}", (remark,))
    return Edit(None, with_item(content, ("freezes",), values), f"Add the freeze {name}")


def remove_freeze(content: bytes, rollout: "Rollout", name: str) -> Edit:
    """Return the edit that removes a freeze.

    Raises:
        NotFound: the file has no freeze of this name.
    """
    names = [each.name for each in rollout.freezes]
    if name not in names:
        known = ", ".join(names) or "none"
        raise NotFound(f"the file has no freeze {quoted(name)}; it has: {known}")
    edited = without_item(content, ("freezes",), names.index(name))
    return Edit(None, edited, f"Remove the freeze {name}")
