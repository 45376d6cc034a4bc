"""The dry run and the apply as a process: the time beyond the import of its libraries."""

import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Row, interleaved, python, seconds_of

_LIGHT = "import click, yaml, pydantic"
_HEAVY = "import click, yaml, pydantic, sqlalchemy, psycopg"
_FEATURE = "version: 1\nfeatures:\n  hybrid_progressive_capture:\n    percentage: 25\n"
_ROUNDS = 15


def run() -> Iterator[Row]:
    """Yield the rows of this table, measured in a separate folder and embedded database."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        try:
            yield from _start(folder)
            yield from _long_lists(folder)
        finally:
            python("-m", "reconciler", "db", "stop", folder=folder)()


def _start(folder: Path) -> Iterator[Row]:
    (folder / "rollout.yaml").write_text(_FEATURE)
    subprocess.run(["git", "add", "rollout.yaml"], cwd=folder, check=True)
    identity = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com")
    subprocess.run(["git", *identity, "commit", "-qm", "Begin"], cwd=folder, check=True)
    python("-m", "reconciler", "--yes", folder=folder)()
    dry_run = python("-m", "reconciler", "--dry-run", folder=folder)
    work, floor = interleaved(dry_run, python("-c", _HEAVY, folder=folder), rounds=_ROUNDS)
    yield Row("dry run, nothing to change, warm database", f"`{_HEAVY}`", work, floor, 1.6)
    validate = python("-m", "reconciler", "validate", folder=folder)
    work, floor = interleaved(validate, python("-c", _LIGHT, folder=folder), rounds=_ROUNDS)
    yield Row("`validate`", f"`{_LIGHT}`", work, floor, 2.5)


def _long_lists(folder: Path) -> Iterator[Row]:
    repositories = (f"owner-{number % 997}/repository-{number}" for number in range(100_000))
    (folder / "repositories.csv").write_text("full_name\n" + "\n".join(repositories) + "\n")
    python("-m", "reconciler", "repositories", "load", "repositories.csv", folder=folder)()
    for number, most_dry_run, most_apply in ((10_000, 1.0, 3.0), (100_000, 3.0, 10.0)):
        # One list at a time: the last round's changes are removed before this one is measured.
        (folder / "rollout.yaml").write_text(_FEATURE)
        python("-m", "reconciler", "--yes", "--allow", "feature-removed", folder=folder)()
        entries = "".join(
            f"      - owner-{each % 997}/repository-{each}\n" for each in range(number)
        )
        (folder / "rollout.yaml").write_text(
            f"{_FEATURE}  whitelist_of_{number}:\n    whitelist:\n{entries}"
        )
        dry_run = python("-m", "reconciler", "--dry-run", folder=folder)
        yield Row(
            f"dry run of a new {number:,}-entry whitelist",
            "-",
            statistics.median(seconds_of(dry_run) for _ in range(3)),
            most_seconds=most_dry_run,
        )
        apply = python("-m", "reconciler", "--yes", folder=folder)
        seconds = seconds_of(apply)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        note = f"peak memory of any run so far {peak:.0f} MB, at most 500"
        if peak > 500:  # noqa: PLR2004 - the promise
            sys.exit(f"memory: {note}")
        yield Row(
            f"first apply of a {number:,}-entry whitelist",
            "-",
            seconds,
            most_seconds=most_apply,
            note=note,
        )
