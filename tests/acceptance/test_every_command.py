"""Every command at a narrow terminal and through a pipe: no traceback, and colour only at a terminal.

One process for each of both runs the program's own `main` many times.
"""

import os
import subprocess
import sys

import click
import pytest

from reconciler.cli.main import make_program
from tests.postgres import PROJECT
from tests.site import Site
from tests.terminal import interrupt, start

DRIVER = """\
import ast, sys
from reconciler.cli.main import main
while line := input("next: "):
    try:
        main(ast.literal_eval(line))
    except SystemExit as exit:
        sys.stdout.flush()
        sys.stderr.flush()
        print(f"ended: {exit.code}", flush=True)
"""

FILE = """\
version: 1
features:
  capture:
    percentage: 50
    guards: {max_increase: 100}
"""

COMMANDS: list[tuple[list[str], int]] = [
    (["demo", "trial"], 1),  # the lines of a demo need an embedded database
    (["validate"], 0),
    (["init", "--file", "other.yaml"], 0),
    (["schema"], 0),
    (["repositories", "load", "r.csv"], 0),
    (["--dry-run"], 0),
    (["--yes"], 0),
    (["--yes"], 0),
    (["categorize"], 0),
    (["categories"], 0),
    (["status"], 0),
    (["stats"], 0),
    (["cost"], 0),
    (["cost", "--csv"], 0),
    (["health"], 0),
    (["health", "--explain"], 0),
    (["simulate", "--rollouts", "10", "--watch-for", "1h"], 0),
    (["metrics", "record", "acme/tool-1", "--processor", "inngest"], 0),
    (["metrics", "show"], 0),
    (["metrics", "prune", "--keep", "90d"], 0),
    (["notify", "add", "team", "--kind", "slack", "--severity", "page"], 0),
    (["notify", "test", "team"], 1),  # no variable has its address
    (["notify", "list"], 0),
    (["notify", "retry"], 0),
    (["notify", "deliver"], 0),
    (["notify", "remove", "team"], 0),
    (["repositories", "list"], 0),
    (["repositories", "list", "--eligible", "--at", "1"], 0),
    (["repositories", "list", "--ready", "2"], 0),
    (["repositories", "sync"], 64),
    (["explain", "acme/tool-1"], 0),
    (["explain", "acme/tool-1", "--job", "reviews:20"], 0),
    (["explain", "acme/tool-1", "--at", "1"], 0),
    (["set", "40"], 0),
    (["strategy", "repository_size"], 0),
    (["auto-rollback", "off"], 0),
    (["whitelist", "add", "acme/tool-2", "--owner", "beta"], 0),
    (["whitelist", "remove", "--owner", "beta"], 0),
    (["whitelist", "list"], 0),
    (["exclude", "add", "acme/tool-3"], 0),
    (["exclude", "remove", "acme/tool-3"], 0),
    (["exclude", "list"], 0),
    (["test-repos", "add", "acme/tool-4"], 0),
    (["test-repos", "remove", "acme/tool-4"], 0),
    (["test-repos", "list"], 0),
    (["freeze", "add", "weekend", "--from", "fri 16:00", "--to", "mon 08:00"], 0),
    (["freeze", "list"], 0),
    (["freezes", "--at", "2026-11-28T10:00Z"], 0),
    (["freeze", "remove", "weekend"], 0),
    (["stop", "--reason", "it hurts", "--yes"], 0),
    (["verify"], 0),
    (["status"], 0),
    (["write-back"], 0),
    (["resume", "--reason", "fixed", "--yes"], 0),
    (["rollback", "--to", "5", "--reason", "again", "--yes"], 0),
    (["resume", "--reason", "fixed", "--yes"], 0),
    (["drift"], 0),
    (["drift", "revert"], 0),
    (["drift", "adopt"], 0),
    (["promote"], 0),
    (["import"], 0),
    (["history"], 0),
    (["completion", "bash"], 0),
    (["db", "status"], 0),
    (["db", "url"], 0),
    (["db", "upgrade"], 0),
    (["db", "roles"], 0),
    (["db", "remove", "--yes"], 0),
]

ELSEWHERE = {"console", "dashboard", "db start", "db stop", "db psql", "serve", "watch"}
"""Commands that keep running, or start a server: test_staying_commands.py, test_console.py, test_dashboard.py."""


