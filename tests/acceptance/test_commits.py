"""Commits: a newer one is applied, an older one is stale, an unrelated one is refused; SQL in between."""

import itertools
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import Stale
from reconciler.git.head import Head, read_head
from reconciler.operations.reconcile import apply
from tests.merges import (
    FEATURE,
    apply_fifty_at_once,
    checkouts,
    commit_percentage,
    percentage,
    reset,
)
from tests.replay import live_state, replayed_state
from tests.site import Site

BREAK_GLASS = """
UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true, updated_at = now()
 WHERE feature_name = 'hybrid_progressive_capture';
INSERT INTO rollout_history (rollout_config_id, action, previous_percentage, new_percentage, reason, triggered_by)
VALUES ((SELECT id FROM rollout_configuration WHERE feature_name = 'hybrid_progressive_capture'),
        'emergency_rollback', 50, 0, 'Manual emergency rollback', 'manual');
"""
TABLES = (
    "rollout_configuration",
    "rollout_history",
    "rollout_generation",
    "rollout_state",
    "rollout_override",
    "rollout_membership",
)


def contents(site: Site) -> list[object]:
    return [site.database.rows(f"SELECT * FROM {table}") for table in TABLES]


def test_an_older_commit_is_stale_and_writes_nothing(site: Site) -> None:
    commit_percentage(site, 11)
    older = site.git("rev-parse", "HEAD")
    newer = commit_percentage(site, 12)
    site.reconcile()
    before = contents(site)
    site.git("checkout", "--quiet", older)

    done = site.reconcile()

    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr == (
        f"error: {older[:7]} is older than {newer[:7]}, which is applied already; "
        "nothing was written; no action is needed\n"
    )
    assert contents(site) == before


def test_rewritten_history_is_refused_unless_it_is_accepted(site: Site) -> None:
    site.reconcile()
    site.git("checkout", "--quiet", "--orphan", "other")
    commit_percentage(site, 12)

    refused = site.reconcile()
    accepted = site.reconcile("--accept-history-rewrite")

    assert refused.exit_code == 3
    assert "--accept-history-rewrite" in refused.stderr
    assert (accepted.exit_code, percentage(site)) == (0, 12)


def test_an_applied_commit_that_was_not_fetched_is_looked_up_remotely(
    site: Site, tmp_path: Path
) -> None:
    site.git("clone", "--quiet", site.remote.as_uri(), str(tmp_path / "older"))
    newer = commit_percentage(site, 12)
    site.push()
    site.reconcile()
    older = Site(tmp_path / "older", site.remote, site.database)

    unfetched = older.reconcile()
    preview = older.reconcile("--dry-run")
    older.git("fetch", "--quiet")
    fetched = older.reconcile()

    assert (unfetched.exit_code, preview.exit_code, fetched.exit_code) == (4, 4, 4)
    assert f"is older than {newer[:7]}, which is applied already" in unfetched.stderr
    assert percentage(site) == 12


def test_where_the_remote_cannot_be_asked_a_person_decides(site: Site, tmp_path: Path) -> None:
    site.git("clone", "--quiet", site.remote.as_uri(), str(tmp_path / "older"))
    commit_percentage(site, 12)
    site.push()
    site.reconcile()
    site.remote.rename(tmp_path / "away.git")

    done = Site(tmp_path / "older", site.remote, site.database).reconcile()

    assert (done.exit_code, done.stdout) == (3, "")
    assert "this clone lacks newer commits" in done.stderr
    assert percentage(site) == 12


@pytest.mark.parametrize("is_fetched", [False, True])
def test_a_branch_behind_the_applied_commit_must_merge_it_first(
    site: Site, tmp_path: Path, is_fetched: bool
) -> None:
    site.git("clone", "--quiet", site.remote.as_uri(), str(tmp_path / "branch"))
    branch = Site(tmp_path / "branch", site.remote, site.database)
    branch.git("checkout", "--quiet", "-b", "try-it")
    behind = commit_percentage(branch, 15)
    newer = commit_percentage(site, 12)
    site.push()
    site.reconcile()
    if is_fetched:
        branch.git("fetch", "--quiet")

    done = branch.reconcile("--dry-run")

    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == (
        f"error: {behind[:7]} lacks {newer[:7]} of origin/main, which is applied; "
        "nothing was written; merge origin/main first\n"
    )


