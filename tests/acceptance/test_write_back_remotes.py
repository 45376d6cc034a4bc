"""Write-back to remotes that are slow, refuse, lose answers, protect their branch or are busy."""

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from pathlib import Path

import psutil
import pytest

from reconciler.database import lease as leases
from reconciler.database.transactions import Database as Opened
from reconciler.git import quarantine
from reconciler.rollout_file import parse_rollout
from tests.eventually import eventually
from tests.git_server import GitServer, git_server
from tests.overrides import FEATURE, limit, resume
from tests.postgres import Database
from tests.site import Site
from tests.writing_back import apply_file, block, carry, commits, entered, outcomes, remote_git

DECLINES_MAIN = """\
#!/bin/sh
while read old new ref; do
    echo "$ref" >>pushes
    if [ "$ref" = refs/heads/main ]; then
        echo "this branch is protected" >&2
        exit 1
    fi
done
"""


@pytest.fixture
def applied(site: Site) -> Site:
    apply_file(site)
    return site


@pytest.fixture
def server(applied: Site, tmp_path: Path) -> Iterator[GitServer]:
    """The site's remote over HTTPS."""
    with git_server(applied.remote, tmp_path) as server:
        server.serve(applied)
        yield server


def hook(site: Site, name: str, text: str) -> None:
    path = site.remote / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_over_https_an_override_is_written_back_and_removed(
    applied: Site, server: GitServer
) -> None:
    limit(applied.database)
    written = carry(applied)
    resume(applied.database)
    removed = carry(applied)

    assert (outcomes(written), outcomes(removed)) == (["written"], ["removed"])
    assert block(applied) is None


def test_a_push_with_a_lost_answer_happens_once(applied: Site, server: GitServer) -> None:
    override = limit(applied.database)
    server.answers_to_drop = 1

    report = carry(applied)

    assert outcomes(report) == ["written"]
    assert entered(applied, override) == 1
    assert server.pushes == 1


def test_the_next_run_writes_back_after_a_remote_did_not_answer(
    applied: Site, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "NETWORK_TIMEOUT_SECONDS", 0.5)
    limit(applied.database)
    server.goes_on.clear()

    report = carry(applied)

    assert report.problem == "the remote origin cannot be reached: no answer within 0.5 seconds"
    assert outcomes(report) == ["pending"]
    assert not [each for each in psutil.process_iter() if server.url in command_of(each)]
    monkeypatch.undo()
    server.goes_on.set()
    assert outcomes(carry(applied)) == ["written"]


@pytest.mark.parametrize("scheme", ["http", "ftp", "file", "ext"])
def test_a_redirect_to_another_protocol_is_not_followed(
    applied: Site, server: GitServer, scheme: str
) -> None:
    limit(applied.database)
    with socket.create_server(("127.0.0.1", 0)) as trap:
        server.redirect = f"{scheme}://127.0.0.1:{trap.getsockname()[1]}"

        report = carry(applied)

        trap.settimeout(0)
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert re.search("redirect|not supported|disabled", str(report.problem))
    assert outcomes(report) == ["pending"]


