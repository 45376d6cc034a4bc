"""The rule of approvals as an apply stored it, and as the JSON of a plan has it."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from reconciler.planning.named_changes import NamedChanges
from reconciler.planning.stored_state import unreadable_key
from reconciler.rollout_file.approvals import Approvals

ApprovalsPlan = NamedChanges[Approvals]
"""What an apply changes about the rule, under the name `rule`."""


def read_rule(stored: Mapping[str, Any] | None) -> Approvals | None:
    """Return the rule that an apply stored as JSON.

    Raises:
        SetupInvalid: a newer release stored a rule that this release cannot read.
    """
    try:
        return None if stored is None else Approvals.model_validate(stored)
    except ValidationError as error:
        raise unreadable_key("approvals", error) from error


def plan_rule(before: Approvals | None, after: Approvals | None) -> ApprovalsPlan:
    """Return what an apply changes about the rule."""
    named = ({} if each is None else {"rule": each} for each in (before, after))
    return ApprovalsPlan(*named)


class ApprovalsChangeReport(BaseModel):
    """The rule before and after."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    before: Approvals
    after: Approvals


class ApprovalsReport(BaseModel):
    """What changes about the rule of approvals, under the name `rule`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    added: dict[str, Approvals] = {}
    removed: dict[str, Approvals] = {}
    changed: dict[str, ApprovalsChangeReport] = {}


class ApproverReport(BaseModel):
    """A person who approved a change."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    at: str
    """The pull request and its head, or the signed commit."""


def report_approvals(approvals: ApprovalsPlan) -> ApprovalsReport:
    """Return what changes about the rule as the JSON of a plan has it."""
    return ApprovalsReport.model_validate(approvals.parts)
