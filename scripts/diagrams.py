"""Draw the diagrams of the documentation: the loop, the stages, the rules of eligibility.

`python scripts/diagrams.py` writes them to `docs/images`. A test fails if one is out of date. A page of the
site holds a diagram inline and gives it the page's colours; as a picture elsewhere it has its own.
"""

import html
from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler.rollout_file import first_rollout_file, parse_rollout
from reconciler.rollout_file.durations import format_duration
from reconciler.wording import show_number
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Rule

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTH = 440

_STYLE = """\
.diagram{background:var(--md-default-bg-color,#fff);max-width:100%;height:auto}
.diagram text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;\
fill:var(--md-default-fg-color,#1f2328)}
.diagram .strong{font-weight:600}
.diagram .box{fill:var(--md-code-bg-color,#f6f8fa);stroke:var(--md-default-fg-color--light,#57606a)}
.diagram .arrow{fill:none;stroke:var(--md-default-fg-color--light,#57606a);stroke-width:1.5}
.diagram .head{fill:var(--md-default-fg-color--light,#57606a)}
.diagram .yes{fill:var(--diagram-yes,#1a7f37)}
.diagram .no{fill:var(--diagram-no,#cf222e)}"""

STEPS = (
    ("1 Pull request", "rollout.yaml is changed"),
    ("2 Preview", "gains and losses"),
    ("3 Apply", "one transaction"),
    ("4 Services", "ask, and report jobs"),
    ("5 Rollback", "too many jobs failed"),
    ("6 Commit on main", "the limit and its reason"),
)
"""The loop: the title and the subject of each step."""

QUESTIONS: Mapping[Rule, tuple[str, str]] = {
    Rule.ENVIRONMENT_STOP: ("stopped in this process?", "no"),
    Rule.UNKNOWN_FEATURE: ("no such feature?", "no"),
    Rule.INACTIVE: ("feature inactive?", "no"),
    Rule.EMERGENCY_STOP: ("feature stopped?", "no"),
    Rule.UNKNOWN_REPOSITORY: ("no such repository?", "no"),
    Rule.EXCLUDED: ("in the exclusions?", "no"),
    Rule.WHITELISTED: ("in the whitelist?", "yes"),
    Rule.WHITELIST_STRATEGY: ("strategy whitelist?", "no"),
    Rule.PERCENTAGE_STRATEGY: ("strategy percentage?", "by its bucket"),
    Rule.SIZE_STRATEGY: ("strategy repository_size?", "by its category"),
}
"""Each rule as a question, and whether a repository is eligible where the answer is yes."""


FALSE_ALARMS: Mapping[int, float] = {1: 19, 2: 38, 3: 60}
"""Of healthy rollouts with a true error rate, the share that a threshold rolls back; all in percent."""
MOST_BY_EVIDENCE = 0.1
"""The same by evidence, at most: the default of `false_alarms`."""


def loop() -> str:
    """Return the loop from a pull request to a commit that limits the feature."""
    left, right, wide, high, gap = 10, 220, 190, 62, 46
    rows = [10 + (high + gap) * number for number in range(3)]
    places = [(left, row) for row in rows] + [(right, row) for row in reversed(rows)]
    body = [
        *(_box(x, y, wide, high, *step) for (x, y), step in zip(places, STEPS, strict=True)),
        *(_arrow(left + 95, row + high, left + 95, row + high + gap) for row in rows[:2]),
        _arrow(left + wide, rows[2] + 31, right, rows[2] + 31),
        *(_arrow(right + 95, row, right + 95, row - gap) for row in rows[:0:-1]),
        _arrow(right, rows[0] + 31, left + wide, rows[0] + 31),
        _text(left + 103, rows[0] + high + 28, "opened"),
        _text(left + 103, rows[1] + high + 28, "merged"),
    ]
    sentences = [f"{name}: {about}." for name, about in STEPS]
    description = " ".join([*sentences, "Then step 1 again: a person resumes the feature."])
    return _diagram("loop", "The loop of a rollout", description, 300, body)


def stages() -> str:
    """Return the stages of the first rollout file, as a staircase."""
    (feature,) = parse_rollout(first_rollout_file()).rollout.features.values()
    body, sentences = [], []
    step = (WIDTH - 20) // len(feature.progression)
    base = 250
    for number, (stage, category) in enumerate(zip(feature.progression, Category, strict=True)):
        percentage, soak = show_number(stage.percentage), format_duration(stage.soak)
        x, top = 10 + step * number, base - 42 * (number + 1)
        body.append(
            f'<rect class="box" x="{x}" y="{top}" width="{step}" height="{base - top}"/>'
            + _text(x + step / 2, top - 10, f"{percentage} %", "strong", "middle")
            + _text(
                x + step / 2,
                base - 14,
                f"{'' if number == 0 else '+ '}{category.value}",
                "",
                "middle",
            )
            + _text(x + step / 2, base + 22, f"soaks {soak}", "", "middle")
        )
        also = "" if number == 0 else "also "
        sentences.append(
            f"{percentage} percent: {also}{category.value} repositories, soaks {soak}."
        )
    return _diagram("stages", "The five stages of a rollout", " ".join(sentences), 285, body)


