"""Write-back to a branch that accepts pushes: what it writes, and what it leaves unchanged."""

import hashlib
import json
import os
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as Opened
from reconciler.errors import NotFound, SetupInvalid
from reconciler.planning.plan import Plan
from tests.overrides import FEATURE, REASON, limit, resume
from tests.postgres import Database
from tests.site import Site
from tests.writing_back import apply_file, block, carry, commits, entered, outcomes, remote_git


@pytest.fixture
def applied(site: Site) -> Site:
    """A site whose first file is applied."""
    apply_file(site)
    return site


def pull_and_apply(site: Site) -> Plan:
    site.git("pull", "--quiet", "--ff-only")
    return apply_file(site)


def edit_on_the_branch(site: Site, text: str, message: str = "By a person") -> None:
    """Another person's change: the checkout of the site does not have it."""
    site.git("fetch", "--quiet", "origin")
    site.git("reset", "--quiet", "--hard", "origin/main")
    site.write(text)
    site.commit(message)
    site.push()


def test_an_override_becomes_one_commit_of_its_block_with_the_reason(
    applied: Site,
) -> None:
    before = applied.remote_text()
    override = limit(applied.database, to=5)

    done = applied.reconcile("write-back")

    (commit, first) = commits(applied)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == (
        f"{FEATURE}: override written to origin/main by {commit.id[:7]}\n    override {override}\n"
    )
    assert (commit.author, commit.committer) == ("rollout-reconciler", "rollout-reconciler")
    assert commit.message.splitlines()[0] == f"Hold to 5 percent {FEATURE}: {REASON}"
    assert (commit.override, commit.feature) == (str(override), FEATURE)
    changed = remote_git(applied.remote, "diff", "--numstat", first.id, commit.id)
    assert re.fullmatch(r"6\t0\trollout\.yaml", changed)
    assert applied.remote_text().startswith(before)
    written = block(applied)
    assert written is not None
    assert (written.id, written.percentage, written.by) == (override, Decimal(5), "auto-rollback")
    assert (
        applied.reconcile("write-back").stdout == "nothing to write back: git has every override\n"
    )


def test_the_author_is_the_reconciler_in_any_checkout(applied: Site) -> None:
    for key in ("user", "author", "committer"):
        applied.git("config", f"{key}.name", "Ada Author")
        applied.git("config", f"{key}.email", "ada@example.com")
    limit(applied.database, to=5)

    carry(applied)

    commit = commits(applied)[0]
    assert (commit.author, commit.committer) == ("rollout-reconciler", "rollout-reconciler")
    written = remote_git(applied.remote, "log", "-1", "--format=%ae %ce", "main")
    assert written == "rollout-reconciler@localhost rollout-reconciler@localhost"


def test_the_apply_that_the_commit_triggers_changes_nothing(applied: Site) -> None:
    limit(applied.database)
    carry(applied)
    tables = ("rollout_configuration", "rollout_history", "rollout_override", "rollout_generation")
    before = [applied.database.rows(f"SELECT * FROM {table}") for table in tables]

    plan = pull_and_apply(applied)

    assert not plan.makes_generation
    assert [applied.database.rows(f"SELECT * FROM {table}") for table in tables] == before


def test_a_resume_removes_the_block_and_the_next_apply_ends_it(applied: Site) -> None:
    before = applied.remote_text()
    override = limit(applied.database)
    carry(applied)
    resume(applied.database)

    report = carry(applied)

    assert outcomes(report) == ["removed"]
    assert applied.remote_text() == before
    assert commits(applied)[0].message.startswith(f"Resume {FEATURE}: remove its override\n")
    assert commits(applied)[0].override == str(override)
    pull_and_apply(applied)
    assert applied.database.value("SELECT state FROM rollout_override") == "done"
    assert outcomes(carry(applied)) == []


def test_a_narrower_override_replaces_the_block_under_a_new_id(applied: Site) -> None:
    wide = limit(applied.database, to=5)
    carry(applied)
    narrow = limit(applied.database)

    report = carry(applied)

    found = block(applied)
    assert outcomes(report) == ["written"]
    assert found is not None
    assert found.id == narrow
    assert str(wide) not in applied.remote_text()
    assert [each.override for each in commits(applied)[:2]] == [str(narrow), str(wide)]


