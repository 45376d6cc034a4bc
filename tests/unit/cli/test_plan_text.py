"""A plan in a terminal: its headline, its changes, and its last line."""

import click
from inline_snapshot import snapshot

from reconciler.cli.render.plan_text import Outcome, plan_text, summary
from tests.unit.cli.plans import SOURCE, planned
from tests.unit.planning.situations import feature


def shown(percentage: int, outcome: Outcome = Outcome.PREVIEWED) -> str:
    return click.unstyle(plan_text(planned(feature(percentage=percentage)), SOURCE, outcome))


def test_a_preview_names_changes_and_repositories() -> None:
    assert shown(20) == snapshot("""\
rollout.yaml at bbbbbbb against generation 7

~ capture
    percentage   10 → 20
    eligible     120 → 240 of 1,204 repositories   +121 gain   −1 lose
                 small +100 −1   large +21
    gain         acme/tools, acme/web, … (119 more)
    lose         acme/old

Plan: 1 feature to change, 1 change. Nothing was written.\
""")


def test_a_refused_plan_names_the_guard_and_the_ways_on() -> None:
    assert shown(90, Outcome.REFUSED) == snapshot("""\
rollout.yaml at bbbbbbb against generation 7

~ capture
    percentage   10 → 90
    eligible     120 → 240 of 1,204 repositories   +121 gain   −1 lose
                 small +100 −1   large +21
    gain         acme/tools, acme/web, … (119 more)
    lose         acme/old
    refused      max-increase: percentage 10 → 90 is 80 points at once, at most 25 are allowed

Refused: nothing was written. A person decides:
  make a smaller change in the file
  or allow it by name: --allow max-increase; in a pull request, by a line in the message of the
    commit that changes it: Rollout-Allow: max-increase\
""")


def test_a_plan_without_changes_is_one_line() -> None:
    plan = planned(feature(percentage=10), radius=None)

    assert click.unstyle(summary(plan, Outcome.PREVIEWED)) == snapshot(
        "Nothing to change: the live state matches the file. Nothing was written."
    )
    assert click.unstyle(summary(plan, Outcome.APPLIED)) == snapshot(
        "Nothing to change: the live state matches the file."
    )


def test_an_applied_plan_says_what_was_done() -> None:
    plan = planned(feature(percentage=20))

    assert click.unstyle(summary(plan, Outcome.APPLIED)) == snapshot(
        "Applied: 1 feature changed, 1 change, generation 8."
    )


def test_no_line_is_longer_than_the_page() -> None:
    description = "word " * 100
    text = click.unstyle(
        plan_text(
            planned(feature(percentage=20, description=description)), SOURCE, Outcome.PREVIEWED
        )
    )

    assert max(map(len, text.splitlines())) <= 100
