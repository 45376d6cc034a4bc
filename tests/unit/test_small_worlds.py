"""Every sequence of acts on one feature in a small world, in every order.

The claims hold in every reachable world. Each rule is needed: without it, a shortest sequence of
acts exists after which a claim fails. The sequences that are written here are the reasons for the
rules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest

from reconciler.planning import override_actions, overrides, planner, write_back
from reconciler.planning.overrides import OverrideCase, OverrideState, StoredOverride, Trace
from reconciler.planning.write_back import Decision, Nothing, Remove, Replace, Tip, Wait, Why
from reconciler.rollout_file.override import Override
from tests.unit.worlds.search import Search, Violation
from tests.unit.worlds.values import Bounds, Rules

STAYS_STOPPED = "stopped stays stopped until a person resumes"
ENTERS_ONCE = "each id enters git by write-back at most once"
TIP_SAYS = "at rest, live is what the tip of the branch says"


def everybody(times: int, *, together: int, commits: int = 6) -> Bounds:
    """Bounds with all acts of all actors: a limit for each act and a limit for all acts."""
    names = (
        "merge",
        "remove",
        "put back",
        "write",
        "edit",
        "roll back",
        "stop",
        "resume",
        "stop by hand",
    )
    return Bounds(tuple((name, times) for name in names), together, commits)


def with_another_feature(together: int) -> Bounds:
    """People move blocks between two features; the safeguard and commands act meanwhile.

    No command resumes: git shows an id in the file, not in a feature. So a pass of write-back that read a
    resume removes a block that people moved away and back meanwhile; the resume was the last request.
    """
    names = ("write", "move away", "move back", "remove", "roll back", "stop")
    return Bounds(tuple((name, 2) for name in names), together, 6)


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(everybody(2, together=4), id="each thing up to twice, four in all"),
        pytest.param(
            everybody(1, together=5, commits=5), id="each thing once, five in all, five commits"
        ),
        pytest.param(
            everybody(1, together=6), id="each thing once, six in all", marks=pytest.mark.nightly
        ),
        pytest.param(
            everybody(2, together=5),
            id="each thing up to twice, five in all",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_the_claims_hold_in_every_small_world(bounds: Bounds) -> None:
    search = Search(bounds)

    assert search.run() is None
    assert len(search.seen) > 20_000


@pytest.mark.parametrize(
    "together",
    [
        pytest.param(4, id="four things in all"),
        pytest.param(5, id="five things in all", marks=pytest.mark.nightly),
    ],
)
def test_the_claims_hold_where_blocks_move_to_another_feature(together: int) -> None:
    search = Search(with_another_feature(together))

    assert search.run() is None
    assert len(search.seen) > 5_000


def without_a_line(case: OverrideCase, state: OverrideState | None) -> Mapping[str, object]:
    return {"STATE_AFTER": {**overrides.STATE_AFTER, case: state}}


def count_removals_unseen(
    row: StoredOverride, case: OverrideCase, trace: Trace, block: Override | None
) -> StoredOverride:
    return overrides.in_state(overrides.with_seen(row, trace, block or row.override), case)


def without_the_limit_in_the_file(
    row: StoredOverride, trace: Trace, block: Override
) -> StoredOverride:
    return replace(row, removals=max(row.removals, trace.removals))


_decide = write_back.decide


def decide_without(kind: type[Decision]) -> Callable[..., Decision]:
    """Return the decision's code with one kind of decision removed."""

    def decide(*arguments: Any) -> Decision:
        decision = _decide(*arguments)
        return Nothing() if isinstance(decision, kind) else decision

    return decide


def replace_what_is_unknown(
    tip: Tip, rows: Sequence[StoredOverride], traces: Mapping[UUID, Trace]
) -> Decision:
    decision = _decide(tip, rows, traces)
    if decision == Wait(Why.UNKNOWN_BLOCK) and tip.block is not None:
        (on,) = (row.override for row in rows if row.state is OverrideState.ON)
        return Replace(on, tip.block.id)
    return decision


@dataclass(frozen=True)
class Missing:
    """A removed rule, of the planning code or its surroundings, and the resulting violation."""

    rule: str
    overrides: Mapping[str, object] = field(default_factory=dict)
    planner: Mapping[str, object] = field(default_factory=dict)
    write_back: Mapping[str, object] = field(default_factory=dict)
    acting: Mapping[str, object] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    fails: str = ""
    way: str = ""


