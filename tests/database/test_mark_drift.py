"""Marks as test that SQL set or removed since the last apply: drift, with history and a guard."""

from collections.abc import Iterator

import pytest

from reconciler.database.queries import queries
from reconciler.errors import Refused
from reconciler.operations import safeguard
from reconciler.operations.drift import MarkDrift, read_mark_drift
from reconciler.operations.limit_change import Resume, forecast
from reconciler.operations.reconcile import Applied, Permission, apply, preview
from reconciler.planning.application import Application
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.plan_inputs import Source
from reconciler.planning.report import make_report
from reconciler.rollout_file.reader import parse_rollout
from tests.builders import RepositoryRow, add_repositories, rollout_file
from tests.postgres import Database
from tests.replay import marks, replayed_marks

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
SIZE = {"strategy": "repository_size", "percentage": 10}


class Marks:
    """A database with two large repositories, and files that are applied to it, outside git."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.target = database.opened()
        for name, identifier in (("acme/a", A), ("acme/b", B)):
            add_repositories(database, RepositoryRow(name, id=identifier, stars=4000))

    def application(self, *tests: str, **feature: object) -> Application:
        text = rollout_file({"search": feature or SIZE}, test_repositories=list(tests))
        document = parse_rollout(text.encode(), path="rollout.yaml")
        source = Source("rollout.yaml", document.digest, None, False, None)
        return Application(source, document.rollout, applied_by="a test")

    def apply(self, *tests: str, allow: tuple[GuardName, ...] = (), **feature: object) -> Applied:
        permission = Permission(frozenset(map(Allowed, allow)))
        done = apply(self.target, self.application(*tests, **feature), permission)
        if not done.plan.is_refused:
            assert marks(self.database) == replayed_marks(self.database)
        return done

    def set_by_sql(self, identifier: str, mark: bool) -> None:
        self.database.execute(
            "INSERT INTO repository_categories (repository_id, category, is_test_repository)"
            " VALUES (%(id)s, 'large', %(mark)s)"
            " ON CONFLICT (repository_id) DO UPDATE SET is_test_repository = %(mark)s",
            id=identifier,
            mark=mark,
        )

    def stop(self) -> None:
        safeguard.stop(self.target, "search", by="ada", reason="it hurts")

    def resume(self) -> safeguard.Acted:
        return safeguard.resume(self.target, "search", by="ada", reason="fixed")

    def eligible(self) -> set[str]:
        rows = self.database.rows("SELECT id::text FROM eligible_repositories('search') AS id")
        return {row["id"] for row in rows}

    def history(self) -> list[tuple[str, str | None]]:
        rows = self.database.rows(
            "SELECT action, metadata ->> 'entry' AS entry FROM rollout_history ORDER BY position"
        )
        return [(row["action"], row["entry"]) for row in rows]


@pytest.fixture
def rollout(database: Database) -> Iterator[Marks]:
    made = Marks(database)
    yield made
    made.target.engine.dispose()


def test_a_mark_that_sql_set_is_reverted(rollout: Marks) -> None:
    rollout.apply("acme/a")
    rollout.set_by_sql(B, mark=True)

    done = rollout.apply("acme/a")

    assert done.plan.change_count == 1
    assert marks(rollout.database) == {A}
    assert rollout.history()[-1] == ("drift_reverted", "acme/b")
    assert not rollout.apply("acme/a").plan.has_changes


def test_a_mark_that_sql_removed_is_restored_with_a_permission_only(rollout: Marks) -> None:
    rollout.apply("acme/a")
    rollout.set_by_sql(A, mark=False)

    refused = rollout.apply("acme/a")
    assert [finding.guard for _, finding in refused.plan.refusing] == [GuardName.MARK_RESTORED]
    assert "acme/a" in refused.plan.refusing[0][1].message
    assert marks(rollout.database) == set()

    rollout.apply("acme/a", allow=(GuardName.MARK_RESTORED,))
    assert marks(rollout.database) == {A}
    assert rollout.history()[-1] == ("drift_reverted", "acme/a")


def test_a_file_can_keep_what_sql_did_to_marks(rollout: Marks) -> None:
    rollout.apply("acme/a")
    rollout.set_by_sql(A, mark=False)
    rollout.set_by_sql(B, mark=True)

    done = rollout.apply("acme/b")

    assert not done.plan.is_refused
    assert marks(rollout.database) == {B}
    assert rollout.history()[-2:] == [("test_unmarked", "acme/a"), ("test_marked", "acme/b")]
    assert not rollout.apply("acme/b").plan.has_changes


def test_a_removed_mark_needs_no_permission_where_marks_do_not_count(rollout: Marks) -> None:
    rollout.apply("acme/a", percentage=10)
    rollout.set_by_sql(A, mark=False)

    assert not rollout.apply("acme/a", percentage=10).plan.is_refused
    assert rollout.history()[-1] == ("drift_reverted", "acme/a")


def test_a_test_name_that_is_used_again_is_refused(rollout: Marks) -> None:
    rollout.apply("acme/a")
    rollout.database.execute(f"DELETE FROM repositories WHERE id = '{A}'")
    add_repositories(rollout.database, RepositoryRow("acme/a", stars=4000))

    refused = rollout.apply("acme/a")

    assert [finding.guard for _, finding in refused.plan.refusing] == [GuardName.NAME_REUSED]
    rollout.apply("acme/a", allow=(GuardName.NAME_REUSED,))
    assert rollout.history()[-2:] == [("test_unmarked", A), ("test_marked", "acme/a")]


def test_a_removed_mark_is_found_where_the_last_apply_stored_no_marks(rollout: Marks) -> None:
    rollout.apply("acme/a", "acme/b")
    rollout.database.execute("""
        SET session_replication_role = replica;
        UPDATE rollout_generation SET effective = effective - 'test_repositories'
    """)
    assert not rollout.apply("acme/a", "acme/b").plan.has_changes
    rollout.set_by_sql(A, mark=False)

    refused = rollout.apply("acme/a", "acme/b")

    assert [finding.guard for _, finding in refused.plan.refusing] == [GuardName.MARK_RESTORED]
    assert marks(rollout.database) == {B}
    rollout.apply("acme/a", "acme/b", allow=(GuardName.MARK_RESTORED,))
    assert marks(rollout.database) == {A, B}


def test_a_report_names_the_marks_that_are_reverted(rollout: Marks) -> None:
    rollout.apply("acme/a")
    rollout.set_by_sql(B, mark=True)
    application = rollout.application("acme/a")

    report = make_report(preview(rollout.target, application), application.source, applied=False)

    assert report.test_repositories.removed == ["acme/b"]
    assert report.test_repositories.reverted == ["acme/b"]


def test_the_drift_of_marks_is_read(rollout: Marks) -> None:
    rollout.apply("acme/a")
    assert read_mark_drift(rollout.target) == MarkDrift()
    rollout.set_by_sql(A, mark=False)
    rollout.set_by_sql(B, mark=True)

    assert read_mark_drift(rollout.target) == MarkDrift(set=("acme/b",), removed=("acme/a",))


def test_a_resume_removes_the_marks_that_sql_set(rollout: Marks) -> None:
    rollout.apply("acme/a")
    rollout.stop()
    rollout.set_by_sql(B, mark=True)

    expected = forecast(rollout.target, "search", Resume())
    acted = rollout.resume()

    assert rollout.eligible() == marks(rollout.database) == {A}
    assert expected.effect is not None
    assert expected.effect.after == 1
    assert [each.field.column for each in acted.reverted] == ["test_repositories"]
    assert expected.reverted == acted.reverted
    assert rollout.history()[-2:] == [("resumed", None), ("drift_reverted", "acme/b")]
    assert not rollout.apply("acme/a").plan.change_count


def test_a_resume_leaves_a_removed_mark_to_the_next_apply(rollout: Marks) -> None:
    rollout.apply("acme/a")
    rollout.stop()
    rollout.set_by_sql(A, mark=False)

    acted = rollout.resume()

    assert acted.reverted == ()
    assert rollout.eligible() == set()
    refused = rollout.apply("acme/a")
    assert [finding.guard for _, finding in refused.plan.refusing] == [GuardName.MARK_RESTORED]


def test_a_resume_leaves_marks_alone_where_they_do_not_count(rollout: Marks) -> None:
    rollout.apply("acme/a", percentage=10)
    rollout.stop()
    rollout.set_by_sql(B, mark=True)

    assert rollout.resume().reverted == ()
    assert marks(rollout.database) == {A, B}


def test_a_resume_to_the_strategy_by_size_removes_marks_too(rollout: Marks) -> None:
    rollout.apply("acme/a")
    rollout.stop()
    rollout.set_by_sql(B, mark=True)
    rollout.database.execute(
        "UPDATE rollout_configuration SET rollout_strategy = 'percentage', salt = 'other'"
    )

    rollout.resume()

    assert rollout.eligible() <= {A}


def test_a_resume_reverts_a_strategy_narrower_only_beside_marks(rollout: Marks) -> None:
    rollout.apply()
    rollout.stop()
    rollout.database.execute("UPDATE rollout_configuration SET rollout_strategy = 'percentage'")
    for identifier in (A, B):
        rollout.set_by_sql(identifier, mark=True)

    acted = rollout.resume()

    assert {each.field.name for each in acted.reverted} == {"strategy", "test_repositories"}
    assert rollout.eligible() == set()


def test_a_resume_is_refused_while_thresholds_of_sql_would_open_it(rollout: Marks) -> None:
    rollout.apply("acme/a", strategy="repository_size", percentage=25)
    rollout.stop()
    rollout.database.execute(
        "UPDATE category_threshold SET stars = 9000 WHERE category = 'small';"
        "SELECT categorize_all_repositories()"
    )

    with pytest.raises(Refused, match=r"1 repository would be eligible by that; .*reconcile$"):
        rollout.resume()
    with pytest.raises(Refused, match="changed the thresholds"):
        forecast(rollout.target, "search", Resume())

    assert rollout.eligible() == set()
    rollout.apply("acme/a", strategy="repository_size", percentage=25)
    rollout.resume()
    assert rollout.eligible() == {A}


def test_a_plan_finds_the_marks_without_a_scan_of_all_repositories(database: Database) -> None:
    add_repositories(database, *(f"acme/{number}" for number in range(2000)))
    database.execute("SELECT categorize_all_repositories()")
    database.execute("ANALYZE repository_categories")

    lines = database.rows(f"EXPLAIN {queries('live_state')['marked']}")

    plan = "\n".join(each["QUERY PLAN"] for each in lines)
    assert "repository_categories_marked_index on repository_categories" in plan
    assert "Seq Scan" not in plan
