"""People and their roles; which groups have which role."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.rollout_file.characters import one_line
from reconciler.rollout_file.override import MAX_AUTHOR_LENGTH

EVERYONE: Final = "*"


class Role(StrEnum):
    """What a person may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Person:
    """A person who is signed in."""

    name: str
    role: Role
    is_by_header: bool = False
    """Whether each request has the person's token, so that no other page can send it."""

    @property
    def may_act(self) -> bool:
        """Whether the person may stop, roll back and resume."""
        return self.role is Role.OPERATOR


@dataclass(frozen=True, slots=True)
class RolesOfGroups:
    """The groups of each role; `*` means everyone who is signed in."""

    operators: Collection[str]
    viewers: Collection[str]

    def person(self, name: str, groups: Collection[str]) -> Person | None:
        """Return the person with the highest role of these groups; None without a role."""
        shown = one_line(name, MAX_AUTHOR_LENGTH)
        theirs = {*groups, EVERYONE}
        for role, of_role in ((Role.OPERATOR, self.operators), (Role.VIEWER, self.viewers)):
            if theirs & set(of_role):
                return Person(shown, role)
        return None
