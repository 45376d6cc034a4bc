"""Properties with any input: hostile bytes give findings, and valid states survive writing and reading."""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from reconciler.errors import FileInvalid, Finding
from reconciler.rollout_file import parse_rollout
from reconciler.rollout_file.characters import text_problem
from reconciler.rollout_file.durations import LONGEST_DURATION, SHORTEST_DURATION, format_duration
from reconciler.rollout_file.health_method import HealthMethod
from reconciler.rollout_file.list_entries import entry_key, is_entry
from reconciler.rollout_file.model import Feature, Guards, Health, Rollout, Stage
from reconciler.rollout_file.override import Override
from reconciler.rollout_file.routing import RoutedJobs, RoutingRule
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS, Category, Threshold
from rollout_client.targeting.strategy import Strategy

FRAGMENTS = st.sampled_from(
    [
        *(
            "version: 1\n",
            "features:\n",
            "  a:\n",
            "    percentage: ",
            "    whitelist:\n",
            "      - ",
        ),
        *(
            "    override:\n",
            "      id: ",
            "test_repositories:\n",
            "- ",
            "? ",
            ": ",
            "\n",
            "\r",
            "\t",
        ),
        *(
            "&a ",
            "*a",
            "!!str ",
            "<<: ",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "#",
            "[",
            "]",
            "{",
            "}",
            ",",
        ),
        *('"', "'", "|\n", ">-\n", "\\u0000", "\\ud800", "\\UFFFFFFFF", "\ufeff", "\x00", "\u2028"),
        *(
            "acme/tools",
            "ACME/*",
            "true",
            "null",
            "~",
            "25",
            "1e999",
            "9" * 400,
            "categories: {small: ",
        ),
    ]
)


def findings(content: str | bytes) -> tuple[Finding, ...] | None:
    """Return the problem of a content, or None if it is a document."""
    try:
        parse_rollout(content)
    except FileInvalid as error:
        return error.findings
    return None


def check(content: str | bytes) -> None:
    found = findings(content)
    assert found != ()
    for each in found or ():
        assert each.line >= 1
        assert each.column >= 1
        assert each.message.isprintable()


@given(st.binary())
def test_bytes_end_in_a_document_or_in_findings(content: bytes) -> None:
    check(content)


@given(st.text(st.characters()))
def test_text_ends_in_a_document_or_in_findings(content: str) -> None:
    check(content)


@settings(max_examples=400)
@given(st.lists(FRAGMENTS, max_size=40).map("".join))
def test_pieces_of_rollout_files_end_in_a_document_or_in_findings(content: str) -> None:
    check(content)


def percentages(least: int = 0, most: int = 10_000) -> st.SearchStrategy[Decimal]:
    return st.integers(least, most).map(lambda hundredths: Decimal(hundredths) / 100)


durations = st.timedeltas(SHORTEST_DURATION, LONGEST_DURATION).map(
    lambda each: each - (each % SHORTEST_DURATION)
)
texts = st.text(min_size=1, max_size=50).filter(
    lambda text: bool(text.strip()) and text_problem(text) is None
)
entries = st.one_of(
    st.from_regex(r"\A[a-z]{1,3}/([A-Z]{1,3}|\*)\Z"),
    st.uuids().map(str),
    st.uuids().map(lambda each: str(each).upper()),
).filter(is_entry)
names = st.from_regex(r"\A[a-z][a-z0-9_]{0,9}\Z")
moments = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def rules(processors: list[str]) -> st.SearchStrategy[RoutingRule]:
    """Rules that do not take every job."""
    return st.builds(
        RoutedJobs,
        size=st.from_regex(r"\A(<=|>=|<|>|=) ?[0-9]{1,15}\Z"),
        kind=st.lists(texts.map(lambda text: text[:50].strip() or "x"), max_size=3).map(tuple),
        category=st.lists(st.sampled_from(Category), max_size=3).map(tuple),
    ).flatmap(
        lambda when: st.builds(
            RoutingRule,
            when=st.just(when),
            to=st.sampled_from(processors),
            because=st.none() | texts,
        )
    )


