"""Hostile names and reasons: they are printed without harm and stored unchanged."""

import json
import unicodedata

import pytest

from reconciler import RolloutConsole
from tests.site import Site

REASONS = {
    "terminal escapes": "red \x1b[31m\x1b]0;owned\x07 and \x9b2J gone",
    "Markdown": "`code` | [link](https://evil.example) <b>bold</b> @everyone #1 fixes #2 **now**",
    "newlines": "first\n::error::second\r\nthird\tfourth\n\n# a comment\nOverride-Id: 0",
    "10,000 characters": "long " * 2_000,
    "one word of 10,000 characters": "x" * 10_000,
    "right to left": "\u202eesrever\u202c \u2066isolated\u2069 \u200f",
}
NAMES = [
    "\x1b[31macme/tools",
    "\u202eacme/tools",
    "acme/to\nols",
    "a" * 10_000,
    "`acme`|/<b>",
    "--yes",
]


def is_harmless(shown: str) -> bool:
    """Return whether a text neither controls a terminal nor changes the order of reading."""
    return all(each == "\n" or unicodedata.category(each) not in {"Cc", "Cf"} for each in shown)


@pytest.mark.parametrize("words", REASONS)
def test_a_hostile_reason_is_escaped_and_stored_complete(site: Site, words: str) -> None:
    reason = REASONS[words]
    site.reconcile()

    stopped = site.reconcile("stop", "--reason", reason)
    shown = [site.reconcile(*each) for each in (["status"], ["history"], ["verify"])]
    told = site.reconcile("history", "--format", "json")
    shown += [told, site.reconcile("status", "--format", "json")]
    shown += [site.reconcile("--dry-run", "--format", "json")]
    resumed = site.reconcile("resume", "--reason", reason)

    for done in (stopped, resumed, *shown):
        assert done.exit_code == 0, done.stderr
        assert is_harmless(done.stdout + done.stderr)
        assert not any(line.startswith("::") for line in done.stdout.splitlines())
    rows = site.database.rows("SELECT reason FROM rollout_history ORDER BY position DESC LIMIT 2")
    assert [row["reason"] for row in rows] == [reason, reason]
    assert json.loads(told.stdout)["history"][0]["reason"] == reason
    # In git it is on its own line, and the reader accepts the branch's file.
    site.git("fetch", "--quiet")
    subjects = site.git(
        "log", "--format=%s%x00%(trailers:key=Override-Id,valueonly)", "origin/main", "-2"
    )
    assert is_harmless(subjects.replace("\0", ""))
    assert "Override-Id: 0\n" not in site.git("log", "--format=%B", "origin/main", "-2")


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_refused_and_escaped(site: Site, name: str) -> None:
    site.reconcile()
    text = site.file.read_text()

    for arguments in (
        ["explain", "--", name],
        ["whitelist", "add", "--", name],
        ["exclude", "add", f"--owner={name}"],
        ["strategy", "--", name],
        ["set", "--", name],
        ["status", f"--feature={name}"],
        ["stop", "--reason=x", f"--feature={name}"],
        ["repositories", "list", f"--category={name}"],
        ["repositories", "list", "--eligible", f"--at={name}"],
        ["metrics", "record", "--processor=inngest", "--", name],
        ["validate", "--", name[:200]],
    ):
        done = site.reconcile(*arguments)
        assert done.exit_code in {1, 64}, (arguments, done)
        assert is_harmless(done.stdout + done.stderr), arguments
        assert "this is a fault" not in done.stderr, arguments
    assert site.file.read_text() == text


def test_a_stop_works_with_any_bytes_in_the_reason(site: Site) -> None:
    site.reconcile()
    site.reconcile(
        "stop", "--no-write-back", "--reason", b"caf\xe9".decode("utf-8", "surrogateescape")
    )
    by_argument = site.database.value("SELECT reason FROM rollout_override WHERE state = 'on'")
    console = RolloutConsole(site.database.url, str(site.file))
    console.resume("fixed\0 \ud800")

    assert by_argument == "caf\N{REPLACEMENT CHARACTER}"
    assert site.database.value(
        "SELECT reason FROM rollout_history ORDER BY position DESC LIMIT 1"
    ) == ("fixed  \N{REPLACEMENT CHARACTER}")
    assert site.database.value("SELECT emergency_stop FROM rollout_configuration") is False
