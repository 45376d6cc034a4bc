"""Many people, many jobs, one database: the promises hold for every sequence of acts.

The real apply runs with the real database and real commits. Merges, jobs, SQL by hand, the
safeguard and the service change it in random order.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from subprocess import run
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from reconciler.database.apply import Application
from reconciler.errors import Refused, Stale
from reconciler.operations import safeguard
from reconciler.operations.reconcile import Applied, Permission, apply
from reconciler.planning.guards import Allowed, GuardName
from reconciler.planning.plan_inputs import Source
from reconciler.rollout_file.model import Feature, Override, Rollout
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Repository, Targeting, is_eligible
from rollout_client.targeting.strategy import Strategy
from tests.builders import MOMENT
from tests.postgres import Database
from tests.replay import live_state, replayed_state

ALPHA = "alpha"
NAMES = tuple(f"acme/{letter}" for letter in "abcdefgh")
EVERY_GUARD = Permission(frozenset(map(Allowed, GuardName)))
STOP = None

# Append-only tables cannot be emptied, and keys cannot either, while triggers are active.
EMPTY = """
    SET session_replication_role = replica;
    DELETE FROM rollout_history;
    DELETE FROM rollout_override;
    DELETE FROM rollout_generation;
    DELETE FROM rollout_membership;
    DELETE FROM repository_categories;
    DELETE FROM rollout_configuration;
    DELETE FROM repositories;
    UPDATE rollout_state SET generation = 0, applied_commit = NULL, applied_at = NULL;
"""

EVERYTHING = """
    SELECT jsonb_build_object(
        'configuration', (SELECT jsonb_agg(to_jsonb(c)) FROM rollout_configuration AS c),
        'overrides', (SELECT jsonb_agg(to_jsonb(o)) FROM rollout_override AS o),
        'state', (SELECT to_jsonb(s) FROM rollout_state AS s),
        'history', (SELECT count(*) FROM rollout_history),
        'generations', (SELECT count(*) FROM rollout_generation)
    )
"""

# A value that is set back to the applied one is no drift, so no apply records it: if the history has
# another value, the act records the change itself.
BY_HAND = """
    INSERT INTO rollout_history (rollout_config_id, action, reason, triggered_by, metadata)
    SELECT id, 'emergency_rollback', 'by hand', 'manual', jsonb_build_object(
        'after', jsonb_build_object('percentage', rollout_percentage, 'emergency_stop', emergency_stop)
    )
    FROM rollout_configuration WHERE feature_name = 'alpha'