MISSING = (
    Missing(
        "on, and the file has the id: in force",
        without_a_line(OverrideCase.ON_AND_THERE, OverrideState.DONE),
        fails=TIP_SAYS,
        way="""
            write a stop by hand (commit 1)
            apply commit 1
        """,
    ),
    Missing(
        "on, and git does not know it yet: in force",
        without_a_line(OverrideCase.ON_AND_NEVER_THERE, OverrideState.DONE),
        fails=STAYS_STOPPED,
        way="""
            apply commit 0
            roll back
            apply commit 0
        """,
    ),
    Missing(
        "on, and people removed it: done",
        without_a_line(OverrideCase.ON_AND_REMOVED, None),
        fails=TIP_SAYS,
        way="""
            write a stop by hand (commit 1)
            apply commit 1
            remove the block (commit 2)
            apply commit 2
        """,
    ),
    Missing(
        "off or superseded, and the file has it still: ignored",
        without_a_line(OverrideCase.OUT_AND_THERE, OverrideState.ON),
        fails=STAYS_STOPPED,
        way="""
            write a stop by hand (commit 1)
            apply commit 1
            resume
            write-back reads
            apply commit 1
            write-back commits
            write-back pushes (commit 2)
            apply commit 2
        """,
    ),
    Missing(
        "off, and removed: done",
        without_a_line(OverrideCase.OFF_AND_REMOVED, None),
        fails=TIP_SAYS,
        way="""
            write a stop by hand (commit 1)
            apply commit 1
            resume
            write-back reads
            write-back commits
            write-back pushes (commit 2)
            apply commit 2
        """,
    ),
    Missing(
        "off or done, and put back: on",
        without_a_line(OverrideCase.PUT_BACK, None),
        fails=TIP_SAYS,
        way="""
            write a stop by hand (commit 1)
            apply commit 1
            remove the block (commit 2)
            apply commit 2
            put the block 1 back (commit 3)
            apply commit 3
        """,
    ),
    Missing(
        "superseded by what people removed, and never removed itself: on",
        without_a_line(OverrideCase.SUPERSEDED_FOR_NOTHING, None),
        fails=STAYS_STOPPED,
        way="""
            apply commit 0
            write a stop by hand (commit 1)
            remove the block (commit 2)
            roll back
            apply commit 1
            apply commit 2
        """,
    ),
    Missing(
        "the limit in the file counts, whatever the database has",
        {"with_seen": without_the_limit_in_the_file},
        fails=TIP_SAYS,
        way="""
            write a stop by hand (commit 1)
            apply commit 1
            limit the block 1 to 5 (commit 2)
            apply commit 2
        """,
    ),
    Missing(
        "unknown: on",
        without_a_line(OverrideCase.UNKNOWN_AND_THERE, None),
        fails=TIP_SAYS,
        way="""
            write a stop by hand (commit 1)
            apply commit 1
        """,
    ),
    Missing(
        "a removal counts as in between only where the block was seen again",
        {"settle": count_removals_unseen},
        fails=TIP_SAYS,
        way="""
            write a limit by hand (commit 1)
            apply commit 1
            stop
            resume
            write-back reads
            write-back commits
            write-back pushes (commit 2)
            apply commit 2
            put the block 1 back (commit 3)
            apply commit 3
        """,
    ),
    Missing(
        "of two the narrower is in force",
        {
            "narrowest": lambda rows: max(
                rows, key=lambda row: overrides.limit_of(row.override), default=None
            )
        },
        fails=STAYS_STOPPED,
        way="""
            apply commit 0
            write a limit by hand (commit 1)
            roll back
            apply commit 1
        """,
    ),
    Missing(
        "drift that narrows is kept as an override",
        planner={"kept_override": lambda *_: None},
        fails=STAYS_STOPPED,
        way="""
            apply commit 0
            stop by SQL
            apply commit 0
        """,
    ),
    Missing(
        "an apply remembers what people mean, though an override hides it",
        planner={"is_newly_desired": lambda *_: False},
        fails=TIP_SAYS,
        way="""
            apply commit 0
            merge 30 percent (commit 1)
            roll back
            apply commit 1
            resume
        """,
    ),
    Missing(
        "a stale job is refused",
        rules=Rules(refuses_stale=False),
        fails=STAYS_STOPPED,
        way="""
            write a stop by hand (commit 1)
            apply commit 1
            apply commit 0
        """,
    ),
    Missing(
        "resume turns off what was superseded too",
        acting={"with_superseded": lambda override, _: frozenset({override})},
        fails=TIP_SAYS,
        way="""
            write a limit by hand (commit 1)
            apply commit 1
            stop
            resume
        """,
    ),
    Missing(
        "write-back adds only what never was there",
        write_back={"was_there": lambda *_: False},
        fails=ENTERS_ONCE,
        way="""
            apply commit 0
            roll back
            write-back reads
            write-back commits
            write-back pushes (commit 1)
            write-back reads
            remove the block (commit 2)
            write-back commits
            write-back pushes (commit 3)
        """,
    ),
    Missing(
        "write-back removes what is off",
        write_back={"decide": decide_without(Remove)},
        fails=TIP_SAYS,
        way="""
            write a stop by hand (commit 1)
            apply commit 1
            resume
        """,
    ),
    Missing(
        "write-back replaces what is superseded or off",
        write_back={"decide": decide_without(Replace)},
        fails=TIP_SAYS,
        way="""
            write a limit by hand (commit 1)
            apply commit 1
            stop
        """,
    ),
    Missing(
        "write-back leaves what people put back",
        write_back={"is_put_back": lambda *_: False},
        fails=STAYS_STOPPED,
        way="""
            write a stop by hand (commit 1)
            apply commit 1
            resume
            write-back reads
            write-back commits
            write-back pushes (commit 2)
            write-back reads
            put the block 1 back (commit 3)
            apply commit 3
            write-back commits
            write-back pushes (commit 4)
            apply commit 4
        """,
    ),
    Missing(
        "write-back leaves what the database does not know",
        write_back={"decide": replace_what_is_unknown},
        fails=STAYS_STOPPED,
        way="""
            apply commit 0
            write a stop by hand (commit 1)
            roll back
            write-back reads
            apply commit 1
            write-back commits
            write-back pushes (commit 2)
            apply commit 2
        """,
    ),
    Missing(
        "git is asked of what is superseded",
        rules=Rules(asks_git_of_what_is_superseded=False),
        fails=STAYS_STOPPED,
        way="""
            apply commit 0
            write a stop by hand (commit 1)
            remove the block (commit 2)
            roll back
            apply commit 1
            apply commit 2
        """,
    ),
)


