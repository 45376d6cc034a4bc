"""Templates of PromQL: a query with placeholders for the feature's name and for the window."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from reconciler.errors import SetupInvalid

DEFAULT_JOBS: Final = (
    "sum by (category, processor) (increase(rollout_jobs_total{feature=$feature}[$window]))"
)
DEFAULT_ERRORS: Final = (
    "sum by (category, processor) "
    '(increase(rollout_jobs_total{feature=$feature, outcome="failed"}[$window]))'
)

_PLACEHOLDER: Final = re.compile(r"\$(feature|window)\b")
_STRING: Final = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`""", re.DOTALL)
_HARMLESS: Final = re.compile(r"[A-Za-z0-9_.,:/ -]")


@dataclass(frozen=True, slots=True)
class Template:
    """A query, with `$feature` for the name with its quotes, and `$window` for the time."""

    text: str

    @classmethod
    def parse(cls, text: str, *, option: str) -> Self:
        """Return the template in a text.

        Raises:
            SetupInvalid: a placeholder is missing or inside quotes; the message names the option.
        """
        for place in ("$feature", "$window"):
            if place not in (found[0] for found in _PLACEHOLDER.finditer(_STRING.sub("", text))):
                raise SetupInvalid(
                    f"{option} has no {place} outside quotes; write it as in the default: "
                    "increase(rollout_jobs_total{feature=$feature}[$window])"
                )
        if any(_PLACEHOLDER.search(quoted) for quoted in _STRING.findall(text)):
            raise SetupInvalid(
                f"{option} has a placeholder inside quotes; $feature includes quotes: {{feature=$feature}}"
            )
        return cls(text)

    def fill(self, feature: str, window: timedelta) -> str:
        """Return the query for one feature and a window, in milliseconds."""
        values = {
            "feature": _as_string(feature),
            "window": f"{window // timedelta(milliseconds=1)}ms",
        }
        return _PLACEHOLDER.sub(lambda place: values[place[1]], self.text)


def _as_string(text: str) -> str:
    escaped = (each if _HARMLESS.fullmatch(each) else f"\\U{ord(each):08x}" for each in text)
    return f'"{"".join(escaped)}"'