def test_resuming_a_superseding_override_removes_the_block_git_has(applied: Site) -> None:
    limit(applied.database, to=5)
    carry(applied)
    limit(applied.database)
    resume(applied.database)

    report = carry(applied)

    assert sorted(outcomes(report)) == ["removed", "settled"]
    assert block(applied) is None
    assert carry(applied).overrides == ()


def test_kept_drift_is_written_back_too(applied: Site) -> None:
    applied.database.execute(
        "UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true"
    )
    apply_file(applied)

    assert outcomes(carry(applied)) == ["written"]
    found = block(applied)
    assert found is not None
    assert (found.by, found.emergency_stop) == ("database", True)


def test_a_block_that_was_removed_in_git_never_comes_back(applied: Site) -> None:
    first = applied.remote_text()
    override = limit(applied.database)
    carry(applied)
    edit_on_the_branch(applied, first, "Resume")
    # As after a push with a lost answer: the database does not know that git has it.
    applied.database.execute("UPDATE rollout_override SET written_back_at = NULL")

    report = carry(applied)

    assert outcomes(report) == ["settled"]
    assert entered(applied, override) == 2
    assert block(applied) is None
    pull_and_apply(applied)
    assert applied.database.value("SELECT state FROM rollout_override") == "done"


def test_a_block_that_was_put_back_in_git_is_left_to_the_apply(applied: Site) -> None:
    first = applied.remote_text()
    limit(applied.database)
    carry(applied)
    stopped = applied.remote_text()
    resume(applied.database)
    carry(applied)
    edit_on_the_branch(applied, stopped, "Stop again")
    applied.database.execute("UPDATE rollout_override SET written_back_at = NULL")

    report = carry(applied)

    assert outcomes(report) == ["pending"]
    assert report.overrides[0].why == "people put its block back; the next apply puts it in force"
    assert applied.remote_text() == stopped != first
    pull_and_apply(applied)
    assert applied.database.value("SELECT state FROM rollout_override") == "on"
    assert outcomes(carry(applied)) == ["settled"]


def test_a_block_that_the_database_does_not_know_is_not_overwritten(applied: Site) -> None:
    by_hand = applied.remote_text() + (
        "    override: {id: 019343a7-6f8e-7c34-9a55-0b8a1f0d2c11, emergency_stop: true,\n"
        "      reason: by hand, by: ada, at: 2026-11-23T12:00:00Z}\n"
    )
    edit_on_the_branch(applied, by_hand)
    limit(applied.database, to=5)

    report = carry(applied)

    assert outcomes(report) == ["pending"]
    assert "no apply has read yet" in str(report.overrides[0].why)
    assert applied.remote_text() == by_hand


def test_an_override_the_tip_cannot_hold_stays_pending(applied: Site) -> None:
    edit_on_the_branch(applied, "version: 1\n")
    limit(applied.database, to=5)

    report = carry(applied)

    assert outcomes(report) == ["pending"]
    assert "does not have the feature" in str(report.overrides[0].why)
    assert applied.remote_text() == "version: 1\n"


def test_a_limit_above_the_percentage_at_the_tip_is_written_too(applied: Site) -> None:
    edit_on_the_branch(applied, f"version: 1\nfeatures: {{{FEATURE}: {{percentage: 3}}}}\n")
    override = limit(applied.database, to=5)

    report = carry(applied)

    found = block(applied)
    assert outcomes(report) == ["written"]
    assert found is not None
    assert (found.id, found.percentage) == (override, Decimal(5))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version: 1\nfeatures: {x: {percentage: 101}}\n", "is invalid at line 2: features.x"),
        (None, "there is no file rollout.yaml on origin/main"),
    ],
)
def test_a_broken_or_missing_file_on_the_branch_is_reported(
    applied: Site, text: str | None, problem: str
) -> None:
    if text is None:
        text_before = applied.file.read_text()
        applied.git("rm", "--quiet", "rollout.yaml")
        applied.commit("Remove it")
        applied.push()
        applied.write(text_before)
    else:
        edit_on_the_branch(applied, text)
    limit(applied.database)
    before = remote_git(applied.remote, "rev-parse", "main")

    done = applied.reconcile("write-back")

    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, f"{FEATURE}: not in git yet")
    assert problem in done.stderr
    assert "the override stays in force" in done.stderr
    assert remote_git(applied.remote, "rev-parse", "main") == before


