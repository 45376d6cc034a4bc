"""The file's `override:` of a feature: a limit that write-back writes, and that people remove."""

from typing import Annotated

from pydantic import ConfigDict, Field

from reconciler.rollout_file.part import Part
from reconciler.rollout_file.value_types import Identifier, Moment, OnlyTrue, Percentage, Text

MAX_REASON_LENGTH = 1_000
MAX_AUTHOR_LENGTH = 100


class Override(Part):
    """A limit below the desired state, written by the reconciler; remove it to resume.

    Exactly one of `percentage` and `emergency_stop`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["percentage"]}, {"required": ["emergency_stop"]}]
        }
    )

    id: Identifier = Field(examples=["019343a7-6f8e-7c34-9a55-0b8a1f0d2c11"])
    """The id of this override in git, in the database and in the history."""
    percentage: Percentage | None = Field(None, examples=[0])
    """The limit, a percentage; above the feature's own it has no effect."""
    emergency_stop: OnlyTrue | None = Field(None, examples=[True])
    """A stop: no repository is eligible, also none of the whitelist."""
    reason: Annotated[Text, Field(max_length=MAX_REASON_LENGTH)] = Field(
        examples=["error rate 12.50% over 5% (25 of 200 jobs in 24h)"]
    )
    """The reason."""
    by: Annotated[Text, Field(max_length=MAX_AUTHOR_LENGTH)] = Field(examples=["auto-rollback"])
    """The person or the part of the reconciler that wrote it."""
    at: Moment = Field(examples=["2026-11-23T12:00:00Z"])
    """The time, with a time zone (RFC 3339)."""
