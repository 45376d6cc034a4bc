"""Writing a rollout file: a desired state as the YAML that people would write, and the file in one step.

What is written reads back as the same desired state. A value that is the default is left out, but for a
feature's strategy and percentage, which a reader looks for first.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from json import dumps
from pathlib import Path
from typing import Any

from reconciler.errors import SetupInvalid
from reconciler.rollout_file.durations import DURATION_PATTERN
from reconciler.rollout_file.model import Feature, Rollout
from reconciler.rollout_file.names import is_entry

SCHEMA_COMMENT = "# yaml-language-server: $schema=schemas/rollout.schema.json"
OVERRIDE_COMMENT = "in force; remove this block to resume"

_WORDS = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ._/-]*[A-Za-z0-9._/-])?")
_NOT_TEXT = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")


def render_rollout(rollout: Rollout, comments: Iterable[str] = ()) -> str:
    """Return a desired state as a rollout file's text.

    Args:
        rollout: what the file is to say.
        comments: lines that stand at its beginning, without `#`.
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
        *_mapping({"features": features}, ""),
    ]
    for key, value in written.items():
        lines += ["", *_mapping({key: value}, "")]
    return "\n".join(lines) + "\n"


def write_rollout_file(path: Path, text: str, *, replace: bool) -> None:
    """Write a whole file in one step: whoever looks sees the old one, or none, or all of the new.

    Raises:
        SetupInvalid: it is there already and is not to be replaced, or it can't be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                temporary.chmod(_mode(path))
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                # A link is refused where something is there, without a moment in between.
                path.hardlink_to(temporary)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    except FileExistsError:
        raise SetupInvalid(
            f"{path} is there already and stays as it is; name another file, or --force"
        ) from None
    except OSError as error:
        raise SetupInvalid(f"{path} cannot be written: {error.strerror}") from error


def _mode(path: Path) -> int:
    """Return the mode of the file that is there, or of a new one."""
    try:
        return path.stat().st_mode & 0o7777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _feature(feature: Feature, values: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        **values,
        "strategy": feature.strategy.value,
        "percentage": float(feature.percentage),
    }
    return {name: shown[name] for name in Feature.model_fields if name in shown}


def _mapping(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        place = f"{indent}{_scalar(key)}:"
        match value:
            case dict() if value:
                yield f"{place} # {OVERRIDE_COMMENT}" if key == "override" else place
                yield from _mapping(value, indent + "  ")
            case list() if value:
                yield place
                yield from (f"{indent}  - {_item(each)}" for each in value)
            case dict():
                yield f"{place} {{}}"
            case list():
                yield f"{place} []"
            case _:
                yield f"{place} {_scalar(value)}"


def _item(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_scalar(each)}" for key, each in value.items()) + "}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else str(value)
        case _:
            return _text(str(value).replace("+00:00", "Z") if _is_utc(value) else str(value))


def _is_utc(value: Any) -> bool:
    return _MOMENT.fullmatch(str(value).replace("+00:00", "Z")) is not None


def _text(text: str) -> str:
    """Return a text as a plain scalar where every reader takes it for text, else in quotes."""
    is_plain = (
        is_entry(text)
        or (_WORDS.fullmatch(text) and text.lower() not in _NOT_TEXT)
        or re.fullmatch(DURATION_PATTERN, text)
        or _MOMENT.fullmatch(text)
    )
    return text if is_plain else dumps(text, ensure_ascii=False)
