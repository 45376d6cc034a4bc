"""`--format github`: annotations at the file's lines, plain text without commands, the job's summary."""

import re
from pathlib import Path

import pytest

from tests.builders import add_repositories, report_jobs
from tests.site import FIRST_FILE, Site

FEATURE = "hybrid_progressive_capture"


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    return file


def commands(output: str) -> list[str]:
    """Yield what a runner would read as commands; between the word and its end it reads none."""
    found: list[str] = []
    word: str | None = None
    for line in output.splitlines():
        if word is not None:
            word = None if line == f"::{word}::" else word
        elif stopped := re.fullmatch("::stop-commands::(.+)", line):
            word = stopped[1]
        elif line.lstrip().startswith("::") or "##[" in line:
            found.append(line)
    assert word is None, "commands are stopped for good"
    return found


def test_errors_of_a_file_are_annotated_at_their_lines(site: Site, summary: Path) -> None:
    site.replace("percentage: 10", "percentage: 500")
    site.replace("strategy: percentage", "strategy: all")

    done = site.reconcile("validate", "--format", "github")

    assert (done.exit_code, done.stderr) == (1, "")
    assert commands(done.stdout) == [
        f"::error file=rollout.yaml,line=4,col=5::features.{FEATURE}.strategy: 'all' is not a strategy; "
        "write percentage, whitelist or repository_size",
        f"::error file=rollout.yaml,line=5,col=5::features.{FEATURE}.percentage: 500 is more than 100",
    ]
    assert summary.read_text().startswith("### Rollout: `rollout.yaml` has 2 errors\n")


def test_a_refused_plan_is_annotated_at_its_lines(site: Site, summary: Path) -> None:
    site.write(
        "version: 1\nfeatures:\n"
        f"  {FEATURE}:\n    strategy: repository_size\n    percentage: 60\n    whitelist: [a/unknown]\n"
    )
    site.commit("Ask for much")

    done = site.reconcile("--format", "github")

    assert (done.exit_code, done.stderr) == (3, "")
    assert commands(done.stdout) == [
        f"::error file=rollout.yaml,line=5,col=5,title=max-increase refused::{FEATURE}: "
        "percentage 0 → 60 is 60 points at once, at most 25 are allowed",
        f"::warning file=rollout.yaml,line=3,col=3,title={FEATURE}::"
        "60 is between the steps of repository_size: 50 is in force",
        f"::notice file=rollout.yaml,line=6,col=17,title={FEATURE}::"
        "a/unknown is not in the database yet",
    ]
    assert summary.read_text().startswith(
        "### Rollout: refused, a person decides (1 change in 1 feature, +"
    )


def test_held_drift_is_annotated_at_its_line(site: Site) -> None:
    site.write(FIRST_FILE + "    whitelist: [acme/*]\n")
    site.commit("Let acme in")
    site.reconcile()
    site.database.execute("UPDATE rollout_configuration SET target_repositories = '{}'")

    done = site.reconcile("--dry-run", "--format", "github")

    assert done.exit_code == 3
    assert commands(done.stdout) == [
        f"::error file=rollout.yaml,line=6,col=5,title=held drift refused::{FEATURE}: "
        "target_repositories −1, changed live by hand: it blocks every apply until a person decides: it narrows the rollout, and no override can express it"
    ]


def test_no_text_of_a_file_is_a_workflow_command(site: Site, summary: Path) -> None:
    site.write(
        "version: 1\nfeatures:\n"
        f"  {FEATURE}:\n    percentage: 10\n"
        '    description: "::add-mask::x ##[add-mask]x </details> @everyone | `x` '
        + "::error::y "
        * 9
        # Long enough for the text to be wrapped anywhere.
        + '"\n'
        "    override:\n"
        "      id: 019343a7-6f8e-7c34-9a55-0b8a1f0d2c11\n"
        "      percentage: 0\n"
        f'      reason: "{"::stop-commands::z " * 12}##[add-mask]w"\n'
        '      by: "::add-mask::v"\n'
        "      at: 2026-11-23T12:00:00Z\n"
    )
    site.commit("::add-mask::u")

    done = site.reconcile("--format", "github")

    assert done.exit_code == 0
    assert "::stop-commands::z" in done.stdout
    assert commands(done.stdout) == []
    outside_of_code = re.sub(r"(?s)```text.*?```|(`+).+?\1", "", summary.read_text())
    assert "@everyone" not in outside_of_code
    assert "</details> @" not in outside_of_code


def test_an_error_that_ends_a_command_is_an_annotation(site: Site, summary: Path) -> None:
    older = site.git("rev-parse", "HEAD")
    site.commit("Nothing new")
    site.reconcile()
    site.git("checkout", "--quiet", older)

    done = site.reconcile("--format", "github")

    assert (done.exit_code, done.stderr) == (4, "")
    (command,) = commands(done.stdout)
    assert command.startswith(f"::notice title=stale::{older[:7]} is older than ")
    assert "### Rollout: no action needed" in summary.read_text()


def test_no_text_of_a_job_is_a_workflow_command(site: Site, summary: Path) -> None:
    site.reconcile()
    add_repositories(site.database, "a/b")
    for processor in ("github_actions", "::add-mask::a", "::add-mask::b"):
        report_jobs(site.database, 20, errors=20, feature=FEATURE, processor=processor)

    done = site.reconcile("health", "--format", "github")

    assert re.search(r"^\s+::add-mask::b ", done.stdout, re.MULTILINE)
    assert commands(done.stdout) == [
        f"::warning title=fails::{FEATURE}: error rate 100.00%25 over 5%25 (20 of 20 jobs in 24h)"
    ]
    assert summary.read_text().startswith("### Rollout: health\n\n```text\n")
