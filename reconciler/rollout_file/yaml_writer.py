"""Writing a rollout file's text: a desired state, or a part of one, as the YAML that people would write.

The text reads back as the same values. A whole desired state is written without its default values, except
a feature's strategy and percentage, which people look for first.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from importlib.resources import files
from json import dumps
from typing import Any

from reconciler.rollout_file.durations import DURATION_PATTERN
from reconciler.rollout_file.list_entries import is_entry
from reconciler.rollout_file.model import Feature, Rollout
from reconciler.rollout_file.schema_address import SCHEMA_PATH
from reconciler.wording import show_number

SCHEMA_COMMENT = f"# yaml-language-server: $schema={SCHEMA_PATH}"
OVERRIDE_COMMENT = "in force; remove this block to resume"

_WORDS = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ._/-]*[A-Za-z0-9._/-])?")
_NOT_TEXT = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")


def first_rollout_file() -> str:
    """Return the first `rollout.yaml`, which `reconcile init` writes; 0 repositories are eligible."""
    return files(__package__).joinpath("first_rollout.yaml").read_text(encoding="utf-8")


def render_rollout(rollout: Rollout, comments: Iterable[str] = ()) -> str:
    """Return a desired state as a rollout file's text.

    Args:
        rollout: the desired state.
        comments: lines for the begin of the file, without `#`.
    """
    written = rollout.model_dump(mode="json", exclude_defaults=True)
    features = {
        name: _feature(rollout.features[name], values)
        for name, values in written.pop("features", {}).items()
    }
    lines = [
        SCHEMA_COMMENT,
        *(f"# {each}" for each in comments),
        f"version: {written.pop('version')}",
        "",
        *mapping_lines({"features": features}),
    ]
    for key, value in written.items():
        lines += ["", *mapping_lines({key: value})]
    return "\n".join(lines) + "\n"


def _feature(feature: Feature, values: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        **values,
        "strategy": feature.strategy.value,
        "percentage": float(feature.percentage),
    }
    return {name: shown[name] for name in Feature.model_fields if name in shown}


def mapping_lines(
    values: Mapping[str, Any], indent: str = "", step: str = "  ", dash: str = "  - "
) -> Iterator[str]:
    """Yield a mapping's lines in block style, without line breaks.

    Args:
        values: mappings, lists and scalars.
        indent: the text before each key.
        step: the additional indent of each level.
        dash: the text before an entry, after its key's indent.
    """
    for key, value in values.items():
        place = f"{indent}{scalar_text(key)}:"
        match value:
            case dict() if value:
                yield f"{place} # {OVERRIDE_COMMENT}" if key == "override" else place
                yield from mapping_lines(value, indent + step, step, dash)
            case list() | tuple() if value:
                yield place
                yield from (f"{indent}{dash}{flow_text(each)}" for each in value)
            case _:
                yield f"{place} {flow_text(value)}"


def flow_text(value: Any) -> str:
    """Return a value on one line: `{key: value}`, `[a, b]` or a scalar."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {flow_text(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(flow_text, value)) + "]"
        case _:
            return scalar_text(value)


def json_text(value: Any) -> str:
    """Return a value on one line as JSON, which is YAML too."""
    return dumps(value, ensure_ascii=False, default=_json_number)


def _json_number(value: Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)


def scalar_text(value: Any) -> str:
    """Return a scalar for block and flow style, plain if it reads back as the same value."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return show_number(value)
        case float():
            return str(int(value)) if value.is_integer() else str(value)
        case _:
            return _text(str(value).replace("+00:00", "Z") if _is_utc(value) else str(value))


def _is_utc(value: Any) -> bool:
    return _MOMENT.fullmatch(str(value).replace("+00:00", "Z")) is not None


def _text(text: str) -> str:
    """Return a text as a plain scalar if every YAML reader reads it as text, else in quotes."""
    is_plain = (
        is_entry(text)
        or (_WORDS.fullmatch(text) and text.lower() not in _NOT_TEXT)
        or re.fullmatch(DURATION_PATTERN, text)
        or _MOMENT.fullmatch(text)
    )
    return text if is_plain else dumps(text, ensure_ascii=False)
