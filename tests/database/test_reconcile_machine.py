"""Many people, many jobs, one database: the promises hold for every sequence of acts.

The real apply runs with the real database and real commits. Merges, jobs, SQL by hand, the
safeguard and the service change it in random order.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto
from pathlib import Path
from subprocess import run
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from reconciler.errors import Refused, Stale
from reconciler.operations import automatic_rollback, safeguard
from reconciler.operations.reconcile import Applied, Permission, apply
from reconciler.planning.application import Application
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.plan_inputs import Source
from reconciler.rollout_file.model import Feature, Rollout
from reconciler.rollout_file.override import Override
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Repository, Targeting, is_eligible
from rollout_client.targeting.strategy import Strategy
from tests.builders import MOMENT
from tests.postgres import Database
from tests.replay import live_state, replayed_state

ALPHA, BETA = "alpha", "beta"
FEATURES = (ALPHA, BETA)
NAMES = tuple(f"acme/{letter}" for letter in "abcdefgh")
"""As keys: the file, the database and SQL by hand spell each of them in several ways."""
# No file can list them, but a service's table can have them.
ODD_NAMES = ("acme/\u00fc", "acme/\u0130\u017f", 'acme/it\'s "%s" {} \\', "acme/*", "acme", "")
EVERY_GUARD = Permission(frozenset(map(Allowed, GuardName)))
STOP = None
# Their clocks change at other times, and in other directions.
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
BACKED_UP = (
    "repositories",
    "repository_categories",
    "rollout_configuration",
    "rollout_generation",
    "rollout_history",
    "rollout_membership",
    "rollout_override",
    "rollout_state",
)

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

BACK_UP = """
    DROP SCHEMA IF EXISTS backup CASCADE;
    CREATE SCHEMA backup;
""" + "".join(f"CREATE TABLE backup.{each} AS TABLE {each};" for each in BACKED_UP)

RESTORE = """
    SET session_replication_role = replica;
""" + "".join(
    f"DELETE FROM {each}; INSERT INTO {each} SELECT * FROM backup.{each};" for each in BACKED_UP
)

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
    FROM rollout_configuration WHERE feature_name = %(feature)s
"""


@dataclass(frozen=True)
class Commit:
    """A commit of the branch."""

    id: str
    rollout: Rollout
    seen: frozenset[UUID]
    """The ids of the blocks that it or a commit before it has."""

    def feature(self, name: str) -> Feature:
        return self.rollout.features[name]

    def block(self, name: str) -> Override | None:
        return self.rollout.features[name].override


class Ending(Enum):
    """The end of a branch that proposes an override."""

    MERGED = auto()
    SQUASHED = auto()
    LOST = auto()
    """People merge it, and lose its block in a conflict."""
    DELETED = auto()


@dataclass
class Expected:
    """What is expected of one feature."""

    let_in: set[str] = field(default_factory=set)
    limits: dict[UUID, Decimal | None] = field(default_factory=dict)
    """The limit of the safeguard that is not resumed."""
    narrowed: tuple[Decimal, bool] | None = None
    """The limit set by SQL since the last apply."""
    is_touched: bool = False
    is_told: bool = False
    """Whether the history has a new exposure since the last apply."""


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

    def commit(self, text: str, *parents: str) -> str:
        """Write a commit with only the rollout file; one process for each commit would be slow."""
        blob = self._write("blob", text.encode())
        tree = self._write("tree", b"100644 rollout.yaml\0" + bytes.fromhex(blob))
        lines = [f"tree {tree}", *(f"parent {each}" for each in parents)]
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
    commits: int = 0
    zone: str = "UTC"

    def __post_init__(self) -> None:
        self.connection = self.database.connect(autocommit=True)
        self.target = self.database.opened()

    def empty(self) -> None:
        self.runs += 1
        self.commits = 0
        self.connection.execute(EMPTY)
        self.connection.execute("RESET session_replication_role")

    def set_zone(self, zone: str) -> None:
        """Give every session that begins from now on, and the one by hand, a time zone."""
        if zone == self.zone:
            return
        self.zone = zone
        self.connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = %L',"
            f" current_database(), '{zone}'); END $$"
        )
        self.connection.execute(f"SET timezone = '{zone}'")
        self.target.engine.dispose()

    def restore(self) -> None:
        self.connection.execute(RESTORE)
        self.connection.execute("RESET session_replication_role")

    def apply(
        self, commit: Commit, clone: int = 0, permission: Permission = EVERY_GUARD
    ) -> Applied | Stale:
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
            return apply(self.target, application, permission)
        except Stale as stale:
            return stale

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.execute(sql, parameters).fetchall()
        return rows

    def execute(self, sql: str, **parameters: Any) -> None:
        self.connection.execute(sql, parameters)


