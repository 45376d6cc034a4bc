"""The screens *Now* and *Feature*: the state of features, the limited and failing ones first."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from reconciler.dashboard.charts import (
    Chart,
    category_bars,
    evidence_bar,
    evidence_chart,
    jobs_chart,
    sparkline,
    staircase,
)
from reconciler.dashboard.screens.page_transaction import page_transaction
from reconciler.database.audience import read_audience
from reconciler.database.eligible_counts import read_known_counts
from reconciler.database.freezes import read_applied_freezes
from reconciler.database.health import read_health, read_healths_within
from reconciler.database.history import HistoryEntry, HistoryFilter, read_history_page
from reconciler.database.job_series import read_hours, read_job_series
from reconciler.database.lists import ListEntry, read_list
from reconciler.database.now import FeatureNow, read_features_now
from reconciler.database.stages import read_evidence_series, read_stage_dates
from reconciler.errors import NotFound
from reconciler.planning.eligible_count import EligibleCount, live_counts
from reconciler.planning.freezes import Hold
from reconciler.planning.health import Health, Verdict
from reconciler.wording import show_number, show_time

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.database.transactions import Database

HISTORY_ROWS: Final = 50
MOST_LIST_ENTRIES: Final = 50
JUDGING_SECONDS: Final = 2.0
"""How long features are judged for one page; a database where no watch runs takes up to a second for each."""
_NOT_JUDGED: Final = "not judged"
_NO_TIME: Final = "judging took too long for this page; start a watch: reconcile watch"
_RANKS: Final = {Verdict.FAIL: 0, Verdict.WARN: 2}
_LIMITED_RANK: Final = 1
_OTHER_RANK: Final = 3


@dataclass(frozen=True, slots=True)
class NowRow:
    """One feature."""

    feature: FeatureNow
    health: Health | None
    """None where the time for judging was over."""
    sparkline: Chart
    bar: Chart | None
    """The evidence; None under the method `threshold`."""
    as_of: datetime
    """The database's time."""
    count: EligibleCount | None = None
    """The eligible repositories; None where they are not counted yet."""
    hold: Hold | None = None
    """The freezes that hold it now."""

    @property
    def state(self) -> str:
        """The state in words, each with a sign; a feature can be inactive and limited."""
        limit = self.feature.limit
        states = [] if self.feature.active else ["○ inactive"]
        if self.feature.emergency_stop:
            states.append("■ stopped")
        elif limit is not None and limit.percentage is not None:
            states.append(f"▼ held at {show_number(limit.percentage)}")
        if not states:
            states.append("● active" if self.hold is None else "◆ frozen")
        return ", ".join(states)

    @property
    def possible_acts(self) -> Sequence[tuple[str, str]]:
        """The acts that change something, each with its verb."""
        acts = []
        if not self.feature.emergency_stop:
            acts.append(("stop", "Stop"))
            if self.feature.percentage > 0:
                acts.append(("rollback", "Roll back"))
        if self.feature.limit is not None:
            acts.append(("resume", "Resume"))
        return acts

    @property
    def rank(self) -> tuple[int, str]:
        """The place in the list: failing, limited, warned, others; by name."""
        is_limited = self.feature.limit is not None or self.feature.emergency_stop
        rank = _OTHER_RANK
        if self.health is not None:
            rank = _RANKS.get(self.health.judgement.verdict, _OTHER_RANK)
        return min(rank, _LIMITED_RANK if is_limited else _OTHER_RANK), self.feature.name

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        return _NOT_JUDGED if self.health is None else self.health.judgement.verdict.value

    @property
    def sentence(self) -> str:
        """The reason for the verdict."""
        return _NO_TIME if self.health is None else self.health.sentence

    @property
    def rates(self) -> str:
        """The error rates of both processors in the health's window."""
        metrics = None if self.health is None else self.health.metrics
        if metrics is None:
            return ""
        arms = (
            (self.feature.processor, metrics.total),
            (self.feature.fallback, metrics.baseline),
        )
        return "; ".join(
            f"{name} {100 * tally.errors / tally.jobs:.2f} %" for name, tally in arms if tally.jobs
        )

    def as_object(self) -> Mapping[str, Any]:
        """Return the feature for JSON."""
        limit = self.feature.limit
        return {
            "name": self.feature.name,
            "active": self.feature.active,
            "emergency_stop": self.feature.emergency_stop,
            "percentage": float(self.feature.percentage),
            "stage": {"number": self.feature.stage, "of": self.feature.stages}
            if self.feature.stages
            else None,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "eligible": None
            if self.count is None
            else {
                "repositories": self.count.eligible,
                "of": self.count.repositories,
                # A key of the contract: earlier releases estimated the number.
                "is_estimated": False,
                "is_before_change": self.count.is_before_change,
                "as_of": show_time(self.count.counted_at or self.as_of),
            },
            "freeze": None
            if self.hold is None
            else {"names": list(self.hold.names), "until": show_time(self.hold.until)},
            "limit": None
            if limit is None
            else {
                "percentage": None if limit.percentage is None else float(limit.percentage),
                "reason": limit.reason,
                "by": limit.by,
                "at": show_time(limit.at),
                "in_git": limit.is_in_git,
            },
        }


