"""Charts as SVG that the server draws: values in, markup out.

Pure. A chart has a text alternative and a `<table>` with its numbers beside it. It has no style and no
script of its own: classes of `static/charts.css` give light and dark colours, so that the policy
`style-src 'self'` holds. No colour is the only sign: lines differ in their dashes, bars in their outline,
marks in their letter. Libraries that draw SVG (pygal, matplotlib, plotly) put a `<style>` or a `style=` into
it, which this policy blocks.
"""

from reconciler.dashboard.charts.bars import category_bars, evidence_bar
from reconciler.dashboard.charts.evidence import evidence_chart
from reconciler.dashboard.charts.jobs import jobs_chart
from reconciler.dashboard.charts.sparkline import sparkline
from reconciler.dashboard.charts.staircase import staircase
from reconciler.dashboard.charts.svg import Chart

__all__ = [
    "Chart",
    "category_bars",
    "evidence_bar",
    "evidence_chart",
    "jobs_chart",
    "sparkline",
    "staircase",
]
