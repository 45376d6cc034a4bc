"""Unusual repositories and machines: git is missing, old or foreign, or a pull request adds git files."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.merges import commit_percentage, percentage
from tests.overrides import limit
from tests.site import Site
from tests.writing_back import remote_git

NOTHING_APPLIED = "SELECT count(*) FROM rollout_generation"


def git_that(folder: Path, script: str) -> dict[str, str]:
    """An environment in which `git` is a script that ends with the real git."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "git").write_text(f'#!/bin/sh\n{script}\nexec {shutil.which("git")} "$@"\n')
    (programs / "git").chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}"}


@pytest.mark.parametrize("env", [{}, {"CI": "true"}])
def test_a_checkout_without_the_program_git_is_not_outside_git(
    site: Site, tmp_path: Path, env: dict[str, str]
) -> None:
    done = site.reconcile(env={**env, "PATH": str(tmp_path / "empty")})

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "error: git cannot be run: it is not on PATH, or its file is not executable; install git\n"
    )
    assert site.database.value(NOTHING_APPLIED) == 0


def test_a_checkout_of_another_owner_is_refused_with_gits_remedy(
    site: Site, tmp_path: Path
) -> None:
    env = git_that(tmp_path, "export GIT_TEST_ASSUME_DIFFERENT_OWNER=1")

    done = site.reconcile(env=env)

    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "detected dubious ownership" in done.stderr
    assert f"run: git config --global --add safe.directory {site.folder}" in done.stderr
    assert site.database.value(NOTHING_APPLIED) == 0


@pytest.mark.parametrize("lost", ["HEAD", "objects", "refs"])
def test_a_damaged_checkout_is_not_outside_git(site: Site, lost: str) -> None:
    commit_percentage(site, 12)
    site.push()
    site.reconcile()
    site.git("checkout", "--quiet", "HEAD~1")
    (site.folder / ".git" / lost).rename(site.folder / ".git" / "lost")

    done = site.reconcile(env={"CI": "true"})
    stopped = site.reconcile("stop", "--reason", "boom")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: git finds no repository in {site.folder / '.git'}: a part of it is missing, damaged or "
        "not readable for this user; repair it, or clone again\n"
    )
    assert stopped.exit_code == 0
    assert "git finds no repository in" in stopped.stderr
    assert site.database.value(NOTHING_APPLIED) == 1


@pytest.mark.parametrize("flag", ["skip-worktree", "assume-unchanged"])
def test_an_edit_that_git_is_set_to_overlook_is_uncommitted(site: Site, flag: str) -> None:
    site.reconcile()
    site.git("update-index", f"--{flag}", "rollout.yaml")
    unchanged = site.reconcile("--require-commit")
    site.replace("percentage: 10", "percentage: 12")

    required = site.reconcile("--require-commit")
    committed = site.reconcile("set", "14", "--commit")
    preview = site.reconcile("--dry-run")

    assert (unchanged.exit_code, required.exit_code, committed.exit_code) == (0, 3, 1)
    assert "uncommitted" in preview.stdout
    assert len(committed.stderr.splitlines()) == 1
    assert "git update-index --no-assume-unchanged --no-skip-worktree" in committed.stderr
    assert percentage(site) == 10


def test_a_file_with_other_line_ends_in_the_checkout_is_committed(site: Site) -> None:
    site.git("config", "core.autocrlf", "true")
    site.file.unlink()
    site.git("checkout", "--quiet", "--", "rollout.yaml")
    site.git("update-index", "--assume-unchanged", "rollout.yaml")
    assert b"\r\n" in site.file.read_bytes()

    assert site.reconcile("--require-commit").exit_code == 0


def test_parents_that_only_this_clone_gives_a_commit_do_not_count(site: Site) -> None:
    site.reconcile()
    applied = site.git("rev-parse", "HEAD")
    site.git("checkout", "--quiet", "--orphan", "other")
    other = commit_percentage(site, 12)
    site.git("replace", "--graft", other, applied)

    done = site.reconcile()

    assert (done.exit_code, percentage(site)) == (3, 10)


@pytest.mark.parametrize("command", [["--dry-run"], ["set", "25", "--commit"]])
def test_a_git_that_is_too_old_is_refused_in_a_sentence(
    site: Site, tmp_path: Path, command: list[str]
) -> None:
    env = git_that(tmp_path, 'case "$*" in *version) echo git version 2.30.2; exit;; esac')

    done = site.reconcile(*command, env=env)

    assert (done.exit_code, done.stdout) == (1, "")
    assert "git version 2.30.2 is too old; install git 2.38 or newer" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "percentage: 10" in site.file.read_text()


