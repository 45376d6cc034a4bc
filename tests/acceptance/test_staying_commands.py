"""Commands that run until they are stopped, at a real terminal; and the commands of the server."""

import sys

import pexpect
import pytest

from tests.site import Site
from tests.terminal import at_terminal, start


@pytest.mark.parametrize(
    ("arguments", "running"),
    [
        (["watch", "--interval", "500ms"], "this is the active watcher"),
        (["serve", "--listen", "127.0.0.1:0"], "serving http://127.0.0.1:"),
    ],
    ids=["watch", "serve"],
)
def test_ctrl_c_ends_long_running_commands(site: Site, arguments: list[str], running: str) -> None:
    site.reconcile("--yes")
    terminal = at_terminal(site, *arguments, columns=60)

    terminal.expect_exact(running)
    terminal.sendintr()
    terminal.expect_exact("by SIGINT")
    terminal.expect(pexpect.EOF)
    terminal.wait()

    assert terminal.exitstatus == 130
    assert "Traceback" not in str(terminal.before)


def test_the_embedded_server_starts_and_stops_at_a_terminal(site: Site) -> None:
    def run(*arguments: str) -> "pexpect.spawn[str]":
        without = ["-u", "DATABASE_URL", sys.executable, "-m", "reconciler"]
        return start(site, "env", [*without, *arguments], 60, {})

    started = run("db", "start")
    started.expect_exact("the embedded database runs")
    asked = run("db", "psql")
    asked.expect_exact("=# ")
    asked.sendline("SELECT 40 + 2 AS answer;")
    asked.expect_exact("42")
    asked.expect_exact("=# ")
    asked.sendintr()
    asked.expect_exact("=# ")
    asked.sendline("SELECT 40 + 3 AS answer;")
    asked.expect_exact("43")
    asked.sendline("\\q")
    stopped = run("db", "stop")
    stopped.expect_exact("is stopped")
    for terminal in (started, asked, stopped):
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 0