@pytest.mark.parametrize("missing", [pytest.param(each, id=each.rule) for each in MISSING])
def test_every_rule_is_needed(missing: Missing, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, replacement in missing.overrides.items():
        monkeypatch.setattr(overrides, name, replacement)
    for name, replacement in missing.planner.items():
        monkeypatch.setattr(planner, name, replacement)
    for name, replacement in missing.acting.items():
        monkeypatch.setattr(override_actions, name, replacement)
    for name, replacement in missing.write_back.items():
        monkeypatch.setattr(write_back, name, replacement)

    violation = shortest_violation(missing.rules)

    assert violation == Violation(
        missing.fails, tuple(map(str.strip, missing.way.strip().split("\n")))
    )


def test_every_line_of_the_table_is_tested() -> None:
    lines = [each.overrides["STATE_AFTER"] for each in MISSING if "STATE_AFTER" in each.overrides]
    changed = {
        meeting
        for line in lines
        if isinstance(line, Mapping)
        for meeting in OverrideCase
        if line[meeting] != overrides.STATE_AFTER[meeting]
    }

    assert changed == set(OverrideCase) - {OverrideCase.OUT_AND_ABSENT}


def shortest_violation(rules: Rules) -> Violation | None:
    """Return the failed claim after the fewest acts of people, and then the fewest steps."""
    for together in range(1, 5):
        violation = Search(everybody(2, together=together), rules).run()
        if violation is not None:
            return violation
    return None


WITHOUT_GIT = (
    pytest.param(4, id="four things in all"),
    pytest.param(6, id="six things in all", marks=pytest.mark.nightly),
)


@pytest.mark.parametrize("together", WITHOUT_GIT)
def test_without_git_the_last_apply_is_enough(together: int) -> None:
    search = Search(everybody(2, together=together), Rules(has_git=False))

    assert search.run() is None
    assert len(search.seen) > 1_000


@pytest.mark.parametrize(
    ("meeting", "state", "way"),
    [
        (
            OverrideCase.ON_AND_REMOVED,
            None,
            (
                "write a stop by hand (commit 1)",
                "apply commit 1",
                "remove the block (commit 2)",
                "apply commit 2",
            ),
        ),
        (
            OverrideCase.SUPERSEDED_FOR_NOTHING,
            None,
            (
                "apply commit 0",
                "write a stop by hand (commit 1)",
                "roll back",
                "apply commit 1",
                "remove the block (commit 2)",
                "apply commit 2",
            ),
        ),
    ],
)
def test_without_git_these_rules_are_needed_too(
    meeting: OverrideCase,
    state: OverrideState | None,
    way: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overrides, "STATE_AFTER", {**overrides.STATE_AFTER, meeting: state})

    violation = shortest_violation(Rules(has_git=False))

    assert violation is not None
    assert violation.trace == way
