"""The first use at a terminal, and a use in an emergency: the output and the questions."""

import json
import shlex
import sys

import pexpect
import pytest

from tests.site import Site
from tests.terminal import at_terminal, start

FILE = """\
version: 1
features:
  capture:
    percentage: 50
    whitelist: [acme/tool-1]
    guards: {max_increase: 100}
"""
REPOSITORIES = "full_name,stars,contributors,pull_requests\n" + "".join(
    f"acme/tool-{number},10,2,10\n" for number in range(12)
)


@pytest.fixture
def rollout(site: Site) -> Site:
    """A site in which half of twelve repositories are eligible, applied and pushed."""
    (site.folder / "r.csv").write_text(REPOSITORIES)
    site.reconcile("repositories", "load", "r.csv")
    site.write(FILE)
    site.commit("Begin with half")
    site.push()
    assert site.reconcile().exit_code == 0
    return site


def percentage(site: Site) -> int:
    return int(site.database.value("SELECT rollout_percentage FROM rollout_configuration"))


def test_an_apply_that_is_piped_on_a_terminal_asks_first(rollout: Site) -> None:
    rollout.replace("percentage: 50", "percentage: 60")
    program = f"{shlex.quote(sys.executable)} -m reconciler | cat"
    terminal = start(rollout, "/bin/sh", ["-c", program], 80, {})

    terminal.expect_exact("Apply this? [y/N]: ")
    terminal.sendline("n")
    terminal.expect_exact("nothing was applied")
    terminal.expect(pexpect.EOF)

    assert percentage(rollout) == 50


def test_a_dry_run_shows_a_stop_that_the_checkout_lacks(rollout: Site) -> None:
    rollout.reconcile("stop", "--reason", "it hurts", "--by", "grace")

    shown = rollout.reconcile("--dry-run")
    markdown = rollout.reconcile("--dry-run", "--format", "markdown")

    text = " ".join(shown.stdout.split())
    assert "override stop: it hurts (grace)" in text
    assert "this file does not have it: pull the branch" in text
    assert (
        "Nothing to change: the live state matches the file, under the override of capture." in text
    )
    assert "An override is in force: stop by `grace`: `it hurts`" in markdown.stdout


def test_a_stop_that_the_checkout_has_needs_no_pull(rollout: Site) -> None:
    rollout.reconcile("stop", "--reason", "it hurts")
    rollout.git("pull", "--quiet")

    shown = rollout.reconcile("--dry-run")

    assert "override     stop: it hurts" in shown.stdout
    assert "does not have it" not in shown.stdout


def test_a_statement_by_hand_is_shown_with_its_author(rollout: Site) -> None:
    rollout.database.execute("""
        UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true;
        INSERT INTO rollout_history (rollout_config_id, action, reason, triggered_by)
        SELECT id, 'emergency_rollback', 'pager at 3 a.m.', 'lin' FROM rollout_configuration
    """)

    shown = {each: rollout.reconcile(each) for each in ("verify", "status", "drift")}

    for command, done in shown.items():
        text = " ".join(done.stdout.split())
        assert done.exit_code == 0, command
        assert "emergency_stop off → on, changed live by hand: the apply keeps it" in text, command
        assert "by lin at " in text, command
        assert "Z: pager at 3 a.m." in text, command
    assert "state        stopped" in shown["status"].stdout


def test_the_json_of_a_status_has_the_drift_and_its_author(rollout: Site) -> None:
    before = json.loads(rollout.reconcile("status", "--format", "json").stdout)
    rollout.database.execute("""
        UPDATE rollout_configuration SET rollout_percentage = 0;
        INSERT INTO rollout_history (rollout_config_id, action, reason, triggered_by)
        SELECT id, 'emergency_rollback', 'pager at 3 a.m.', 'lin' FROM rollout_configuration
    """)

    status, drift = (
        json.loads(rollout.reconcile(each, "--format", "json").stdout)["features"][0]
        for each in ("status", "drift")
    )

    assert (before["features"][0]["drift"], before["features"][0]["drift_cause"]) == ([], None)
    assert status["drift"] == drift["drift"]
    assert status["drift_cause"] == drift["drift_cause"]
    (found,) = status["drift"]
    assert (found["field"], found["live"], found["decision"]) == ("rollout_percentage", 0, "keep")
    assert status["drift_cause"]["by"] == "lin"
    assert status["drift_cause"]["reason"] == "pager at 3 a.m."


def test_a_change_by_hand_without_an_entry_says_so(rollout: Site) -> None:
    rollout.database.execute("UPDATE rollout_configuration SET rollout_percentage = 90")

    shown = rollout.reconcile("status")

    text = " ".join(shown.stdout.split())
    assert "rollout_percentage 50 → 90, changed live by hand: the apply reverts it" in text
    assert "the history has no entry for this change" in text


