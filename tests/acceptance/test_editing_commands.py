"""Commands that edit the file as a person would: comments stay; commit and apply on request."""

import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.site import Site

NOWHERE = "postgresql://somebody:s3cret-pass@127.0.0.1:1/nowhere"

FILE = """\
# Who gets what; ask Ada before you raise it.
version: 1
features:
  capture:
    strategy: percentage
    percentage: 10  # Grace: not over 50 before May
    whitelist:
      - acme/tools  # ours
      - my-company/*
    exclusions: [legacy-org/monolith]
"""


@pytest.fixture
def commented(site: Site) -> Site:
    """A site whose file has the comments of two people, committed and pushed; it has no database."""
    site.write(FILE)
    site.commit("Begin")
    site.push()
    return site


def edit(site: Site, *arguments: str) -> Any:
    """Return the result of an edit as JSON; there is no database."""
    done = site.reconcile(*arguments, "--format", "json", env={"DATABASE_URL": NOWHERE})
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_setting_a_percentage_shows_the_diff_and_the_next_step(commented: Site) -> None:
    done = commented.reconcile("set", "25", env={"DATABASE_URL": NOWHERE})

    assert done.exit_code == 0
    assert done.stdout == snapshot("""\
--- rollout.yaml
+++ rollout.yaml
@@ -3,7 +3,7 @@
 features:
   capture:
     strategy: percentage
-    percentage: 10  # Grace: not over 50 before May
+    percentage: 25  # Grace: not over 50 before May
     whitelist:
       - acme/tools  # ours
       - my-company/*
""")
    assert done.stderr == snapshot(
        "rollout.yaml is edited. To see which repositories gain and lose: reconcile --dry-run. Next: commit it and open "
        "a pull request; its merge applies it. To apply it now: reconcile\n"
    )
    assert commented.file.read_text() == FILE.replace("percentage: 10", "percentage: 25")


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        (["set", "12.5%"], "percentage: 10", "percentage: 12.5"),
        (["strategy", "whitelist"], "strategy: percentage", "strategy: whitelist"),
        (
            ["auto-rollback", "off"],
            "monolith]\n",
            "monolith]\n    health:\n      auto_rollback: false\n",
        ),
        (
            ["whitelist", "add", "beta/x", "--owner", "beta"],
            "my-company/*\n",
            "my-company/*\n      - beta/x\n      - beta/*\n",
        ),
        (["whitelist", "remove", "ACME/Tools"], "      - acme/tools  # ours\n", ""),
        (["exclude", "add", "beta/y"], "monolith]", "monolith, beta/y]"),
        (["exclude", "remove", "legacy-org/monolith"], "[legacy-org/monolith]", "[]"),
        (
            ["test-repos", "add", "beta/z"],
            "monolith]\n",
            "monolith]\ntest_repositories:\n  - beta/z\n",
        ),
    ],
)
def test_each_edit_changes_only_its_lines_and_only_once(
    commented: Site, arguments: list[str], old: str, new: str
) -> None:
    first = edit(commented, *arguments)
    text = commented.file.read_text()
    second = edit(commented, *arguments)

    assert text == FILE.replace(old, new, 1)
    assert (first["changed"], first["remarks"]) == (True, [])
    assert (second["changed"], second["diff"]) == (False, "")
    assert second["remarks"]
    assert commented.file.read_text() == text