def rules() -> str:
    """Return the rules of eligibility, in order, as a flow chart."""
    body, sentences = [], []
    wide, high, gap = 210, 34, 18
    for number, (rule, (question, answer)) in enumerate(QUESTIONS.items()):
        y = 10 + (high + gap) * number
        kind = answer if answer in {"yes", "no"} else ""
        outcome = {"yes": "eligible", "no": "not eligible"}.get(answer, answer)
        body.append(
            f'<rect class="box" x="10" y="{y}" width="{wide}" height="{high}" rx="6"/>'
            + _text(20, y + 22, f"{number + 1}  {question}")
            + _arrow(10 + wide, y + high / 2, 262, y + high / 2)
            + _text(10 + wide + 8, y + high / 2 - 5, "yes")
            + _text(268, y + 22, outcome, f"{kind} strong")
        )
        if number:
            body.append(_arrow(110, y - gap, 110, y) + _text(118, y - 5, "no"))
        sentences.append(f"{number + 1}. {rule.value}: {question} {outcome}.")
    height = 10 + (high + gap) * len(QUESTIONS)
    return _diagram(
        "rules", "The rules of eligibility, in order", " ".join(sentences), height, body
    )


def methods() -> str:
    """Return how many healthy rollouts each method rolls back, as bars."""
    left, row, full = 130, 24, 250
    body = [_text(10, 24, "Healthy rollouts that are rolled back", "strong")]
    y = 44
    for rate, share in FALSE_ALARMS.items():
        body.append(_text(10, y + 15, f"true rate {rate} %"))
        for method, part, kind in (
            ("threshold", share, "no"),
            ("evidence", MOST_BY_EVIDENCE, "yes"),
        ):
            wide = max(2, full * part / 100)
            shown = (
                f"{method} {part:g} %" if method == "threshold" else f"{method} at most {part:g} %"
            )
            body += [
                f'<rect class="{kind}" x="{left}" y="{y + 3}" width="{wide:g}" height="14" rx="2"/>',
                _text(left + wide + 8, y + 15, shown),
            ]
            y += row
        y += 8
    body.append(_text(10, y + 12, "limit 5 %, first 1,000 jobs, judged after each job"))
    return _diagram(
        "methods",
        "Two methods",
        "A threshold rolls back 19, 38 and 60 percent of healthy rollouts with true error rates of 1, 2 and "
        "3 percent; evidence at most 0.1 percent.",
        y + 28,
        body,
    )


def diagrams() -> dict[str, str]:
    """Return each diagram by its file's name."""
    return {
        "loop.svg": loop(),
        "stages.svg": stages(),
        "rules.svg": rules(),
        "methods.svg": methods(),
    }


def _diagram(name: str, title: str, description: str, height: int, body: list[str]) -> str:
    content = "\n".join(body)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" class="diagram" role="img" \
aria-labelledby="{name}-title {name}-text" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">
<title id="{name}-title">{html.escape(title)}</title>
<desc id="{name}-text">{html.escape(description)}</desc>
<style>{_STYLE}</style>
{content}
</svg>
"""


def _box(  # noqa: PLR0917 - a place, a size and two lines
    x: int, y: int, wide: int, high: int, title: str, about: str
) -> str:
    return (
        f'<rect class="box" x="{x}" y="{y}" width="{wide}" height="{high}" rx="8"/>'
        f"{_text(x + 12, y + 26, title, 'strong')}{_text(x + 12, y + 46, about)}"
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    points = " ".join(f"{px:g},{py:g}" for px, py in _head(x, y, to_x, to_y))
    return (
        f'<path class="arrow" d="M{x:g} {y:g}L{to_x:g} {to_y:g}"/>'
        f'<polygon class="head" points="{points}"/>'
    )


def _head(x: float, y: float, to_x: float, to_y: float) -> Iterator[tuple[float, float]]:
    """Yield the three corners of an arrow's head; arrows are horizontal or vertical."""
    along_x, along_y = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
    yield to_x, to_y
    for side in (-4, 4):
        yield to_x - 8 * along_x + side * along_y, to_y - 8 * along_y + side * along_x


def main() -> None:
    """Write the diagrams."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, diagram in diagrams().items():
        (PICTURES / name).write_text(diagram, "utf-8")


if __name__ == "__main__":
    main()
