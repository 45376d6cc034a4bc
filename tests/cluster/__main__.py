"""Run rounds against a real cluster: `python -m tests.cluster --rounds 20`."""

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

from tests.cluster.faults import Fault, faults
from tests.cluster.removals import REMOVALS, removed
from tests.cluster.rounds import Result, make_template, run_round
from tests.cluster.servers import PACKAGES, Cluster, missing_programs


def main() -> int:
    """Run the rounds, then one round for each rule that is taken away; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.cluster", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--from", type=int, default=1, dest="first", help="the first round, as a log numbers it"
    )
    parser.add_argument("--only", help="only the faults and rules with this text in their name")
    parser.add_argument("--no-removals", action="store_true", help="keep every rule")
    options = parser.parse_args()
    if missing := missing_programs():
        print(f"{', '.join(missing)} missing; run: apt-get install {PACKAGES}", file=sys.stderr)
        return 1
    # The clients and the driver report each lost connection; the rounds report what matters.
    for name in ("reconciler", "psycopg"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with _cluster() as (cluster, folder):
        numbered = enumerate(_schedule(options.only), start=1)
        schedule = islice(numbered, options.first - 1, options.first - 1 + options.rounds)
        results = list(_run(cluster, folder, schedule))
        unnoticed = (
            [] if options.no_removals else list(_run_removals(cluster, folder, options.only))
        )
    return _report(results, unnoticed)


@contextmanager
def _cluster() -> Iterator[tuple[Cluster, Path]]:
    parent = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of its own
    folder = Path(tempfile.mkdtemp(prefix="rollout-cluster-", dir=parent))
    folder.chmod(0o755)
    servers = folder / "servers"
    servers.mkdir()
    cluster = Cluster(servers, synchronous=True)
    try:
        cluster.start()
        make_template(cluster)
        yield cluster, folder
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _schedule(only: str | None) -> Iterator[Fault]:
    """Yield the faults without end, turn by turn."""
    for turn in count():
        chosen = [each for each in faults(turn) if only is None or only in each.name]
        if not chosen:
            return
        yield from chosen


def _run(cluster: Cluster, folder: Path, schedule: Iterator[tuple[int, Fault]]) -> Iterator[Result]:
    for number, fault in schedule:
        result = run_round(cluster, folder, number, fault)
        _print(f"round {number}", result)
        yield result


def _run_removals(cluster: Cluster, folder: Path, only: str | None) -> Iterator[str]:
    """Yield each rule whose removal no round noticed."""
    for number, removal in enumerate(REMOVALS, start=1):
        if only is not None and only not in removal.rule:
            continue
        with removed(removal):
            result = run_round(cluster, folder, 1_000_000 + number, removal.fault, removal.removal)
        _print(f"without rule {removal.rule}", result)
        if not any(removal.expected in each for each in result.violations):
            yield removal.rule


def _print(label: str, result: Result) -> None:
    answers = result.answers
    figures = [
        f"{len(answers.stops)} stops",
        f"{len(answers.applies)} applies",
        f"{answers.jobs} jobs answered",
        f"{len(answers.unanswered_stops)} stops and {answers.unanswered_jobs} jobs not",
    ]
    figures.append(f"the longest stop or apply took {result.longest_seconds:.1f} s")
    if result.restored:
        figures.append(
            f"{result.restored} put back, the last {result.healed_seconds or 0:.1f} s later"
        )
    outcome = "ok" if not result.violations else "BROKEN"
    moment = time.strftime("%H:%M:%S", time.gmtime())
    print(f"{moment} {label}: {outcome}: {result.fault}: {'; '.join(figures)}", flush=True)
    for each in result.violations:
        print(f"    {each}", flush=True)


def _report(results: list[Result], unnoticed: list[str]) -> int:
    broken = [each for each in results if each.violations]
    stops = sum(len(each.answers.stops) for each in results)
    applies = sum(len(each.answers.applies) for each in results)
    jobs = sum(each.answers.jobs for each in results)
    print(
        f"{len(results)} rounds, {len(broken)} broken; "
        f"answered: {stops} stops, {applies} applies, {jobs} jobs"
    )
    by_fault: dict[str, float] = {}
    for each in results:
        by_fault[each.fault] = max(by_fault.get(each.fault, 0.0), each.longest_seconds)
    for fault, seconds in sorted(by_fault.items()):
        print(f"longest stop or apply, {fault}: {seconds:.1f} s")
    for rule in unnoticed:
        print(f"without rule {rule} no promise was broken", file=sys.stderr)
    return 1 if broken or unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
