"""Run every benchmark, print its rows and write them into `benchmarks/README.md`.

With `--runs N` each table is measured N times, and each row is that of its slowest run. `--quick`
runs the table `floors` with small sizes, in less than two minutes, and writes nothing.
"""

import argparse
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks import (
    adoption,
    client,
    dashboard,
    eligibility,
    flood,
    floors,
    growth,
    metrics,
    notifications,
    reconcile,
    safeguard,
    ticks,
)
from benchmarks.harness import LOOP, Row, machine_seconds

README = Path(__file__).parent / "README.md"
TABLES: dict[str, Callable[[], Iterable[Row]]] = {
    "floors": floors.run,
    "reconcile": reconcile.run,
    "eligibility": eligibility.run,
    "metrics": metrics.run,
    "ticks": ticks.run,
    "adoption": adoption.run,
    "growth": growth.run,
    "client": client.run,
    "flood": flood.run,
    "dashboard": dashboard.run,
    "notifications": notifications.run,
    "safeguard": safeguard.run,
}


def main(arguments: Sequence[str]) -> int:
    """Run the named tables, or all; exit with 1 if a ratio is not accepted."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure the promised speed.")
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)}; default: all")
    parser.add_argument(
        "--runs", type=int, default=1, metavar="N", help="measure each table N times"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes of the floors, not kept")
    given = parser.parse_args(arguments)
    if unknown := set(given.tables) - TABLES.keys():
        parser.error(f"there is no table {min(unknown)}; the tables are {', '.join(TABLES)}")
    if given.runs < 1:
        parser.error("--runs must be at least 1")
    if given.quick:
        print(_about())
        return _exit_code([_show(row) for row in floors.run(floors.QUICK)])
    slowest: list[Row] = []
    for name in given.tables or TABLES:
        runs = [[_show(row) for row in TABLES[name]()] for _ in range(given.runs)]
        rows = [max(each, key=_slowness) for each in zip(*runs, strict=True)]
        _keep(name, rows, given.runs)
        slowest += rows
    return _exit_code(slowest)


def _exit_code(rows: Sequence[Row]) -> int:
    return 0 if all(row.is_accepted for row in rows) else 1


def _slowness(row: Row) -> float:
    return row.seconds if row.ratio is None else row.ratio


def _show(row: Row) -> Row:
    print(_line(row), flush=True)
    return row


def _about() -> str:
    loop = f"a loop of {LOOP:,} additions takes {_time(machine_seconds())}"
    return f"Python {platform.python_version()} on {platform.machine()}; {loop}."


def _line(row: Row) -> str:
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f} ×"
    floor = "-" if row.floor_seconds is None else _time(row.floor_seconds)
    verdict = _verdict(row)
    cells = (row.work, row.floor, _time(row.seconds), floor, ratio, row.most, verdict, row.note)
    return f"| {' | '.join(cells)} |"


def _verdict(row: Row) -> str:
    if row.holds and row.is_in_time:
        return "holds"
    if row.regression_ratio is not None and row.is_accepted:
        return f"not yet; fails over {row.regression_ratio:g} ×"
    return "**does not hold**"


def _time(seconds: float) -> str:
    if seconds < 1e-3:  # noqa: PLR2004 - a millisecond
        return f"{seconds * 1e6:.2f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _keep(name: str, rows: Sequence[Row], runs: int) -> None:
    """Replace one table of the page, between its two markers."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = README.read_text("utf-8")
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit(f"{README.name} has no marks for {name}")
    head = "| work | floor | takes | floor takes | ratio | at most | | note |"
    rule = "| --- | --- | --- | --- | --- | --- | --- | --- |"
    about = _about() + (f" The slowest of {runs} runs in a row." if runs > 1 else "")
    table = "\n".join([about, "", head, rule, *map(_line, rows)])
    README.write_text(f"{before}{begin}\n{table}\n{end}{after}", "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
