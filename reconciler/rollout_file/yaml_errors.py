"""What a YAML syntax error says to people: one line, its place, and what to write.

PyYAML's two parsers word the same mistake differently and over several lines; the table below knows
both by the words they share.
"""

import re

import yaml

from reconciler.errors import Finding
from reconciler.rollout_file.texts import cut

_TAGS = "tags are not read; remove the tag"
_DIRECTIVES = "directives such as %YAML and %TAG are not read; remove the line"

_SENTENCES = (
    (r"unexpected end of stream", "a quote is opened here and never closed; close it"),
    (r"found character '\\t'", "a tab can't indent; use spaces"),
    (r"tab character", "a tab can't indent; use spaces"),
    (r"document separator", "a quote is opened here and not closed before the next document"),
    (r"cannot start any token", "a text can't begin with this character; write it in quotes"),
    (
        r"mapping values are not allowed",
        "a colon can't stand here; indent the key as its neighbours, or write the text in quotes",
    ),
    (r"expected ':'", "a key without a colon; write `key: value`, and a space behind the colon"),
    (
        r"expected ',' or '\]'",
        "the list opened with [ is not closed; write a comma between entries and ]",
    ),
    (
        r"expected ',' or '\}'",
        "the keys opened with { are not closed; write a comma between keys and }",
    ),
    (
        r"escape",
        "an escape that YAML doesn't know; write \\\\ for a backslash, or use single quotes",
    ),
    (r"undefined tag handle|tag", _TAGS),
    (r"directive|incompatible YAML document|version", _DIRECTIVES),
    (
        r"alphabetic or numeric character",
        "anchors and aliases are not read; write * or & in quotes",
    ),
    (
        r"expected key|expected '-' indicator|<block end>",
        "this doesn't fit the lines above; indent it as its neighbours, or write the text in quotes",
    ),
    (r"node content", "a value can't begin like this; write it in quotes"),
    (
        r"block sequence entries|sequence entries",
        "a list can't begin here; put the dash on a line of its own",
    ),
    (
        r"document start",
        "the file goes on behind its end; remove what follows, or a bracket too many",
    ),
    (
        r"comment or a line break|line break",
        "only a comment may follow here; begin the text on the next line",
    ),
)
_OPENINGS = ("quoted scalar", "flow sequence", "flow mapping", "simple key")


def syntax_finding(error: yaml.MarkedYAMLError) -> Finding:
    """Return the finding for a text that is not YAML.

    It stands at what was opened and not closed, else where the parser could not go on.
    """
    problem = f"{error.problem or 'unreadable'}"
    sentence = next((text for words, text in _SENTENCES if re.search(words, problem)), None)
    context = error.context or ""
    opened = any(words in context for words in _OPENINGS) and "escape" not in problem
    mark = (error.context_mark if opened else None) or error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Finding(line, column, sentence or f"this is not YAML: {cut(problem)}")
