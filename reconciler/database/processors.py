"""The prices of processors, as the last applied file has them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.errors import SetupInvalid
from reconciler.planning.processors import ProcessorsPlan
from reconciler.rollout_file.routing import Cost, Processor

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("processors")


def read_processors(connection: "AnyConnection") -> Mapping[str, Processor]:
    """Return the processors that have a price, by name.

    Raises:
        SetupInvalid: SQL by hand wrote a cost that cannot be read.
    """
    return {
        row.name: Processor(
            cost=_read_cost(row.name, row.cost), concurrency=row.concurrency, as_of=row.as_of
        )
        for row in execute(connection, _SQL["processors"])
    }


def write_processors(connection: "AnyConnection", plan: ProcessorsPlan) -> None:
    """Write the prices of a file that is applied."""
    if plan.removed:
        execute(connection, _SQL["remove_processors"], {"names": list(plan.after)})
    for name in (*plan.added, *plan.changed):
        processor = plan.after[name]
        execute(
            connection,
            _SQL["write_processor"],
            {
                "name": name,
                "cost": processor.cost.model_dump_json(exclude_defaults=True),
                "concurrency": processor.concurrency,
                "as_of": processor.as_of,
            },
        )


def _read_cost(name: str, cost: Mapping[str, Any]) -> Cost:
    try:
        return Cost.model_validate(_numbers(cost))
    except ValidationError as error:
        raise SetupInvalid(
            f"public.rollout_processor: the cost of {name!r} cannot be read: "
            f"{error.errors()[0]['msg']}; delete the row, and apply the file"
        ) from error


def _numbers(cost: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers of JSON as the decimals that the model reads."""
    return {
        key: Decimal(str(value)) if isinstance(value, float) else value
        for key, value in cost.items()
    }