@pytest.fixture
def filled(site: Site) -> Site:
    (site.folder / "r.csv").write_text(
        "full_name,stars,contributors,pull_requests\n"
        + "".join(f"acme/tool-{number},10,2,10\n" for number in range(8))
    )
    site.write(FILE)
    site.commit("Begin")
    site.push()
    return site


def test_every_command_is_covered() -> None:
    program = make_program()

    def leaves(command: click.Command, words: str) -> set[str]:
        if not isinstance(command, click.Group):
            return {words}
        context = click.Context(command)
        found = [
            (name, command.get_command(context, name)) for name in command.list_commands(context)
        ]
        return set().union(
            *(leaves(each, f"{words} {name}".strip()) for name, each in found if each is not None)
        )

    tried = {" ".join(arguments) for arguments, _ in COMMANDS}
    forgotten = {
        words
        for words in leaves(program, "") - ELSEWHERE
        # A job on GitHub runs these on its own runner.
        if not words.startswith("github ")
        and not any(f"{each} ".startswith(f"{words} ") for each in tried)
    }
    assert forgotten == set()


def test_every_command_at_a_narrow_terminal(filled: Site) -> None:
    terminal = start(filled, sys.executable, ["-c", DRIVER], 50, {})
    terminal.expect_exact("next: ")

    def run(arguments: list[str]) -> tuple[int, str]:
        terminal.sendline(repr(arguments))
        terminal.expect(r"ended: (\w+)\r\n")
        shown, code = str(terminal.before), int(terminal.match.group(1))  # type: ignore[union-attr]
        terminal.expect_exact("next: ")
        return code, shown

    colored = set()
    for arguments, exit_code in COMMANDS:
        code, shown = run(arguments)
        assert code == exit_code, (arguments, shown)
        assert "Traceback" not in shown
        assert "this is a fault" not in shown
        if "\x1b[" in shown:
            colored.add(arguments[0])
    assert {"status", "explain", "set", "stop", "resume", "health", "--dry-run"} <= colored
    _, plain = run(["status", "--no-color"])
    assert "\x1b[" not in plain


def test_questions_at_a_terminal_are_answered_or_interrupted(filled: Site) -> None:
    filled.reconcile("--yes")
    terminal = start(filled, sys.executable, ["-c", DRIVER], 80, {})
    before = filled.database.rows("SELECT * FROM rollout_configuration")

    def ask(arguments: list[str], question: str) -> None:
        terminal.expect_exact("next: ")
        terminal.sendline(repr(arguments))
        terminal.expect_exact(f"{question} [y/N]: ")

    ask(["stop", "--reason", "x"], "Stop it for all repositories?")
    interrupt(terminal)
    terminal.expect(r"\r\ninterrupted; every step was either completed or not begun")
    terminal.expect_exact("ended: 130")
    ask(["stop", "--reason", "x"], "Stop it for all repositories?")
    terminal.sendeof()
    terminal.expect(r"\r\ninterrupted; every step was either completed or not begun")
    terminal.expect_exact("ended: 130")
    ask(["rollback", "--to", "5", "--reason", "x"], "Roll it back to 5?")
    terminal.sendline("n")
    terminal.expect_exact("\nnothing was done\r\n")
    terminal.expect_exact("ended: 130")
    filled.write(FILE.replace("50", "60"))
    ask([], "Apply this?")
    interrupt(terminal)
    terminal.expect_exact("ended: 130")
    ask(["set", "70", "--apply"], "Apply this?")
    terminal.sendline("n")
    terminal.expect_exact("\nnothing was applied\r\n")
    terminal.expect_exact("ended: 130")
    assert filled.database.rows("SELECT * FROM rollout_configuration") == before
    ask(["set", "70", "--apply"], "Apply this?")
    terminal.sendline("y")
    terminal.expect_exact("ended: 0")
    assert filled.database.value("SELECT rollout_percentage FROM rollout_configuration") == 70
    terminal.close(force=True)


def test_every_command_through_a_pipe(filled: Site) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        cwd=filled.folder,
        env={**os.environ, "DATABASE_URL": filled.database.url, "PYTHONPATH": str(PROJECT)},
        input="".join(f"{arguments!r}\n" for arguments, _ in COMMANDS) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )

    codes = [int(line.rpartition(" ")[2]) for line in done.stdout.splitlines() if "ended: " in line]
    assert codes == [exit_code for _, exit_code in COMMANDS], done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "[y/N]" not in done.stdout + done.stderr
