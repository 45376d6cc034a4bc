"""Approvals of the file: how many other people must approve a change that widens an audience."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.rollout_file.value_types import ApprovalCount, Percentage, Truth
from reconciler.wording import counted, show_number


class Approvals(BaseModel):
    """The approvals that an apply needs for a change that widens an audience."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    widening: ApprovalCount = Field(1, examples=[1, 2])
    """The number of people, other than the authors, who approve each change that widens; 1 to 10."""
    over: Percentage | None = Field(None, examples=[50])
    """The percentage above which one of them is a code owner; without it, for each change that widens."""
    code_owners: Truth = Field(default=False, examples=[True])
    """Whether one of them is an owner of the file by CODEOWNERS."""

    @property
    def summary(self) -> str:
        """The rule in one line, as a plan shows it."""
        number = f"{counted(self.widening, 'approval')} for each change that widens"
        if not self.code_owners:
            return number
        above = "" if self.over is None else f" above {show_number(self.over)} percent"
        return f"{number}; one of a code owner{above}"

    def needs_owner(self, share: Decimal) -> bool:
        """Return whether a widening up to this percentage needs a code owner."""
        return self.code_owners and (self.over is None or share > self.over)

    def is_loosened_by(self, other: "Approvals | None") -> bool:
        """Return whether another rule asks for less in any case."""
        if other is None or other.widening < self.widening:
            return True
        if not self.code_owners:
            return False
        before, after = (each.over or Decimal(0) for each in (self, other))
        return not other.code_owners or after > before