def test_existing_entries_are_reported_and_new_ones_added(commented: Site) -> None:
    nothing = commented.reconcile("whitelist", "add", "Acme/Tools")
    some = edit(commented, "whitelist", "add", "acme/tools", "beta/x")
    absent = commented.reconcile("whitelist", "remove", "acme/tolls", "my-company/site")
    plural = commented.reconcile("test-repos", "remove", "acme/tolls")

    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == snapshot(
        (0, "the whitelist of capture already has Acme/Tools\n", "")
    )
    assert some["remarks"] == ["the whitelist of capture already has acme/tools"]
    assert absent.stdout == snapshot("""\
the whitelist of capture does not have acme/tolls; did you mean acme/tools?
the whitelist of capture does not have my-company/site; did you mean my-company/*?
the whitelist of capture still has my-company/*, which includes my-company/site
""")
    assert plural.stdout == "the test repositories do not have acme/tolls\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["set", "250"], 1, "features.capture.percentage: 250 is more than 100"),
        (["set", "--", "-5"], 1, "features.capture.percentage: -5 is less than 0"),
        (["set", "much"], 1, "'much' is text; write a number, such as 25 or 12.5"),
        (["set", "12.345"], 1, "12.345 has more than two decimals"),
        (
            ["strategy", "sizes"],
            1,
            "'sizes' is not a strategy; write percentage, whitelist or repository_size",
        ),
        (["exclude", "add", "acme/tools"], 1, "is also in whitelist, on line 8"),
        (["whitelist", "add", "tools"], 1, "'tools' is not an entry; write owner/name"),
        (["whitelist", "add", "--owner", "a/b"], 1, "'a/b/*' is not an entry"),
        (["whitelist", "add"], 64, "name a repository, as owner/name or id, or an owner"),
        (
            ["set", "20", "--feature", "captur"],
            1,
            "no feature is called captur; did you mean capture?",
        ),
        (["set", "20", "--reason", "why"], 64, "--reason needs --commit or --push"),
        (["set", "20", "--commit", "--reason", " "], 64, "--reason is empty"),
        (["set", "20", "--yes"], 64, "--yes needs --apply"),
        (["auto-rollback", "maybe"], 64, "'maybe' is not one of 'on', 'off'"),
        (["whitelist", "ad", "a/b"], 64, "Did you mean 'add'?"),
        (["set", "20", "--aply"], 64, "Did you mean one of: '--apply', '--by'?"),
    ],
)
def test_an_invalid_edit_is_refused_and_nothing_is_written(
    commented: Site, arguments: list[str], exit_code: int, message: str
) -> None:
    done = commented.reconcile(*arguments, env={"DATABASE_URL": NOWHERE})

    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert message in done.stderr
    assert commented.file.read_text() == FILE
    assert commented.git("status", "--porcelain") == ""


def test_a_commit_has_only_the_file_and_keeps_the_index(commented: Site) -> None:
    (commented.folder / "staged.txt").write_text("mine")
    commented.git("add", "staged.txt")
    (commented.folder / "loose.txt").write_text("mine too")

    done = commented.reconcile("set", "25", "--commit")

    assert done.exit_code == 0, done.stderr
    assert commented.git("show", "--format=%an|%s", "--name-only") == snapshot(
        "Ada Author|Set capture to 25 percent\n\nrollout.yaml"
    )
    assert commented.git("status", "--porcelain") == "A  staged.txt\n?? loose.txt"
    assert "committed " in done.stderr
    assert "Next: push it and open a pull request" in done.stderr


def test_the_reason_is_the_complete_commit_message(commented: Site) -> None:
    reason = (
        "Take small ones in\n\n# not a comment\nRollout-Allow: max-increase \x1b[31m\u202e "
        + "x" * 10_000
    )

    done = commented.reconcile("set", "25", "--push", "--reason", reason)

    assert done.exit_code == 0, done.stderr
    assert commented.git("log", "-1", "--format=%B") == reason
    assert commented.remote_text() == commented.file.read_text()
    assert "\x1b" not in done.stdout + done.stderr
    assert "pushed to origin/main" in done.stderr


def test_a_hook_of_the_repository_does_not_run(commented: Site) -> None:
    hook = commented.folder / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch was-run\nexit 1\n")
    hook.chmod(0o755)

    done = commented.reconcile("set", "25", "--commit")

    assert done.exit_code == 0
    assert not (commented.folder / "was-run").exists()


def test_a_repeated_command_finishes_the_remaining_steps(commented: Site) -> None:
    commented.reconcile("set", "25")
    committed = edit(commented, "set", "25", "--commit")
    pushed = edit(commented, "set", "25", "--push")
    again = edit(commented, "set", "25", "--push")

    head = commented.git("rev-parse", "HEAD")
    assert [each["changed"] for each in (committed, pushed, again)] == [False] * 3
    assert [each["commit"] for each in (committed, pushed, again)] == [head, None, None]
    assert [each["pushed"] for each in (committed, pushed, again)] == [None, *["origin/main"] * 2]
    assert "percentage: 25" in commented.remote_text()


def test_a_branch_is_pushed_under_its_own_name(commented: Site) -> None:
    commented.git("checkout", "--quiet", "-b", "take-25", "--track", "origin/main")

    done = edit(commented, "set", "25", "--push")

    assert done["pushed"] == "origin/take-25"
    assert commented.remote_text("main") == FILE
    assert "percentage: 25" in commented.remote_text("take-25")


