"""The checker of the rounds in a real cluster: it notices each promise that is broken."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from tests.cluster.checker import Answers, End, HistoryRow, OverrideRow, violations

STOP = UUID(int=1)


def answers() -> Answers:
    return Answers(stops={"f": STOP}, applies={2: Decimal(21)}, jobs=3, unanswered_jobs=1)


END = End(
    overrides=[OverrideRow("f", STOP, "on")],
    stopped=frozenset({"f"}),
    history=[
        HistoryRow("f", "emergency_stop", str(STOP), 1),
        HistoryRow("applied", "percentage_changed", None, 2),
    ],
    generations={1: Decimal(20), 2: Decimal(21)},
    jobs=3,
    in_git={"f": STOP},
    eligible=frozenset(),
)


def test_an_end_that_keeps_every_promise_has_no_violation() -> None:
    assert list(violations(answers(), END, is_synchronous=True)) == []
    assert list(violations(answers(), replace(END, jobs=4), is_synchronous=True)) == []


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (
            replace(END, overrides=[], stopped=frozenset(), in_git={}),
            "the answered stop of f is lost",
        ),
        (replace(END, stopped=frozenset()), "stopped features and overrides differ"),
        (replace(END, overrides=[OverrideRow("f", STOP, "off")]), "no person resumed it"),
        (
            replace(END, overrides=[*END.overrides, OverrideRow("g", STOP, "on")]),
            "no client stopped ['g']",
        ),
        (replace(END, history=END.history[1:]), "has not exactly one row of history"),
        (
            replace(END, history=[*END.history, END.history[0]]),
            "has not exactly one row of history",
        ),
        (
            replace(END, history=[*END.history, HistoryRow("f", "resumed", str(STOP), 1)]),
            "history has a resume",
        ),
        (replace(END, in_git={}), "git and the database differ"),
        (replace(END, generations={1: Decimal(20), 3: Decimal(21)}), "generations have a gap"),
        (
            replace(END, generations={1: Decimal(20), 2: Decimal(22)}),
            "the answered apply of generation 2 is lost",
        ),
        (replace(END, history=END.history[:1]), "generations and their rows of history differ"),
        (replace(END, jobs=2), "2 jobs are there"),
        (replace(END, jobs=5), "5 jobs are there"),
        (replace(END, eligible=frozenset({"f"})), "the client still answers with yes"),
    ],
)
def test_a_broken_promise_is_a_violation(end: End, expected: str) -> None:
    assert expected in " | ".join(violations(answers(), end, is_synchronous=True))


def test_what_a_client_met_is_a_violation() -> None:
    met = replace(answers(), failures=["a stop ended"], widened=["f"], doubled_generations=[2])

    found = list(violations(met, END, is_synchronous=True))

    assert found == [
        "a stop ended",
        "the client answered f with yes after a no",
        "two applies were answered with generation 2",
    ]


def test_without_a_synchronous_standby_applies_and_jobs_may_be_lost() -> None:
    lost = replace(END, generations={1: Decimal(20)}, jobs=0, history=END.history[:1])

    assert list(violations(answers(), lost, is_synchronous=False)) == []
