"""The operator's console: at a prompt on a terminal, through a pipe, and from a program."""

import json
import subprocess
import sys
from typing import Any

import pexpect
import pytest

from reconciler import RolloutConsole
from reconciler.errors import NotFound, Refused
from tests.builders import report_jobs
from tests.pages import DOCUMENTATION
from tests.site import Site
from tests.terminal import at_terminal, interrupt

FILE = """\
# Who gets what.
version: 1
features:
  capture:
    percentage: 50  # half of them
    whitelist: [acme/tool-1]
    health: {min_jobs: 4, rollback_to: 5}
test_repositories: [acme/tool-3]
"""
REPOSITORIES = "full_name,stars,contributors,pull_requests\n" + "".join(
    f"acme/tool-{number},10,2,10\n" for number in range(12)
)

METHODS = {
    "add_to_whitelist",
    "categories",
    "categorize_all",
    "check_health",
    "disable_auto_rollback",
    "emergency_stop",
    "enable_auto_rollback",
    "explain",
    "history",
    "mark_as_test",
    "ready_repositories",
    "remove_from_whitelist",
    "repositories_by_category",
    "resume",
    "rollback_to_percentage",
    "rollback_to_zero",
    "set_rollout",
    "show_metrics",
    "show_whitelist",
    "stats",
    "status",
    "test_repositories",
    "unmark_as_test",
}