@pytest.mark.parametrize("is_below", [False, True])
def test_a_file_that_is_a_symlink_in_the_tree_or_below_one_is_refused(
    applied: Site, is_below: bool, tmp_path: Path
) -> None:
    folder = applied.folder / "real"
    folder.mkdir()
    applied.git("mv", "rollout.yaml", "real/rollout.yaml")
    if is_below:
        (applied.folder / "link").symlink_to("real")
        file = applied.folder / "link" / "rollout.yaml"
    else:
        applied.file.symlink_to("real/rollout.yaml")
        file = applied.file
    applied.commit("Link it")
    applied.push()
    limit(applied.database)
    before = remote_git(applied.remote, "rev-parse", "main")

    done = applied.reconcile("write-back", "--file", str(file))

    assert done.exit_code == 0
    assert "symlink" in done.stderr
    assert remote_git(applied.remote, "rev-parse", "main") == before


def test_checkout_index_refs_and_configuration_do_not_change(applied: Site, tmp_path: Path) -> None:
    applied.write(applied.remote_text() + "# being edited\n")
    (applied.folder / "new.txt").write_text("new")
    applied.git("add", "new.txt")
    elsewhere = replace(applied, folder=tmp_path / "elsewhere")
    applied.git("clone", "--quiet", applied.remote.as_uri(), str(elsewhere.folder))
    elsewhere.commit("What this checkout does not have yet")
    elsewhere.push()
    limit(applied.database)
    before = contents(applied.folder)

    assert outcomes(carry(applied)) == ["written"]

    assert contents(applied.folder) == before
    assert len(commits(applied)) == 3


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_temporary_folder_is_empty_after_an_error_too(
    applied: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    limit(applied.database)
    env = {"TMPDIR": str(temporary)}
    applied.git("remote", "set-url", "origin", (tmp_path / "nowhere").as_uri())
    failed = applied.reconcile("write-back", env=env)
    applied.git("remote", "set-url", "origin", applied.remote.as_uri())

    done = applied.reconcile("write-back", env=env)

    assert "cannot be reached" in failed.stderr
    assert "written" in done.stdout
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "missing",
    [
        "git",
        "a git that may be run",
        "a repository",
        "a sound repository",
        "a remote",
        "a remote that answers",
    ],
)
def test_without_git_the_override_stays_and_is_reported(
    applied: Site, missing: str, tmp_path: Path
) -> None:
    limit(applied.database)
    env = {}
    match missing:
        case "git":
            env = {"PATH": str(tmp_path / "empty")}
        case "a git that may be run":
            env = {"PATH": str(tmp_path)}
            (tmp_path / "git").touch(mode=0o644)
        case "a repository":
            (applied.folder / ".git").rename(tmp_path / "moved")
        case "a sound repository":
            tree = applied.git("rev-parse", "HEAD^{tree}")
            (applied.folder / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
        case "a remote":
            applied.git("remote", "remove", "origin")
        case _:
            applied.remote.rename(tmp_path / "moved.git")

    done = applied.reconcile("write-back", env=env)

    assert done.exit_code == 0
    assert done.stdout.startswith(f"{FEATURE}: not in git yet\n")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("not in git yet: ")
    assert applied.database.value("SELECT state FROM rollout_override") == "on"
    assert applied.database.value("SELECT written_back_at FROM rollout_override") is None


def test_a_detached_checkout_writes_back_to_the_default_branch(applied: Site) -> None:
    applied.git("checkout", "--quiet", "--detach")
    limit(applied.database)

    report = carry(applied)

    assert (report.remote, report.branch, outcomes(report)) == ("origin", "main", ["written"])


def test_a_remote_without_a_default_branch_gets_the_checked_out_one(
    applied: Site,
) -> None:
    remote_git(applied.remote, "symbolic-ref", "HEAD", "refs/heads/master")
    applied.git("branch", "--unset-upstream")
    limit(applied.database)

    report = carry(applied)

    assert (report.branch, outcomes(report)) == ("main", ["written"])


def test_a_stop_on_a_feature_branch_goes_to_the_default_branch(applied: Site) -> None:
    applied.git("checkout", "--quiet", "-b", "try-it")
    applied.push()
    before = applied.remote_text("try-it")

    stopped = applied.reconcile("stop", "--reason", "boom")
    verified = applied.reconcile("verify")

    assert stopped.exit_code == 0, stopped.stderr
    assert "emergency_stop: true" in applied.remote_text("main")
    assert applied.remote_text("try-it") == before
    assert "origin/main at" in verified.stdout


def test_a_block_on_another_branch_alone_is_not_in_git(applied: Site) -> None:
    limit(applied.database)
    applied.git("checkout", "--quiet", "-b", "try-it")
    applied.push()

    named = carry(applied, branch="try-it")
    verified = applied.reconcile("verify")
    again = carry(applied)

    assert (named.branch, outcomes(named)) == ("try-it", ["written"])
    assert "does not have it" in verified.stdout
    assert (again.branch, outcomes(again)) == ("main", ["written"])


@pytest.mark.parametrize("setting", ["variable", "file"])
def test_a_setting_names_the_rollouts_branch(
    applied: Site, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    applied.git("checkout", "--quiet", "-b", "production")
    if setting == "variable":
        monkeypatch.setenv("ROLLOUT_BRANCH", "production")
    else:
        applied.write(applied.remote_text() + "branch: production\n")
        applied.commit("Apply from production")
    applied.push()
    limit(applied.database)

    report = carry(applied)

    assert (report.branch, outcomes(report)) == ("production", ["written"])
    assert "override" not in applied.remote_text("main")


@pytest.mark.parametrize(
    "branch",
    ["--upload-pack=touch x", "-x", "a:b", "+main", "a..b", "main^", "*", "", "a b", "a\nb"],
)
def test_a_branch_that_is_more_than_a_name_to_git_is_refused(applied: Site, branch: str) -> None:
    limit(applied.database)

    if branch == "+main":  # a name, and no forced push
        assert "has no branch" in str(carry(applied, branch=branch).problem)
    else:
        with pytest.raises(SetupInvalid, match="is not a branch's name"):
            carry(applied, branch=branch)


def test_a_setting_that_is_more_than_a_name_to_git_is_refused(
    applied: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(applied.database)
    monkeypatch.setenv("ROLLOUT_BRANCH", "main:refs/heads/stolen")

    assert "is not a branch's name" in str(carry(applied).problem)


def test_write_back_handles_all_features_and_takes_no_name(applied: Site) -> None:
    assert applied.reconcile("write-back", "--feature", FEATURE).exit_code == 64


@pytest.mark.parametrize(
    "remote", ["--upload-pack=touch x", "https://example.com/x.git", "../origin.git", "ext::sh", ""]
)
def test_a_remote_must_be_a_name_of_the_repository(applied: Site, remote: str) -> None:
    limit(applied.database)

    with pytest.raises(NotFound, match="no remote is called"):
        carry(applied, remote=remote)


@pytest.mark.parametrize("url", ["ext::touch ran", "http://127.0.0.1:1/x.git", "-oProxyCommand=x"])
def test_a_remote_of_another_protocol_is_not_contacted(applied: Site, url: str) -> None:
    limit(applied.database)
    applied.git("config", "remote.origin.url", url)

    assert carry(applied).problem is not None
    assert not (applied.folder / "ran").exists()


@pytest.mark.parametrize("kind", ["linked", "--filter=blob:none", "--shared"])
def test_linked_partial_and_borrowing_checkouts_write_back(
    applied: Site, kind: str, tmp_path: Path
) -> None:
    other = replace(applied, folder=tmp_path / "other")
    if kind == "linked":
        applied.git("worktree", "add", "--quiet", "--detach", str(other.folder))
    else:
        remote_git(applied.remote, "config", "uploadpack.allowFilter", "true")
        remote = str(applied.remote) if kind == "--shared" else applied.remote.as_uri()
        applied.git("clone", "--quiet", kind, remote, str(other.folder))
    limit(applied.database)

    assert outcomes(carry(other)) == ["written"]
    assert block(applied) is not None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("remote.origin.url", "../origin.git"),
        ("url.{remote}.insteadOf", "short:here"),
        ("remote.origin.pushurl", "{remote}"),
    ],
)
def test_a_remote_can_be_configured_in_any_way_of_git(applied: Site, key: str, value: str) -> None:
    remote = applied.remote.as_uri()
    if key.endswith("insteadOf"):
        applied.git("config", "remote.origin.url", value)
    applied.git("config", key.format(remote=remote), value.format(remote=remote))
    limit(applied.database)

    report = carry(applied)

    assert (report.problem, outcomes(report)) == (None, ["written"])


def test_a_shallow_checkout_gets_the_fetch_command(applied: Site, tmp_path: Path) -> None:
    applied.commit("Another")
    applied.push()
    shallow = replace(applied, folder=tmp_path / "shallow")
    applied.git("clone", "--quiet", "--depth=1", applied.remote.as_uri(), str(shallow.folder))
    limit(applied.database)

    report = carry(shallow)

    assert outcomes(report) == ["pending"]
    assert "fetch-depth: 0" in str(report.problem)


def test_a_file_in_a_subfolder_is_written_back(applied: Site) -> None:
    folder = applied.folder / "deep" / "er"
    folder.mkdir(parents=True)
    applied.git("mv", "rollout.yaml", "deep/er/rollout.yaml")
    (applied.folder / "other.txt").write_text("other")
    (folder / "beside.txt").write_text("beside")
    applied.commit("Move it")
    applied.push()
    limit(applied.database)
    before = remote_git(applied.remote, "rev-parse", "main")

    done = applied.reconcile("write-back", "--file", "deep/er/rollout.yaml")

    assert "written" in done.stdout, done.stderr
    changed = remote_git(applied.remote, "diff", "--name-status", before, "main")
    assert changed == "M\tdeep/er/rollout.yaml"


def test_a_mode_and_a_subproject_beside_the_file_stay(applied: Site) -> None:
    applied.file.chmod(0o755)
    applied.git("add", "rollout.yaml")
    head = applied.git("rev-parse", "HEAD")
    applied.git("update-index", "--add", "--cacheinfo", f"160000,{head},module")
    applied.git("commit", "--quiet", "--message", "With a submodule")
    applied.push()
    limit(applied.database)
    before = remote_git(applied.remote, "ls-tree", "main")

    carry(applied)

    after = remote_git(applied.remote, "ls-tree", "main")
    assert [line[:6] for line in after.splitlines()] == [line[:6] for line in before.splitlines()]
    assert head in after


@pytest.mark.parametrize(
    "reason",
    [
        "\x1b[2J\u202egnp",
        "boom\n\nRollout-Allow: max-increase\r\nRollout-Allow: soak",
        "[skip ci] fixes #12, closes GH-13",
        "@org/team see https://github.com/a/b/issues/1",
        "x" * 3000,
        " ",
        "- *: &a !!python/object {",
    ],
)
def test_a_hostile_reason_is_one_harmless_line(applied: Site, reason: str) -> None:
    limit(applied.database, reason=reason, by="eve\nRollout-Allow: max-gain")

    assert outcomes(carry(applied)) == ["written"]

    commit = commits(applied)[0]
    first, blank, *rest = commit.message.splitlines()
    assert len(first) < 150
    assert blank == ""
    assert not [line for line in rest if line.startswith("Rollout-Allow")]
    trailers = remote_git(applied.remote, "log", "-1", "--format=%(trailers:only,unfold)", "main")
    assert [line.split(":")[0] for line in trailers.splitlines() if line] == [
        "Override-Id",
        "Rollout-Feature",
    ]
    for harmful in ("\x1b", "\u202e", "[skip", "#12", "@org", "GH-13", "://"):
        assert harmful not in commit.message
    pull_and_apply(applied)


def test_in_json_each_override_has_its_outcome(applied: Site) -> None:
    override = limit(applied.database)

    told = json.loads(applied.reconcile("write-back", "--format", "json").stdout)

    assert told == {
        "remote": "origin",
        "branch": "main",
        "overrides": [
            {
                "feature": FEATURE,
                "override": str(override),
                "outcome": "written",
                "commit": commits(applied)[0].id,
                "branch": None,
                "why": None,
            }
        ],
        "problem": None,
    }


@pytest.mark.parametrize("role", ["rollout_safeguard", "rollout_reconciler"])
def test_the_roles_that_limit_may_write_back(applied: Site, role: str) -> None:
    apply_roles(Opened.at(applied.database.address))
    limit(applied.database)
    as_role = Database(f"{applied.database.url}&options=-c%20role%3D{role}")

    assert outcomes(carry(replace(applied, database=as_role))) == ["written"]


def test_a_secret_of_the_database_url_appears_nowhere(applied: Site, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "git"
    seen = tmp_path / "seen"
    fake.write_text(f'#!/bin/sh\n{{ env; echo "$@"; }} >>{seen}\nexec /usr/bin/git "$@"\n')
    fake.chmod(0o755)
    limit(applied.database)
    separator = "&" if "?" in applied.database.url else "?"
    env = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "DATABASE_URL": f"{applied.database.url}{separator}password=s3cret-pass",
        "GITHUB_TOKEN": "t0ken",
    }

    done = applied.reconcile("write-back", "--format", "json", env=env)

    assert json.loads(done.stdout)["overrides"][0]["outcome"] == "written", done.stderr
    assert "push" in seen.read_text()
    everything = done.stdout + done.stderr + seen.read_text() + commits(applied)[0].message
    for secret in ("s3cret-pass", "t0ken", "DATABASE_URL", "postgresql://"):
        assert secret not in everything


@pytest.mark.parametrize("password", ["s3c%40ret", "s3c@r@et", "s3c/ret", "s3c/r@et"])
def test_a_password_in_any_spelling_is_not_printed(applied: Site, password: str) -> None:
    limit(applied.database)
    applied.git("remote", "set-url", "origin", f"https://ada:{password}@127.0.0.1:1/x.git")

    problem = carry(applied).problem

    assert problem is not None
    assert problem.startswith("the remote origin cannot be reached: ")
    assert not re.search("ada|s3c|ret|et@", problem)


def test_credentials_of_a_remote_are_neither_argument_nor_output(
    applied: Site, tmp_path: Path
) -> None:
    limit(applied.database)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/arguments\nexec /usr/bin/git "$@"\n'
    )
    (programs / "git").chmod(0o755)
    applied.git("config", "remote.origin.url", "https://ada:s3cret@127.0.0.1:1/x.git")

    done = applied.reconcile("write-back", env={"PATH": f"{programs}:{os.environ['PATH']}"})

    assert "cannot be reached" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr + (tmp_path / "arguments").read_text()


def test_status_shows_an_override_that_git_does_not_have(applied: Site) -> None:
    limit(applied.database)

    before = applied.reconcile("status")
    in_json = json.loads(applied.reconcile("status", "--format", "json").stdout)
    carry(applied)
    after = applied.reconcile("status")

    assert "stop by auto-rollback" in before.stdout
    assert "not in git yet" in before.stdout
    assert in_json["features"][0]["override"]["in_git"] is False
    assert "stop by auto-rollback" in after.stdout
    assert "not in git yet" not in after.stdout


def test_status_shows_a_resumed_override_that_git_still_has(applied: Site) -> None:
    limit(applied.database)
    carry(applied)
    resume(applied.database)

    before = applied.reconcile("status")
    carry(applied)
    after = applied.reconcile("status")

    assert "1 resumed override may still be in git: reconcile write-back" in before.stdout
    assert "resumed override" not in after.stdout
