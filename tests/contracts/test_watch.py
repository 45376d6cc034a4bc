"""The log and the HTTP answers of `reconcile watch`: events, metrics, `/healthz`, exit codes."""

import json
import signal
from collections.abc import Iterator

from tests.contracts.record import check_lines
from tests.eventually import eventually
from tests.site import Site
from tests.watching import fail_jobs, take_half_in, watching

COMMON = {"time", "level", "event", "message"}


def test_events_metrics_and_exit_codes_of_a_watch(site: Site) -> None:
    take_half_in(site)
    with watching(site) as start:
        active = start("--follow", "origin/main", "--listen", "127.0.0.1:0")
        active.tells("applied")
        standby = start()
        standby.tells("standby")
        site.replace("  export:\n    percentage: 50", "  export:\n    percentage: 500")
        active.tells("not_applied", commit=push(site, "Slip"))
        site.replace("percentage: 500", "percentage: 51")
        active.tells("applied", commit=push(site, "Go on"))
        away = site.remote.rename(site.remote.with_name("away"))
        active.tells("failed", subject="follow")
        away.rename(site.remote)
        active.tells("recovered", subject="follow")
        fail_jobs(site)
        active.tells("write_back", feature="capture", outcome="written")
        eventually(lambda: active.metric("rollout_pending_write_back") == 0)
        eventually(lambda: active.metric('rollout_rollbacks_total{feature="capture"}') == 1)
        metrics, health = active.get("/metrics"), active.get("/healthz")
        interrupted, terminated = active.end(signal.SIGINT), standby.end(signal.SIGTERM)
        active.process.wait()
        eventually(lambda: len(active.events("ended")) == len(standby.events("ended")) == 1)
        logged = [json.loads(line) for line in (*active.lines, *standby.lines)]

    assert (interrupted, terminated) == (130, 0)
    assert (metrics[0], health[0]) == (200, 200)
    check_lines("watch_events", event_lines(logged))
    check_lines("metrics", metric_lines(metrics[1]))
    check_lines("healthz", json.loads(health[1]))


def push(site: Site, message: str) -> str:
    commit = site.commit(message)
    site.push()
    return commit


def event_lines(logged: list[dict[str, object]]) -> Iterator[str]:
    for line in logged:
        assert line.keys() >= COMMON
        yield f"{line['event']} ({line['level']}): {', '.join(sorted(line.keys() - COMMON))}"


def metric_lines(text: str) -> Iterator[str]:
    """Return each metric's type, and each of its series without the value."""
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            yield line
        elif not line.startswith("#"):
            yield line.rpartition(" ")[0]
