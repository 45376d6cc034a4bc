"""The parts of a chart: escaped markup, a figure with its table, times and axes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final

from reconciler.wording import show_time

WIDTH: Final = 720
"""The width of a wide chart in units of its view box; the page scales it."""
_STEPS: Final = tuple(
    timedelta(minutes=each) for each in (5, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080)
)
_MOST_TICKS: Final = 8
_SHAPES: Final = frozenset({"circle", "line", "path", "rect"})
"""Elements without content: a page can have hundreds, so each is one tag."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart's markup, which a template writes as it is: every value in it is escaped."""

    markup: str

    def __html__(self) -> str:
        """Return the markup; Jinja2 calls this and does not escape it again."""
        return self.markup

    def __str__(self) -> str:
        return self.markup


def text(value: object) -> str:
    """Return a value as text of markup; control characters become a replacement character."""
    shown = str(value)
    if not shown.isprintable():
        shown = "".join(
            each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in shown
        )
    return escape(shown, quote=True)


def tag(name: str, attributes: Mapping[str, object], content: str = "") -> str:
    """Return an element; its content is markup already. A number is written with two decimals at most."""
    written = "".join(
        f' {key}="{number(value) if isinstance(value, float) else text(value)}"'
        for key, value in attributes.items()
    )
    if name in _SHAPES:
        return f"<{name}{written}/>"
    return f"<{name}{written}>{content}</{name}>"


def number(value: float) -> str:
    """Return a coordinate, with two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def label(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """Return a line of text in a chart; the content is a value, not markup."""
    return tag(
        "text", {"x": x, "y": y, "class": kind or "label", "text-anchor": anchor}, text(content)
    )


def path(commands: Iterable[str], kind: str) -> str:
    """Return a path of these commands."""
    return tag("path", {"class": kind, "d": "".join(commands)})


def svg(description: str, size: tuple[float, float], body: Iterable[str], kind: str) -> str:
    """Return a drawing with its text alternative; a screen reader reads the description alone."""
    wide, high = size
    return tag(
        "svg",
        {
            "class": f"chart {kind}",
            "role": "img",
            "aria-label": description,
            "viewBox": f"0 0 {number(wide)} {number(high)}",
        },
        "".join(body),
    )


def small_svg(description: str, body: Iterable[str], kind: str) -> str:
    """Return a drawing for a cell of a table, with its text alternative.

    The style sheet has its size, one pixel for one unit: a page has hundreds of them.
    """
    return tag("svg", {"class": kind, "role": "img", "aria-label": description}, "".join(body))


def time_element(moment: datetime) -> str:
    """Return a time in UTC as an element that the page's script shows in the viewer's zone."""
    shown = show_time(moment)
    return tag("time", {}, text(shown))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are markup already, and the first one of a row is its header."""
    columns = "".join(tag("th", {"scope": "col"}, text(each)) for each in head)
    body = "".join(
        tag(
            "tr",
            {},
            tag("th", {"scope": "row"}, first) + "".join(tag("td", {}, each) for each in rest),
        )
        for first, *rest in rows
    )
    return tag("table", {}, tag("thead", {}, tag("tr", {}, columns)) + tag("tbody", {}, body))


def figure(title: str, drawing: str, numbers: str, legend: str = "") -> Chart:
    """Return a drawing with its title, its legend and its table."""
    caption = tag("figcaption", {}, text(title))
    summary = tag("summary", {}, text(f"{title}: the numbers"))
    # A wide table scrolls in its own region, which a keyboard can reach.
    region = tag(
        "div", {"class": "numbers", "tabindex": "0", "role": "region", "aria-label": title}, numbers
    )
    details = tag("details", {}, f"{summary}{region}")
    # On a narrow page a drawing scrolls, so that its text stays readable.
    plot = tag("div", {"class": "plot", "tabindex": "0", "role": "group"}, drawing)
    return Chart(tag("figure", {"class": "chart-figure"}, f"{caption}{legend}{plot}{details}"))


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """A period on a horizontal axis.

    The axis is linear in time, so that an hour that a zone skips or repeats is as wide as every other one.
    """

    begins_at: datetime
    ends_at: datetime
    left: float
    right: float

    def x(self, moment: datetime) -> float:
        """Return the place of a time; one outside of the period is at its edge."""
        whole = (self.ends_at - self.begins_at).total_seconds()
        share = (moment - self.begins_at).total_seconds() / whole if whole > 0 else 0.0
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def ticks(self) -> tuple[datetime, ...]:
        """Return at most eight times on the clock, equally far apart in UTC."""
        whole = self.ends_at - self.begins_at
        step = next((each for each in _STEPS if whole / each <= _MOST_TICKS), None)
        if step is None:
            step = timedelta(days=1 + whole // timedelta(days=_MOST_TICKS))
        epoch = datetime(2000, 1, 1, tzinfo=UTC)
        first = epoch + -((epoch - self.begins_at) // step) * step
        count = max(0, (self.ends_at - first) // step + 1)
        return tuple(first + number * step for number in range(count))

    def draw(self, top: float, bottom: float) -> str:
        """Return the grid of the ticks, and their labels below it.

        The page's script writes a label in the viewer's zone; without it the label is in UTC.
        """
        parts = []
        is_long = self.ends_at - self.begins_at > timedelta(days=2)
        for moment in self.ticks():
            x = self.x(moment)
            shown = moment.astimezone(UTC).strftime("%m-%d" if is_long else "%H:%M")
            parts += [
                tag("line", {"class": "grid", "x1": x, "x2": x, "y1": top, "y2": bottom}),
                tag(
                    "text",
                    {
                        "class": "tick",
                        "x": x,
                        "y": bottom + 16.0,
                        "text-anchor": "middle",
                        "data-time": show_time(moment),
                        "data-form": "day" if is_long else "clock",
                    },
                    text(shown),
                ),
            ]
        zone = {"class": "tick zone", "x": self.right, "y": bottom + 30.0, "text-anchor": "end"}
        return "".join([*parts, tag("text", zone, "UTC")])


def nice_top(largest: float) -> float:
    """Return the top of an axis that holds a number: a digit times a power of ten, at least 1."""
    top = 1.0
    while top < largest:
        for factor in (2, 3, 4, 5, 6, 8, 10):
            if top * factor >= largest:
                return top * factor
        top *= 10
    return top