def test_a_commit_that_the_remotes_branch_lost_is_rewritten_history(site: Site) -> None:
    commit_percentage(site, 12)
    site.push()
    site.reconcile()
    site.git("reset", "--quiet", "--hard", "HEAD~1")
    commit_percentage(site, 15)
    site.git("push", "--quiet", "--force", "origin", "HEAD:main")

    done = site.reconcile()

    assert done.exit_code == 3
    assert "--accept-history-rewrite" in done.stderr
    assert percentage(site) == 12


def test_a_branch_that_was_set_back_is_applied_on_request(site: Site) -> None:
    commit_percentage(site, 11)
    site.push()
    older = site.git("rev-parse", "HEAD")
    commit_percentage(site, 12)
    site.push()
    site.reconcile()
    site.git("reset", "--quiet", "--hard", older)
    site.git("push", "--quiet", "--force", "origin", "HEAD:main")

    refused = site.reconcile()
    accepted = site.reconcile("--accept-history-rewrite")

    assert (refused.exit_code, accepted.exit_code, percentage(site)) == (4, 0, 11)


def test_an_older_commit_can_be_applied_on_request(site: Site) -> None:
    commit_percentage(site, 11)
    older = site.git("rev-parse", "HEAD")
    commit_percentage(site, 12)
    site.reconcile()
    site.git("checkout", "--quiet", older)

    done = site.reconcile("--accept-history-rewrite")

    assert (done.exit_code, percentage(site)) == (0, 11)


@pytest.mark.parametrize(("encoding", "words"), [("GB2312", "部署"), ("ISO-8859-1", "Größer")])
def test_a_message_in_another_encoding_is_read(site: Site, encoding: str, words: str) -> None:
    site.git("config", "i18n.commitEncoding", encoding)
    path = site.folder / ".git" / "message"
    path.write_bytes(f"{words}\n\nRollout-Allow: max-increase".encode(encoding))
    site.file.write_text("version: 1\nfeatures: {capture: {percentage: 90}}\n")
    site.git("add", "--all")
    site.git("commit", "--quiet", "--file", str(path))

    done = site.reconcile()

    assert (done.exit_code, percentage(site)) == (0, 90), done.stdout + done.stderr
    assert words in newest_reason(site)


def test_a_message_with_bytes_of_no_encoding_is_read_as_far_as_it_can_be(site: Site) -> None:
    site.file.write_text("version: 1\nfeatures: {capture: {percentage: 90}}\n")
    site.git("add", "--all")
    person = "Ada <ada@example.com> 1700000000 +0000"
    head = f"tree {site.git('write-tree')}\nparent {site.git('rev-parse', 'HEAD')}\n"
    message = "Größer\n\nRollout-Allow: max-increase\n".encode("iso-8859-1")
    # `git commit` would write it in UTF-8.
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        cwd=site.folder,
        input=f"{head}author {person}\ncommitter {person}\n\n".encode() + message,
        capture_output=True,
        check=True,
    )
    site.git("reset", "--quiet", "--hard", made.stdout.decode().strip())

    done = site.reconcile()

    assert (done.exit_code, percentage(site)) == (0, 90), done.stdout + done.stderr
    assert newest_reason(site) == "Gr\ufffd\ufffder"


def newest_reason(site: Site) -> str:
    reason: str = site.database.value(
        "SELECT reason FROM rollout_history ORDER BY position DESC LIMIT 1"
    )
    return reason


def test_the_reason_in_history_is_the_newest_change_of_the_file(site: Site) -> None:
    commit_percentage(site, 12)
    subject = site.git("log", "-1", "--format=%s")
    (site.folder / "README.md").write_text("Hello\n")
    site.commit("Press Ctrl-C in tests")

    site.reconcile()

    reasons = site.database.rows("SELECT DISTINCT reason FROM rollout_history")
    assert [row["reason"] for row in reasons] == [subject]


