"""The choice of the cheapest processor: only with evidence, never by noise."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from reconciler.planning.cheapest import Choice, Move, cheaper_moves, read_choices, with_moves
from reconciler.planning.cost import EDGE_FACTOR, FIRST_EDGE_SECONDS, JobGroup, Stratum
from reconciler.planning.desired import default_configuration
from reconciler.planning.feature_config import Configuration
from reconciler.planning.field_types import rules_as_json
from reconciler.rollout_file.routing import Condition, Cost, RoutingRule

NOW = datetime(2026, 11, 28, tzinfo=UTC)
CHEAP = Cost(per_minute=Decimal("0.006"), round_up=timedelta(minutes=1))
DEAR = Cost(per_minute=Decimal("0.012"), round_up=timedelta(minutes=1))
COSTS = {"github_actions": DEAR, "inngest": CHEAP}
STRATUM = Stratum("large", "reviews", 2)
RULE = RoutingRule(to="cheapest", because="it is cheaper")


def configuration(rule: RoutingRule = RULE, **values: Any) -> Configuration:
    return replace(default_configuration("f"), routing=(rule,), **values)


def group(
    processor: str,
    jobs: int = 1_000,
    *,
    errors: int = 0,
    seconds: float = 90.0,
    stratum: Stratum = STRATUM,
) -> JobGroup:
    return counted(processor, [seconds] * jobs, errors, stratum)


def counted(
    processor: str, seconds: Sequence[float], errors: int = 0, stratum: Stratum = STRATUM
) -> JobGroup:
    counts = [0] * 48
    for each in seconds:
        counts[max(0, math.ceil(math.log(each / FIRST_EDGE_SECONDS, EDGE_FACTOR)))] += 1
    jobs = len(seconds)
    return JobGroup(
        processor, stratum, jobs, errors, jobs, sum(seconds), {}, counts, durations=counts
    )


def moves(
    *groups: JobGroup,
    found: Configuration | None = None,
    choices: Sequence[Choice] = (),
    costs: dict[str, Cost] = COSTS,
    is_limited: bool = False,
    is_frozen: bool = False,
) -> list[Move]:
    return list(
        cheaper_moves(
            found or configuration(),
            choices,
            groups,
            costs,
            NOW,
            is_limited=is_limited,
            is_frozen=is_frozen,
        )
    )


BOTH = (group("github_actions"), group("inngest"))


def test_jobs_move_to_a_processor_that_costs_half() -> None:
    (move,) = moves(*BOTH)
    assert move.choice.processor == "inngest"
    assert move.before == "github_actions"
    assert move.saving == pytest.approx(0.5)
    assert "because" not in move.choice.rule


def test_a_small_saving_moves_nothing() -> None:
    costs = {**COSTS, "github_actions": Cost(per_minute=Decimal("0.0069"))}
    assert moves(*BOTH, costs={**costs, "inngest": Cost(per_minute=Decimal("0.006"))}) == []


def test_failed_jobs_make_a_processor_dear() -> None:
    assert moves(group("github_actions"), group("inngest", errors=600)) == []


@pytest.mark.parametrize(
    "groups",
    [
        (group("github_actions"),),
        (group("github_actions"), group("inngest", 50)),
        (group("github_actions"), group("inngest", stratum=Stratum("large", "reviews", 5))),
    ],
    ids=["no job of the other", "too few jobs", "jobs that are not alike"],
)
def test_with_too_little_data_the_choice_stays(groups: tuple[JobGroup, ...]) -> None:
    assert moves(*groups) == []


def test_nothing_moves_during_a_rollback_a_freeze_or_a_stop() -> None:
    assert moves(*BOTH, is_limited=True) == []
    assert moves(*BOTH, is_frozen=True) == []
    assert moves(*BOTH, found=configuration(emergency_stop=True)) == []
    assert moves(*BOTH, found=configuration(active=False)) == []


def test_a_choice_changes_at_most_once_a_day() -> None:
    (move,) = moves(*BOTH)
    there = replace(move.choice, processor="github_actions", at=NOW - timedelta(hours=23))
    assert moves(*BOTH, choices=[there]) == []
    (again,) = moves(*BOTH, choices=[replace(there, at=NOW - timedelta(hours=24))])
    assert again.choice.processor == "inngest"


def test_a_cheaper_processor_is_left_when_it_becomes_dear() -> None:
    (move,) = moves(*BOTH)
    choices = [replace(move.choice, at=NOW - timedelta(days=2))]
    (back,) = moves(*BOTH, choices=choices, costs={"github_actions": CHEAP, "inngest": DEAR})
    assert back.choice.processor == "github_actions"
    assert with_moves(configuration(), choices, [back]) == (back.choice,)


def test_a_choice_whose_time_cannot_be_read_may_change() -> None:
    (move,) = moves(*BOTH)
    stored = move.choice.as_json() | {"processor": "github_actions", "at": "yesterday"}
    assert len(moves(*BOTH, choices=read_choices([stored]))) == 1
    assert read_choices([move.choice.as_json()]) == (move.choice,)


def test_choices_of_rules_that_are_gone_are_dropped() -> None:
    (move,) = moves(*BOTH)
    other = configuration(RoutingRule(to="inngest"))
    assert with_moves(other, [move.choice], []) == ()


@pytest.mark.parametrize(
    ("condition", "errors", "is_held"),
    [
        (Condition(error_rate="<2%"), 0, True),
        (Condition(error_rate="<2%"), 15, False),
        (Condition(p95="<30m"), 0, True),
        (Condition(p95="<1m"), 0, False),
        (Condition(p95="<30m", error_rate="<50 %"), 15, True),
    ],
)
def test_a_condition_needs_evidence(condition: Condition, errors: int, *, is_held: bool) -> None:
    rule = RoutingRule(to="cheapest", condition=condition)
    assert rules_as_json([rule])[0]["if"]
    found = moves(
        group("github_actions"), group("inngest", errors=errors), found=configuration(rule)
    )
    assert bool(found) is is_held


def simulated_month(random: Random) -> Iterator[list[Move]]:
    """Yield the moves of each day of a month in which both processors cost the same."""
    days: list[dict[str, tuple[list[float], int]]] = []
    choices: tuple[Choice, ...] = ()
    jobs = random.choice([5, 20, 60])
    spread = random.choice([0.4, 0.8, 1.2])
    error_rate = random.choice([0.0, 0.02, 0.2])
    costs = {"github_actions": CHEAP, "inngest": CHEAP}
    found = configuration()
    for day in range(30):
        days.append(
            {
                name: (
                    [random.lognormvariate(5, spread) for _ in range(jobs)],
                    sum(random.random() < error_rate for _ in range(jobs)),
                )
                for name in costs
            }
        )
        week = days[-7:]
        groups = [
            counted(
                name,
                [each for part in week for each in part[name][0]],
                sum(part[name][1] for part in week),
            )
            for name in costs
        ]
        now = NOW + timedelta(days=day)
        moved = list(cheaper_moves(found, choices, groups, costs, now, is_limited=False))
        choices = with_moves(found, choices, moved)
        yield moved


def noise_moves(months: int, seed: int) -> int:
    random = Random(seed)
    return sum(len(moved) for _ in range(months) for moved in simulated_month(random))


def test_noise_alone_moves_nothing() -> None:
    assert noise_moves(100, seed=1) == 0


@pytest.mark.nightly
def test_noise_alone_moves_nothing_in_a_thousand_months() -> None:
    assert noise_moves(1_000, seed=2) == 0