def spelled(name: str, letters: int) -> str:
    """Return a name with some letters in upper case: GitHub's names ignore case."""
    return "".join(
        each.upper() if letters >> place & 1 else each for place, each in enumerate(name)
    )


SPELLINGS = st.integers(0, 63)
PERCENTAGES = st.sampled_from([Decimal(each) for each in (0, 10, 25, 50, 100)])
LISTS = st.tuples(
    st.sets(st.sampled_from(NAMES[:4])),
    st.sets(st.sampled_from(NAMES[3:6]), max_size=2),
).map(lambda lists: (lists[0] - lists[1], lists[1]))


class ReconcileMachine(RuleBasedStateMachine):
    """The acts, and what holds after each apply."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.empty()
        self.world.set_zone("UTC")
        self.branch: list[Commit] = []
        self.applied = -1
        self.remembered: dict[str, str] = {}
        self.repositories: dict[str, str] = {}
        self.names_ever: dict[str, set[str]] = {}
        self.expected = {name: Expected() for name in FEATURES}
        self.backup: tuple[Any, ...] | None = None
        self.dropped: list[Commit] = []
        self.proposals: list[tuple[str, Commit]] = []
        """Each with the feature that it proposes an override of."""
        for number in range(3):
            self.appears(NAMES[number * 2])
        self._commit({name: Feature(percentage=Decimal(10)) for name in FEATURES})

    # What people and the host application do.

    @rule(
        name=st.sampled_from(FEATURES),
        percentage=PERCENTAGES,
        strategy=st.sampled_from(Strategy),
        lists=LISTS,
        letters=SPELLINGS,
    )
    def merge(
        self,
        name: str,
        percentage: Decimal,
        strategy: Strategy,
        lists: tuple[set[str], set[str]],
        letters: int,
    ) -> None:
        whitelist, exclusions = ({spelled(each, letters) for each in names} for names in lists)
        self._change(
            name,
            percentage=percentage,
            strategy=strategy,
            whitelist=tuple(sorted(whitelist)),
            exclusions=tuple(sorted(exclusions)),
        )

    @rule(name=st.sampled_from(FEATURES), percentage=PERCENTAGES)
    def merge_a_percentage(self, name: str, percentage: Decimal) -> None:
        self._change(name, percentage=percentage)

    @rule(name=st.sampled_from(FEATURES), percentage=PERCENTAGES, back=st.sampled_from([1, 2]))
    def merge_an_older_branch(self, name: str, percentage: Decimal, back: int) -> None:
        """A branch that left main earlier raises a percentage; its merge keeps main's blocks."""
        left_at = self.branch[max(0, len(self.branch) - 1 - back)]
        side = self._write(
            left_at.rollout.features
            | {name: left_at.feature(name).model_copy(update={"percentage": percentage})},
            left_at,
        )
        features = self.branch[-1].rollout.features
        changed = features[name].model_copy(update={"percentage": percentage})
        self.branch.append(self._write({**features, name: changed}, self.branch[-1], side))

    @rule(name=st.sampled_from(FEATURES))
    def remove_the_block(self, name: str) -> None:
        if self.branch[-1].block(name) is not None:
            self._change(name, override=None)

    @rule(name=st.sampled_from(FEATURES), source=st.sampled_from(FEATURES))
    def put_a_block_back(self, name: str, source: str) -> None:
        """From an older commit; people may copy it into the other feature."""
        blocks = [commit.block(source) for commit in self.branch]
        there = self._blocks_at_tip()
        was_there = [each for each in blocks if each is not None and each.id not in there]
        if self.branch[-1].block(name) is None and was_there:
            self._change(name, override=was_there[-1])

    @rule(
        name=st.sampled_from(FEATURES),
        limit=st.sampled_from([STOP, Decimal(0), Decimal(5), Decimal(50)]),
    )
    def edit_the_block(self, name: str, limit: Decimal | None) -> None:
        """People change the limit under its id, lower or higher."""
        block = self.branch[-1].block(name)
        if block is not None:
            edited = block.model_copy(
                update={"percentage": limit, "emergency_stop": True if limit is STOP else None}
            )
            self._change(name, override=edited)

    @rule(name=st.sampled_from(FEATURES))
    def move_the_block_to_the_other_feature(self, name: str) -> None:
        """People copy a block with its id; a file with both is refused, so the first goes."""
        block = self.branch[-1].block(name)
        if block is not None:
            (other,) = set(FEATURES) - {name}
            features = self.branch[-1].rollout.features
            self._commit(
                {
                    name: features[name].model_copy(update={"override": None}),
                    other: features[other].model_copy(update={"override": block}),
                }
            )

    @rule()
    def swap_the_blocks(self) -> None:
        """Each feature gets the name of the other, and keeps its block."""
        features = self.branch[-1].rollout.features
        if features[ALPHA].override is not None or features[BETA].override is not None:
            self._commit(
                {
                    ALPHA: features[ALPHA].model_copy(update={"override": features[BETA].override}),
                    BETA: features[BETA].model_copy(update={"override": features[ALPHA].override}),
                }
            )

    @rule(name=st.sampled_from(FEATURES), limit=st.sampled_from([STOP, Decimal(5)]))
    def write_a_block(self, name: str, limit: Decimal | None) -> None:
        """People write a block by hand, in the place of the one that is there."""
        block = Override(
            id=UUID(int=1_000_000 * (self.world.commits + 1)),
            percentage=limit,
            emergency_stop=True if limit is STOP else None,
            reason="by hand",
            by="ada",
            at=MOMENT,
        )
        self._change(name, override=block)

    @precondition(lambda self: len(self.branch) - 1 > max(self.applied, 0))
    @rule()
    def force_push(self) -> None:
        """The newest commit, that no job has applied, is lost."""
        self.dropped.append(self.branch.pop())

    @precondition(lambda self: self.dropped)
    @rule()
    def merge_what_was_lost(self) -> None:
        """The branch that was deleted is found again, and squashed onto the tip."""
        lost = self.dropped.pop()
        features = {}
        for name in FEATURES:
            block, now = lost.block(name), self.branch[-1].block(name)
            wanted = block if now is None and block is not None else now
            if wanted is not None and wanted is not now and wanted.id in self._blocks_at_tip():
                wanted = now
            features[name] = lost.feature(name).model_copy(update={"override": wanted})
        if len({each.override.id for each in features.values() if each.override}) == sum(
            each.override is not None for each in features.values()
        ):
            self._commit(features)

    @rule(zone=st.sampled_from(ZONES))
    def change_the_zone(self, zone: str) -> None:
        self.world.set_zone(zone)

    @rule(name=st.sampled_from(NAMES + ODD_NAMES), letters=SPELLINGS)
    def appears(self, name: str, letters: int = 0) -> None:
        if name not in self.repositories:
            number = len(self.names_ever) + 1
            repository = str(UUID(int=number * 7919))
            self.world.execute(
                "INSERT INTO repositories (id, owner, name, full_name, stargazers_count)"
                " VALUES (%(id)s, 'acme', %(short)s, %(name)s, %(stars)s)",
                id=repository,
                short=name.partition("/")[2],
                name=spelled(name, letters) if name in NAMES else name,
                stars=number * 20,
            )
            self._is_called(repository, name)

    @precondition(lambda self: self.repositories)
    @rule(data=st.data(), letters=SPELLINGS)
    def is_renamed(self, data: st.DataObject, letters: int) -> None:
        """To a name that is free, or to another spelling of its own."""
        old = data.draw(st.sampled_from(sorted(self.repositories)))
        free = [name for name in NAMES + ODD_NAMES if name not in self.repositories]
        new = data.draw(st.sampled_from([old, *free]))
        repository = self.repositories.pop(old)
        self.world.execute(
            "UPDATE repositories SET full_name = %(name)s, name = %(short)s WHERE id = %(id)s",
            id=repository,
            short=new.partition("/")[2],
            name=spelled(new, letters) if new in NAMES else new,
        )
        self._is_called(repository, new)

    @precondition(lambda self: self.repositories)
    @rule(data=st.data())
    def is_created_again(self, data: st.DataObject) -> None:
        """A repository is deleted, and another is created with its name."""
        self._create_again(data.draw(st.sampled_from(sorted(self.repositories))))

    def _create_again(self, name: str) -> None:
        repository = self.repositories.pop(name)
        self.world.execute("DELETE FROM repositories WHERE id = %(id)s", id=repository)
        self.appears(name)

    # The acts of a person with psql.

    @precondition(lambda self: self.applied >= 0)
    @rule(name=st.sampled_from(FEATURES), percentage=PERCENTAGES, stop=st.booleans())
    def change_live(self, name: str, percentage: Decimal, stop: bool) -> None:
        ((before, stopped),) = self.world.rows(
            "UPDATE rollout_configuration AS c"
            " SET rollout_percentage = %(percentage)s, emergency_stop = %(stop)s"
            " FROM rollout_configuration AS old"
            " WHERE c.id = old.id AND c.feature_name = %(feature)s"
            " RETURNING old.rollout_percentage, old.emergency_stop",
            feature=name,
            percentage=percentage,
            stop=stop,
        )
        is_narrower = (
            percentage <= before and stop >= stopped and (percentage, stop) != (before, stopped)
        )
        expected = self.expected[name]
        # What was changed by hand twice is another question: the second hand may undo the first.
        expected.narrowed = (percentage, stop) if is_narrower and not expected.is_touched else None
        expected.is_touched = True
        if expected.is_told:
            self.world.execute(BY_HAND, feature=name)

    @precondition(lambda self: self.applied >= 0)
    @rule(name=st.sampled_from(FEATURES), listed=st.sampled_from(NAMES))
    def widen_lists_live(self, name: str, listed: str) -> None:
        """The exclusions are emptied, and a repository is whitelisted, beside whatever limits it."""
        self.world.execute(
            "UPDATE rollout_configuration SET excluded_repositories = '{}',"
            " target_repositories = array_append(target_repositories, %(name)s)"
            " WHERE feature_name = %(feature)s",
            feature=name,
            name=listed,
        )

    @precondition(lambda self: self.applied >= 0 and self.repositories)
    @rule(data=st.data(), mark=st.booleans())
    def mark_live(self, data: st.DataObject, mark: bool) -> None:
        """A repository is marked as test, or no longer; no file of the branch marks one."""
        name = data.draw(st.sampled_from(sorted(self.repositories)))
        self._mark(self.repositories[name], mark=mark)

    def _mark(self, repository: str, *, mark: bool) -> None:
        self.world.execute("SELECT categorize_repositories(ARRAY[%(id)s::uuid])", id=repository)
        self.world.execute(
            "UPDATE repository_categories SET is_test_repository = %(mark)s"
            " WHERE repository_id = %(id)s",
            id=repository,
            mark=mark,
        )

    @precondition(lambda self: set(NAMES) & self.repositories.keys())
    @rule(
        data=st.data(),
        name=st.sampled_from(FEATURES),
        declared=st.sampled_from(Strategy),
        live=st.sampled_from(Strategy),
    )
    def widen_beside_a_stop_and_resume(
        self, data: st.DataObject, name: str, declared: Strategy, live: Strategy
    ) -> None:
        """Strategy, salt, lists and marks change beside a stop; the resume opens nothing of that."""
        excluded = data.draw(st.sampled_from(sorted(set(NAMES) & self.repositories.keys())))
        lists: dict[str, tuple[str, ...]] = {"whitelist": (), "exclusions": (excluded,)}
        self._change(name, strategy=declared, percentage=Decimal(10), **lists)
        applied = self.world.apply(self.branch[-1])
        assert isinstance(applied, Applied)
        assert not applied.plan.is_refused
        self._check_apply(len(self.branch) - 1)
        self.stop(name)
        if data.draw(st.booleans()):
            self._create_again(excluded)
        self._set_strategy(name, live)
        self.world.execute(
            "UPDATE rollout_configuration SET salt = coalesce(%(salt)s, salt)"
            " WHERE feature_name = %(feature)s",
            feature=name,
            salt=data.draw(st.sampled_from([None, "pepper", "thyme", "sage", "mint"])),
        )
        listed = data.draw(st.sampled_from([None, *NAMES]))
        if listed is not None:
            self.widen_lists_live(name, listed)
        if data.draw(st.booleans()):
            self.mark_live(data, mark=True)
        self.resume(name)
        # A narrowing that no override can say would hold each later apply.
        self.world.execute(
            "UPDATE rollout_configuration SET rollout_strategy = %(strategy)s, salt = %(feature)s"
            " WHERE feature_name = %(feature)s",
            feature=name,
            strategy=declared.value,
        )

    @precondition(lambda self: self.applied >= 0)
    @rule(
        feature=st.sampled_from(FEATURES),
        name=st.sampled_from(NAMES + ODD_NAMES),
        letters=SPELLINGS,
    )
    def whitelist_live(self, feature: str, name: str, letters: int) -> None:
        self.world.execute(
            "UPDATE rollout_configuration"
            " SET target_repositories = array_append(target_repositories, %(name)s)"
            " WHERE feature_name = %(feature)s",
            feature=feature,
            name=spelled(name, letters) if name in NAMES else name,
        )

    @precondition(lambda self: self.applied >= 0)
    @rule(name=st.sampled_from(FEATURES))
    def exclude_live_apply_and_undo(self, name: str) -> None:
        """A narrowing that no override can say holds the feature: an apply changes nothing."""
        self.world.execute(
            "UPDATE rollout_configuration"
            " SET excluded_repositories = array_append(excluded_repositories, 'acme/held')"
            " WHERE feature_name = %(feature)s",
            feature=name,
        )
        before = self.world.rows(EVERYTHING)
        refused = self.world.apply(self.branch[-1])

        assert isinstance(refused, Applied)
        assert refused.plan.held == (name,)
        assert self.world.rows(EVERYTHING) == before
        self.world.execute(
            "UPDATE rollout_configuration"
            " SET excluded_repositories = array_remove(excluded_repositories, 'acme/held')"
            " WHERE feature_name = %(feature)s",
            feature=name,
        )

    @precondition(lambda self: self.applied >= 0)
    @rule(name=st.sampled_from(FEATURES))
    def narrow_the_strategy_live_apply_and_undo(self, name: str) -> None:
        """A repository that loses the feature, or would without its override, holds it."""
        self._apply_again()
        # As after a resume: the file's percentage counts, not the one under an override.
        percentage = self.applied_commit.feature(name).percentage
        before_sql = live_state(self.world.database)[name] | {"percentage": percentage}
        self._set_strategy(name, Strategy.WHITELIST)
        before = self.world.rows(EVERYTHING)
        done = self.world.apply(self.applied_commit)

        assert isinstance(done, Applied)
        if self._eligible_without_override(name, before_sql) - self._eligible_without_override(
            name, before_sql | {"strategy": Strategy.WHITELIST}
        ):
            assert done.plan.held == (name,)
            assert self.world.rows(EVERYTHING) == before
            self._set_strategy(name, Strategy(before_sql["strategy"]))
        else:
            assert not done.plan.is_refused
        self._apply_again()

    def _apply_again(self) -> None:
        done = self.world.apply(self.applied_commit)
        assert isinstance(done, Applied)
        assert not done.plan.is_refused
        self._check_apply(self.applied)

    def _set_strategy(self, name: str, strategy: Strategy) -> None:
        self.world.execute(
            "UPDATE rollout_configuration SET rollout_strategy = %(strategy)s"
            " WHERE feature_name = %(feature)s",
            feature=name,
            strategy=strategy.value,
        )

    def _eligible_without_override(self, name: str, live: dict[str, Any]) -> set[str]:
        targeting = Targeting(
            active=True,
            emergency_stop=False,
            strategy=Strategy(live["strategy"]),
            percentage=Decimal(str(live["percentage"])),
            salt=name,
            whitelist=frozenset(live["whitelist"]),
            exclusions=frozenset(live["exclusions"]),
        )
        return {
            repository
            for repository in self.repositories.values()
            if (category := self._category(repository)) is not None
            and is_eligible(name, targeting, Repository(repository, None, category))
        }

    @precondition(lambda self: self.applied >= 0)
    @rule()
    def back_up(self) -> None:
        self.world.execute(BACK_UP)
        self.backup = deepcopy(
            (self.applied, self.remembered, self.repositories, self.names_ever, self.expected)
        )

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        """The database is as it was; git is as it is."""
        assert self.backup is not None
        self.world.restore()
        applied, *others = deepcopy(self.backup)
        self.applied = applied
        self.remembered, self.repositories, self.names_ever, self.expected = others

    # What the safeguard does, and write-back.

    @precondition(lambda self: self.applied >= 0)
    @rule(name=st.sampled_from(FEATURES), percentage=st.sampled_from([Decimal(0), Decimal(5)]))
    def roll_back(self, name: str, percentage: Decimal) -> None:
        try:
            acted = safeguard.roll_back(
                self.world.target, name, percentage, by="a machine", reason="too many errors"
            )
        except Refused:
            return
        self._is_limited(acted)

    @precondition(lambda self: self.applied >= 0)
    @rule(name=st.sampled_from(FEATURES))
    def stop(self, name: str) -> None:
        acted = safeguard.stop(self.world.target, name, by="ada", reason="it hurts")
        self._is_limited(acted)

    def _is_limited(self, acted: safeguard.Acted) -> None:
        if acted.act is not None:
            assert acted.override is not None
            expected = self.expected[acted.feature]
            expected.limits[acted.override.id] = acted.override.percentage
            expected.is_told = True

    @precondition(lambda self: self.applied >= 0)
    @rule()
    def tick(self) -> None:
        """The safeguard judges, and puts back each limit in force that live exceeds."""
        for watched in automatic_rollback.judge_and_roll_back(self.world.target):
            if watched.rollback is not None:
                self.expected[watched.feature].is_told = True
                self.expected[watched.feature].narrowed = None
        live = live_state(self.world.database)
        for name in FEATURES:
            for each in self._on(name):
                self._assert_limited(live[name], each.percentage)

    @precondition(lambda self: self.applied >= 0)
    @rule(name=st.sampled_from(FEATURES))
    def resume(self, name: str) -> None:
        if not self._on(name):
            return
        acted = safeguard.resume(self.world.target, name, by="ada", reason="fixed")
        assert acted.act is not None
        expected = self.expected[name]
        expected.is_told = True
        expected.limits = {}
        expected.narrowed = None
        live = live_state(self.world.database)[name]
        assert live["percentage"] == self.applied_commit.feature(name).percentage
        self._check_audience_of_resume(name, live)

    def _check_audience_of_resume(self, name: str, live: dict[str, Any]) -> None:
        """A resume opens nothing that the last apply did not open."""
        ((whitelist, exclusions),) = self.world.rows(
            "SELECT stored -> 'whitelist', stored -> 'exclusions' FROM ("
            " SELECT effective -> 'features' -> %(name)s AS stored FROM rollout_generation"
            " WHERE generation = (SELECT generation FROM rollout_state)) AS applied",
            name=name,
        )
        assert set(live["whitelist"]) <= set(whitelist)
        assert set(live["exclusions"]) >= set(exclusions)
        # Repositories that appeared since the apply are eligible as it says.
        self._let_in(self.applied_commit)
        assert self._eligible(name) <= self.expected[name].let_in
        self._check_excluded_names(name)

    def _check_excluded_names(self, name: str) -> None:
        """An exclusion holds its name too: a repository that has it is not eligible."""
        excluded = map(str.lower, self.applied_commit.feature(name).exclusions)
        having = {self.repositories[each] for each in excluded if each in self.repositories}
        assert not self._eligible(name) & having

    @precondition(lambda self: self.applied >= 0)
    @rule(percentage=st.sampled_from([None, Decimal(25)]))
    def write_back(self, percentage: Decimal | None) -> None:
        """Every override that never was there; with a percentage, as a squash of it and other work."""
        features = dict(self.branch[-1].rollout.features)
        for name in FEATURES:
            for override in self._on(name):
                if features[name].override is None and override.id not in self.branch[-1].seen:
                    features[name] = features[name].model_copy(update={"override": override})
        if features != self.branch[-1].rollout.features:
            if percentage is not None:
                features[ALPHA] = features[ALPHA].model_copy(update={"percentage": percentage})
            self._commit(features)

    @precondition(lambda self: self.applied >= 0)
    @rule(name=st.sampled_from(FEATURES))
    def propose(self, name: str) -> None:
        """A branch of its own proposes the override."""
        tip = self.branch[-1]
        for override in self._on(name):
            if tip.block(name) is None and override.id not in tip.seen:
                changed = tip.feature(name).model_copy(update={"override": override})
                side = self._write({**tip.rollout.features, name: changed}, tip)
                self.proposals.append((name, side))

    @precondition(lambda self: self.proposals)
    @rule(ending=st.sampled_from(Ending))
    def end_a_proposal(self, ending: Ending) -> None:
        """The branch may have left main before other merges, and its override may be resumed."""
        name, side = self.proposals.pop()
        tip = self.branch[-1]
        block = side.block(name)
        assert block is not None
        is_free = tip.block(name) is None and block.id not in self._blocks_at_tip()
        changed = tip.feature(name).model_copy(update={"override": block})
        merged = {**tip.rollout.features, name: changed} if is_free else tip.rollout.features
        match ending:
            case Ending.MERGED:
                self.branch.append(self._write(merged, tip, side))
            case Ending.SQUASHED:
                self.branch.append(self._write(merged, tip))
            case Ending.LOST:
                self.branch.append(self._write(tip.rollout.features, tip, side))
            case Ending.DELETED:
                pass

    @precondition(lambda self: self.applied >= 0)
    @rule(name=st.sampled_from(FEATURES), ending=st.sampled_from(Ending))
    def propose_and_end(self, name: str, ending: Ending) -> None:
        before = len(self.proposals)
        self.propose(name)
        if len(self.proposals) > before:
            self.end_a_proposal(ending)

    # What jobs do.

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
            # What its names meant is what the newest finds.
            self._let_in(older)
            self._remember(older)
        self._check_apply(len(self.branch) - 1)

    # What holds after an apply.

    @property
    def applied_commit(self) -> Commit:
        return self.branch[self.applied]

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
        keys = self._remember(commit)
        replayed = replayed_state(self.world.database)
        for name in FEATURES:
            effective = self._effective(commit.feature(name), name, keys[name])
            if effective["emergency_stop"]:
                # While no repository is eligible, the percentage that people left stays, if the file
                # asks for more; history records it when it resumes.
                assert live[name]["percentage"] <= float(commit.feature(name).percentage)
                effective["percentage"] = live[name]["percentage"]
                replayed[name]["percentage"] = live[name]["percentage"]
            # A name that stands beside its excluded id excludes no other repository.
            written = {each.lower() for each in commit.feature(name).exclusions}
            for found in (live[name], replayed[name]):
                found["exclusions"] = [
                    key
                    for key in found["exclusions"]
                    if key not in written or key in effective["exclusions"]
                ]
            assert live[name] == live[name] | effective
            assert self._eligible(name) <= self.expected[name].let_in
            self._check_excluded_names(name)
            self._check_overrides(name, commit, live[name])
        assert live == replayed
        assert not self.world.rows("SELECT FROM repository_categories WHERE marked_as_test")

    def _check_overrides(self, name: str, commit: Commit, live: dict[str, Any]) -> None:
        """An override removed from git is not on; one that is neither removed nor resumed still limits."""
        block, expected = commit.block(name), self.expected[name]
        on = {each.id for each in self._on(name)}
        for override in {*expected.limits, *on}:
            is_there = block is not None and block.id == override
            if override in commit.seen and not is_there:
                assert override not in on
                expected.limits.pop(override, None)
            elif block is not None and is_there and override in expected.limits:
                expected.limits[override] = block.percentage
        for limit in expected.limits.values():
            self._assert_limited(live, limit)
        if expected.narrowed is not None:
            percentage, stopped = expected.narrowed
            assert live["emergency_stop"] >= stopped
            assert live["percentage"] <= percentage
        expected.narrowed, expected.is_touched, expected.is_told = None, False, False

    @staticmethod
    def _assert_limited(live: dict[str, Any], limit: Decimal | None) -> None:
        assert live["emergency_stop"] or (limit is not STOP and live["percentage"] <= limit)

    def _remember(self, commit: Commit) -> dict[str, dict[str, set[str]]]:
        """Return the keys of each feature's lists; from now on the names mean what they mean now."""
        features = commit.rollout.features.values()
        listed = {name.lower() for each in features for name in each.whitelist}
        excluded = {name.lower() for each in features for name in each.exclusions}
        meant = {
            name: self.repositories.get(name) or self.remembered.get(name, name)
            for name in listed | excluded
        }
        keys = {
            feature: {
                "whitelist": {meant[name.lower()] for name in each.whitelist},
                # A name that another repository has now excludes both.
                "exclusions": {meant[name.lower()] for name in each.exclusions}
                | {
                    self.remembered[name.lower()]
                    for name in each.exclusions
                    if name.lower() in self.remembered
                },
            }
            for feature, each in commit.rollout.features.items()
        }
        kept = {
            name: self.remembered[name] for name in excluded - listed if name in self.remembered
        }
        self.remembered = {name: key for name, key in (meant | kept).items() if key != name}
        return keys

    def _effective(self, feature: Feature, name: str, keys: dict[str, set[str]]) -> dict[str, Any]:
        """What the file says, its names resolved, under the override that is on."""
        on = self._on(name)
        limits = [feature.percentage] + [each.percentage or Decimal(0) for each in on]
        return {
            "active": True,
            "strategy": feature.strategy.value,
            "percentage": float(min(limits)),
            "emergency_stop": any(each.percentage is STOP for each in on),
            **{each: sorted(found) for each, found in keys.items()},
        }

    def _eligible(self, name: str) -> set[str]:
        rows = self.world.rows("SELECT eligible_repositories(%(name)s)::text", name=name)
        return {row[0] for row in rows}

    def _let_in(self, commit: Commit) -> None:
        """Add the repositories of a file, by any name that a repository has had."""
        for name, feature in commit.rollout.features.items():
            for repository, names in self.names_ever.items():
                listed = names & set(map(str.lower, feature.whitelist))
                is_excluded = names <= set(map(str.lower, feature.exclusions))
                targeting = Targeting(
                    active=True,
                    emergency_stop=False,
                    strategy=feature.strategy,
                    percentage=feature.percentage,
                    salt=name,
                    whitelist=frozenset({repository} if listed else ()),
                    exclusions=frozenset({repository} if is_excluded else ()),
                )
                category = self._category(repository)
                if category is not None and is_eligible(
                    name, targeting, Repository(repository, None, category)
                ):
                    self.expected[name].let_in.add(repository)

    def _category(self, repository: str) -> Category | None:
        """Return the category of a repository; None if it was deleted."""
        if repository not in self.repositories.values():
            return None
        ((category,),) = self.world.rows("SELECT categorize_repository(%(id)s)", id=repository)
        return Category(category)

    # What the acts are made of.

    def _change(self, name: str, **changes: object) -> None:
        features = self.branch[-1].rollout.features
        self._commit({**features, name: features[name].model_copy(update=changes)})

    def _commit(self, features: dict[str, Feature]) -> None:
        self.branch.append(self._write(features, *self.branch[-1:]))

    def _write(self, features: dict[str, Feature], *parents: Commit) -> Commit:
        rollout = Rollout(version=1, features=dict(features))
        self.world.commits += 1
        text = f"{self.world.runs} {self.world.commits} {rollout.model_dump_json(exclude_defaults=True)}"
        blocks = {each.override.id for each in features.values() if each.override is not None}
        return Commit(
            self.world.clones.commit(text, *(each.id for each in parents)),
            rollout,
            frozenset(blocks).union(*(each.seen for each in parents)),
        )

    def _blocks_at_tip(self) -> set[UUID]:
        blocks = (self.branch[-1].block(name) for name in FEATURES)
        return {block.id for block in blocks if block is not None}

    def _is_called(self, repository: str, name: str) -> None:
        self.repositories[name] = repository
        self.names_ever.setdefault(repository, set()).add(name)

    def _on(self, name: str) -> list[Override]:
        rows = self.world.rows(
            "SELECT o.id, percentage, reason, triggered_by, o.created_at FROM rollout_override AS o"
            " JOIN rollout_configuration AS c ON c.id = rollout_config_id"
            " WHERE state = 'on' AND feature_name = %(name)s",
            name=name,
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


NIGHTLY_SHARES = 40
"""The nightly sequences run in as many tests, so that all cores share them.

Share 0 alone, with `--nightly --hypothesis-seed=N`, runs 250 sequences that only the number N decides.
"""


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    world = World(database, Clones.make(tmp_path, 2))
    yield world
    world.connection.close()
    world.target.engine.dispose()


@pytest.mark.parametrize(
    "share",
    [0, *(pytest.param(each, marks=pytest.mark.nightly) for each in range(1, NIGHTLY_SHARES))],
)
def test_the_promises_hold_under_random_actions(
    world: World, at_size: Callable[[int, int], int], share: int
) -> None:
    class Machine(ReconcileMachine):
        pass

    Machine.world = world
    size = at_size(300, 10_000 // NIGHTLY_SHARES)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=size,
            stateful_step_count=at_size(12, 20),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert world.runs >= size
