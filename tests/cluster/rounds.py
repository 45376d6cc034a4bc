"""One round: clients stop, apply, record and listen; one fault; then the checker."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import event

from reconciler.database.address import DatabaseAddress
from reconciler.database.driver import DriverConnection, Rows
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.errors import ReconcilerError
from reconciler.operations.events import Event, OverrideRestored
from reconciler.operations.reconcile import apply
from reconciler.operations.safeguard import stop
from reconciler.operations.write_back import Outcome, write_back
from reconciler.planning.application import Application
from reconciler.planning.plan_inputs import Source
from reconciler.rollout_file import parse_rollout
from reconciler.watching.watch import Task, Watch
from rollout_client import RolloutClient
from tests.builders import add_repositories
from tests.cluster.checker import Answers, End, HistoryRow, OverrideRow, violations
from tests.cluster.faults import Fault
from tests.cluster.servers import Cluster, wait_for
from tests.postgres import Database
from tests.site import Site

FEATURES: Final = 60
APPLIED: Final = "applied"
TEMPLATE: Final = "rollout_template"
ACTS_AFTER: Final = 3
"""Each client goes on until this many of its acts succeeded after the fault."""
ACT_SECONDS: Final = 60.0
ROUND_SECONDS: Final = 240.0
GIT_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.25
_IN_GIT: Final = frozenset({Outcome.WRITTEN, Outcome.SETTLED})


@dataclass(frozen=True)
class Removal:
    """A rule that is taken away in a round, to see that the checker notices."""

    patience_seconds: float = ACT_SECONDS
    sql: str | None = None
    """Run in the round's database before its clients start."""
    statement: Callable[[str], str] | None = None
    """Changes each statement of an act."""


NOTHING_REMOVED: Final = Removal()


@dataclass
class Result:
    """The result of a round."""

    fault: str
    violations: list[str]
    answers: Answers
    longest_seconds: float
    """The longest stop or apply that ended after the fault, from its start, or from the end of the primary."""
    healed_seconds: float | None
    """From the first act that succeeded after the fault to the last override that was put back."""
    restored: int
    seconds: float


