"""What a run of many inputs shows: their number, the slowest one, and the memory of the process."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MOST_GROWTH_BYTES = 48 * 1024 * 1024
MOST_SECONDS = 1.0
"""The longest time that a program may compute for one input."""
WARM_UP_SHARE = 0.2


@dataclass
class Observation:
    """Counts inputs; the memory after a first part of them is compared with that at the end."""

    what: str
    planned: int
    process: int = field(default_factory=os.getpid)
    done: int = 0
    longest_seconds: float = 0.0
    slowest: bytes = b""
    warm_bytes: int = 0

    @contextmanager
    def observed(self, content: bytes) -> Iterator[None]:
        """Count one input and the time that it takes."""
        began = self._computed()
        yield
        seconds = self._computed() - began
        if seconds > self.longest_seconds:
            self.longest_seconds, self.slowest = seconds, content
        self.done += 1
        if self.done == int(self.planned * WARM_UP_SHARE):
            self.warm_bytes = resident_bytes(self.process)

    def _computed(self) -> float:
        """Return for how long this thread, or the other process, has computed, on a busy machine too."""
        if self.process == os.getpid():
            return time.thread_time()
        return computed_seconds(self.process)

    @property
    def growth_bytes(self) -> int:
        """How much more memory the process has than after the first part."""
        return resident_bytes(self.process) - self.warm_bytes

    def report(self) -> str:
        """Return one line for people."""
        return (
            f"{self.done:,} {self.what}: slowest {self.longest_seconds * 1000:.0f} ms "
            f"({self.slowest[:60]!r}), memory {self.growth_bytes / 1024**2:+.1f} MB"
        )


def resident_bytes(process: int) -> int:
    pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def computed_seconds(process: int) -> float:
    # The name of the program, in brackets, may contain spaces.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    user, system = map(int, fields[11:13])
    return (user + system) / os.sysconf("SC_CLK_TCK")