def test_a_redirect_to_another_server_does_not_get_the_credentials(
    applied: Site, server: GitServer, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with git_server(applied.remote, tmp_path / "other") as other:
        applied.git("config", f"http.{server.url}.extraHeader", "Authorization: basic s3cret")
        both = tmp_path / "both.pem"
        both.write_bytes(server.certificate.read_bytes() + other.certificate.read_bytes())
        applied.git("config", "http.sslCAInfo", str(both))
        server.redirect = f"https://127.0.0.1:{other.port}"
        other.authorization = "basic s3cret"
        limit(applied.database)

        report = carry(applied)

        assert other.requests, report.problem
        assert outcomes(report) == ["pending"]


def test_a_remote_that_floods_its_messages_takes_no_memory(applied: Site) -> None:
    hook(applied, "pre-receive", "#!/bin/sh\nhead -c 300M /dev/zero | tr '\\0' x >&2\nexit 1\n")
    limit(applied.database)
    before = psutil.Process().memory_info().rss

    report = carry(applied)

    assert psutil.Process().memory_info().rss - before < 100 * 2**20
    assert outcomes(report) == ["pending"]
    assert len(str(report)) < 20_000


def test_a_huge_file_on_the_branch_is_reported_and_not_read(applied: Site) -> None:
    applied.file.write_bytes(b"# " + b"x" * (100 * 2**20))
    applied.commit("A pull request of somebody")
    applied.push()
    limit(applied.database)
    before = psutil.Process().memory_info().rss

    report = carry(applied)

    assert psutil.Process().memory_info().rss - before < 50 * 2**20
    assert "larger than 16 MiB" in str(report)
    assert outcomes(report) == ["pending"]


@pytest.mark.parametrize("branch", ["--upload-pack=touch ran", "-x", "$(touch ran)", "a;touch ran"])
def test_a_default_branch_with_a_hostile_name_runs_nothing(
    applied: Site, branch: str, tmp_path: Path
) -> None:
    name = branch.replace(" ", "\N{NO-BREAK SPACE}")
    remote_git(applied.remote, "update-ref", f"refs/heads/{name}", "refs/heads/main")
    remote_git(applied.remote, "symbolic-ref", "HEAD", f"refs/heads/{name}")
    applied.git("checkout", "--quiet", "--detach")
    limit(applied.database)

    carry(applied)

    assert not [*applied.folder.rglob("ran"), *applied.remote.rglob("ran")]


def test_programs_that_a_remote_brings_are_not_run(applied: Site, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (applied.folder / ".gitmodules").write_text(
        '[submodule "evil"]\n\tpath = evil\n'
        f"\turl = ext::sh -c touch% {ran}\n\tupdate = !touch {ran}\n"
    )
    (applied.folder / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    (applied.folder / ".lfsconfig").write_text(f"[lfs]\n\turl = ext::touch% {ran}\n")
    hooks = applied.folder / "hooks"
    hooks.mkdir()
    for each in ("post-checkout", "post-index-change", "reference-transaction", "pre-push"):
        (hooks / each).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (hooks / each).chmod(0o755)
    applied.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},evil")
    applied.git("commit", "--quiet", "--message", "A pull request of somebody")
    applied.commit("The rest of it")
    applied.push()
    shutil.copytree(hooks, tmp_path / "template" / "hooks")
    limit(applied.database)

    done = applied.reconcile(
        "write-back",
        env={"GIT_TEMPLATE_DIR": str(tmp_path / "template"), "GIT_EXTERNAL_DIFF": f"touch {ran}"},
    )

    assert "written to origin/main" in done.stdout, done.stderr
    assert not ran.exists()


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_configured_credentials_are_used_and_not_an_argument(
    applied: Site, server: GitServer, tmp_path: Path
) -> None:
    server.authorization = "basic s3cret"
    limit(applied.database)
    refused = carry(applied)
    applied.git("config", f"http.{server.url}.extraHeader", "Authorization: basic s3cret")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/arguments\nexec {shutil.which("git")} "$@"\n'
    )
    (programs / "git").chmod(0o755)

    done = applied.reconcile("write-back", env={"PATH": f"{programs}:{os.environ['PATH']}"})

    assert "cannot be reached" in str(refused.problem)
    assert "written to origin/main" in done.stdout, done.stderr
    assert "s3cret" not in done.stdout + done.stderr + (tmp_path / "arguments").read_text()


def test_a_concurrent_push_is_not_lost_and_not_overwritten(
    applied: Site, server: GitServer
) -> None:
    override = limit(applied.database)
    server.goes_on.clear()
    reports = []
    passing = threading.Thread(target=lambda: reports.append(carry(applied)))
    passing.start()
    eventually(lambda: bool(server.requests))
    server.goes_on.set()
    eventually(lambda: any("git-upload-pack" in each for each in server.requests))
    people = "# people were here\n" + remote_git(applied.remote, "show", "main:rollout.yaml") + "\n"
    applied.git("remote", "add", "direct", applied.remote.as_uri())
    applied.write(people)
    applied.commit("Meanwhile")
    applied.git("push", "--quiet", "direct", "HEAD:main")
    passing.join()

    assert outcomes(*reports) == ["written"]
    assert entered(applied, override) == 1
    assert applied.remote_text().startswith("# people were here\n")


def test_a_moving_remote_is_tried_five_times_and_never_forced(
    applied: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.operations.write_back_pass.FIRST_BACKOFF_SECONDS", 0.01)
    limit(applied.database)
    hook(
        applied,
        "pre-receive",
        "#!/bin/sh\necho >>tries\n"
        # Another person's commit comes between each fetch and its push.
        "unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n"
        "git update-ref refs/heads/main $(git -c user.name=x -c user.email=x commit-tree -p main -m other main^{tree})\n",
    )

    report = carry(applied)

    assert outcomes(report) == ["pending"]
    assert "the push did not come through" in str(report.overrides[0].why)
    assert (applied.remote / "tries").read_text().count("\n") == 5
    assert [each.message.strip() for each in commits(applied)[:5]] == ["other"] * 5
    (applied.remote / "hooks" / "pre-receive").unlink()
    assert outcomes(carry(applied)) == ["written"]


def test_a_protected_branch_gets_one_proposed_branch(applied: Site) -> None:
    hook(applied, "pre-receive", DECLINES_MAIN)
    override = limit(applied.database)
    branch = f"rollout/override-{override}"
    proposed: list[tuple[str, str, str]] = []

    first = carry(applied, propose=lambda *proposal: proposed.append(proposal))
    again = applied.reconcile("write-back")

    assert outcomes(first) == ["proposed"]
    assert again.stdout == (
        f"{FEATURE}: origin/main refuses pushes; merge\n    {branch}\n    override {override}\n"
    )
    assert (applied.remote / "pushes").read_text().split() == [
        "refs/heads/main",
        f"refs/heads/{branch}",
    ]
    ((name, title, body),) = proposed
    assert (name, title) == (branch, commits(applied, branch)[0].message.splitlines()[0])
    assert body in commits(applied, branch)[0].message
    assert f"merge {branch}" in " ".join(applied.reconcile("status").stdout.split())
    remote_git(applied.remote, "update-ref", "refs/heads/main", f"refs/heads/{branch}")
    assert outcomes(carry(applied)) == ["settled"]


def test_a_protected_branch_over_https_answers_403(applied: Site, server: GitServer) -> None:
    server.protected = frozenset({"main"})
    override = limit(applied.database)

    report = carry(applied)

    assert outcomes(report) == ["proposed"]
    found = block(applied, branch=f"rollout/override-{override}")
    assert found is not None
    assert found.id == override
    pushes = server.pushes
    assert outcomes(carry(applied)) == ["proposed"]
    assert server.pushes == pushes


def test_a_branch_that_a_killed_run_pushed_is_not_pushed_again(
    applied: Site,
) -> None:
    hook(applied, "pre-receive", DECLINES_MAIN)
    limit(applied.database)
    carry(applied)
    applied.database.execute("UPDATE rollout_override SET proposed_branch = NULL")
    asked: list[str] = []

    report = carry(applied, propose=lambda branch, *_: asked.append(branch))

    assert outcomes(report) == ["proposed"]
    assert (applied.remote / "pushes").read_text().count("refs/heads/rollout/") == 1
    assert asked == [report.overrides[0].branch]


def test_the_resume_of_a_merged_override_has_its_own_branch(applied: Site) -> None:
    hook(applied, "pre-receive", DECLINES_MAIN)
    override = limit(applied.database)
    carry(applied)
    resume(applied.database)
    waiting = carry(applied)
    remote_git(
        applied.remote, "update-ref", "refs/heads/main", f"refs/heads/rollout/override-{override}"
    )

    report = carry(applied)

    assert outcomes(waiting) == ["pending"]
    assert "can still be merged" in str(waiting.overrides[0].why)
    assert report.overrides[0].branch == f"rollout/resume-{override}"
    assert block(applied, branch=f"rollout/resume-{override}") is None


def test_options_for_a_persons_pushes_are_not_sent(applied: Site) -> None:
    applied.git("config", "push.pushOption", "ci.skip")
    limit(applied.database)

    report = carry(applied)

    # A remote that takes no options refuses a push with one.
    assert outcomes(report) == ["written"]


def test_a_remote_that_accepts_no_push_is_reported(applied: Site) -> None:
    hook(applied, "pre-receive", "#!/bin/sh\necho no >&2\nexit 1\n")
    limit(applied.database)

    report = carry(applied)

    assert outcomes(report) == ["pending"]
    assert "takes no pushes" in str(report.overrides[0].why)


def test_concurrent_pushes_lose_nothing_and_force_nothing(
    site: Site, copy_of: Callable[[Database], Database], at_size: Callable[[int, int], int]
) -> None:
    names = [f"feature_{number}" for number in range(at_size(20, 40))]
    site.write(
        "version: 1\nfeatures:\n" + "".join(f"  {name}: {{percentage: 10}}\n" for name in names)
    )
    first = site.commit("Many features")
    site.push()
    apply_file(site)
    # Each has its own database, so no lease puts them in order.
    pushers = [replace(site, database=copy_of(site.database)) for _ in names]
    overrides = [limit(pusher.database, name) for pusher, name in zip(pushers, names, strict=True)]
    left = list(pushers)
    for _ in range(5):
        with ThreadPoolExecutor(len(left)) as pool:
            reports = list(pool.map(carry, left))
        left = [
            pusher
            for pusher, done in zip(left, reports, strict=True)
            if outcomes(done) != ["written"]
        ]
        if not left:
            break

    assert left == []
    assert [entered(site, override) for override in overrides] == [1] * len(names)
    features = parse_rollout(site.remote_text()).rollout.features
    blocks = [features[name].override for name in names]
    assert [None if each is None else each.id for each in blocks] == overrides
    log = commits(site)
    assert len(log) == len(names) + 2
    assert {each.override for each in log} - {""} == set(map(str, overrides))
    assert site.git("fetch", "--quiet") == ""
    assert site.git("merge-base", first, "origin/main") == first


def test_a_pass_waits_for_another_pass_or_names_its_holder(applied: Site) -> None:
    limit(applied.database)
    opened = Opened.at(applied.database.address)
    reports = []
    with leases.held(opened, leases.WRITE_BACK_LEASE, timedelta(minutes=1)) as other:
        assert other is not None
        at_once = carry(applied, patience=timedelta())
        waiting = threading.Thread(target=lambda: reports.append(carry(applied)))
        waiting.start()
    waiting.join()

    assert at_once.problem is not None
    assert other.holder in at_once.problem
    assert outcomes(at_once) == ["pending"]
    assert outcomes(*reports) == ["written"]


def test_concurrent_passes_write_each_override_once(
    applied: Site,
) -> None:
    override = limit(applied.database)
    reports = []

    def run() -> None:
        reports.append(carry(applied))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert entered(applied, override) == 1
    assert len(commits(applied)) == 2
    assert list(chain.from_iterable(map(outcomes, reports))).count("written") == 1