@dataclass(frozen=True, slots=True)
class CountedBetween:
    """The oldest and the newest time of some counts."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class NowScreen:
    """Every feature, the limited and failing ones first."""

    rows: Sequence[NowRow]
    as_of: datetime
    """The database's time."""

    @property
    def has_evidence(self) -> bool:
        """Whether any feature is judged by evidence."""
        return any(row.bar is not None for row in self.rows)

    @property
    def counted(self) -> CountedBetween | None:
        """When the eligible repositories of these features were counted; None if none were."""
        times = [row.count.counted_at or self.as_of for row in self.rows if row.count is not None]
        return CountedBetween(min(times), max(times)) if times else None


def read_now_screen(
    database: "Database",
    *,
    judging_seconds: float = JUDGING_SECONDS,
) -> NowScreen:
    """Return the state of every feature.

    All features are judged at once; where that takes too long, one by one, those that are limited first.

    Args:
        database: the database.
        judging_seconds: the time after which the remaining features are not judged.
    """
    with page_transaction(database) as connection:
        freezes = read_applied_freezes(connection)
        as_of = freezes.now
        hours = read_hours(connection, now=as_of)
        features = read_features_now(connection)
        counts = read_known_counts(connection, [each.name for each in features])
        healths = read_healths_within(
            connection,
            [each.name for each in features],
            eligible=live_counts(counts),
            seconds=judging_seconds,
        )
    if healths is None:
        healths = _judge_one_by_one(database, features, judging_seconds)
    rows = [
        _row(
            feature,
            healths.get(feature.name),
            sparkline(hours.get(feature.name, ())),
            as_of,
            count=counts.get(feature.name),
            hold=freezes.hold(feature.name),
        )
        for feature in features
    ]
    return NowScreen(sorted(rows, key=lambda row: row.rank), as_of)


def _judge_one_by_one(
    database: "Database", features: Sequence[FeatureNow], seconds: float
) -> Mapping[str, Health]:
    until = time.monotonic() + seconds
    healths = {}
    with page_transaction(database) as connection:
        for feature in sorted(features, key=lambda each: each.limit is None):
            if time.monotonic() >= until:
                break
            healths[feature.name] = read_health(connection, feature.name)
    return healths


@dataclass(frozen=True, slots=True)
class FeatureScreen:
    """One feature."""

    row: NowRow
    jobs: Chart
    evidence: Chart | None
    stages: Chart | None
    categories: Chart
    whitelist: Sequence[ListEntry]
    exclusions: Sequence[ListEntry]
    history: Sequence[HistoryEntry]
    most_entries: int = MOST_LIST_ENTRIES


def read_feature_screen(connection: "AnyConnection", name: str) -> FeatureScreen:
    """Return one feature with its charts, its lists and its history.

    Raises:
        NotFound: no feature has this name.
    """
    found = read_features_now(connection, feature=name)
    if not found:
        raise NotFound(f"no feature is called {name}")
    hours = read_hours(connection, feature=name)
    evidence = read_evidence_series(connection, name)
    freezes = read_applied_freezes(connection)
    return FeatureScreen(
        _row(
            found[0],
            read_health(connection, name),
            sparkline(hours.get(name, ())),
            freezes.now,
            hold=freezes.hold(name),
        ),
        jobs_chart(read_job_series(connection, name)),
        None if evidence is None else evidence_chart(evidence),
        staircase(read_stage_dates(connection, name)),
        category_bars(read_audience(connection, name)),
        read_list(connection, feature=name, name="whitelist"),
        read_list(connection, feature=name, name="exclusions"),
        read_history_page(connection, HistoryFilter(name), limit=HISTORY_ROWS).entries,
    )


def _row(
    feature: FeatureNow,
    health: Health | None,
    line: Chart,
    as_of: datetime,
    *,
    count: EligibleCount | None = None,
    hold: Hold | None = None,
) -> NowRow:
    evidence = None if health is None else health.evidence
    bar = None
    if evidence is not None:
        bar = evidence_bar(evidence.value, evidence.warn_line, evidence.fail_line)
    return NowRow(feature, health, line, bar, as_of, count, hold)
