"""Terminal output as SVG: one still, or a recording that shows line after line.

A picture needs no font, script or address from elsewhere, so index pages show it.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

FONT_SIZE = 13
CHARACTER = 7.8
LINE = 18
PADDING = 16
BAR = 30
BACKGROUND = "#0d1117"
FOREGROUND = "#e6edf3"
FAMILY = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"

_COLORS = {
    "30": "#6e7681",
    "31": "#ff7b72",
    "32": "#7ee787",
    "33": "#e3b341",
    "34": "#79c0ff",
    "35": "#d2a8ff",
    "36": "#76e3ea",
    "37": FOREGROUND,
}
_STYLE = re.compile(r"\x1b\[([0-9;]*)m")
_OTHER_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]|\r")


@dataclass(frozen=True)
class Span:
    """A piece of a line in one style."""

    text: str
    color: str = FOREGROUND
    is_bold: bool = False


@dataclass(frozen=True)
class Moment:
    """A line, and the second at which it is shown."""

    at: float
    spans: Sequence[Span]


def spans(line: str) -> list[Span]:
    """Return a line of a terminal as styled pieces."""
    found: list[Span] = []
    color, is_bold, end = FOREGROUND, False, 0
    line = _OTHER_SEQUENCE.sub("", line)
    for match in _STYLE.finditer(line):
        if line[end : match.start()]:
            found.append(Span(line[end : match.start()], color, is_bold))
        end = match.end()
        for code in match[1].split(";"):
            if code in {"", "0"}:
                color, is_bold = FOREGROUND, False
            elif code == "1":
                is_bold = True
            else:
                color = _COLORS.get(code, color)
    if line[end:]:
        found.append(Span(line[end:], color, is_bold))
    return found


def still(title: str, lines: Iterable[str], columns: int) -> str:
    """Return a picture of lines of a terminal."""
    rows = [spans(each) for each in lines]
    body = "\n".join(_row(number, row) for number, row in enumerate(rows))
    description = "\n".join("".join(each.text for each in row) for row in rows)
    return _window(title, description, columns, len(rows), body, "")


def recording(
    title: str, moments: Sequence[Moment], columns: int, rows: int, seconds: float
) -> str:
    """Return a picture that shows its lines one after another, and begins again after `seconds`.

    Where a reader asks for less motion, it shows the last lines.
    """
    style = [
        f".l,.s{{animation-duration:{seconds:.1f}s;animation-iteration-count:infinite;"
        "animation-timing-function:step-end}",
        "@media (prefers-reduced-motion:reduce){.l,.s{animation:none}}",
    ]
    body, shifts = [], [(0.0, 0)]
    for number, moment in enumerate(moments):
        percent = 100 * moment.at / seconds
        style.append(
            f"@keyframes l{number}{{0%{{opacity:0}}{percent:.2f}%{{opacity:1}}100%{{opacity:1}}}}"
        )
        body.append(
            f'<g class="l" style="animation-name:l{number}">{_row(number, moment.spans)}</g>'
        )
        if number >= rows:
            shifts.append((percent, (number - rows + 1) * LINE))
    last = shifts[-1][1]
    frames = [
        f"{percent:.2f}%{{transform:translateY({-shift}px)}}"
        for (percent, shift), (following, _) in pairwise([*shifts, (100.0, last)])
        if percent < following
    ]
    style.append(f"@keyframes s{{{''.join(frames)}100%{{transform:translateY({-last}px)}}}}")
    content = "\n".join(body)
    group = (
        f'<g clip-path="url(#c)"><g class="s" style="animation-name:s;transform:translateY({-last}px)">'
        f"\n{content}\n</g></g>"
    )
    description = "\n".join("".join(each.text for each in moment.spans) for moment in moments)
    return _window(title, description, columns, rows, group, "".join(style))


def _window(  # noqa: PLR0917 - each is a different part of the picture
    title: str, description: str, columns: int, rows: int, body: str, style: str
) -> str:
    width = round(columns * CHARACTER + 2 * PADDING)
    height = BAR + rows * LINE + PADDING
    dots = "".join(
        f'<circle cx="{PADDING + 4 + 18 * number}" cy="15" r="5" fill="{color}"/>'
        for number, color in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t d" \
viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<title id="t">{html.escape(title)}</title>
<desc id="d">{html.escape(description)}</desc>
<style>text{{font:{FONT_SIZE}px {FAMILY};white-space:pre}}{style}</style>
<clipPath id="c"><rect y="{BAR}" width="{width}" height="{rows * LINE + 4}"/></clipPath>
<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>
{dots}
{body}
</svg>
"""


def _row(number: int, row: Sequence[Span]) -> str:
    y = BAR + number * LINE + 13
    return f'<text y="{y}" xml:space="preserve">{"".join(_pieces(row))}</text>' if row else ""


def _pieces(row: Sequence[Span]) -> Iterator[str]:
    column = 0
    for span in row:
        cells = sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in span.text)
        weight = ' font-weight="bold"' if span.is_bold else ""
        yield (
            f'<tspan x="{PADDING + column * CHARACTER:.1f}" fill="{span.color}"{weight} '
            f'textLength="{cells * CHARACTER:.1f}">{html.escape(span.text)}</tspan>'
        )
        column += cells