def test_an_entry_by_hand_of_another_change_is_not_its_author(rollout: Site) -> None:
    rollout.database.execute("""
        UPDATE rollout_configuration SET rollout_percentage = 20;
        INSERT INTO rollout_history
            (rollout_config_id, action, new_percentage, reason, triggered_by)
        SELECT id, 'emergency_rollback', 0, 'pager at 3 a.m.', 'lin' FROM rollout_configuration
    """)

    text = " ".join(rollout.reconcile("drift").stdout.split())

    assert "no entry for this change; the newest one by hand is to 0, by lin at " in text


def test_the_question_has_the_effect_and_asks_for_the_reason(rollout: Site) -> None:
    terminal = at_terminal(rollout, "rollback", "--to", "10", columns=80)

    terminal.expect(r"capture: 50 → 10 percent, \d+ → \d+ of 12 repositories\r\n")
    terminal.expect_exact("Reason: ")
    terminal.sendline("")
    terminal.expect_exact("Reason: ")
    terminal.sendline("errors since 50")
    terminal.expect_exact("Roll it back to 10? [y/N]: ")
    terminal.sendline("y")
    terminal.expect_exact("Next: reconcile verify")
    terminal.expect(pexpect.EOF)

    assert percentage(rollout) == 10
    reason = rollout.database.value("SELECT reason FROM rollout_override WHERE state = 'on'")
    assert reason == "errors since 50"


def test_an_act_that_cannot_be_done_is_refused_before_the_question(rollout: Site) -> None:
    terminal = at_terminal(rollout, "rollback", "--to", "60")

    terminal.expect(r"so 60 is (no|not a) rollback")
    terminal.expect(pexpect.EOF)

    assert "[y/N]" not in str(terminal.before)


def test_a_repeated_stop_says_who_stopped_it_and_why(rollout: Site) -> None:
    rollout.reconcile("stop", "--reason", "Small ones too", "--by", "root")

    again = rollout.reconcile("stop", "--reason", "again")

    first = again.stdout.splitlines()[0]
    assert first.startswith("capture: already stopped by root at ")
    assert first.endswith(" (Small ones too); nothing was written")


def test_a_stop_without_the_database_names_the_other_ways(rollout: Site) -> None:
    done = rollout.reconcile(
        "stop", "--reason", "x", env={"DATABASE_URL": "postgresql://127.0.0.1:1/nowhere"}
    )

    assert done.exit_code == 1
    assert "ROLLOUT_EMERGENCY_STOP=true" in done.stderr
    assert "active: false" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "name"),
    [
        (("--by", "Grace Hopper"), {"ROLLOUT_ACTOR": "lin"}, "Grace Hopper"),
        ((), {"ROLLOUT_ACTOR": "lin", "GITHUB_ACTOR": "octocat"}, "lin"),
        ((), {"GITHUB_ACTOR": "octocat"}, "octocat (GitHub Actions)"),
        ((), {}, "Ada of git"),
    ],
)
def test_history_names_the_person(
    rollout: Site, arguments: tuple[str, ...], environment: dict[str, str], name: str
) -> None:
    rollout.git("config", "user.name", "Ada of git")

    rollout.reconcile("stop", "--reason", "it hurts", *arguments, env=environment)

    newest = rollout.reconcile("history", "--limit", "1", "--format", "json")
    assert json.loads(newest.stdout)["history"][0]["triggered_by"] == name


def test_a_limited_feature_is_not_shown_as_active(rollout: Site) -> None:
    rollout.reconcile("rollback", "--to", "0", "--reason", "errors")

    assert "state        held at 0" in rollout.reconcile("status").stdout
    assert "participation  ok " in rollout.reconcile("health").stdout


def test_history_groups_the_changes_of_one_apply(rollout: Site) -> None:
    rollout.replace("percentage: 50", "percentage: 60")
    rollout.replace("[acme/tool-1]", "[acme/tool-1, acme/tool-2, acme/tool-3]")
    rollout.commit("More of them")
    rollout.reconcile()

    lines = rollout.reconcile("history", "--limit", "3").stdout.splitlines()

    assert [line.startswith(" ") for line in lines] == [False, False, False, True]
    assert lines[-1].endswith(": More of them")


def test_explain_names_the_entry_of_the_file(rollout: Site) -> None:
    rollout.replace("[acme/tool-1]", "[Acme/Tool-1, 'acme/*']")
    rollout.reconcile()

    shown = rollout.reconcile("explain", "acme/tool-1").stdout

    assert "whitelisted: the whitelist has Acme/Tool-1\n" in shown
    assert "entry Acme/Tool-1 at rollout.yaml:5" in shown


def test_a_list_shows_the_entries_that_only_the_file_has(rollout: Site) -> None:
    rollout.reconcile("whitelist", "add", "acme/tool-9")
    rollout.reconcile("whitelist", "remove", "acme/tool-1")

    shown = rollout.reconcile("whitelist", "list").stdout

    assert shown.splitlines() == [
        "acme/tool-1",
        "only in rollout.yaml, not applied yet: acme/tool-9",
        "only live, not in rollout.yaml: acme/tool-1",
    ]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_output_fits_the_terminal(rollout: Site, columns: int) -> None:
    rollout.reconcile("stop", "--reason", "a reason that is long enough to need two lines " * 2)
    for command in (["status"], ["repositories", "list"], ["explain", "acme/tool-1"], ["health"]):
        terminal = at_terminal(rollout, *command, "--no-color", columns=columns)
        terminal.expect(pexpect.EOF)
        lines = str(terminal.before).splitlines()
        terminal.close()
        too_long = [line for line in lines if len(line) > min(columns, 100)]
        assert terminal.exitstatus == 0
        # A word that does not fit, such as an id, is not cut.
        assert [line for line in too_long if max(map(len, line.split())) < 30] == [], command