"""


@dataclass(frozen=True)
class Commit:
    """A commit of the branch."""

    id: str
    rollout: Rollout

    @property
    def feature(self) -> Feature:
        return self.rollout.features[ALPHA]


@dataclass
class Clones:
    """Folders with one shared store of commits; each has its own HEAD, as each job has."""

    store: Path
    folders: tuple[Path, ...]

    @classmethod
    def make(cls, parent: Path, count: int) -> "Clones":
        folders = tuple(parent / f"clone{number}" for number in range(count))
        for folder in folders:
            folder.mkdir()
            run(("git", "init", "--quiet", "--initial-branch=main"), cwd=folder, check=True)
            alternates = folder / ".git/objects/info/alternates"
            alternates.write_text(f"{parent / 'store'}\n")
        return cls(parent / "store", folders)

    def commit(self, text: str, parent: str | None) -> str:
        """Write a commit with only the rollout file; one process for each commit would be slow."""
        blob = self._write("blob", text.encode())
        tree = self._write("tree", b"100644 rollout.yaml\0" + bytes.fromhex(blob))
        lines = [f"tree {tree}", *([f"parent {parent}"] if parent else [])]
        who = "Ada <ada@example.com> 1764000000 +0000"
        return self._write(
            "commit", "\n".join([*lines, f"author {who}", f"committer {who}", "", "Why\n"]).encode()
        )

    def check_out(self, number: int, commit: str) -> Path:
        (self.folders[number] / ".git/HEAD").write_text(f"{commit}\n")
        return self.folders[number] / "rollout.yaml"

    def _write(self, kind: str, body: bytes) -> str:
        content = f"{kind} {len(body)}\0".encode() + body
        name = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        path = self.store / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zlib.compress(content, 1))
        return name


@dataclass
class World:
    """The database and the commits of a machine; shared by all its runs, and emptied before each."""

    database: Database
    clones: Clones
    connection: Any = field(init=False)
    runs: int = 0

    def __post_init__(self) -> None:
        self.connection = self.database.connect(autocommit=True)
        self.target = self.database.opened()

    def empty(self) -> None:
        self.runs += 1
        self.connection.execute(EMPTY)
        self.connection.execute("RESET session_replication_role")

    def apply(self, commit: Commit, clone: int = 0) -> Applied | Stale:
        """Run the job of a merge in its own clone."""
        source = Source(
            file=str(self.clones.check_out(clone, commit.id)),
            digest=f"sha256:{hashlib.sha256(commit.id.encode()).hexdigest()}",
            commit=commit.id,
            uncommitted=False,
            subject="Why",
        )
        application = Application(source=source, rollout=commit.rollout, applied_by="job")
        try:
            return apply(self.target, application, EVERY_GUARD)
        except Stale as stale:
            return stale

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.execute(sql, parameters).fetchall()
        return rows

    def execute(self, sql: str, **parameters: Any) -> None:
        self.connection.execute(sql, parameters)


PERCENTAGES = st.sampled_from([Decimal(each) for each in (0, 10, 25, 50, 100)])
LISTS = st.tuples(
    st.sets(st.sampled_from(NAMES[:4])),
    st.sets(st.sampled_from(NAMES[3:6]), max_size=2),
).map(lambda lists: (lists[0] - lists[1], lists[1]))


class ReconcileMachine(RuleBasedStateMachine):
    """The acts, and the invariants after each apply."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.empty()
        self.branch: list[Commit] = []
        self.applied = -1
        self.remembered: dict[str, str] = {}
        self.repositories: dict[str, str] = {}
        self.names_ever: dict[str, set[str]] = {}
        self.let_in: set[str] = set()
        self.limits: dict[UUID, Decimal | None] = {}
        """The limit of the safeguard that is not resumed."""
        self.narrowed: tuple[Decimal, bool] | None = None
        """The limit set by SQL since the last apply."""
        self.is_touched = False
        self.is_told = False
        """Whether the history has a new exposure since the last apply."""
        for number in range(3):
            self.appears(NAMES[number * 2])
        self._commit(Feature(percentage=Decimal(10)))

    # Acts of people and of the service

    @rule(percentage=PERCENTAGES, strategy=st.sampled_from(Strategy), lists=LISTS)
    def merge(
        self, percentage: Decimal, strategy: Strategy, lists: tuple[set[str], set[str]]
    ) -> None:
        whitelist, exclusions = lists
        self._commit(
            Feature(
                percentage=percentage,
                strategy=strategy,
                whitelist=tuple(sorted(whitelist)),
                exclusions=tuple(sorted(exclusions)),
                override=self.branch[-1].feature.override,
            )
        )

    @rule(percentage=PERCENTAGES)
    def merge_a_percentage(self, percentage: Decimal) -> None:
        self._commit(self.branch[-1].feature.model_copy(update={"percentage": percentage}))

    @precondition(lambda self: self.branch[-1].feature.override is not None)
    @rule()
    def remove_the_block(self) -> None:
        self._commit(self.branch[-1].feature.model_copy(update={"override": None}))

    @precondition(lambda self: self._blocks_that_were_there())
    @rule()
    def put_a_block_back(self) -> None:
        block = self._blocks_that_were_there()[-1]
        self._commit(self.branch[-1].feature.model_copy(update={"override": block}))

    @precondition(lambda self: self.branch[-1].feature.override is not None)
    @rule(limit=st.sampled_from([STOP, Decimal(0), Decimal(5), Decimal(50)]))
    def edit_the_block(self, limit: Decimal | None) -> None:
        """People change the limit under its id, lower or higher."""
        block = self.branch[-1].feature.override
        assert block is not None
        edited = block.model_copy(
            update={"percentage": limit, "emergency_stop": True if limit is STOP else None}
        )
        self._commit(self.branch[-1].feature.model_copy(update={"override": edited}))

    @rule(limit=st.sampled_from([STOP, Decimal(5)]))
    def write_a_block(self, limit: Decimal | None) -> None:
        """People write a block by hand in place of the present one."""
        block = Override(
            id=UUID(int=1_000_000 + len(self.branch)),
            percentage=limit,
            emergency_stop=True if limit is STOP else None,
            reason="by hand",
            by="ada",
            at=MOMENT,
        )
        self._commit(self.branch[-1].feature.model_copy(update={"override": block}))

    @rule(name=st.sampled_from(NAMES))
    def appears(self, name: str) -> None:
        if name not in self.repositories:
            number = len(self.names_ever) + 1
            repository = str(UUID(int=number * 7919))
            self.world.execute(
                "INSERT INTO repositories (id, owner, name, full_name, stargazers_count)"
                " VALUES (%(id)s, 'acme', %(short)s, %(name)s, %(stars)s)",
                id=repository,
                short=name.partition("/")[2],
                name=name,
                stars=number * 20,
            )
            self._is_called(repository, name)

    @precondition(lambda self: self.repositories)
    @rule(data=st.data())
    def is_renamed(self, data: st.DataObject) -> None:
        free = [name for name in NAMES if name not in self.repositories]
        if free:
            old = data.draw(st.sampled_from(sorted(self.repositories)))
            repository, new = self.repositories.pop(old), data.draw(st.sampled_from(free))
            self.world.execute(
                "UPDATE repositories SET full_name = %(name)s, name = %(short)s WHERE id = %(id)s",
                id=repository,
                short=new.partition("/")[2],
                name=new,
            )
            self._is_called(repository, new)

    # Acts of a person with psql

    @precondition(lambda self: self.applied >= 0)
    @rule(percentage=PERCENTAGES, stop=st.booleans())
    def change_live(self, percentage: Decimal, stop: bool) -> None:
        ((before, stopped),) = self.world.rows(
            "UPDATE rollout_configuration AS c"
            " SET rollout_percentage = %(percentage)s, emergency_stop = %(stop)s"
            " FROM rollout_configuration AS old WHERE c.id = old.id AND c.feature_name = 'alpha'"
            " RETURNING old.rollout_percentage, old.emergency_stop",
            percentage=percentage,
            stop=stop,
        )
        is_narrower = (
            percentage <= before and stop >= stopped and (percentage, stop) != (before, stopped)
        )
        # A value that is changed by hand twice is left out: the second change may undo the first.
        self.narrowed = (percentage, stop) if is_narrower and not self.is_touched else None
        self.is_touched = True
        if self.is_told:
            self.world.execute(BY_HAND)

    @precondition(lambda self: self.applied >= 0)
    @rule(name=st.sampled_from(NAMES))
    def whitelist_live(self, name: str) -> None:
        self.world.execute(
            "UPDATE rollout_configuration"
            " SET target_repositories = array_append(target_repositories, %(name)s)"
            " WHERE feature_name = 'alpha'",
            name=name,
        )

    @precondition(lambda self: self.applied >= 0)
    @rule()
    def exclude_live_apply_and_undo(self) -> None:
        """A narrowing that no override can express holds the feature: an apply changes nothing."""
        self.world.execute(
            "UPDATE rollout_configuration"
            " SET excluded_repositories = array_append(excluded_repositories, 'acme/held')"
            " WHERE feature_name = 'alpha'"
        )
        before = self.world.rows(EVERYTHING)
        refused = self.world.apply(self.branch[-1])

        assert isinstance(refused, Applied)
        assert refused.plan.held == (ALPHA,)
        assert self.world.rows(EVERYTHING) == before
        self.world.execute(
            "UPDATE rollout_configuration"
            " SET excluded_repositories = array_remove(excluded_repositories, 'acme/held')"
            " WHERE feature_name = 'alpha'"
        )

    # Acts of the safeguard and of write-back

    @precondition(lambda self: self.applied >= 0)
    @rule(percentage=st.sampled_from([Decimal(0), Decimal(5)]))
    def roll_back(self, percentage: Decimal) -> None:
        try:
            acted = safeguard.roll_back(
                self.world.target, ALPHA, percentage, by="a machine", reason="too many errors"
            )
        except Refused:
            return
        self._is_limited(acted)

    @precondition(lambda self: self.applied >= 0)
    @rule()
    def stop(self) -> None:
        acted = safeguard.stop(self.world.target, ALPHA, by="ada", reason="it hurts")
        self._is_limited(acted)

    def _is_limited(self, acted: safeguard.Acted) -> None:
        if acted.act is not None:
            assert acted.override is not None
            self.limits[acted.override.id] = acted.override.percentage
            self.is_told = True

    @precondition(lambda self: self.applied >= 0)
    @rule()
    def tick(self) -> None:
        """The safeguard judges, and enforces an override that the live state exceeds."""
        (watched,) = safeguard.judge_and_roll_back(self.world.target, (ALPHA,))
        if watched.rollback is not None:
            self.is_told = True
            self.narrowed = None
        live = live_state(self.world.database)[ALPHA]
        for each in self._on():
            limit = each.percentage
            assert live["emergency_stop"] or (limit is not STOP and live["percentage"] <= limit)

    @precondition(lambda self: self._on())
    @rule()
    def resume(self) -> None:
        acted = safeguard.resume(self.world.target, ALPHA, by="ada", reason="fixed")
        assert acted.act is not None
        self.is_told = True
        self.limits = {}
        self.narrowed = None
        live = live_state(self.world.database)[ALPHA]
        assert live["percentage"] == self.branch[self.applied].feature.percentage

    @precondition(lambda self: self._on())
    @rule()
    def write_back(self) -> None:
        (override,) = self._on()
        tip = self.branch[-1].feature
        if tip.override is None and not self._was_there(override.id, len(self.branch) - 1):
            self._commit(tip.model_copy(update={"override": override}))

    # Acts of jobs

    @rule(back=st.sampled_from([0, 0, 0, 1, 2]))
    def job(self, back: int) -> None:
        index = max(0, len(self.branch) - 1 - back)
        before = self.world.rows(EVERYTHING)
        done = self.world.apply(self.branch[index])

        assert isinstance(done, Stale) == (index < self.applied)
        if isinstance(done, Applied):
            assert not done.plan.is_refused
            self._check_apply(index)
        else:
            assert self.world.rows(EVERYTHING) == before

    @precondition(lambda self: len(self.branch) > 1)
    @rule()
    def two_jobs_at_once(self) -> None:
        older, newest = self.branch[-2], self.branch[-1]
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(self.world.apply, older, 0)
            second = pool.submit(self.world.apply, newest, 1)
        assert isinstance(second.result(), Applied)
        if isinstance(first.result(), Applied):
            assert self.applied < len(self.branch) - 1
            self._let_in(older)
            # The names in it are resolved as by the newest generation.
            self._effective(older.feature)
        self._check_apply(len(self.branch) - 1)

    # Invariants after an apply

    def _check_apply(self, index: int) -> None:
        commit = self.branch[index]
        self.applied = index
        self._let_in(commit)
        (state,) = self.world.rows("SELECT generation, applied_commit FROM rollout_state")
        generations = self.world.rows(
            "SELECT generation FROM rollout_generation ORDER BY generation"
        )
        live = live_state(self.world.database)

        assert state[1] == commit.id
        assert generations == [(each + 1,) for each in range(state[0])]
        expected = self._effective(commit.feature)
        if expected["emergency_stop"]:
            # While no repository is eligible, a percentage set by hand stays if the file has a
            # higher one.
            assert live[ALPHA]["percentage"] <= float(commit.feature.percentage)
            expected["percentage"] = live[ALPHA]["percentage"]
        assert live[ALPHA] == live[ALPHA] | expected
        replayed = replayed_state(self.world.database)
        if expected["emergency_stop"]:
            # A change by hand meanwhile is recorded in the history at the resume.
            replayed[ALPHA]["percentage"] = live[ALPHA]["percentage"]
        assert live == replayed
        assert self._eligible() <= self.let_in
        self._check_overrides(index, live[ALPHA])
        if self.narrowed is not None:
            percentage, stopped = self.narrowed
            assert live[ALPHA]["emergency_stop"] >= stopped
            assert live[ALPHA]["percentage"] <= percentage
        self.narrowed, self.is_touched, self.is_told = None, False, False

    def _check_overrides(self, index: int, live: dict[str, Any]) -> None:
        """An override that was removed from git is not on; one without removal and resume still limits."""
        block = self.branch[index].feature.override
        for override in {*self.limits, *(each.id for each in self._on())}:
            is_there = block is not None and block.id == override
            if self._was_there(override, index) and not is_there:
                assert override not in {each.id for each in self._on()}
                self.limits.pop(override, None)
            elif block is not None and is_there and override in self.limits:
                self.limits[override] = block.percentage
        for limit in self.limits.values():
            assert live["emergency_stop"] or (limit is not STOP and live["percentage"] <= limit)

    def _effective(self, feature: Feature) -> dict[str, Any]:
        """Return the file's state with resolved names, limited by the override that is on."""
        names = (*feature.whitelist, *feature.exclusions)
        meant = {
            name: self.repositories.get(name) or self.remembered.get(name, name) for name in names
        }
        self.remembered = {name: key for name, key in meant.items() if key != name}
        limits = [feature.percentage] + [each.percentage or Decimal(0) for each in self._on()]
        return {
            "active": True,
            "strategy": feature.strategy.value,
            "percentage": float(min(limits)),
            "emergency_stop": any(each.percentage is STOP for each in self._on()),
            "whitelist": sorted({meant[name] for name in feature.whitelist}),
            "exclusions": sorted({meant[name] for name in feature.exclusions}),
        }

    def _eligible(self) -> set[str]:
        return {row[0] for row in self.world.rows("SELECT eligible_repositories('alpha')::text")}

    def _let_in(self, commit: Commit) -> None:
        """Add the repositories of a file, by any name that a repository has had."""
        feature = commit.feature
        for repository, names in self.names_ever.items():
            listed = names & set(feature.whitelist)
            targeting = Targeting(
                active=True,
                emergency_stop=False,
                strategy=feature.strategy,
                percentage=feature.percentage,
                salt=ALPHA,
                whitelist=frozenset({repository} if listed else ()),
                exclusions=frozenset({repository} if names <= set(feature.exclusions) else ()),
            )
            if is_eligible(
                ALPHA, targeting, Repository(repository, None, self._category(repository))
            ):
                self.let_in.add(repository)

    def _category(self, repository: str) -> Category:
        ((category,),) = self.world.rows("SELECT categorize_repository(%(id)s)", id=repository)
        return Category(category)

    # Strategies for the arguments of the acts

    def _commit(self, feature: Feature) -> None:
        rollout = Rollout(version=1, features={ALPHA: feature})
        parent = self.branch[-1].id if self.branch else None
        text = (
            f"{self.world.runs} {len(self.branch)} {rollout.model_dump_json(exclude_defaults=True)}"
        )
        self.branch.append(Commit(self.world.clones.commit(text, parent), rollout))

    def _is_called(self, repository: str, name: str) -> None:
        self.repositories[name] = repository
        self.names_ever.setdefault(repository, set()).add(name)

    def _on(self) -> list[Override]:
        rows = self.world.rows(
            "SELECT id, percentage, reason, triggered_by, created_at"
            " FROM rollout_override WHERE state = 'on'"
        )
        return [
            Override(
                id=identifier,
                percentage=percentage,
                emergency_stop=True if percentage is STOP else None,
                reason=reason,
                by=by,
                at=at,
            )
            for identifier, percentage, reason, by, at in rows
        ]

    def _was_there(self, override: UUID, index: int) -> bool:
        blocks = [commit.feature.override for commit in self.branch[: index + 1]]
        return any(block is not None and block.id == override for block in blocks)

    def _blocks_that_were_there(self) -> list[Override]:
        if self.branch[-1].feature.override is not None:
            return []
        blocks = [commit.feature.override for commit in self.branch]
        return [block for block in blocks if block is not None]


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    world = World(database, Clones.make(tmp_path, 2))
    yield world
    world.connection.close()
    world.target.engine.dispose()


def test_the_promises_hold_under_random_actions(
    world: World, at_size: Callable[[int, int], int]
) -> None:
    class Machine(ReconcileMachine):
        pass

    Machine.world = world
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=at_size(300, 10_000),
            stateful_step_count=at_size(12, 20),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert world.runs >= at_size(300, 10_000)
