"""Public imports of services: names, methods, parameters, fields and values."""

import dataclasses
import enum
import inspect
from collections.abc import Iterator
from typing import Any

import reconciler
import reconciler.client
import reconciler.openfeature
from tests.contracts.record import check_lines

CONTEXTS = {"__enter__", "__exit__", "__aenter__", "__aexit__"}


def test_public_imports() -> None:
    names = {
        "reconciler.RolloutConsole": reconciler.RolloutConsole,
        **{
            f"{module.__name__}.{name}": getattr(module, name)
            for module in (reconciler.client, reconciler.openfeature)
            for name in module.__all__
        },
    }

    assert reconciler.__version__.count(".") == 2
    check_lines("imports", (line for name, value in names.items() for line in _lines(name, value)))


def _lines(name: str, value: Any) -> Iterator[str]:
    if not inspect.isclass(value):
        yield f"{name} = {value}" if isinstance(value, str) else name
        return
    if issubclass(value, enum.Enum):
        yield f"{name}: {', '.join(f'{each.name}={each.value!r}' for each in value)}"
        return
    yield f"{name}{_parameters(value)}"
    if dataclasses.is_dataclass(value):
        yield f"{name} fields: {', '.join(each.name for each in dataclasses.fields(value))}"
    for attribute, member in inspect.getmembers(value):
        if attribute.startswith("_") and attribute not in CONTEXTS:
            continue
        # The members of a library's base class are the library's contract.
        if inspect.isroutine(member) and member.__module__.startswith(
            ("reconciler.", "rollout_client.")
        ):
            kind = "async " if inspect.iscoroutinefunction(member) else ""
            yield f"{kind}{name}.{attribute}{_parameters(member)}"
        elif isinstance(member, property):
            yield f"{name}.{attribute} property"


def _parameters(function: Any) -> str:
    """Names, kinds and defaults, without annotations: a class in one may move to another module."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return "(…)"
    parameters = [
        each.replace(
            annotation=inspect.Parameter.empty,
            default=each.default if _is_plain(each.default) else ...,
        )
        for each in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters)).replace("Ellipsis", "…")


def _is_plain(default: Any) -> bool:
    return default is inspect.Parameter.empty or isinstance(default, str | int | float | None)