def test_a_terminal_without_control_codes_gets_none(rollout: Site) -> None:
    terminal = at_terminal(rollout, "status", env={"TERM": "dumb"})
    terminal.expect(pexpect.EOF)

    shown = str(terminal.before)
    assert "capture" in shown
    assert "\x1b" not in shown


def test_the_next_step_fits_the_terminal_and_keeps_its_command_whole(rollout: Site) -> None:
    terminal = at_terminal(rollout, "set", "40", "--no-color", columns=60)
    terminal.expect(pexpect.EOF)

    lines = str(terminal.before).splitlines()
    assert max(map(len, lines)) <= 60
    assert any("reconcile --dry-run" in line for line in lines)


def test_a_limited_feature_has_no_target_for_participation(rollout: Site) -> None:
    rollout.reconcile("stop", "--reason", "it hurts")

    health = rollout.reconcile("health").stdout

    assert "0.0 % of the repositories are eligible; no target under a limit\n" in health
    assert "no repository is eligible; target: at most 80 %\n" in health


@pytest.mark.parametrize(
    ("word", "command_line"),
    [("plan", "reconcile --dry-run"), ("apply", "reconcile"), ("diff", "reconcile --dry-run")],
)
def test_a_word_of_another_program_is_answered(site: Site, word: str, command_line: str) -> None:
    done = site.reconcile(word)

    assert done.exit_code == 64
    assert f"no command is called {word!r}; use: {command_line}\n" in done.stderr


def test_help_lists_the_commands_in_groups(site: Site) -> None:
    shown = site.reconcile("--help").stdout

    titles = [line for line in shown.splitlines() if line.endswith(":") and line[:1].isalpha()]
    assert titles[-4:] == ["Emergency:", "Everyday:", "Look:", "Set up:"]


def test_the_prompt_accepts_what_the_browser_console_did(rollout: Site) -> None:
    done = rollout.reconcile(
        "console",
        "--quiet",
        stdin="rollout.setRollout(25)\nrollout.setRolloutPercentage(25)\nawait rollout.emergency_stop()\nhelp(rollout)\n",
    )

    assert (
        "no rollout.setRolloutPercentage; the method is called rollout.set_rollout()" in done.stderr
    )
    assert "there is no rollout.setRollout; the method is called rollout.set_rollout() here" in (
        done.stderr
    )
    assert "capture: stopped" in done.stdout
    assert "emergency_stop(reason=…)" in done.stdout
    assert rollout.database.value("SELECT reason FROM rollout_override") == "no reason given"


def complete(site: Site, words: str) -> list[str]:
    """Return the completions of a line, without the shell's other output."""
    done = site.reconcile(
        env={
            "_RECONCILE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
    )
    assert (done.exit_code, done.stderr) == (0, "")
    return [line.removeprefix("plain,") for line in done.stdout.splitlines()]


def test_a_shell_completes_repositories_of_the_database(rollout: Site) -> None:
    assert complete(rollout, "reconcile explain ACME/tool-1") == [
        "acme/tool-1",
        "acme/tool-10",
        "acme/tool-11",
    ]
    rollout.file.unlink()
    assert complete(rollout, "reconcile status --feature cap") == ["capture"]


def test_a_shell_gets_no_error_while_it_completes(rollout: Site) -> None:
    rollout.database.execute("ALTER TABLE repositories RENAME TO elsewhere")

    assert complete(rollout, "reconcile explain acme/") == [""]
    assert complete(rollout, "reconcile plan --") != []


def test_a_piped_table_cuts_no_name(rollout: Site) -> None:
    name = f"an-organisation-with-a-long-name/{'a-repository-' * 6}x"
    (rollout.folder / "long.csv").write_text(f"full_name,stars\n{name},5\n")
    rollout.reconcile("repositories", "load", "long.csv")

    assert name in rollout.reconcile("repositories", "list").stdout


@pytest.mark.parametrize("is_in_file", [True, False])
def test_explain_names_the_apply_that_created_the_feature_with_an_entry(
    rollout: Site, *, is_in_file: bool
) -> None:
    rollout.git("config", "user.name", "Ada of git")
    if not is_in_file:
        rollout.replace("    whitelist: [acme/tool-1]\n", "")

    shown = rollout.reconcile("explain", "acme/tool-1")

    text = " ".join(shown.stdout.split())
    commit = rollout.git("rev-parse", "--short=7", "HEAD")
    place = " at rollout.yaml:5" if is_in_file else ""
    assert f"{place}; added in generation 1 ({commit}) by " in text
    assert "entry acme/tool-1" in text or not is_in_file
    assert "None" not in text