@st.composite
def features(draw: st.DrawFn) -> Feature:
    listed = draw(st.lists(entries, max_size=8, unique_by=entry_key))
    split = draw(st.integers(0, len(listed)))
    percentage = draw(percentages())
    processor = draw(st.just("github_actions") | names)
    fallback = draw(st.just("inngest") | names)
    stages = sorted(draw(st.sets(percentages(1), max_size=4)))
    return Feature(
        description=draw(st.none() | texts),
        active=draw(st.booleans()),
        strategy=draw(st.sampled_from(Strategy)),
        percentage=percentage,
        processor=processor,
        fallback=fallback,
        routing=tuple(draw(st.lists(rules([processor, fallback]), max_size=4))),
        salt=draw(st.none() | texts),
        whitelist=tuple(listed[:split]),
        exclusions=tuple(listed[split:]),
        health=Health(
            method=draw(st.sampled_from(HealthMethod)),
            max_error_rate=draw(percentages()),
            max_regression=draw(percentages()),
            max_slowdown=draw(st.none() | percentages()),
            false_alarms=draw(st.decimals("0.0001", "0.5", places=4)),
            min_jobs=draw(st.integers(1, 2_147_483_647)),
            window=draw(durations),
            auto_rollback=draw(st.booleans()),
            rollback_to=draw(percentages()),
        ),
        guards=Guards(
            max_increase=draw(percentages()),
            max_removal=draw(percentages()),
            max_gain=draw(st.none() | st.integers(0, 2_147_483_647)),
        ),
        progression=tuple(Stage(percentage=each, soak=draw(durations)) for each in stages),
        override=draw(st.none() | overrides(int(percentage * 100))),
    )


@st.composite
def overrides(draw: st.DrawFn, most: int) -> Override:
    stopped = draw(st.booleans())
    return Override(
        id=draw(st.uuids()),
        percentage=None if stopped else draw(percentages(0, most)),
        emergency_stop=True if stopped else None,
        reason=draw(texts),
        by=draw(texts),
        at=draw(moments),
    )


@st.composite
def thresholds(draw: st.DrawFn) -> dict[Category, Threshold]:
    count = st.integers(0, 2_147_483_647)
    written = draw(st.sets(st.sampled_from(Category)))
    return {
        category: DEFAULT_THRESHOLDS[category]
        if category is Category.ENTERPRISE
        else Threshold(draw(count), draw(count), draw(count), draw(st.integers(0, 1_000)))
        for category in written
    }


rollouts = st.builds(
    Rollout,
    version=st.just(1),
    features=st.dictionaries(names, features(), max_size=3),
    test_repositories=st.lists(entries, max_size=5, unique_by=entry_key).map(tuple),
    categories=thresholds(),
)


def as_yaml(value: Any) -> str:
    """Return a value as flow YAML; a None is left out."""
    match value:
        case dict():
            pairs = ((key, each) for key, each in value.items() if each is not None)
            return "{" + ", ".join(f"{key}: {as_yaml(each)}" for key, each in pairs) + "}"
        case tuple():
            return f"[{', '.join(map(as_yaml, value))}]"
        case BaseModel():
            return as_yaml(dict(value))
        case Threshold():
            return as_yaml({each.name: getattr(value, each.name) for each in fields(value)})
        case _:
            return scalar_as_yaml(value)


def scalar_as_yaml(value: bool | int | str | Decimal | timedelta | datetime | UUID) -> str:
    match value:
        case Strategy() | UUID():
            return str(value)
        case bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case timedelta():
            return format_duration(value)
        case datetime():
            return value.isoformat()
        case int() | Decimal():
            return f"{value:f}" if isinstance(value, Decimal) else str(value)


@settings(max_examples=200)
@given(rollouts)
def test_a_written_state_reads_back_equal(rollout: Rollout) -> None:
    assert parse_rollout(as_yaml(rollout)).rollout == rollout


@given(rollouts)
def test_a_state_stored_as_json_is_what_the_file_says(rollout: Rollout) -> None:
    stored = json.loads(rollout.model_dump_json(exclude_none=True))

    assert parse_rollout(json.dumps(stored, ensure_ascii=False)).rollout == rollout