@pytest.fixture
def rolled_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site in which six of twelve repositories are eligible, applied and pushed; tests run in it."""
    (site.folder / "r.csv").write_text(REPOSITORIES)
    site.reconcile("repositories", "load", "r.csv")
    site.write(FILE)
    site.commit("Take half in")
    site.push()
    done = site.reconcile("--allow", "max-increase")
    assert done.exit_code == 0, done.stdout
    site.reconcile("categorize")
    monkeypatch.chdir(site.folder)
    return site


@pytest.fixture
def rollout(rolled_out: Site) -> RolloutConsole:
    return RolloutConsole(database_url=rolled_out.database.url)


def live(site: Site) -> tuple[int, bool]:
    (row,) = site.database.rows(
        "SELECT rollout_percentage::integer AS percentage, emergency_stop FROM rollout_configuration"
    )
    return row["percentage"], row["emergency_stop"]


def test_a_reading_method_prints_and_returns_like_its_command(
    rolled_out: Site, rollout: RolloutConsole, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Any, list[str]]] = [
        (rollout.status, ["status"]),
        (rollout.stats, ["stats"]),
        (rollout.categories, ["categories"]),
        (rollout.show_metrics, ["metrics", "show"]),
        (rollout.show_whitelist, ["whitelist", "list"]),
        (rollout.history, ["history"]),
        (lambda: rollout.explain("acme/tool-2"), ["explain", "acme/tool-2"]),
        (lambda: rollout.explain("acme/tool-2", at=1), ["explain", "acme/tool-2", "--at", "1"]),
        (
            lambda: rollout.repositories_by_category("small"),
            ["repositories", "list", "--category", "small"],
        ),
        (rollout.test_repositories, ["repositories", "list", "--test"]),
        (rollout.ready_repositories, ["repositories", "list", "--ready", "50"]),
    ]
    for method, command in asked:
        returned = method()
        printed = capsys.readouterr().out
        assert printed == rolled_out.reconcile(*command).stdout, command
        assert printed.strip()
        assert returned is not None
    status = rollout.status()
    assert (status.generation, status.features[0].name) == (1, "capture")


def test_an_editing_method_changes_only_the_file(rolled_out: Site, rollout: RolloutConsole) -> None:
    rollout.set_rollout(12.5)
    rollout.add_to_whitelist(["beta/x", "gamma/*"])
    rollout.remove_from_whitelist("acme/tool-1")
    rollout.mark_as_test("beta/y")
    done = rollout.unmark_as_test(["acme/tool-3"])
    rollout.disable_auto_rollback()
    off = rolled_out.file.read_text()
    rollout.enable_auto_rollback()

    assert done["changed"]
    assert "-test_repositories: [acme/tool-3, beta/y]\n" in done["diff"]
    assert "auto_rollback: false, rollback_to: 5}" in off
    text = rolled_out.file.read_text()
    assert text.startswith("# Who gets what.\n")
    assert "    percentage: 12.5  # half of them\n    whitelist: [beta/x, gamma/*]\n" in text
    assert "test_repositories: [beta/y]\n" in text
    assert "auto_rollback: true" in text
    assert live(rolled_out) == (50, False)
    assert rolled_out.git("log", "-1", "--format=%s") == "Take half in"


def test_an_edit_is_committed_pushed_and_applied_if_asked(
    rolled_out: Site, rollout: RolloutConsole
) -> None:
    done = rollout.set_rollout(60, push=True, apply=True, reason="Some more")

    assert (done["pushed"], done["plan"]["applied"]) == ("origin/main", True)
    assert "percentage: 60" in rolled_out.remote_text()
    assert live(rolled_out) == (60, False)
    with pytest.raises(Refused):
        rollout.set_rollout(100, apply=True)
    assert live(rolled_out) == (60, False)


def test_an_acting_method_changes_the_database_then_git(
    rolled_out: Site, rollout: RolloutConsole, capsys: pytest.CaptureFixture[str]
) -> None:
    states = []
    stopped = rollout.emergency_stop("it hurts")
    states.append(live(rolled_out))
    printed = capsys.readouterr().out
    in_git = rolled_out.remote_text()
    rollout.resume()
    states.append(live(rolled_out))
    rollout.rollback_to_percentage(25)
    states.append(live(rolled_out))
    rollout.rollback_to_zero("still")
    states.append(live(rolled_out))

    assert states == [(0, True), (50, False), (25, False), (0, False)]
    assert (stopped["changed"], stopped["eligible"]) == (True, 0)
    assert printed.startswith("capture: stopped\n")
    assert "reason: it hurts" in in_git
    reasons = rolled_out.database.rows("SELECT reason FROM rollout_history ORDER BY position")
    assert [row["reason"] for row in reasons][-3:] == [
        "resumed from the console",
        "rolled back from the console",
        "still",
    ]


def test_check_health_rolls_back_a_failing_feature(
    rolled_out: Site, rollout: RolloutConsole
) -> None:
    well = rollout.check_health()["features"][0]
    report_jobs(rolled_out.database, 5, errors=5, repository="acme/tool-1")
    failing = rollout.check_health()["features"][0]

    assert (well["verdict"], well["rolled_back"]) == ("inconclusive", False)
    assert (failing["verdict"], failing["rolled_back"]) == ("fail", True)
    assert live(rolled_out) == (5, False)


def test_categorize_all_returns_the_changes(rolled_out: Site, rollout: RolloutConsole) -> None:
    rolled_out.database.execute(
        "UPDATE repositories SET stargazers_count = 9000 WHERE id IN"
        " (SELECT id FROM repositories WHERE full_name = 'acme/tool-7')"
    )

    done = rollout.categorize_all()

    assert [(move.after, move.repositories) for move in done.moves] == [("enterprise", 1)]


def test_an_impossible_request_raises(rolled_out: Site, rollout: RolloutConsole) -> None:
    other = RolloutConsole(database_url=rolled_out.database.url, feature="captur")

    with pytest.raises(NotFound, match="did you mean capture"):
        other.emergency_stop("why")
    with pytest.raises(ValueError, match="is not one of 'test', 'small'"):
        rollout.repositories_by_category("tiny")
    with pytest.raises(TypeError, match="unexpected comit; there are: commit, push, apply, reason"):
        rollout.set_rollout(20, comit=True)  # type: ignore[call-arg]
    with pytest.raises(NotFound, match="did you mean acme/tool-1"):
        rollout.explain("acme/tol-1")
    assert live(rolled_out) == (50, False)
    assert rolled_out.file.read_text() == FILE


def test_the_console_shows_no_secret() -> None:
    console = RolloutConsole("postgresql://ada:s3cret@nowhere/x", feature="capture")

    assert repr(console) == "RolloutConsole(file='rollout.yaml', feature='capture')"
    assert {name for name in dir(console) if not name.startswith("_")} == METHODS


def test_the_console_page_lists_every_method() -> None:
    page = (DOCUMENTATION / "from-a-console.md").read_text("utf-8")

    assert {name for name in METHODS if f"{name}(" not in page} == set()


def test_the_environment_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLOUT_FILE", "elsewhere.yaml")

    assert repr(RolloutConsole()) == "RolloutConsole(file='elsewhere.yaml', feature=None)"
    assert (
        repr(RolloutConsole(file="here.yaml")) == "RolloutConsole(file='here.yaml', feature=None)"
    )


def test_a_prompt_without_colour_has_methods_without_colour(rolled_out: Site) -> None:
    terminal = at_terminal(rolled_out, "console", "--no-color", "--quiet")
    terminal.expect_exact(">>> ")
    terminal.sendline("rollout.status()")
    terminal.expect_exact("capture\r\n")
    terminal.expect_exact(">>> ")
    shown = str(terminal.before)
    terminal.close(force=True)

    assert "state        active" in shown
    assert "\x1b[1m" not in shown


def test_the_package_alone_imports_no_command_line() -> None:
    program = (
        "import sys, reconciler; print({'click', 'pydantic', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"


def test_a_prompt_on_a_narrow_terminal(rolled_out: Site) -> None:
    terminal = at_terminal(rolled_out, "console", columns=60)
    terminal.expect_exact("rollout.status() shows the rollout")
    terminal.expect_exact(">>> ")

    def enter(line: str, *answers: str) -> str:
        terminal.sendline(line)
        for asked, answer in zip(answers[::2], answers[1::2], strict=True):
            terminal.expect_exact(asked)
            terminal.sendline(answer)
        terminal.expect_exact(">>> ")
        return str(terminal.before)

    terminal.send("rollout.emerg\t")
    terminal.expect_exact("rollout.emergency_stop(")
    interrupt(terminal)
    terminal.expect_exact("KeyboardInterrupt")
    terminal.expect_exact(">>> ")
    assert "\x1b[1mcapture\x1b[0m" in enter("rollout.status()")
    assert "Status(" not in enter("rollout.status()")
    assert "1" in enter("_.generation")
    assert "rollback_to_percentage" in enter("help(rollout)")
    assert "-    percentage: 50" in enter("rollout.set_rollout(40)")
    refused = enter("rollout.set_rollout(400)")
    assert "error: rollout.yaml: the edit would make line 5" in refused
    assert "Traceback" not in refused
    declined = enter("rollout.emergency_stop('no')", "Stop it for all repositories? [y/N]: ", "n")
    assert "nothing was done" in declined
    assert live(rolled_out) == (50, False)
    stopped = enter("rollout.emergency_stop('it hurts')", "[y/N]: ", "y")
    assert "\x1b[31m\x1b[1mstopped" in stopped
    assert live(rolled_out) == (0, True)
    assert "\x1b[32m\x1b[1mresumed" in enter("rollout.resume('fixed')", "Resume it? [y/N]: ", "y")
    for line in [
        "rollout.stats()",
        "rollout.categories()",
        "rollout.check_health()",
        "rollout.show_metrics()",
        "rollout.add_to_whitelist('beta/x')",
        "rollout.remove_from_whitelist('beta/x')",
        "rollout.show_whitelist()",
        "rollout.categorize_all()",
        "rollout.mark_as_test('beta/x')",
        "rollout.unmark_as_test('beta/x')",
        "rollout.enable_auto_rollback()",
        "rollout.disable_auto_rollback()",
        "rollout.repositories_by_category('small')",
        "rollout.test_repositories()",
        "rollout.ready_repositories(3)",
        "rollout.history()",
        "rollout.explain('acme/tool-1')",
    ]:
        shown = enter(line)
        assert "error" not in shown.lower().replace("errors", ""), shown
        assert "Traceback" not in shown
    enter("rollout.rollback_to_percentage(25)", "Roll it back to 25? [y/N]: ", "y")
    enter("rollout.rollback_to_zero()", "Roll it back to 0? [y/N]: ", "y")
    assert live(rolled_out) == (0, False)
    terminal.sendline("exit()")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_a_prompt_through_a_pipe_asks_nothing_and_has_no_colour(rolled_out: Site) -> None:
    done = rolled_out.reconcile(
        "console",
        "--quiet",
        stdin="import json\nrollout.emergency_stop('it hurts')\nrollout.nothing()\n"
        "print(json.dumps(rollout.explain('acme/tool-1')['eligible']))\n",
    )

    assert done.exit_code == 0
    assert "capture: stopped" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "error: there is no rollout.nothing; see help(rollout)" in done.stderr
    assert json.loads(done.stdout.split()[-2]) is False
    assert live(rolled_out) == (0, True)
