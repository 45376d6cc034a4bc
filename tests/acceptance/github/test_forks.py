"""A fork's pull request: checked without secrets; the run that comments trusts none of its content."""

import io
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.github.events import pull_request, workflow_run
from tests.github.runner import Run, Runner
from tests.github.server import REPOSITORY, TOKEN, FakeGitHub
from tests.postgres import PROJECT
from tests.site import FIRST_FILE, Site

FEATURE = "hybrid_progressive_capture"
FORK = "mallory/rollouts"
BRANCH = "x';touch${IFS}pwned;'"
TITLE = '"; touch pwned #`touch pwned`$(touch pwned) ${{ secrets.ROLLOUT_DATABASE_URL }}'
PREVIEW = ".github/workflows/rollout-preview.yml"
COMMENT = ".github/workflows/rollout-preview-comment.yml"
HOSTILE_TEXT = (
    "::add-mask::x ##[add-mask]x $(touch pwned) `touch pwned` ${{ secrets.GITHUB_TOKEN }} "
    "@everyone #1 </details> <img src=x> | [click](https://evil.example)"
)


@pytest.fixture
def fork(site: Site) -> Site:
    """The site with its workflows, prepared for a pull request of a fork."""
    shutil.copytree(PROJECT / "examples" / "github", site.folder / ".github" / "workflows")
    site.commit("Roll out on GitHub")
    site.push()
    return site


def ask(fork: Site, runner: Runner) -> tuple[Run, str]:
    """Open a pull request of the fork with the content of the site's folder; return its run and commit."""
    base = fork.git("rev-parse", "origin/main")
    head = fork.commit("From the fork")
    fork.git("push", "--quiet", "--force", "origin", "HEAD:refs/pull/7/merge")
    fork.git("reset", "--quiet", "--hard", "origin/main")
    event = pull_request(7, head=head, base=base, repository=FORK, branch=BRANCH, title=TITLE)
    url = fork.database.url
    secrets = {"ROLLOUT_DATABASE_URL": url, "ROLLOUT_READER_DATABASE_URL": url}
    return runner.run(PREVIEW, "pull_request", event, secrets), head


def comment_on(runner: Runner, hub: FakeGitHub, head: str, artifact: bytes | None) -> str:
    """Run the workflow that comments on the pull request of `ask`; return the comment."""
    if artifact is not None:
        hub.artifacts[5] = {"rollout-preview": artifact}
    hub.add_pull(
        head=f"mallory:{BRANCH}", sha=head, base_sha=runner.site.git("rev-parse", "origin/main")
    )
    hub.merge_base = lambda base, other: runner.site.git("merge-base", base, other)
    event = workflow_run(5, head=head, branch=BRANCH, repository=FORK)
    done = runner.run(COMMENT, "workflow_run", event)
    assert done.succeeded, done.log
    (comment,) = hub.comments.values()
    body: str = comment["body"]
    return body


def test_a_fork_gets_a_check_without_secrets_and_a_comment(
    fork: Site, hub: FakeGitHub, runner: Runner
) -> None:
    fork.write(
        FIRST_FILE.replace("10", "25")
        + f"    description: {HOSTILE_TEXT!r}\n    whitelist: [a/b]\n"
    )

    checked, head = ask(fork, runner)

    assert checked.succeeded, checked.log
    assert checked.jobs == {"check"}
    assert hub.asked == []
    for secret in (fork.database.url, TOKEN):
        assert secret not in checked.environment
    assert "DATABASE_URL" not in checked.environment
    assert "| percentage | `10` | `25` |" in checked.summary

    comment = comment_on(runner, hub, head, checked.artifacts["rollout-preview"])

    assert "| percentage | `10` | `25` |" in comment
    assert "+ `a/b`" in comment
    assert "@everyone" in comment
    for piece in ("@everyone", "<img", "[click]"):
        for line in comment.splitlines():
            assert piece not in outside_code(line)
    assert not list(runner.folder.rglob("pwned"))


