"""The statements in a package's `sql/*.sql`, by name.

A file has one subject. A line `-- name: read_live` and a comment about its effect come before each
statement. Parameters are written `:parameter`.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(package: str, subject: str) -> Mapping[str, str]:
    """Return the statements of the file `sql/<subject>.sql` of a package by their names."""
    text = files(package).joinpath("sql", f"{subject}.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    return MappingProxyType(dict(zip(parts[::2], parts[1::2], strict=True)))
