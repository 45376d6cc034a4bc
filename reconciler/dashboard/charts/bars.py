"""Bars: the eligible repositories of each category, and the evidence between 0 and the line that acts."""

import math
from typing import Final

from reconciler.dashboard.charts.svg import (
    Chart,
    figure,
    label,
    number,
    path,
    small_svg,
    svg,
    table,
    tag,
)
from reconciler.planning.audience import AudienceEstimate, CategoryShare
from reconciler.planning.health import shown_evidence
from reconciler.wording import count

_ROW: Final = 30.0
_LEFT: Final = 96.0
_FULL: Final = 220.0
_WIDE: Final = 440.0
_EVIDENCE_WIDE, _EVIDENCE_HIGH = 120.0, 14.0


def category_bars(audience: AudienceEstimate) -> Chart:
    """Return the eligible repositories of each category as a share of the category."""
    about = "about " if audience.is_estimated else ""
    body, sentences = [], []
    for place, each in enumerate(audience.categories):
        y = place * _ROW + 6
        wide = _FULL * each.eligible / each.total if each.total else 0.0
        body += [
            label(_LEFT - 8, y + 14, each.category.value, "label", "end"),
            tag("rect", {"class": "bar", "x": _LEFT, "y": y, "width": _FULL, "height": 18.0}),
            tag("rect", {"class": "filled", "x": _LEFT, "y": y, "width": wide, "height": 18.0}),
            label(_LEFT + _FULL + 8, y + 14, _of(each, about), "tick"),
        ]
        sentences.append(f"{each.category.value} {_of(each, about)}")
    size = (_WIDE, _ROW * max(1, len(audience.categories)))
    drawing = svg(f"eligible repositories: {'; '.join(sentences)}", size, body, "categories")
    rows = (
        (each.category.value, f"{about}{count(each.eligible)}", f"{about}{count(each.total)}")
        for each in audience.categories
    )
    numbers = table(("category", "eligible", "repositories"), rows)
    legend = tag("p", {"class": "legend"}, _source(audience))
    return figure("Eligible by category", drawing, numbers, legend)


def _of(share: CategoryShare, about: str) -> str:
    return f"{about}{count(share.eligible)} of {count(share.total)}"


def _source(audience: AudienceEstimate) -> str:
    if not audience.is_estimated:
        return f"All {count(audience.repositories)} repositories were counted."
    return (
        f"Estimated from {count(audience.looked_at)} of about {count(audience.repositories)} "
        "repositories; reconcile stats counts all."
    )


def evidence_bar(value: float, warn_line: float, fail_line: float) -> Chart:
    """Return the evidence as a bar on a scale of powers of ten, with a notch at the line that warns.

    Its sentence has the number, and so has the cell beside it.
    """
    share = _share(value, fail_line)
    notch = _share(warn_line, fail_line) * _EVIDENCE_WIDE
    kind = "act" if value >= fail_line else "warn" if value >= warn_line else "calm"
    body = [_bar(_EVIDENCE_WIDE, "bar")]
    if share > 0:
        body.append(_bar(share * _EVIDENCE_WIDE, f"filled {kind}"))
    body.append(path([f"M{number(notch)} 0V{number(_EVIDENCE_HIGH)}"], "limit"))
    words = {"act": "; over the line that rolls back", "warn": "; over the line that warns"}
    sentence = (
        f"evidence {shown_evidence(value)}: warns at {count(math.ceil(warn_line))}, "
        f"rolls back at {count(math.ceil(fail_line))}{words.get(kind, '')}"
    )
    return Chart(small_svg(sentence, body, "evidence-bar"))


def _bar(wide: float, kind: str) -> str:
    """Return a bar of the evidence as a path, which has fewer characters than a rectangle."""
    return path([f"M0 2h{number(wide)}v10H0z"], kind)


def _share(value: float, fail_line: float) -> float:
    """Return the place of a value between 1 and the line that acts, by its logarithm."""
    if value <= 1 or fail_line <= 1:
        return 0.0
    return min(math.log(value) / math.log(fail_line), 1.0)
