"""Limits in force, with SQL by hand, edits of the file and restored databases, as people reported it."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from reconciler.database.transactions import read_only_transaction, write_transaction
from reconciler.database.write_back import look_again, mark_proposed, mark_seen, read_pending
from reconciler.errors import Refused, Stale
from reconciler.operations import automatic_rollback, safeguard
from reconciler.operations.drift import adopt_held_drift
from reconciler.operations.limit_change import Resume, forecast
from reconciler.operations.reconcile import Applied, Permission, apply, preview
from reconciler.planning.application import Application
from reconciler.planning.expectation import expect
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.plan_inputs import Source
from reconciler.planning.report import make_report
from reconciler.rollout_file.reader import parse_rollout
from tests.builders import add_repositories, report_jobs, rollout_file
from tests.postgres import Database

NAMES = tuple(f"acme/tool-{number}" for number in range(60))
BLOCK = {
    "id": "019343a7-6f8e-7c34-9a55-0b8a1f0d2c11",
    "percentage": 20,
    "reason": "errors",
    "by": "Ada",
    "at": "2026-01-02T03:04:05Z",
}
STOP_BLOCK = {key: value for key, value in BLOCK.items() if key != "percentage"} | {
    "emergency_stop": True
}
HEALTH = {"min_jobs": 4, "rollback_to": 5}


@dataclass
class Rollout:
    """A database with sixty repositories, and files that are applied to it outside git."""

    database: Database

    def __post_init__(self) -> None:
        self.target = self.database.opened()
        add_repositories(self.database, *NAMES)

    def application(self, **features: dict[str, Any]) -> Application:
        text = rollout_file({name: {"health": HEALTH, **each} for name, each in features.items()})
        document = parse_rollout(text.encode(), path="rollout.yaml")
        source = Source("rollout.yaml", document.digest, None, False, None)
        return Application(source, document.rollout, applied_by="a test")

    def apply(self, *allowed: GuardName, **features: dict[str, Any]) -> Applied:
        permission = Permission(frozenset(map(Allowed, allowed)))
        return apply(self.target, self.application(**features), permission)

    def sql(self, assignments: str) -> None:
        self.database.execute(f"UPDATE rollout_configuration SET {assignments}")

    def live(self, feature: str = "search") -> tuple[int, bool]:
        (row,) = self.database.rows(
            "SELECT rollout_percentage::integer AS percentage, emergency_stop"
            f" FROM rollout_configuration WHERE feature_name = '{feature}'"
        )
        return row["percentage"], row["emergency_stop"]

    def actions(self) -> list[str]:
        rows = self.database.rows("SELECT action FROM rollout_history ORDER BY position")
        return [row["action"] for row in rows]

    def tick(self) -> None:
        automatic_rollback.judge_and_roll_back(self.target)

    def stop(self) -> safeguard.Acted:
        return safeguard.stop(self.target, "search", by="ada", reason="it hurts")

    def roll_back(self, percentage: int) -> safeguard.Acted:
        return safeguard.roll_back(
            self.target, "search", Decimal(percentage), by="ada", reason="it hurts"
        )

    def resume(self) -> safeguard.Acted:
        return safeguard.resume(self.target, "search", by="ada", reason="fixed")

    def eligible(self) -> set[str]:
        rows = self.database.rows(
            "SELECT full_name FROM repositories"
            " WHERE id IN (SELECT eligible_repositories('search'))"
        )
        return {row["full_name"] for row in rows}

    def id(self, name: str) -> str:
        found = self.database.value(f"SELECT id::text FROM repositories WHERE full_name = '{name}'")
        return str(found)

    def fail_jobs(self) -> None:
        report_jobs(self.database, 10, errors=10, feature="search", repository=NAMES[0])


@pytest.fixture
def rollout(database: Database) -> Iterator[Rollout]:
    made = Rollout(database)
    yield made
    made.target.engine.dispose()


def begin(rollout: Rollout, **fields: Any) -> None:
    done = rollout.apply(*GuardName, search={"percentage": 50, **fields})
    assert not done.plan.is_refused


WIDER = "emergency_stop = false, rollout_percentage = 50"


def test_a_tick_puts_back_a_stop_that_sql_lifted(rollout: Rollout) -> None:
    begin(rollout)
    rollout.stop()
    rollout.sql(WIDER)

    rollout.tick()

    assert rollout.live() == (0, True)
    assert rollout.actions()[-2:] == ["drift_reverted", "drift_reverted"]
    rollout.tick()
    assert len(rollout.actions()) == 4


@pytest.mark.parametrize("act", ["stop", "apply"])
def test_a_stop_and_an_apply_put_back_a_stop_that_sql_lifted(rollout: Rollout, act: str) -> None:
    begin(rollout)
    rollout.stop()
    rollout.sql(WIDER)

    if act == "stop":
        assert rollout.stop().act is not None
    else:
        begin(rollout)

    assert rollout.live() == (0, True)
    assert rollout.database.value("SELECT count(*) FROM rollout_override") == 1


def test_a_rollback_puts_back_a_narrower_limit_that_sql_raised(rollout: Rollout) -> None:
    begin(rollout)
    rollout.roll_back(10)
    rollout.sql("rollout_percentage = 80")

    assert rollout.roll_back(25).act is not None

    assert rollout.live() == (10, False)
    with pytest.raises(Refused, match="the limit of 10 is in force"):
        rollout.roll_back(25)


def test_a_rollback_to_the_percentage_of_the_file_undoes_a_widening(rollout: Rollout) -> None:
    begin(rollout, percentage=25)
    rollout.sql("rollout_percentage = 80")

    rollout.roll_back(25)

    assert rollout.live() == (25, False)


def test_the_safeguard_acts_under_a_limit_of_people(rollout: Rollout) -> None:
    begin(rollout)
    rollout.roll_back(25)
    rollout.fail_jobs()

    rollout.tick()

    assert rollout.live() == (5, False)


def test_the_safeguard_acts_after_a_nudge_by_sql_was_kept(rollout: Rollout) -> None:
    begin(rollout)
    rollout.fail_jobs()
    rollout.sql("rollout_percentage = 49")
    begin(rollout)
    assert rollout.live() == (49, False)

    rollout.tick()

    assert rollout.live() == (5, False)


@pytest.mark.parametrize(
    ("after", "live"),
    [
        pytest.param(BLOCK | {"percentage": 5}, (5, False), id="lower"),
        pytest.param(BLOCK | {"percentage": 40}, (40, False), id="higher"),
        pytest.param(STOP_BLOCK, (0, True), id="a stop"),
    ],
)
def test_the_limit_that_people_edit_in_the_file_is_in_force(
    rollout: Rollout, after: dict[str, Any], live: tuple[int, bool]
) -> None:
    begin(rollout, override=BLOCK)
    assert rollout.live() == (20, False)

    begin(rollout, override=after)

    assert rollout.live() == live
    (row,) = rollout.database.rows(
        "SELECT state, percentage::integer AS percentage, emergency_stop FROM rollout_override"
    )
    assert row == {
        "state": "on",
        "percentage": after.get("percentage"),
        "emergency_stop": "emergency_stop" in after,
    }
    assert "percentage_changed" in rollout.actions()
    history = len(rollout.actions())
    begin(rollout, override=after)
    assert len(rollout.actions()) == history


def test_a_limit_above_the_lowered_percentage_applies_with_a_warning(rollout: Rollout) -> None:
    begin(rollout, override=BLOCK)

    done = rollout.apply(search={"percentage": 10, "override": BLOCK})

    assert rollout.live() == (10, False)
    assert done.plan.features[0].warnings == (
        "the override's limit of 20 is above the percentage 10: it limits nothing",
    )


def test_a_block_that_moves_to_another_feature_is_a_row_of_its_own(rollout: Rollout) -> None:
    rollout.apply(
        *GuardName, search={"percentage": 50, "override": STOP_BLOCK}, export={"percentage": 50}
    )

    rollout.apply(
        *GuardName, search={"percentage": 50}, export={"percentage": 50, "override": STOP_BLOCK}
    )

    assert (rollout.live("search"), rollout.live("export")) == ((50, False), (0, True))
    assert rollout.database.value("SELECT count(*) FROM rollout_override") == 2
    before = rollout.actions()
    assert safeguard.stop(rollout.target, "search", by="ada", reason="x").act is not None
    assert len(rollout.actions()) == len(before) + 1


def test_a_strategy_narrowed_by_sql_under_a_stop_is_held(rollout: Rollout) -> None:
    begin(rollout)
    rollout.sql("rollout_strategy = 'whitelist'")
    rollout.stop()

    held = rollout.apply(search={"percentage": 50})

    assert held.plan.held == ("search",)


@pytest.mark.parametrize("percentage", [20, 1])
def test_a_percentage_narrowed_before_the_first_apply_is_kept(
    rollout: Rollout, percentage: int
) -> None:
    rollout.database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage)"
        f" VALUES ('search', {percentage})"
    )

    begin(rollout)

    assert rollout.live() == (percentage, False)
    assert "drift_kept" in rollout.actions()


def test_an_exclusion_and_a_removed_entry_by_sql_are_adopted(rollout: Rollout) -> None:
    listed = {"percentage": 0, "whitelist": [NAMES[0], NAMES[1]]}
    rollout.apply(search=listed)
    ids = {
        row["full_name"]: row["id"]
        for row in rollout.database.rows("SELECT full_name, id::text FROM repositories")
    }
    rollout.sql(
        f"target_repositories = ARRAY['{ids[NAMES[0]]}'],"
        f" excluded_repositories = ARRAY['{ids[NAMES[0]]}']"
    )
    assert rollout.apply(search=listed).plan.held == ("search",)
    file = rollout_file({"search": {"health": HEALTH, **listed}}).encode()

    adopted, content = adopt_held_drift(rollout.target, file, ["search"])
    document = parse_rollout(content)
    source = Source("rollout.yaml", document.digest, None, False, None)
    done = apply(rollout.target, Application(source, document.rollout, "a test"))

    assert set(adopted) == {"search"}
    assert not done.plan.is_refused
    assert rollout.database.value("SELECT count(*) FROM eligible_repositories('search')") == 0


def test_a_resume_by_the_file_is_one_row_of_history(rollout: Rollout) -> None:
    begin(rollout, override=STOP_BLOCK)

    begin(rollout)

    assert rollout.actions().count("resumed") == 1
    assert rollout.live() == (50, False)


def test_a_block_replaced_by_hand_is_no_resume(rollout: Rollout) -> None:
    begin(rollout, override=BLOCK)

    begin(rollout, override=STOP_BLOCK | {"id": "019343a7-6f8e-7c34-9a55-0b8a1f0d2c99"})

    assert rollout.live() == (0, True)
    assert "resumed" not in rollout.actions()


@pytest.mark.parametrize(
    ("percentage", "changed"),
    [
        pytest.param(100, "excluded_repositories = '{{}}'", id="an exclusion removed"),
        pytest.param(100, "excluded_repositories = ARRAY['{1}']", id="an exclusion exchanged"),
        pytest.param(10, "target_repositories = ARRAY['{2}']", id="a whitelist entry added"),
        pytest.param(10, "salt = 'other'", id="the salt"),
        pytest.param(10, "rollout_percentage = 90, emergency_stop = false", id="the percentage"),
        pytest.param(
            10, "rollout_percentage = 90, excluded_repositories = '{{}}', salt = 'b'", id="several"
        ),
    ],
)
@pytest.mark.parametrize("limit", ["stop", "rollback"])
def test_a_resume_opens_nothing_that_sql_widened(
    rollout: Rollout, percentage: int, changed: str, limit: str
) -> None:
    rollout.apply(*GuardName, search={"percentage": percentage, "exclusions": [NAMES[0]]})
    before = rollout.eligible()
    if limit == "stop":
        rollout.stop()
    else:
        rollout.roll_back(5)
    rollout.sql(changed.format(*(rollout.id(name) for name in NAMES)))

    expected = forecast(rollout.target, "search", Resume())
    rollout.resume()

    # The next apply decides about the exclusion that SQL added.
    assert rollout.eligible() == before - ({NAMES[1]} if "{1}" in changed else set())
    assert expected.effect is not None
    assert expected.effect.after == len(rollout.eligible())


def test_a_resume_reverts_a_strategy_that_sql_widened(rollout: Rollout) -> None:
    rollout.apply(search={"strategy": "whitelist", "percentage": 0, "whitelist": [NAMES[0]]})
    rollout.stop()
    rollout.sql("rollout_strategy = 'percentage', rollout_percentage = 100")

    acted = rollout.resume()

    assert [each.field.name for each in acted.reverted] == ["strategy"]
    assert rollout.eligible() == {NAMES[0]}


def test_a_resume_reverts_a_salt_narrower_only_beside_a_list(rollout: Rollout) -> None:
    begin(rollout)
    before = rollout.eligible()
    rollout.sql("salt = 'by sql'")
    added = rollout.eligible() - before
    rollout.stop()
    listed = ", ".join(f"'{rollout.id(each)}'" for each in added)
    rollout.sql(f"target_repositories = ARRAY[{listed}]")

    acted = rollout.resume()

    assert {each.field.name for each in acted.reverted} == {"salt", "whitelist"}
    assert rollout.eligible() == before


def test_a_resume_keeps_the_strategy_whitelist_beside_an_entry_of_sql(rollout: Rollout) -> None:
    rollout.apply(*GuardName, search={"percentage": 100, "whitelist": [NAMES[0]]})
    rollout.stop()
    rollout.sql(
        "rollout_strategy = 'whitelist',"
        f" target_repositories = array_append(target_repositories, '{rollout.id(NAMES[1])}')"
    )

    acted = rollout.resume()

    assert {each.field.name for each in acted.reverted} == {"whitelist"}
    assert rollout.eligible() == {NAMES[0]}


def test_a_resume_reverts_what_sql_widened_with_its_history(rollout: Rollout) -> None:
    begin(rollout, exclusions=[NAMES[0]])
    rollout.stop()
    rollout.sql("excluded_repositories = '{}'")

    acted = rollout.resume()

    assert [each.field.name for each in acted.reverted] == ["exclusions"]
    assert rollout.actions()[-2:] == ["resumed", "drift_reverted"]
    generations = rollout.database.value("SELECT count(*) FROM rollout_generation")
    begin(rollout, exclusions=[NAMES[0]])
    assert rollout.database.value("SELECT count(*) FROM rollout_generation") == generations


def test_a_resume_leaves_what_sql_narrowed_to_the_next_apply(rollout: Rollout) -> None:
    begin(rollout, exclusions=[NAMES[0]])
    rollout.stop()
    rollout.sql(f"excluded_repositories = ARRAY['{rollout.id(NAMES[1])}']")

    rollout.resume()

    assert not {NAMES[0], NAMES[1]} & rollout.eligible()
    assert rollout.apply(search={"percentage": 50, "exclusions": [NAMES[0]]}).plan.held == (
        "search",
    )


def test_an_inactive_feature_does_not_soak(rollout: Rollout) -> None:
    stages = [{"percentage": 10, "soak": "1h"}, {"percentage": 25, "soak": "1h"}]
    rollout.apply(search={"percentage": 10, "active": False, "progression": stages})
    rollout.database.execute(
        "SET session_replication_role = replica;"
        "UPDATE rollout_history SET created_at = created_at - interval '9 days';"
        "UPDATE rollout_configuration SET created_at = created_at - interval '9 days'"
    )

    risen = rollout.apply(search={"percentage": 25, "active": False, "progression": stages})

    messages = [finding.message for _, finding in risen.plan.refusing]
    assert any("percentage 10 → 25: stage 10 reached " in each for each in messages)


def test_a_moved_audience_is_refused_by_its_own_guard(rollout: Rollout) -> None:
    begin(rollout)

    refused = rollout.apply(search={"percentage": 50, "salt": "pepper"})
    allowed = rollout.apply(GuardName.AUDIENCE_MOVED, search={"percentage": 50, "salt": "pepper"})

    assert [finding.guard for _, finding in refused.plan.refusing] == [GuardName.AUDIENCE_MOVED]
    assert not allowed.plan.is_refused


def test_the_same_saved_plan_applies_once(rollout: Rollout) -> None:
    application = rollout.application(search={"percentage": 20})
    shown = expect(
        make_report(preview(rollout.target, application), application.source, applied=False)
    )

    apply(rollout.target, application, expected=shown)

    with pytest.raises(Stale, match="generation 0 is 1 now"):
        apply(rollout.target, application, expected=shown)


def test_an_unrelated_change_does_not_resume_a_stopped_feature(rollout: Rollout) -> None:
    begin(rollout)
    rollout.stop()

    begin(rollout, description="Something else", percentage=60)

    assert rollout.live() == (0, True)
    safeguard.resume(rollout.target, "search", by="ada", reason="fixed")
    assert rollout.live() == (60, False)


def test_after_a_resume_failures_count_again(rollout: Rollout) -> None:
    begin(rollout)
    rollout.fail_jobs()
    rollout.tick()
    assert rollout.live() == (5, False)
    safeguard.resume(rollout.target, "search", by="ada", reason="fixed")
    rollout.tick()
    assert rollout.live() == (50, False)

    rollout.fail_jobs()
    rollout.tick()

    assert rollout.live() == (5, False)


EDITS = (
    pytest.param(80, 20, 50, id="from above the percentage"),
    pytest.param(80, 60, 50, id="above the percentage on both sides"),
    pytest.param(20, 70, 10, id="to above the percentage"),
)


@pytest.mark.parametrize(("before", "after", "percentage"), EDITS)
def test_an_edited_limit_is_in_the_history(
    rollout: Rollout, before: int, after: int, percentage: int
) -> None:
    begin(rollout, percentage=percentage, override=BLOCK | {"percentage": before})
    number = len(rollout.actions())

    done = rollout.apply(
        search={"percentage": percentage, "override": BLOCK | {"percentage": after}}
    )

    rows = rollout.database.rows("SELECT metadata FROM rollout_history ORDER BY position")
    assert done.plan.change_count == 1
    assert len(rows) == number + 1
    live = min(percentage, after)
    assert rollout.live() == (live, False)
    if live == min(percentage, before):
        assert rows[-1]["metadata"]["override"] == BLOCK["id"]
        assert (rows[-1]["metadata"]["limit_before"], rows[-1]["metadata"]["limit_after"]) == (
            before,
            after,
        )
    again = rollout.apply(
        search={"percentage": percentage, "override": BLOCK | {"percentage": after}}
    )
    assert not again.plan.has_changes


def test_write_back_marks_an_override_of_its_feature(rollout: Rollout) -> None:
    rollout.apply(*GuardName, search={"percentage": 50, "override": BLOCK}, other={})
    # The same id, as an older release could leave it in two features.
    rollout.database.execute(
        """
        INSERT INTO rollout_override
            (id, rollout_config_id, percentage, emergency_stop, reason, triggered_by)
        SELECT %(id)s, id, 5, false, 'errors', 'Ada'
        FROM rollout_configuration WHERE feature_name = 'other'
        """,
        id=BLOCK["id"],
    )
    with read_only_transaction(rollout.target) as connection:
        (search,) = (each for each in read_pending(connection) if each.name == "search")

    def pending() -> set[str]:
        with read_only_transaction(rollout.target) as connection:
            return {each.name for each in read_pending(connection)}

    override = UUID(str(BLOCK["id"]))
    write_transaction(rollout.target, lambda each: mark_seen(each, [("search", search.rows[0])]))
    assert pending() == {"other"}
    write_transaction(rollout.target, lambda each: look_again(each, absent=[("other", override)]))
    assert pending() == {"other"}
    write_transaction(
        rollout.target, lambda each: mark_proposed(each, "search", override, "rollout/override")
    )
    assert (
        rollout.database.value(
            "SELECT count(*) FROM rollout_override WHERE proposed_branch IS NOT NULL"
        )
        == 1
    )
    write_transaction(rollout.target, lambda each: look_again(each, absent=[("search", override)]))
    assert pending() == {"other", "search"}