def plant_bare_repository(folder: Path, ran: Path) -> None:
    """What a pull request can add: a bare repository whose configuration names programs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    for each in ("objects/info", "refs/heads"):
        (folder / each).mkdir(parents=True)
        (folder / each / "kept").write_text("")
    (folder / "config").write_text(
        "[core]\n"
        "\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n"
        f'\tfsmonitor = "touch {ran}; false"\n\tsshCommand = "touch {ran}; false"\n'
        f'[filter "run"]\n\tclean = "touch {ran}; cat"\n\tsmudge = "touch {ran}; cat"\n'
        f'[gpg]\n\tprogram = "touch {ran}; false"\n'
        "[commit]\n\tgpgSign = true\n"
        f'[remote "origin"]\n\turl = "ssh://nowhere.invalid/x"\n\tuploadpack = "touch {ran}; false"\n'
        f'[diff "run"]\n\ttextconv = "touch {ran}; cat"\n'
    )
    (folder / ".gitattributes").write_text("* filter=run diff=run\n")


@pytest.mark.parametrize(
    "command",
    [
        ["--dry-run"],
        ["set", "25", "--commit"],
        ["set", "25", "--commit", "--push"],
        ["stop", "--reason", "boom"],
    ],
)
@pytest.mark.parametrize("above", ["services/rollout", "services"])
def test_a_planted_bare_repository_decides_and_runs_nothing(
    site: Site, tmp_path: Path, command: list[str], above: str
) -> None:
    ran = tmp_path / "ran"
    folder = site.folder / "services" / "rollout"
    folder.mkdir(parents=True)
    (folder / "rollout.yaml").write_text(site.file.read_text())
    plant_bare_repository(site.folder / above, ran)
    site.git("add", "--all", "--force")
    site.commit("A pull request of somebody")
    site.push()
    file = ["--file", "services/rollout/rollout.yaml"]
    site.reconcile(*file, "--yes")
    before = site.git("rev-parse", "HEAD")

    done = site.reconcile(command[0], *file, *command[1:])

    assert done.exit_code == 0, done.stderr
    assert not ran.exists()
    # git must use the repository that people cloned.
    if "--commit" in command:
        assert site.git("rev-parse", "HEAD~1") == before
    if "stop" in command:
        assert "emergency_stop: true" in remote_git(
            site.remote, "show", "main:services/rollout/rollout.yaml"
        )


def test_a_planted_bare_repository_outside_git_runs_nothing(site: Site, tmp_path: Path) -> None:
    ran, folder = tmp_path / "ran", tmp_path / "unpacked" / "inner"
    plant_bare_repository(folder.parent, ran)
    folder.mkdir()
    (folder / "rollout.yaml").write_text(site.file.read_text())

    done = site.reconcile("--file", str(folder / "rollout.yaml"), "--dry-run", "--format", "json")

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["commit"] is None
    assert not ran.exists()


def test_a_partial_clone_whose_remote_is_away_is_one_line(site: Site, tmp_path: Path) -> None:
    site.reconcile()
    limit(site.database)
    for number in (11, 12):
        commit_percentage(site, number)
    site.push()
    remote_git(site.remote, "config", "uploadpack.allowFilter", "true")
    partial = Site(tmp_path / "partial", site.remote, site.database)
    site.git("clone", "--quiet", "--filter=blob:none", site.remote.as_uri(), str(partial.folder))
    site.remote.rename(tmp_path / "away.git")

    done = partial.reconcile()

    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "promisor remote" in done.stderr
    assert percentage(site) == 0


def test_a_partial_clone_reads_what_it_lacks_from_its_remote(site: Site, tmp_path: Path) -> None:
    site.reconcile()
    limit(site.database)
    commit_percentage(site, 12)
    site.push()
    remote_git(site.remote, "config", "uploadpack.allowFilter", "true")
    partial = Site(tmp_path / "partial", site.remote, site.database)
    site.git("clone", "--quiet", "--filter=blob:none", site.remote.as_uri(), str(partial.folder))

    done = partial.reconcile("write-back")

    assert done.exit_code == 0, done.stderr
    assert "emergency_stop: true" in site.remote_text()


def test_a_text_conversion_of_yaml_hides_no_override(site: Site) -> None:
    (site.folder / ".gitattributes").write_text("*.yaml diff=hide\n")
    site.git("config", "diff.hide.textconv", "echo hidden; true")
    site.commit("Convert it")
    site.push()
    before = site.remote_text()
    site.reconcile()
    limit(site.database)
    site.reconcile("write-back")
    site.git("pull", "--quiet")
    site.reconcile()
    site.write(before)
    site.commit("Resume")
    site.push()

    done = site.reconcile()

    assert done.exit_code == 0, done.stderr
    assert site.database.value("SELECT state FROM rollout_override") == "done"
    assert site.remote_text() == before


SIGNS = """\
#!/bin/sh
echo "$@" >>{log}
cat >/dev/null
echo '[GNUPG:] SIG_CREATED ' >&2
echo '-----BEGIN PGP SIGNATURE-----'
echo
echo 'c2lnbmVk'
echo '-----END PGP SIGNATURE-----'
"""


def sign_with(site: Site, folder: Path, script: str) -> None:
    """Make git sign commits with a script."""
    program = folder / "sign"
    program.write_text(script)
    program.chmod(0o755)
    for key, value in (
        ("gpg.program", str(program)),
        ("commit.gpgSign", "true"),
        ("user.name", "Grace Signer"),
        ("user.email", "grace@example.com"),
        ("user.signingKey", "ABCD"),
    ):
        site.git("config", key, value)


def test_write_back_signs_where_git_is_configured_to(site: Site, tmp_path: Path) -> None:
    log = tmp_path / "signed"
    site.reconcile()
    sign_with(site, tmp_path, SIGNS.format(log=log))
    limit(site.database)

    done = site.reconcile("write-back")

    assert done.exit_code == 0, done.stderr
    commit = remote_git(site.remote, "cat-file", "commit", "main")
    assert "gpgsig -----BEGIN PGP SIGNATURE-----" in commit
    assert "author rollout-reconciler <rollout-reconciler@localhost>" in commit
    # A hosting service compares the signature's key with the committer's address.
    assert "committer Grace Signer <grace@example.com>" in commit
    assert "ABCD" in log.read_text()


def test_a_signature_that_fails_leaves_the_override_pending(site: Site, tmp_path: Path) -> None:
    site.reconcile()
    sign_with(site, tmp_path, "#!/bin/sh\necho 'no secret key' >&2\nexit 2\n")
    limit(site.database)
    before = remote_git(site.remote, "rev-parse", "main")

    done = site.reconcile("write-back")

    assert done.exit_code == 0
    assert len(done.stderr.splitlines()) == 1
    assert "gpg failed to sign" in done.stderr
    assert remote_git(site.remote, "rev-parse", "main") == before


def test_write_back_without_a_signature_names_itself(site: Site) -> None:
    site.reconcile()
    limit(site.database)

    site.reconcile("write-back")

    commit = remote_git(site.remote, "cat-file", "commit", "main")
    assert "gpgsig" not in commit
    assert commit.count("rollout-reconciler <rollout-reconciler@localhost>") == 2


def test_the_remotes_own_reason_is_shown_whole(site: Site) -> None:
    site.reconcile()
    hook = site.remote / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\necho 'error: GH013: Repository rule violations found' >&2\n"
        "echo '- Commits must have verified signatures.' >&2\n"
        "printf 'see\\tthe \\033[31mrules\\n' >&2\nexit 1\n"
    )
    hook.chmod(0o755)
    limit(site.database)

    done = site.reconcile("write-back", "--format", "json")

    (override,) = json.loads(done.stdout)["overrides"]
    assert override["outcome"] == "pending"
    assert "GH013: Repository rule violations found" in override["why"]
    assert "Commits must have verified signatures" in override["why"]
    assert "\n" not in override["why"]
    assert "\x1b" not in override["why"]


def test_variables_of_a_hook_lead_to_no_other_repository(site: Site, tmp_path: Path) -> None:
    site.git("init", "--quiet", str(tmp_path / "other"))
    other = tmp_path / "other" / ".git"
    env = {
        "GIT_DIR": str(other),
        "GIT_WORK_TREE": str(tmp_path / "other"),
        "GIT_INDEX_FILE": str(other / "index"),
        "GIT_OBJECT_DIRECTORY": str(other / "objects"),
        "GIT_COMMON_DIR": str(other),
        "GIT_NAMESPACE": "elsewhere",
        "GIT_PREFIX": "elsewhere/",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.worktree",
        "GIT_CONFIG_VALUE_0": str(tmp_path),
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_EXTERNAL_DIFF": f"touch {tmp_path}/ran",
        "GIT_PROXY_COMMAND": f"touch {tmp_path}/ran",
        "GIT_ASKPASS": f"touch {tmp_path}/ran",
    }
    before = {str(path) for path in other.rglob("*")}

    applied = site.reconcile("--yes", env=env)
    edited = site.reconcile("set", "12", "--commit", env=env)
    stopped = site.reconcile("stop", "--reason", "boom", env=env)

    assert [done.exit_code for done in (applied, edited, stopped)] == [0, 0, 0], edited.stderr
    assert "12" in site.git("log", "-1", "--format=%s")
    assert "emergency_stop: true" in site.remote_text()
    assert {str(path) for path in other.rglob("*")} == before
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "trace").exists()


def test_a_bare_repository_above_an_empty_git_folder_is_not_used(
    site: Site, tmp_path: Path
) -> None:
    ran, folder = tmp_path / "ran", tmp_path / "unpacked" / "inner"
    plant_bare_repository(folder.parent, ran)
    (folder / ".git").mkdir(parents=True)
    (folder / "rollout.yaml").write_text(site.file.read_text())

    done = site.reconcile("--file", str(folder / "rollout.yaml"), "--dry-run")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "cannot use bare repository" in done.stderr
    assert not ran.exists()
