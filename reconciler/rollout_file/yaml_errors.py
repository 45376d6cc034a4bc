"""YAML syntax errors as messages: one line with the place and the correction.

PyYAML's two parsers word the same mistake differently and over several lines; the table below matches the
words that both use.
"""

import re

import yaml

from reconciler.errors import Finding
from reconciler.rollout_file.characters import cut

DIRECTIVES = "directives such as %YAML and %TAG are not read; remove the line"
_TAGS = "tags are not read; remove the tag"
_TABS = "a tab can't indent; use spaces"
_ESCAPES = "escape|hexdecimal"  # as libyaml spells it
_UNKNOWN_CHARACTER = "cannot start any token"

_SENTENCES = (
    (r"unexpected end of stream", "the quote that opens here is not closed; close it"),
    (r"found character '\\t'|tab character", _TABS),
    (
        r"document (separator|indicator)",
        "the quote that opens here is not closed before the next document; close it",
    ),
    (_UNKNOWN_CHARACTER, "a text can't begin with this character; write it in quotes"),
    (
        r"mapping keys are not allowed",
        "a text can't begin with a question mark and a space; write it in quotes",
    ),
    (
        r"mapping values are not allowed",
        "a colon can't stand here; indent the key as its neighbours, or write the text in quotes",
    ),
    (r"expected ':'", "this key has no colon; write `key: value`, with a space after the colon"),
    (
        r"expected ',' or '\]'",
        "the list opened with [ is not closed; write a comma between entries and ]",
    ),
    (
        r"expected ',' or '\}'",
        "the keys opened with { are not closed; write a comma between keys and }",
    ),
    (
        _ESCAPES,
        "an escape that YAML doesn't know; write \\\\ for a backslash, or use single quotes",
    ),
    (r"undefined tag handle", _TAGS),
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
        "text follows the end of the document; remove it, or an extra bracket",
    ),
    (
        r"indentation indicator",
        "this is not the begin of a text over several lines; write |- alone",
    ),
    (
        r"comment or a line break|line break",
        "only a comment may follow here; begin the text on the next line",
    ),
)
_OPENED = (
    (r"directive", DIRECTIVES),
    (r"\ba tag\b", _TAGS),
    (r"an anchor|an alias", "anchors and aliases are not read; write * or & in quotes"),
    (r"quoted scalar|flow sequence|flow mapping|simple key", None),
)
"""The construct that the parser was reading; the finding points to its begin, with its sentence if given."""


def syntax_finding(error: yaml.MarkedYAMLError, text: str) -> Finding:
    """Return the finding for a text that is not YAML.

    It points to an opened construct that is not closed, else to the place where the parser stopped.
    """
    problem = f"{error.problem or 'unreadable'}"
    context = error.context or ""
    opened = next((each for each in _OPENED if re.search(each[0], context)), None)
    sentence = opened[1] if opened else None
    sentence = sentence or next(
        (each for words, each in _SENTENCES if re.search(words, problem)), None
    )
    if re.search(_ESCAPES, problem):
        opened = None
    mark = (error.context_mark if opened else None) or error.problem_mark or error.context_mark
    if mark is None:
        return Finding(1, 1, f"this is not YAML: {cut(problem)}")
    if _UNKNOWN_CHARACTER in problem and text[mark.index : mark.index + 1] == "\t":
        sentence = _TABS
    return Finding(mark.line + 1, mark.column + 1, sentence or f"this is not YAML: {cut(problem)}")
