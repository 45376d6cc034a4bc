"""Measuring: medians of interleaved runs, as ratios to a floor of the same run.

The speed of a machine drifts. Work and floor run alternately, so their ratio does not drift.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOP: Final = 5_000_000
"""The additions of the fixed loop."""


@dataclass(frozen=True, slots=True)
class Row:
    """One promise: the work, its floor, and the measurement."""

    work: str
    floor: str
    seconds: float
    floor_seconds: float | None = None
    """None if the promise is in seconds only."""
    most_ratio: float | None = None
    most_seconds: float | None = None
    regression_ratio: float | None = None
    """Of a row that does not hold yet: the ratio over which `make bench` fails."""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The time of the work divided by the time of its floor."""
        return None if self.floor_seconds is None else self.seconds / self.floor_seconds

    @property
    def holds(self) -> bool:
        """Whether the ratio holds in this run. Seconds depend on the machine, and are shown only."""
        return self._is_within(self.most_ratio)

    @property
    def is_accepted(self) -> bool:
        """Whether the ratio holds, or is not over the limit of a row that does not hold yet."""
        return self._is_within(self.regression_ratio or self.most_ratio)

    def _is_within(self, limit: float | None) -> bool:
        return limit is None or (self.ratio is not None and self.ratio <= limit)

    @property
    def is_in_time(self) -> bool:
        """Whether the seconds hold on this machine."""
        return self.most_seconds is None or self.seconds <= self.most_seconds

    @property
    def most(self) -> str:
        """The promise as the table prints it."""
        limits = [
            "" if self.most_ratio is None else f"{self.most_ratio:g} ×",
            "" if self.most_seconds is None else f"{self.most_seconds:g} s",
        ]
        return " and ".join(limit for limit in limits if limit) or "-"


def seconds_of(work: Callable[[], object]) -> float:
    """Return the duration of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def machine_seconds() -> float:
    """Return how long this machine takes for a fixed loop, to compare two runs."""

    def count() -> None:
        total = 0
        for number in range(LOOP):
            total += number

    return min(seconds_of(count) for _ in range(3))


def interleaved(
    work: Callable[[], object], floor: Callable[[], object], *, rounds: int
) -> tuple[float, float]:
    """Return the medians of work and floor, which run alternately after one round to warm up."""
    work()
    floor()
    pairs = [(seconds_of(work), seconds_of(floor)) for _ in range(rounds)]
    return statistics.median(each[0] for each in pairs), statistics.median(
        each[1] for each in pairs
    )


def python(*arguments: str, folder: Path) -> Callable[[], object]:
    """Return a run of this interpreter as a separate process; a failure ends the benchmark."""
    return program([sys.executable, *arguments], folder=folder)


def program(command: Sequence[str], *, folder: Path) -> Callable[[], object]:
    """Return a run of a program; a failure ends the benchmark."""

    def run() -> object:
        return subprocess.run(command, cwd=folder, check=True, capture_output=True)

    return run
