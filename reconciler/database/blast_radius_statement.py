"""The statements of the blast radius, written for a number of features."""

import re
from typing import Final

from reconciler.database.queries import queries
from rollout_client.targeting.categories import Category

STATEMENTS: Final = queries("blast_radius")

_EACH_FEATURE: Final = re.compile(
    r"^ *-- each feature$\n(.*?)^ *-- end$\n", re.MULTILINE | re.DOTALL
)
_SEVERAL_FEATURES: Final = re.compile(r"^(.*) -- several features$\n", re.MULTILINE)
_LIMITS_OF: Final = re.compile(r"limits_of\((:\w+)\)")
_LIMITS: Final = 3 * (len(Category) - 1) + len(Category)
"""The columns of `category_limits`: three limits of each category but the last, and the priority of each."""


def composed_statement(count: int, result: str, **sources: str) -> str:
    """Return a statement that reads the named results of others, written for this number of features."""
    named = ",\n".join(
        f"{name} AS NOT MATERIALIZED (\n{_query(statement)}\n)"
        for name, statement in sources.items()
    )
    statement = "\n".join(["WITH", named, "SELECT * FROM (", _query(result), ") AS summary"])

    def repeat(found: re.Match[str]) -> str:
        return "".join(found[1].replace("_0", f"_{number}") for number in range(count))

    statement = _SEVERAL_FEATURES.sub(r"\1\n" if count > 1 else "", statement)
    return _LIMITS_OF.sub(_row_of_limits, _EACH_FEATURE.sub(repeat, statement))


def _row_of_limits(found: re.Match[str]) -> str:
    numbers = (f"(CAST({found[1]} AS integer []))[{each}]" for each in range(1, _LIMITS + 1))
    return f"CAST(ROW({', '.join(numbers)}) AS public.category_limits)"


def _query(name: str) -> str:
    return STATEMENTS[name].strip().rstrip(";")
