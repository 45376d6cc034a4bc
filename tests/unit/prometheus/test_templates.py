"""Queries: they contain a feature's name and a time, and neither can change the query."""

from datetime import timedelta

import pytest

from reconciler.errors import SetupInvalid
from reconciler.prometheus.templates import DEFAULT_ERRORS, DEFAULT_JOBS, Template

HOUR = timedelta(hours=1)


def parse(text: str) -> Template:
    return Template.parse(text, option="the query of jobs")


def test_the_defaults_are_templates() -> None:
    assert parse(DEFAULT_JOBS).fill("capture", timedelta(days=1)) == (
        'sum by (category, processor) (increase(rollout_jobs_total{feature="capture"}[86400000ms]))'
    )
    assert parse(DEFAULT_ERRORS).fill("capture", timedelta(seconds=1.5)) == (
        "sum by (category, processor) "
        '(increase(rollout_jobs_total{feature="capture", outcome="failed"}[1500ms]))'
    )


def test_a_feature_name_is_quoted() -> None:
    hostile = 'a"} or vector(1) #\n\\$window$feature`é'

    filled = parse("sum(jobs{feature=$feature}[$window])").fill(hostile, HOUR)

    quoted = filled.removeprefix('sum(jobs{feature="').removesuffix('"}[3600000ms])')
    assert len(quoted) < len(filled) - 30
    assert '"' not in quoted
    assert "$" not in quoted
    # PromQL reads the escapes of a string like Python.
    assert quoted.encode("ascii").decode("unicode_escape") == hostile


def test_other_dollar_signs_stay() -> None:
    text = 'sum(jobs{f=$feature, p=~"a.*$", q="\\"$"}[$window]) + $windows'

    assert parse(text).fill("x", HOUR) == (
        'sum(jobs{f="x", p=~"a.*$", q="\\"$"}[3600000ms]) + $windows'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sum(increase(jobs[$window]))", "the query of jobs has no $feature outside quotes"),
        ("sum(jobs{f=$feature})", "the query of jobs has no $window outside quotes"),
        ('sum(jobs{f="$feature"}[$window])', "has no $feature outside quotes"),
        (
            "sum(jobs{f=$feature, g='x $feature'}[$window])",
            "the query of jobs has a placeholder inside quotes; $feature includes quotes: {feature=$feature}",
        ),
        ("sum(jobs{f=$feature, g=`$window`}[$window])", "has a placeholder inside quotes"),
        ("", "has no $feature"),
    ],
)
def test_an_invalid_query_template_is_refused(text: str, message: str) -> None:
    with pytest.raises(SetupInvalid) as refused:
        parse(text)
    assert message in str(refused.value)