def test_a_shallow_clone_gives_no_reason_that_it_cannot_see(site: Site, tmp_path: Path) -> None:
    (site.folder / "README.md").write_text("Hello\n")
    site.commit("Greet")
    site.push()
    site.git("clone", "--quiet", "--depth=1", site.remote.as_uri(), str(tmp_path / "shallow"))

    done = Site(tmp_path / "shallow", site.remote, site.database).reconcile()

    assert done.exit_code == 0, done.stderr
    assert newest_reason(site) == "applied rollout.yaml"


def test_a_shallow_clone_gets_the_fetch_command(site: Site, tmp_path: Path) -> None:
    site.reconcile()
    commit_percentage(site, 12)
    commit_percentage(site, 13)
    site.push()
    site.git("clone", "--quiet", "--depth=1", site.remote.as_uri(), str(tmp_path / "shallow"))

    done = Site(tmp_path / "shallow", site.remote, site.database).reconcile()

    assert (done.exit_code, done.stdout) == (1, "")
    assert "fetch-depth: 0" in done.stderr
    assert percentage(site) == 10


@pytest.mark.parametrize(("arguments", "env"), [(("--require-commit",), {}), ((), {"CI": "true"})])
def test_local_changes_are_refused_where_a_commit_is_required(
    site: Site, arguments: tuple[str, ...], env: dict[str, str]
) -> None:
    site.replace("percentage: 10", "percentage: 11")

    refused = site.reconcile(*arguments, env=env)
    preview = site.reconcile("--dry-run", env=env)

    assert (refused.exit_code, preview.exit_code) == (3, 0)
    assert "are not committed; nothing was written" in refused.stderr
    assert site.database.rows("SELECT * FROM rollout_configuration") == []