def test_a_refused_push_keeps_the_commit_and_is_reported(commented: Site) -> None:
    hook = commented.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\necho 'GH013: Repository rule violations found'\n"
        "printf 'open\\ta \\033[31mpull request\\n' >&2\nexit 1\n"
    )
    hook.chmod(0o755)

    done = commented.reconcile("set", "25", "--push")

    assert done.exit_code == 1
    assert "rollout.yaml is committed, but not pushed to origin/main: " in done.stderr
    assert "pre-receive hook declined" in done.stderr
    assert "GH013: Repository rule violations found; open a" in done.stderr
    assert "\x1b" not in done.stderr
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["committed", "error:"]
    assert commented.git("log", "-1", "--format=%s") == "Set capture to 25 percent"


def test_without_a_repository_a_commit_is_refused_before_any_write(
    commented: Site,
) -> None:
    (commented.folder / ".git").rename(commented.folder / "gone")

    done = commented.reconcile("set", "25", "--commit")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "rollout.yaml cannot be committed: there is no repository around" in done.stderr
    assert commented.file.read_text() == FILE


def test_without_a_branch_nothing_is_pushed_and_nothing_written(commented: Site) -> None:
    commented.git("checkout", "--quiet", "--detach")

    done = commented.reconcile("set", "25", "--push")

    assert done.exit_code == 1
    assert "no branch is checked out to push" in done.stderr
    assert commented.file.read_text() == FILE


def test_an_edit_is_applied_by_the_ordinary_apply_with_its_guards(commented: Site) -> None:
    commented.reconcile()
    done = commented.reconcile("set", "25", "--commit", "--apply", "--reason", "Take small ones in")
    refused = commented.reconcile("set", "90", "--apply", "--format", "json")
    without_commit = commented.reconcile("set", "26", "--apply", env={"CI": "true"})

    assert done.exit_code == 0, done.stderr
    assert "percentage   10 → 25" in done.stdout
    rows = commented.database.rows("SELECT action, reason FROM rollout_history ORDER BY position")
    assert rows[-1] == {"action": "percentage_changed", "reason": "Take small ones in"}
    told = json.loads(refused.stdout)
    assert refused.exit_code == 3
    assert (told["changed"], told["plan"]["refused"], told["plan"]["applied"]) == (
        True,
        True,
        False,
    )
    assert (without_commit.exit_code, "not committed" in without_commit.stderr) == (3, True)
    assert commented.database.value("SELECT rollout_percentage FROM rollout_configuration") == 25


def decline_pushes(site: Site) -> None:
    hook = site.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho declined >&2\nexit 1\n")
    hook.chmod(0o755)


def load(site: Site) -> None:
    (site.folder / "r.csv").write_text(
        "full_name,stars\n" + "".join(f"acme/tool-{number},10\n" for number in range(12))
    )
    site.reconcile("repositories", "load", "r.csv")
    site.write("version: 1\nfeatures:\n  capture: {percentage: 100, guards: {max_increase: 100}}\n")
    site.commit("Begin")
    site.push()
    assert site.reconcile().exit_code == 0


def test_one_repository_is_excluded_at_once_by_one_command(site: Site) -> None:
    load(site)

    done = site.reconcile(
        "exclude", "add", "acme/tool-3", "--push", "--apply", "--reason", "It hurts"
    )

    assert done.exit_code == 0
    assert "lose         acme/tool-3" in done.stdout
    assert "acme/tool-3" in site.remote_text()
    assert site.reconcile("--dry-run", "--detailed-exitcode").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "eligible", "is_applied"),
    [
        (("exclude", "add", "acme/tool-3"), 11, True),
        (("set", "0"), 0, True),
        (("exclude", "remove", "acme/tool-5"), 11, False),
    ],
)
def test_an_edit_that_narrows_is_applied_where_the_push_fails(
    site: Site, arguments: tuple[str, ...], eligible: int, *, is_applied: bool
) -> None:
    load(site)
    if not is_applied:
        site.reconcile("exclude", "add", "acme/tool-5", "--push", "--apply")
    decline_pushes(site)

    done = site.reconcile(*arguments, "--push", "--apply")

    assert done.exit_code == 1
    assert "is committed, but not pushed to origin/main" in done.stderr
    assert ("Applied: " in done.stdout) is is_applied
    found = site.database.value("SELECT count(*) FROM eligible_repositories('capture')")
    assert int(found) == eligible


def test_an_applied_edit_that_git_lacks_says_so(site: Site) -> None:
    load(site)

    done = site.reconcile("exclude", "add", "acme/tool-3", "--apply")

    assert done.stderr.splitlines()[-1] == (
        "Next: commit rollout.yaml and push it; "
        "the next apply of a file without this edit undoes it"
    )
