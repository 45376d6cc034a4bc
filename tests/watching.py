"""A watcher for tests: the real program; its log is read line by line while it runs."""

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.builders import add_repositories
from tests.eventually import eventually
from tests.site import Site
from tests.writing_back import apply_file

if TYPE_CHECKING:
    import subprocess

FILE = """\
version: 1
features:
  capture:
    percentage: 50
    guards: {max_increase: 60}
    health: {min_jobs: 4, max_error_rate: 25}
  export:
    percentage: 50
    guards: {max_increase: 60}
    health: {min_jobs: 4, max_error_rate: 25}
"""


def take_half_in(site: Site) -> Site:
    """Return a site with two features at 50 percent, applied and pushed."""
    add_repositories(site.database, "a/b")
    site.write(FILE)
    site.commit("Take half in")
    site.push()
    apply_file(site)
    return site


Start = Callable[..., "Watcher"]


@dataclass
class Watcher:
    """A running `reconcile watch`."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def events(self, event: str, **figures: Any) -> list[dict[str, Any]]:
        """Return the log lines of an event with these values."""
        found = [each for each in map(json.loads, tuple(self.lines)) if each["event"] == event]
        return [each for each in found if figures.items() <= each.items()]

    def tells(self, event: str, **figures: Any) -> dict[str, Any]:
        """Wait for an event; return its line."""

        def is_told() -> bool:
            assert self.process.poll() is None, self.log
            return bool(self.events(event, **figures))

        try:
            eventually(is_told)
        except AssertionError as error:
            raise AssertionError(f"{event} {figures} was not told:\n{self.log}") from error
        return self.events(event, **figures)[0]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def get(self, path: str) -> tuple[int, str]:
        """Return its answer over HTTP: status and body."""
        address = self.tells("started")["listen"]
        try:
            with urlopen(f"http://{address}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def metric(self, name: str) -> float:
        """Return the value of a metric, given by name and labels; -1 if it is missing."""
        lines = self.get("/metrics")[1].splitlines()
        found = (line.rpartition(" ") for line in lines)
        return next((float(value) for label, _, value in found if label == name), -1)

    def ticks_on(self, ticks: int = 2) -> None:
        """Wait until this many more ticks succeed."""
        name = 'rollout_watch_ticks_total{outcome="succeeded"}'
        before = self.metric(name)
        eventually(lambda: self.metric(name) >= before + ticks)


@contextmanager
def watching(site: Site) -> Iterator[Start]:
    """Yield a function that starts watchers; end those that still run."""
    watchers: list[tuple[Watcher, threading.Thread]] = []

    def start(*arguments: str, env: Mapping[str, str | None] | None = None) -> Watcher:
        process = site.start(
            *("watch", "--interval", "100ms", "--log-format", "json"), *arguments, env=env
        )
        watcher = Watcher(process)
        reader = threading.Thread(target=_read, args=(process, watcher.lines))
        reader.start()
        watchers.append((watcher, reader))
        return watcher

    try:
        yield start
    finally:
        for watcher, reader in watchers:
            watcher.process.kill()
            reader.join()
            watcher.process.wait()


def _read(process: "subprocess.Popen[str]", lines: list[str]) -> None:
    assert process.stderr is not None
    lines.extend(line.rstrip("\n") for line in process.stderr)


def fail_jobs(
    site: Site,
    feature: str = "capture",
    *,
    jobs: int = 4,
    succeeded: bool = False,
    processor: str = "github_actions",
) -> None:
    """Report jobs of the one repository as a worker does."""
    site.database.execute(
        """
        SELECT record_rollout_job(%(feature)s, (SELECT min(id::text)::uuid FROM repositories),
            %(processor)s, %(succeeded)s)
        FROM generate_series(1, %(jobs)s)
        """,
        feature=feature,
        processor=processor,
        succeeded=succeeded,
        jobs=jobs,
    )


def actions(site: Site, feature: str = "capture") -> list[str]:
    """Return the history's actions of a feature after its creation."""
    rows = site.database.rows(
        "SELECT action FROM rollout_history AS history JOIN rollout_configuration AS configuration"
        " ON rollout_config_id = configuration.id WHERE feature_name = %(feature)s"
        " ORDER BY position",
        feature=feature,
    )
    return [row["action"] for row in rows][1:]