def test_git_gets_no_database_url_and_runs_no_repository_code(site: Site, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    site.git("config", "core.fsmonitor", f"touch {ran}")
    site.git("config", "core.hooksPath", str(tmp_path))
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "git"
    fake.write_text(f'#!/bin/sh\nenv >>{tmp_path}/environment\nexec {shutil.which("git")} "$@"\n')
    fake.chmod(0o755)
    path = f"{programs}:/usr/local/bin:/usr/bin:/bin"

    done = site.reconcile(env={"PATH": path, "GITHUB_TOKEN": "t0ken"})

    environment = (tmp_path / "environment").read_text()
    assert done.exit_code == 0, done.stderr
    assert "DATABASE_URL" not in environment
    assert "t0ken" not in environment
    assert "GIT_TERMINAL_PROMPT=0" in environment
    assert not ran.exists()


SIGNING = """\
#!/bin/sh
cat >/dev/null
case "$*" in
*--verify*) echo 'Good signature, but mind the rest' >&2 ;;
*) echo '[GNUPG:] SIG_CREATED ' >&2 && echo '-----BEGIN PGP SIGNATURE-----' ;;
esac
"""


def test_a_commit_is_read_if_git_is_set_to_show_signatures(site: Site, tmp_path: Path) -> None:
    program = tmp_path / "sign"
    program.write_text(SIGNING)
    program.chmod(0o755)
    for key, value in (
        ("gpg.program", str(program)),
        ("commit.gpgSign", "true"),
        ("log.showSignature", "true"),
    ):
        site.git("config", key, value)
    site.replace("percentage: 10", "percentage: 11")
    commit = site.commit("Sign this")

    head = read_head(site.file)

    assert "mind the rest" in site.git("log", "-1", "--format=%H")
    assert head == Head(commit, "Sign this", uncommitted=False)


def test_a_row_of_drift_has_no_reason_of_a_commit(site: Site) -> None:
    commit_percentage(site, 20)
    site.reconcile()
    site.database.execute("UPDATE rollout_configuration SET rollout_percentage = 80")

    site.reconcile()

    rows = site.database.rows("SELECT reason FROM rollout_history WHERE action = 'drift_reverted'")
    assert rows
    assert {row["reason"] for row in rows} == {None}


def test_break_glass_by_sql_survives_an_apply_of_another_commit(site: Site) -> None:
    commit_percentage(site, 20)
    site.reconcile()
    site.database.execute(BREAK_GLASS)
    commit_percentage(site, 30)

    done = site.reconcile()

    assert done.exit_code == 0, done.stdout
    assert "the apply keeps it as an override" in " ".join(done.stdout.split())
    assert site.database.rows(
        "SELECT rollout_percentage::int AS percentage, emergency_stop FROM rollout_configuration"
    ) == [{"percentage": 0, "emergency_stop": True}]
    assert site.database.rows(
        "SELECT state, emergency_stop, triggered_by FROM rollout_override"
    ) == [{"state": "on", "emergency_stop": True, "triggered_by": "database"}]
    kept = "SELECT count(*) FROM rollout_history WHERE action = 'drift_kept'"
    assert site.database.value(kept) == 2
    assert " ".join(site.reconcile().stdout.split()).endswith(
        "the live state matches the file, under the override of hybrid_progressive_capture."
    )


def test_history_has_the_percentage_at_which_a_feature_resumes(site: Site) -> None:
    commit_percentage(site, 20)
    site.reconcile()
    site.database.execute(BREAK_GLASS)
    site.reconcile()
    identifier = site.database.value("SELECT id::text FROM rollout_override")
    resumed = site.file.read_text()
    site.write(
        f"{resumed}    override:\n      id: {identifier}\n      emergency_stop: true\n"
        "      reason: by hand\n      by: database\n      at: 2026-11-24T12:00:00Z\n"
    )
    site.commit("Carry the stop into git")
    site.reconcile()
    # No repository is eligible, so this is no drift, and no change when the file has it.
    site.database.execute("UPDATE rollout_configuration SET rollout_percentage = 20")
    site.write(resumed)
    site.commit("Resume")

    done = site.reconcile()

    assert (done.exit_code, done.stderr) == (0, "")
    live = live_state(site.database)
    assert (live[FEATURE]["emergency_stop"], live[FEATURE]["percentage"]) == (False, 20)
    assert live == replayed_state(site.database)


def test_widening_by_sql_is_reverted(site: Site) -> None:
    site.reconcile()
    site.database.execute(
        "UPDATE rollout_configuration SET rollout_percentage = 80, target_repositories = '{a/b}'"
    )

    done = site.reconcile()

    assert done.exit_code == 0
    assert live_state(site.database)[FEATURE]["whitelist"] == []
    assert percentage(site) == 10
    assert live_state(site.database) == replayed_state(site.database)


def test_narrowing_that_no_override_can_express_is_held(site: Site) -> None:
    site.write(f"version: 1\nfeatures:\n  {FEATURE}: {{whitelist: [a/b, c/d]}}\n")
    site.reconcile()
    site.database.execute("UPDATE rollout_configuration SET target_repositories = '{a/b}'")
    before = contents(site)

    done = site.reconcile()

    assert done.exit_code == 3
    assert "reconcile drift revert" in done.stdout
    assert contents(site) == before


def test_whatever_the_order_of_six_merges_jobs_the_newest_file_is_live(
    site: Site, tmp_path: Path, at_size: Callable[[int, int], int]
) -> None:
    database = site.database.opened()
    merges = checkouts(site, tmp_path, 6)
    orders = list(itertools.permutations(range(6)))
    for order in random.Random(6).sample(orders, at_size(60, len(orders))):
        reset(site)
        newest = -1
        for number in order:
            if number > newest:
                apply(database, merges[number])
                newest = number
                continue
            before = contents(site)
            with pytest.raises(Stale):
                apply(database, merges[number])
            assert contents(site) == before
        assert percentage(site) == 15
        assert live_state(site.database) == replayed_state(site.database)
    database.engine.dispose()


def test_fifty_reconcilers_at_once_make_a_linear_history(
    site: Site, tmp_path: Path, at_size: Callable[[int, int], int]
) -> None:
    merges = checkouts(site, tmp_path, 10)
    for _ in range(at_size(20, 200)):
        reset(site)
        apply_fifty_at_once(site, merges, site.database)
