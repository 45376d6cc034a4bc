"""A sequence of merges, each with its own checkout, and many reconcilers that apply them at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.errors import Stale
from reconciler.operations.reconcile import apply, read_source
from reconciler.planning.application import Application
from reconciler.rollout_file import read_rollout_file
from tests.postgres import Database
from tests.replay import live_state, replayed_state
from tests.site import Site

FEATURE = "hybrid_progressive_capture"


def commit_percentage(site: Site, percentage: int) -> str:
    site.write(f"version: 1\nfeatures:\n  {FEATURE}:\n    percentage: {percentage}\n")
    return site.commit(f"Take {percentage} percent in")


def percentage(site: Site) -> int:
    value: int = site.database.value("SELECT rollout_percentage::int FROM rollout_configuration")
    return value


def checkouts(site: Site, parent: Path, number: int) -> list[Application]:
    """Return merges from ten percent on, each with its own checkout, ready to be applied."""
    applications = []
    for each in range(number):
        commit = commit_percentage(site, 10 + each)
        folder = parent / f"merge-{each}"
        site.git("worktree", "add", "--quiet", "--detach", str(folder), commit)
        document = read_rollout_file(folder / "rollout.yaml")
        applications.append(Application(read_source(document), document.rollout, f"job {each}"))
    return applications


def reset(site: Site) -> None:
    """Delete the record of every apply."""
    site.database.execute("""
        ALTER TABLE rollout_history DISABLE TRIGGER refuse_rewriting;
        ALTER TABLE rollout_generation DISABLE TRIGGER refuse_rewriting;
        TRUNCATE rollout_history, rollout_generation, rollout_override, rollout_configuration CASCADE;
        ALTER TABLE rollout_history ENABLE TRIGGER refuse_rewriting;
        ALTER TABLE rollout_generation ENABLE TRIGGER refuse_rewriting;
        UPDATE rollout_state SET generation = 0, applied_commit = NULL, applied_at = NULL;
    """)


def apply_fifty_at_once(site: Site, merges: list[Application], through: Database) -> None:
    """Apply ten merges with fifty concurrent reconcilers, two of them processes; the history is linear."""
    failures: list[BaseException] = []
    # One engine with one connection for each reconciler.
    opened = OpenedDatabase(through.address, through.engine)

    def run(merge: Application) -> None:
        try:
            apply(opened, merge)
        except Stale:
            pass
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            failures.append(error)

    folders = [Path(merge.source.file).absolute().parent for merge in merges[-2:]]
    threads = [threading.Thread(target=run, args=(merges[each % 10],)) for each in range(48)]
    with ThreadPoolExecutor(len(folders)) as pool:
        processes = [pool.submit(Site(each, site.remote, through).reconcile) for each in folders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ended = [process.result() for process in processes]

    assert failures == []
    assert {process.exit_code for process in ended} <= {0, 4}, ended
    generations = site.database.rows("SELECT generation FROM rollout_generation ORDER BY 1")
    assert [row["generation"] for row in generations] == list(range(1, len(generations) + 1))
    assert percentage(site) == 19
    assert live_state(site.database) == replayed_state(site.database)
