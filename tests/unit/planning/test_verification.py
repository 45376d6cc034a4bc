"""Verification of a rollback: each check alone, from facts."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest

from reconciler.planning.exposure import Exposure
from reconciler.planning.verification import (
    GRACE,
    Check,
    CheckName,
    CheckStatus,
    GitAnswer,
    JobsSince,
    RollbackFacts,
    verify_rollback,
)
from tests.builders import MOMENT, override

OPEN: Final = Exposure(active=True, emergency_stop=False, percentage=Decimal(50))
HELD: Final = RollbackFacts(
    override=override(1, 10),
    live=replace(OPEN, percentage=Decimal(10)),
    desired=OPEN,
    too_many=0,
    too_few=0,
    repositories=1_200,
    eligible=120,
    jobs=JobsSince(on_fallback=1, elsewhere=0, last_elsewhere_at=None),
    fallback="inngest",
    history_rows=1,
    git=GitAnswer(CheckStatus.OK, "origin/main at abc1234 has it"),
)


def check(facts: RollbackFacts, name: CheckName) -> Check:
    (found,) = (each for each in verify_rollback(facts) if each.name is name)
    return found


def test_a_rollback_that_holds_passes_every_check_in_order() -> None:
    checks = verify_rollback(HELD)

    assert [each.name for each in checks] == list(CheckName)
    assert {each.status for each in checks} == {CheckStatus.OK}
    assert check(HELD, CheckName.CONFIGURATION).detail == "live is 10, as the limit of 10 demands"
    assert check(HELD, CheckName.ELIGIBILITY).detail == (
        "all 1,200 repositories are as the override demands, 120 of them eligible"
    )


@pytest.mark.parametrize("live", [Decimal(11), Decimal(9)], ids=["wider", "narrower"])
def test_another_live_percentage_fails_the_configuration(live: Decimal) -> None:
    found = check(replace(HELD, live=replace(OPEN, percentage=live)), CheckName.CONFIGURATION)

    assert found.status is CheckStatus.FAILED
    assert found.detail == f"live is {live}, and the limit of 10 is in force; see reconcile drift"


def test_a_stop_demands_that_the_feature_is_stopped() -> None:
    stopped = Exposure(active=True, emergency_stop=True, percentage=Decimal(0))
    facts = replace(HELD, override=override(1), live=stopped)

    assert check(facts, CheckName.CONFIGURATION).detail == "live is stopped, as the stop demands"
    unlocked = replace(facts, live=replace(stopped, emergency_stop=False))
    assert check(unlocked, CheckName.CONFIGURATION).status is CheckStatus.FAILED


@pytest.mark.parametrize(("too_many", "too_few"), [(3, 0), (0, 2), (3, 2)])
def test_wrong_repositories_fail_eligibility(too_many: int, too_few: int) -> None:
    found = check(replace(HELD, too_many=too_many, too_few=too_few), CheckName.ELIGIBILITY)

    assert found.status is CheckStatus.FAILED
    assert found.detail == (
        f"{too_many} of 1,200 repositories are wrongly eligible, {too_few} are wrongly not"
    )


def test_no_job_proves_nothing_yet() -> None:
    facts = replace(HELD, jobs=JobsSince(on_fallback=0, elsewhere=0, last_elsewhere_at=None))

    found = check(facts, CheckName.JOBS)

    assert (found.status, found.detail) == (
        CheckStatus.NOT_YET,
        "no job of an ineligible repository has run on inngest since the rollback",
    )


@pytest.mark.parametrize(
    ("late", "status"),
    [
        (GRACE, CheckStatus.OK),
        (GRACE + timedelta(microseconds=1), CheckStatus.FAILED),
    ],
    ids=["within its grace", "after it"],
)
def test_a_job_elsewhere_fails_only_after_its_grace(late: timedelta, status: CheckStatus) -> None:
    jobs = JobsSince(on_fallback=2, elsewhere=1, last_elsewhere_at=MOMENT + late)

    found = check(replace(HELD, jobs=jobs), CheckName.JOBS)

    assert found.status is status
    assert found.detail.startswith(
        "2 jobs of ineligible repositories ran on inngest since the rollback, 1 elsewhere"
    )


def test_a_rollback_without_history_fails() -> None:
    assert check(replace(HELD, history_rows=0), CheckName.HISTORY).status is CheckStatus.FAILED


def test_the_answer_of_git_is_taken_as_it_is() -> None:
    answer = GitAnswer(CheckStatus.NOT_YET, "git was not asked")

    assert check(replace(HELD, git=answer), CheckName.GIT) == Check(
        CheckName.GIT, answer.status, answer.detail
    )
