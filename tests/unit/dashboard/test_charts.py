"""Charts: markup that a strict policy allows, and numbers that are right for odd values."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.dashboard.charts import (
    Chart,
    category_bars,
    evidence_bar,
    evidence_chart,
    jobs_chart,
    sparkline,
    staircase,
)
from reconciler.dashboard.charts.svg import TimeAxis, nice_top
from reconciler.planning.audience import CategoryShare, scale_sample
from reconciler.planning.evidence import EvidenceTest
from reconciler.planning.evidence_series import EvidencePoint, EvidenceSeries
from reconciler.planning.job_series import HourOfJobs, JobSeries, Mark, MarkKind, WindowOfJobs
from reconciler.planning.stage_dates import StageDate, StageState
from rollout_client.targeting.categories import Category
from tests.hostile import TEXTS, acts_in_a_page, acts_on_a_terminal

NOW = datetime(2026, 3, 29, 12, 3, tzinfo=UTC)
FIVE = timedelta(minutes=5)
HOSTILE = "</text><script>alert(1)</script><img src=x onerror=\"alert('x')\">\x00\u202e" + "".join(
    TEXTS.values()
)


def hours(jobs: Sequence[tuple[int, int]]) -> list[HourOfJobs]:
    begin = datetime(2026, 3, 28, 13, tzinfo=UTC)
    return [
        HourOfJobs(begin + number * timedelta(hours=1), *each) for number, each in enumerate(jobs)
    ]


def series(
    windows: Sequence[WindowOfJobs] = (),
    *,
    marks: Sequence[Mark] = (),
    processor: str = "github_actions",
) -> JobSeries:
    begin = datetime(2026, 3, 28, 12, tzinfo=UTC)
    return JobSeries(processor, "inngest", begin, NOW, windows, marks)


def window(
    number: int, jobs: int, errors: int = 0, processor: str = "github_actions"
) -> WindowOfJobs:
    begin = datetime(2026, 3, 28, 12, tzinfo=UTC)
    return WindowOfJobs(begin + number * FIVE, processor, jobs, errors)


def evidence(values: Sequence[float], fail_line: float = 1000) -> EvidenceSeries:
    points = [
        EvidencePoint(NOW + number * FIVE, value, 10 * number, number)
        for number, value in enumerate(values)
    ]
    return EvidenceSeries(NOW, EvidenceTest.HARD_LIMIT, points, math.sqrt(fail_line), fail_line)


def stage(percentage: int, state: StageState, left: timedelta | None = None) -> StageDate:
    coming = NOW if state is StageState.COMING else None
    return StageDate(Decimal(percentage), timedelta(days=1), state, coming, left)


CHARTS = {
    "no hour": sparkline([]),
    "hours without a job": sparkline(hours([(0, 0)] * 24)),
    "one hour": sparkline(hours([(7, 1)])),
    "a large hour": sparkline(hours([(10**12, 1), (0, 0), (1, 1)])),
    "no window": jobs_chart(series()),
    "one window": jobs_chart(series([window(0, 1, 1)])),
    "the last window": jobs_chart(series([window(288, 5)])),
    "both processors": jobs_chart(
        series([window(1, 5, 1), window(1, 9, 2, "inngest"), window(200, 3)])
    ),
    "marks": jobs_chart(series(marks=[Mark(NOW, kind, kind.words) for kind in MarkKind])),
    "hostile": jobs_chart(
        series([window(0, 1)], marks=[Mark(NOW, MarkKind.APPLY, HOSTILE)], processor=HOSTILE)
    ),
    "one point": evidence_chart(evidence([0.0])),
    "no evidence": evidence_chart(evidence([0.0, 0.0])),
    "much evidence": evidence_chart(evidence([0.5, 1e300, 2.0])),
    "stages": staircase(
        [
            stage(10, StageState.DONE),
            stage(50, StageState.CURRENT, FIVE),
            stage(100, StageState.COMING),
        ]
    ),
    "fifty stages": staircase([stage(each, StageState.COMING) for each in range(1, 51)]),
    "no repository": category_bars(scale_sample(0, 0, [])),
    "a sample": category_bars(scale_sample(10**6, 3000, [CategoryShare(Category.SMALL, 1, 3)])),
    "no bar": evidence_bar(0, 31.6, 1000),
    "a full bar": evidence_bar(math.inf, 31.6, 1000),
    "a line at one": evidence_bar(5, 1.4, 2),
}


def parsed(chart: Chart | None) -> ET.Element:
    assert chart is not None
    return ET.fromstring(chart.__html__())  # noqa: S314 - our own markup


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS.keys())
def test_a_chart_is_markup_without_style_and_script(chart: Chart) -> None:
    root = parsed(chart)

    for element in root.iter():
        assert element.tag not in {"style", "script", "img", "foreignObject", "a", "use", "image"}
        assert not {
            name for name in element.attrib if name.startswith("on") or name in {"style", "href"}
        }


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS.keys())
def test_every_coordinate_is_a_number(chart: Chart) -> None:
    for element in parsed(chart).iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "d"):
            assert not re.search("nan|inf", element.attrib.get(name, ""), re.IGNORECASE)
        assert float(element.attrib.get("width", 0)) >= 0
        assert float(element.attrib.get("height", 0)) >= 0


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS.keys())
def test_every_drawing_says_in_words_what_it_shows(chart: Chart) -> None:
    root = parsed(chart)
    drawings = [each for each in root.iter("svg") if each.get("aria-hidden") != "true"]

    assert drawings
    for drawing in drawings:
        assert drawing.attrib["role"] == "img"
        assert len(drawing.attrib["aria-label"]) > 10
    if root.tag == "figure":
        assert root.find(".//table/thead/tr/th") is not None
        assert root.findtext("figcaption")


def test_a_hostile_name_stays_text_in_each_place() -> None:
    markup = str(CHARTS["hostile"])

    assert "<script" not in markup
    assert "<img" not in markup
    assert not acts_on_a_terminal(markup)
    assert not acts_in_a_page(markup)
    assert "alert(1)" in markup


def test_hours_of_equal_jobs_are_one_step() -> None:
    (jobs,) = parsed(sparkline(hours([(5, 0)] * 24))).findall("path[@class='new']")

    assert jobs.attrib["d"] == "M0 21v-20h108V21z"


def test_one_failure_of_a_million_is_seen() -> None:
    root = parsed(sparkline(hours([(10**6, 1), (10**6, 0), (10**6, 0)])))
    (failed,) = root.findall("path[@class='failed']")

    assert failed.attrib["d"] == "M0 21v1h9v-1h9V21z"
    assert root.attrib["aria-label"] == (
        "3,000,000 jobs, 1 failed, most in the hour from 13:00 UTC: 1 of 1,000,000"
    )


def test_a_hundred_sparklines_are_a_part_of_a_small_page() -> None:
    busy = [(1000 + 97 * number % 800, number % 5) for number in range(24)]

    assert 100 * len(str(sparkline(hours(busy)))) < 30_000


def test_the_line_falls_to_zero_where_no_job_ran() -> None:
    chart = parsed(jobs_chart(series([window(10, 4), window(11, 4), window(40, 4)])))
    (line,) = chart.findall(".//div/svg/path[@class='new line']")
    heights = [float(each) for each in re.findall(r"V([\d.]+)", line.attrib["d"])]

    assert heights == [150, 24, 24, 150, 24, 150] or heights.count(150) == 3


def test_a_line_begins_and_ends_at_the_height_of_the_window_at_the_edge() -> None:
    begin = datetime(2026, 3, 28, 12, tzinfo=UTC)
    windows = [WindowOfJobs(begin + number * FIVE, "inngest", 4, 0) for number in (-1, 0, 1)]
    chart = parsed(jobs_chart(JobSeries("inngest", "other", begin, begin + 2 * FIVE, windows, ())))
    (line,) = chart.findall(".//div/svg/path[@class='new line']")

    # Where jobs ran at an edge, the line does not fall to zero (150) there.
    assert {float(each) for each in re.findall(r"(?:V|M[\d.]+ )([\d.]+)", line.attrib["d"])} == {24}


def test_a_chart_without_a_job_says_so_at_its_newest_end() -> None:
    (words,) = parsed(CHARTS["no window"]).findall(".//text[@class='empty']")

    # A narrow page shows the newest end of a chart first.
    assert words.attrib["text-anchor"] == "end"
    assert words.text == "no job in this time"


def test_the_table_has_each_window_and_mark_the_newest_first() -> None:
    marks = [Mark(NOW, MarkKind.ROLLBACK, "rollback 25 → 0 by watch")]
    root = parsed(jobs_chart(series([window(1, 5, 1), window(1, 9, 2, "inngest")], marks=marks)))
    rows = [["".join(cell.itertext()) for cell in row] for row in root.findall(".//tbody/tr")]

    assert rows == [
        ["2026-03-29T12:03:00Z", "", "", "", "", "rollback or stop: rollback 25 → 0 by watch"],
        ["2026-03-28T12:05:00Z", "5", "1", "9", "2", ""],
    ]


def test_each_mark_has_a_letter_and_not_only_a_colour() -> None:
    begin = NOW - timedelta(hours=20)
    marks = [
        Mark(begin + each * timedelta(hours=3), kind, "x") for each, kind in enumerate(MarkKind)
    ]
    root = parsed(jobs_chart(series(marks=marks)))

    assert {each.text for each in root.findall(".//div/svg/text[@class='letter']")} == set("ARSP")
    assert len(root.findall("ul/li")) == 2 + 4


def test_marks_at_one_place_share_their_letters() -> None:
    marks = [Mark(NOW, MarkKind.APPLY, "x"), Mark(NOW, MarkKind.RESUME, "y")]
    root = parsed(jobs_chart(series(marks=marks)))

    assert [each.text for each in root.findall(".//div/svg/text[@class='letter']")] == ["AS"]


def test_the_evidence_shows_both_lines_with_their_words() -> None:
    root = parsed(evidence_chart(evidence([0, 40, 2000])))
    texts = [each.text for each in root.findall(".//div/svg/text")]

    assert "warns at 32" in texts
    assert "rolls back at 1,000" in texts


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_an_axis_over_a_change_of_the_clocks_is_linear(zone: str) -> None:
    changes = {
        "Europe/Berlin": (2026, 3, 29),
        "America/New_York": (2026, 11, 1),
        "Australia/Lord_Howe": (2026, 4, 5),
    }
    begin = datetime(*changes[zone], tzinfo=ZoneInfo(zone))
    axis = TimeAxis(begin, begin.astimezone(UTC) + timedelta(days=1), 0, 288)
    ticks = axis.ticks()

    assert len({after - before for before, after in pairwise(ticks)}) == 1
    assert len({round(axis.x(b) - axis.x(a), 6) for a, b in pairwise(ticks)}) == 1
    assert len(set(ticks)) == len(ticks)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - as hypothesis needs
    st.timedeltas(timedelta(0), timedelta(days=4000)),
)
def test_an_axis_has_at_most_nine_ticks_inside_of_it(begin: datetime, length: timedelta) -> None:
    axis = TimeAxis(begin.replace(tzinfo=UTC), begin.replace(tzinfo=UTC) + length, 0, 100)
    ticks = axis.ticks()

    assert len(ticks) <= 9
    assert all(axis.begins_at <= tick <= axis.ends_at for tick in ticks)
    assert all(0 <= axis.x(tick) <= 100 for tick in ticks)


@given(st.integers(0, 10**15))
def test_the_top_of_an_axis_holds_the_largest_value(largest: int) -> None:
    top = nice_top(largest)

    assert top >= largest
    assert top <= max(1, 2.5 * largest)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(hours=5, seconds=1), "soaks 5h 1m more"),
        (timedelta(hours=23, minutes=47), "soaks 23h 47m more"),
        (timedelta(hours=5), "soaks 5h more"),
        (timedelta(seconds=1), "soaks 1m more"),
        (timedelta(days=2, minutes=1), "soaks 2d 1h more"),
        (timedelta(days=7), "soaks 7d more"),
        (timedelta(0), "has soaked"),
    ],
)
def test_a_current_stage_says_what_is_left_of_its_soak(left: timedelta, words: str) -> None:
    root = parsed(staircase([stage(10, StageState.CURRENT, left)]))

    assert root.findtext(".//tbody/tr/td[3]") == words


def test_a_stage_that_a_limit_holds_is_that_of_the_file_and_does_not_soak() -> None:
    held = parsed(staircase([stage(10, StageState.CURRENT)]))
    soaking = parsed(staircase([stage(10, StageState.CURRENT, FIVE)]))

    assert "● in the file" in "".join(held.itertext())
    assert "held, so it does not soak" in "".join(held.itertext())
    assert "● now" in "".join(soaking.itertext())


def test_no_stage_is_no_chart() -> None:
    assert staircase([]) is None


def test_an_estimate_says_so() -> None:
    assert "Estimated from 3,000 of about 1,000,000" in str(CHARTS["a sample"])
    assert "All 0 repositories were counted" in str(CHARTS["no repository"])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, "rolls back at 1,000"),
        (40, "over the line that warns"),
        (1000, "over the line that rolls back"),
    ],
)
def test_a_bar_of_evidence_says_which_line_it_is_over(value: float, words: str) -> None:
    assert parsed(evidence_bar(value, 31.6, 1000)).attrib["aria-label"].endswith(words)
