"""From the model's refusals to findings: the place in the file, the path, and one sentence.

The model has values; this module looks up a value's node, so that the sentence shows the written text and
the correction.
"""

from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from reconciler.errors import Finding
from reconciler.rollout_file.approvals import Approvals
from reconciler.rollout_file.characters import cut, quoted
from reconciler.rollout_file.freezes import Freeze
from reconciler.rollout_file.model import Feature, Guards, Health, Rollout, Stage
from reconciler.rollout_file.nodes import (
    Alias,
    Items,
    KeyPath,
    Node,
    Nothing,
    Scalar,
    Table,
    finding_at,
    node_at,
    scalar_value,
)
from reconciler.rollout_file.notifications import Target
from reconciler.rollout_file.override import Override
from reconciler.rollout_file.routing import Condition, Cost, Processor, RoutedJobs, RoutingRule
from reconciler.rollout_file.thresholds import Categories, CategoryThreshold, EnterpriseThreshold

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails, ValidationError

LIST_HINT = "a list: one entry a line after a dash, or [] for none"
TABLE_HINT = "`key: value` lines, indented, or {} for the defaults"
ROOT_HINT = "version: 1, and the other keys as `key: value` lines below it"
MAX_GUESSED_KEY_LENGTH = 100


def model_findings(error: "ValidationError", root: Node, most: int) -> Iterator[Finding]:
    """Yield a finding for each of the first `most` values below `root` that the model refused."""
    for each in error.errors(include_url=False, include_input=False)[:most]:
        finding = _finding(each, root)
        if finding is not None:
            yield finding


def _finding(error: "ErrorDetails", root: Node) -> Finding | None:
    path: KeyPath = error["loc"]
    context: dict[str, Any] = error.get("ctx", {})
    if error["type"] == "feature_name":
        *parent, name, _ = path
        found = node_at(root, (*parent, name))
        return finding_at(found[1], tuple(parent), context["message"]) if found else None
    if error["type"] == "missing":
        *parent, key = path
        found = node_at(root, tuple(parent))
        return (
            finding_at(found[1], tuple(parent), _missing(str(key), tuple(parent)))
            if found
            else None
        )
    found = node_at(root, path)
    if found is None or isinstance(found[0], Alias):
        return None
    node, place = found
    if error["type"] == "extra_forbidden":
        *parent, key = path
        return finding_at(place, tuple(parent), _unknown_key(str(key), tuple(parent)))
    if not path:
        return finding_at(place, path, _wrong_type(node, ROOT_HINT, in_list=False))
    in_list = isinstance(path[-1], int)
    return finding_at(place, path, _sentence(error["type"], context, node, in_list=in_list))


def _sentence(kind: str, context: dict[str, Any], node: Node, *, in_list: bool) -> str:
    match kind:
        case "refused":
            sentence = str(context["message"])
        case "wrong_type":
            sentence = _wrong_type(node, context["expected"], in_list=in_list)
        case "tuple_type":
            sentence = _wrong_type(node, LIST_HINT, in_list=in_list)
        case "greater_than_equal":
            sentence = f"{_written(node)} is less than {context['ge']}"
        case "greater_than":
            sentence = f"{_written(node)} is not more than {context['gt']}"
        case "less_than_equal":
            sentence = f"{_written(node)} is more than {context['le']}"
        case "too_long" if isinstance(node, Items):
            sentence = f"the list has more than {context['max_length']:,} entries; remove some"
        case "string_too_long" | "too_long":
            sentence = f"the text is longer than {context['max_length']:,} characters; shorten it"
        case _:
            sentence = _wrong_type(node, TABLE_HINT, in_list=in_list)
    return sentence


def _wrong_type(node: Node, expected: str, *, in_list: bool) -> str:
    match node:
        case Items():
            return f"this is a list; write {expected}"
        case Table():
            return f"this is a mapping of keys; write {expected}"
        case Alias():
            return f"this is an alias; write {expected}"
        case Scalar():
            return _wrong_scalar(node, expected, in_list=in_list)


def _wrong_scalar(node: Scalar, expected: str, *, in_list: bool) -> str:
    value = scalar_value(node)
    if isinstance(value, Nothing):
        rest = "the dash" if in_list else "the key"
        return f"the value is missing; write {expected}, or remove {rest}"
    kind = {bool: "a boolean", str: "text"}.get(type(value), "a number")
    if expected == "text":
        return f'{_written(node)} is {kind}; write it in quotes to mean text: "{_written(node)}"'
    unquoted = scalar_value(replace(node, plain=True))
    if isinstance(value, str) and not isinstance(unquoted, str | Nothing):
        return f"{quoted(value)} in quotes is text; write {expected}, without quotes"
    shown = quoted(value) if isinstance(value, str) else _written(node)
    return f"{shown} is {kind}; write {expected}"


def _written(node: Node) -> str:
    return cut(node.text) if isinstance(node, Scalar) else "this"


def _missing(key: str, parent: KeyPath) -> str:
    if key == "to" and "routing" in parent:
        return "key 'to' is missing; write to: and a processor, such as inngest"
    return f"key {quoted(key)} is missing; write " + {
        "version": "version: 1",
        "id": "id: and a UUID",
        "at": "at: and a time, such as 2026-11-23T12:00:00Z",
        "soak": "soak: and a duration, such as 7d",
        "percentage": "percentage: and a number, such as 25",
        "kind": "kind: and a service, such as slack",
        "cost": "cost: and a price, such as {per_minute: 0.006}",
        "as_of": "as_of: and a date, such as 2026-11-01",
        "from": "from: and a time, such as fri 16:00",
        "to": "to: and a time, such as mon 08:00",
    }.get(key, f"{key}: and a text")


def _unknown_key(key: str, parent: KeyPath) -> str:
    fields = model_at(parent).model_fields
    known = [field.alias or name for name, field in fields.items()]
    message = f"unknown key {quoted(key)}"
    near = get_close_matches(key.lower(), known, n=1) if len(key) <= MAX_GUESSED_KEY_LENGTH else []
    if near:
        return f"{message}, did you mean '{near[0]}'?"
    return f"{message}; known here: {', '.join(known)}"


def model_at(path: KeyPath) -> type[BaseModel]:
    """Return the model whose keys stand at a path."""
    return next(model for shape, model in _MODELS.items() if _has_shape(path, shape))


def _has_shape(path: KeyPath, shape: tuple[str, ...]) -> bool:
    return len(path) == len(shape) and all(
        each in {"*", part} for part, each in zip(path, shape, strict=True)
    )


_MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Rollout,
    ("features", "*"): Feature,
    ("features", "*", "health"): Health,
    ("features", "*", "guards"): Guards,
    ("features", "*", "progression", "*"): Stage,
    ("features", "*", "override"): Override,
    ("features", "*", "routing", "*"): RoutingRule,
    ("features", "*", "routing", "*", "when"): RoutedJobs,
    ("features", "*", "routing", "*", "if"): Condition,
    ("processors", "*"): Processor,
    ("processors", "*", "cost"): Cost,
    ("notifications", "*"): Target,
    ("freezes", "*"): Freeze,
    ("approvals",): Approvals,
    ("categories",): Categories,
    ("categories", "enterprise"): EnterpriseThreshold,
    ("categories", "*"): CategoryThreshold,
}
"""The model whose keys stand at a path; `*` is any part."""
