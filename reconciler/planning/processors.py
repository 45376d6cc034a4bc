"""Processors: what a plan changes about their prices."""

from pydantic import BaseModel, ConfigDict

from reconciler.planning.named_changes import NamedChanges
from reconciler.rollout_file.routing import Processor

ProcessorsPlan = NamedChanges[Processor]
"""The prices of processors before and after an apply, by name."""


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ProcessorChangeReport(_Report):
    """A processor with another price."""

    before: Processor
    after: Processor


class ProcessorsReport(_Report):
    """What changes about the prices of processors, each by its name."""

    added: dict[str, Processor] = {}
    removed: dict[str, Processor] = {}
    changed: dict[str, ProcessorChangeReport] = {}


def report_processors(processors: ProcessorsPlan) -> ProcessorsReport:
    """Return what changes about prices as the JSON of a plan has it."""
    return ProcessorsReport.model_validate(processors.parts)