def test_a_forks_comment_shows_no_change_that_main_made_meanwhile(
    fork: Site, hub: FakeGitHub, runner: Runner
) -> None:
    left_at = fork.git("rev-parse", "HEAD")
    fork.write(FIRST_FILE + "  export:\n    percentage: 5\n")
    fork.commit("Declare another feature")
    fork.push()
    fork.git("checkout", "--quiet", "-B", "change", left_at)
    fork.replace("percentage: 10", "percentage: 25")

    checked, head = ask(fork, runner)
    comment = comment_on(runner, hub, head, checked.artifacts["rollout-preview"])

    assert checked.succeeded, checked.log
    for text in (checked.summary, comment):
        assert "| percentage | `10` | `25` |" in text
        assert "export" not in text


def test_a_fork_whose_file_is_a_symlink_is_refused_before_it_is_read(
    fork: Site, hub: FakeGitHub, runner: Runner
) -> None:
    fork.file.unlink()
    fork.file.symlink_to("/etc/passwd")

    checked, head = ask(fork, runner)

    assert not checked.succeeded
    assert "::error file=rollout.yaml,line=1,col=1::this is a symlink" in checked.log
    assert "root:" not in checked.log + checked.summary
    assert checked.artifacts == {}
    assert "has no artifact rollout-preview" in comment_on(runner, hub, head, None)


def test_an_invalid_file_of_a_fork_is_refused_in_the_comment(
    fork: Site, hub: FakeGitHub, runner: Runner
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("../../rollout.yaml", "pwned")
        opened.writestr("comment.md", "# Approved by @everyone")
        opened.writestr("number", "1")

    comment = comment_on(runner, hub, "a" * 40, archive.getvalue())

    assert "`the artifact has no rollout.yaml`" in comment
    assert "Approved" not in comment


@pytest.mark.nightly
def test_a_pull_request_of_this_repository_is_not_commented_twice(
    fork: Site, hub: FakeGitHub, runner: Runner
) -> None:
    event = workflow_run(5, head="a" * 40, branch="change", repository=REPOSITORY)

    done = runner.run(COMMENT, "workflow_run", event)

    assert done.succeeded, done.log
    assert (done.commands, hub.asked) == ([], [])


@pytest.mark.parametrize("content", ["# " + "x" * 17_000_000, "version: 1\nfeatures: &a [*a]\n"])
def test_a_hostile_file_ends_in_a_clean_refusal(
    fork: Site, hub: FakeGitHub, content: str, tmp_path: Path
) -> None:
    base = fork.git("rev-parse", "HEAD")
    fork.write(content)

    done = fork.reconcile("github", "check", "--base", base, "--copy-to", str(tmp_path / "copy"))

    assert (done.exit_code, done.stderr) == (1, "")
    assert "::error file=rollout.yaml,line=" in done.stdout
    assert len(done.stdout) < 2_000


def test_a_refused_plan_of_a_fork_is_a_warning_at_its_line(fork: Site) -> None:
    fork.replace("percentage: 10", "percentage: 90")

    done = fork.reconcile("github", "check", "--base", fork.git("rev-parse", "HEAD"))

    assert done.exit_code == 0
    assert "::warning file=rollout.yaml,line=5,col=5,title=max-increase refused::" in done.stdout
    assert "**An apply would refuse this**" in done.stdout


def test_an_invalid_base_commit_is_refused(fork: Site) -> None:
    done = fork.reconcile("github", "check", "--base", "--output=pwned")

    assert done.exit_code == 1
    assert "'--output=pwned' is not a commit" in done.stdout


def outside_code(line: str) -> str:
    """Return a line of Markdown without its code spans."""
    shown, inside = "", 0
    position = 0
    while position < len(line):
        ticks = len(line) - position - len(line[position:].lstrip("`"))
        if ticks:
            inside = 0 if inside == ticks else inside or ticks
            position += ticks
        else:
            shown += "" if inside else line[position]
            position += 1
    return shown