@dataclass
class Round:
    """The clients of a round, and what they were answered."""

    cluster: Cluster
    fault: Fault
    removal: Removal
    database: str
    site: Site
    answers: Answers = field(default_factory=Answers)
    fault_at: float | None = None
    first_success_at: float | None = None
    longest_seconds: float = 0.0
    restored_at: list[float] = field(default_factory=list)
    _successes: dict[str, int] = field(default_factory=dict)
    _statements: dict[str, int] = field(default_factory=dict)
    """By act: the statements of its transaction so far."""
    _is_over: threading.Event = field(default_factory=threading.Event)
    _is_armed: threading.Event = field(default_factory=threading.Event)
    _is_made: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Result:
        """Run the round to its end, and check it."""
        began = time.monotonic()
        clients = [
            threading.Thread(target=work, args=(name,), name=name, daemon=True)
            for name, work in (
                ("stop", self._stop_features),
                ("apply", self._apply_files),
                ("record", self._record_jobs),
            )
        ]
        url = self.cluster.url_by_haproxy if self.fault.hangs else self.cluster.url
        quiet = timedelta(hours=1) if self.fault.hangs else timedelta(seconds=10)
        with (
            self._hooked(),
            self._watching(),
            RolloutClient(
                url(self.database), poll_every=quiet, max_staleness=timedelta(hours=9)
            ) as client,
        ):
            listener = threading.Thread(target=self._listen, args=(client,), daemon=True)
            for each in (*clients, listener):
                each.start()
            time.sleep(2)
            self._make_fault()
            deadline = time.monotonic() + ROUND_SECONDS
            while any(each.is_alive() for each in clients) and time.monotonic() < deadline:
                time.sleep(0.1)
            if any(each.is_alive() for each in clients):
                self.answers.failures.append("acts did not succeed again after the fault")
            self.cluster.repair()
            self._wait_for_git()
            end = self._read_end(client)
            self._is_over.set()
            listener.join()
        found = list(violations(self.answers, end, is_synchronous=self.fault.is_synchronous))
        healed = None
        if self.restored_at and self.first_success_at is not None:
            healed = max(0.0, self.restored_at[-1] - self.first_success_at)
        return Result(
            self.fault.name, found, self.answers, self.longest_seconds, healed,
            len(self.restored_at), time.monotonic() - began,
        )  # fmt: skip

    # -- The fault.

    def _make_fault(self) -> None:
        if self.fault.hangs:
            self.cluster.to_haproxy.hang_present()
        if self.fault.loses_answer:
            self.cluster.to_haproxy.lose_answer_of_commit()
            wait_for(
                lambda: not self.cluster.to_haproxy.is_losing, ACT_SECONDS, "nothing was committed"
            )
        if self.fault.at is None:
            self._now()
        else:
            self._is_armed.set()
            self._is_made.wait(ACT_SECONDS)

    def _now(self) -> None:
        with self._lock:
            if self.fault_at is not None:
                return
            self.fault_at = time.monotonic()
        try:
            self.fault.make(self.cluster)
        except TimeoutError as problem:
            self.answers.failures.append(f"the fault did not take place: {problem}")
        finally:
            self._is_made.set()

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        """Call `_before` with each statement of an act, and with None at its COMMIT."""
        execute, commit = DriverConnection.execute, DriverConnection.commit

        def hooked_execute(connection: DriverConnection, statement: str, *parameters: Any) -> Rows:
            return execute(connection, self._before(statement), *parameters)

        def hooked_commit(connection: DriverConnection) -> None:
            self._before_commit()
            commit(connection)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DriverConnection, "execute", hooked_execute)
            patch.setattr(DriverConnection, "commit", hooked_commit)
            yield

    def _hook_engine(self, opened: OpenedDatabase) -> None:
        """Do the same for the statements of an engine."""

        def before_statement(*arguments: Any) -> tuple[str, Any]:
            return self._before(arguments[2]), arguments[3]

        def before_commit(_connection: Any) -> None:
            self._before_commit()

        event.listen(opened.engine, "before_cursor_execute", before_statement, retval=True)
        event.listen(opened.engine, "commit", before_commit)

    def _before(self, statement: str) -> str:
        act = threading.current_thread().name
        if "claim_rollout_write" in statement:
            self._statements[act] = 0
        self._statements[act] = self._statements.get(act, 0) + 1
        if self._is_due(act) and self._statements[act] == self.fault.statement:
            self._now()
        changed = self.removal.statement
        return statement if changed is None else changed(statement)

    def _before_commit(self) -> None:
        # An act may have fewer statements than the fault waits for.
        if self._is_due(threading.current_thread().name):
            self._now()

    def _is_due(self, act: str) -> bool:
        return self._is_armed.is_set() and act == self.fault.at

    # -- The clients.

    def _open(self, url: str) -> OpenedDatabase:
        return OpenedDatabase.at(
            DatabaseAddress.parse(url), patience_seconds=self.removal.patience_seconds
        )

    def _goes_on(self, act: str) -> bool:
        return not self._is_made.is_set() or self._successes.get(act, 0) < ACTS_AFTER

    def _succeeded(self, act: str, began: float) -> None:
        now = time.monotonic()
        with self._lock:
            if self.fault_at is None:
                return
            if act != "record":
                ended_at = self.cluster.primary_ended_at
                since = began if ended_at is None else max(began, ended_at)
                self.longest_seconds = max(self.longest_seconds, now - since)
            if self._is_made.is_set():
                self.first_success_at = self.first_success_at or now
                self._successes[act] = self._successes.get(act, 0) + 1

    def _stop_features(self, act: str) -> None:
        opened = self._open(self.cluster.url(self.database))
        for number in range(FEATURES):
            if not self._goes_on(act):
                break
            feature, began = f"f{number}", time.monotonic()
            try:
                acted = stop(opened, feature, by="a test", reason="errors")
            except ReconcilerError as error:
                self.answers.unanswered_stops.add(feature)
                self._failed("a stop", error)
            else:
                assert acted.override is not None
                if self._is_kept(opened, acted.override.id):
                    self.answers.stops[feature] = acted.override.id
                else:
                    self.answers.unanswered_stops.add(feature)
                self._succeeded(act, began)
            # At the end there are few left: slower, so that some remain after a long fault.
            time.sleep(_PAUSE_SECONDS if number < FEATURES // 2 else 4 * _PAUSE_SECONDS)
        opened.engine.dispose()

    def _is_kept(self, opened: OpenedDatabase, override: UUID) -> bool:
        """Return whether a client may rely on a stop: without a synchronous standby it must be in git."""
        if self.fault.is_synchronous:
            return True
        try:
            report = write_back(opened, self.site.file)
        except ReconcilerError:
            return False
        written = {each.override for each in report.overrides if each.outcome in _IN_GIT}
        return override in written

    def _apply_files(self, act: str) -> None:
        opened = self._open(self.cluster.url_by_pgbouncer(self.database))
        self._hook_engine(opened)
        number = 0
        while self._goes_on(act) and not self._is_over.is_set():
            number += 1
            percentage, began = Decimal(20 + number % 7), time.monotonic()
            try:
                applied = apply(opened, _application(int(percentage)))
            except ReconcilerError as error:
                self._failed("an apply", error)
            else:
                if applied.generation in self.answers.applies:
                    self.answers.doubled_generations.append(applied.generation)
                self.answers.applies[applied.generation] = percentage
                self._succeeded(act, began)
            time.sleep(_PAUSE_SECONDS)
        opened.engine.dispose()

    def _record_jobs(self, act: str) -> None:
        url = self.cluster.url_by_haproxy(self.database)
        with RolloutClient(url, start_timeout=timedelta(seconds=30)) as client:
            while self._goes_on(act) and not self._is_over.is_set():
                began = time.monotonic()
                if self._is_due(act):
                    threading.Thread(target=self._now, daemon=True).start()
                if client.record("a/b", APPLIED, "inngest", succeeded=True, wait=True):
                    self.answers.jobs += 1
                    self._succeeded(act, began)
                else:
                    self.answers.unanswered_jobs += 1
                time.sleep(_PAUSE_SECONDS)

    def _failed(self, act: str, error: ReconcilerError) -> None:
        self.answers.failures.append(f"{act} ended with an error: {error}")

    def _listen(self, client: RolloutClient) -> None:
        """Note each feature that the client answers with yes after a no."""
        refused: set[str] = set()
        while not self._is_over.wait(0.1):
            for number in range(FEATURES):
                feature = f"f{number}"
                if not client.is_eligible("a/b", feature):
                    refused.add(feature)
                elif feature in refused:
                    refused.discard(feature)
                    self.answers.widened.append(feature)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        opened = OpenedDatabase.at(DatabaseAddress.parse(self.cluster.url(self.database)))
        task = Task(opened, self.site.file, 1.0, (), None, None, "a test")
        ending = threading.Event()
        watch = Watch(task, self._note)
        thread = threading.Thread(target=watch.run, args=(ending.wait,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join(60)
            opened.engine.dispose()

    def _note(self, told: Event) -> None:
        match told:
            case OverrideRestored():
                self.restored_at.append(time.monotonic())
            case _:
                pass

    # -- The end.

    def _wait_for_git(self) -> None:
        pending = "SELECT count(*) FROM rollout_override WHERE written_back_at IS NULL"

        def is_written() -> bool:
            with suppress(psycopg.Error):
                return bool(self._here().value(pending) == 0)
            return False

        with suppress(TimeoutError):
            wait_for(is_written, GIT_SECONDS, "overrides are not in git")

    def _here(self) -> Database:
        return Database(self.cluster.url(self.database))

    def _read_end(self, client: RolloutClient) -> End:
        here = self._here()
        overrides = [
            OverrideRow(row["feature_name"], row["id"], row["state"])
            for row in here.rows(
                "SELECT feature_name, override.id, state FROM rollout_override AS override"
                " JOIN rollout_configuration AS feature ON feature.id = rollout_config_id"
            )
        ]
        history = [
            HistoryRow(row["feature_name"], row["action"], row["override"], row["generation"])
            for row in here.rows(
                "SELECT feature_name, action, history.metadata ->> 'override' AS override,"
                " CAST(history.metadata ->> 'generation' AS integer) AS generation"
                " FROM rollout_history AS history LEFT JOIN rollout_configuration AS feature"
                " ON feature.id = rollout_config_id ORDER BY history.position"
            )
        ]
        generations = {
            row["generation"]: Decimal(str(row["percentage"]))
            for row in here.rows(
                "SELECT generation, effective #> '{features,applied,percentage}' AS percentage"
                " FROM rollout_generation"
            )
        }
        stopped = here.rows("SELECT feature_name FROM rollout_configuration WHERE emergency_stop")
        answered = self.answers.stops.keys()
        # The client has a quarter of a minute: a half-open connection is found within ten seconds.
        with suppress(TimeoutError):
            wait_for(
                lambda: not any(client.is_eligible("a/b", each) for each in answered), 15, "yes"
            )
        file = parse_rollout(self.site.remote_text().encode()).rollout
        return End(
            overrides=overrides,
            stopped=frozenset(row["feature_name"] for row in stopped),
            history=history,
            generations=generations,
            jobs=int(here.value("SELECT coalesce(sum(jobs), 0) FROM rollout_metrics_rollup")),
            in_git={
                name: each.override.id
                for name, each in file.features.items()
                if each.override is not None
            },
            eligible=frozenset(each for each in answered if client.is_eligible("a/b", each)),
        )


def make_template(cluster: Cluster) -> None:
    """Make the database of which each round gets a copy."""
    from reconciler.database import schema

    with cluster.primary().connect() as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
    template = Database(cluster.url(TEMPLATE))
    schema.upgrade(template.engine)
    add_repositories(template, "a/b")
    apply(OpenedDatabase.at(template.address), _application(20))
    template.engine.dispose()


def run_round(
    cluster: Cluster,
    folder: Path,
    number: int,
    fault: Fault,
    removal: Removal = NOTHING_REMOVED,
) -> Result:
    """Run one round in a new database, with a new repository."""
    name = f"round_{number}"
    cluster.set_synchronous(fault.is_synchronous)
    cluster.primary_ended_at = None
    with cluster.primary().connect() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())
        # The copy of a sequence has values that no log has: only a checkpoint makes the next one logged.
        connection.execute("CHECKPOINT")
    parent = folder / name
    parent.mkdir()
    site = Site.make(parent, Database(cluster.url(name)))
    site.write(_file(20))
    site.commit("Declare the features")
    site.push()
    if removal.sql is not None:
        site.database.execute(removal.sql)
    result = Round(cluster, fault, removal, name, site).run()
    with suppress(psycopg.Error), cluster.primary().connect() as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    return result


def _file(percentage: int) -> str:
    features = {APPLIED: {"percentage": percentage, "guards": {"max_increase": 60}}}
    features |= {
        f"f{number}": {"percentage": 100, "guards": {"max_increase": 100}}
        for number in range(FEATURES)
    }
    lines = (f"  {name}: {json.dumps(each)}" for name, each in features.items())
    return "version: 1\nfeatures:\n" + "\n".join(lines) + "\n"


def _application(percentage: int) -> Application:
    document = parse_rollout(_file(percentage).encode())
    source = Source("rollout.yaml", document.digest, None, uncommitted=False, subject=None)
    return Application(source, document.rollout, "a test")
