"""The base of the models of a rollout file's parts."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of the file; unknown keys are refused. Its validator is built at its first use."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
