"""The command line: options at any place, usage errors, one line for an error, no traceback."""

import json
import subprocess
import sys

import pytest

from tests.site import Site

NOWHERE = "postgresql://somebody:s3cret-pass@127.0.0.1:1/nowhere"


def test_shared_options_mean_the_same_before_a_command_and_after_it(site: Site) -> None:
    site.reconcile()
    before = site.reconcile("--format", "json", "--quiet", "status")
    after = site.reconcile("status", "--format", "json", "--quiet")

    assert before.stdout == after.stdout
    assert json.loads(after.stdout)["generation"] == 1


def test_the_option_after_the_command_wins(site: Site) -> None:
    done = site.reconcile("--file", "nowhere.yaml", "validate", "--file", "rollout.yaml")

    assert (done.exit_code, done.stdout) == (0, "rollout.yaml: valid\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dry-run", "status"], "--dry-run before 'status' has no effect"),
        (["--yes", "db", "status"], "--yes before 'db' has no effect"),
        (["--detailed-exitcode"], "--detailed-exitcode needs --dry-run"),
        (["--no-such-option"], "No such option"),
        (["histry"], "did you mean history?"),
        (["history", "--limit", "0"], "Invalid value for '--limit'"),
        (["history", "--since", "yesterday"], "'yesterday' is not a time"),
        (
            ["--format", "markdown", "status"],
            "--format markdown: this command has text and json only",
        ),
        (["--feature", "x"], "--feature cannot be used here: the file is applied as a whole"),
        (["repositories", "list", "--category", "huge"], "Invalid value for '--category'"),
        (["repositories", "list", "--category", "smal"], "'smal' is unknown; did you mean small?"),
        (["history", "--action", "percentage"], "did you mean percentage_changed?"),
        (["--allow", "max-increse"], "did you mean max-increase?"),
        (["db", "psql", "--format", "json"], "--format json: this command has text only"),
        (["completion", "bash", "--format", "json"], "--format json: this command has text only"),
        (["init", "--format", "json"], "--format json: this command has text only"),
        (["schema", "--format", "github"], "--format github: this command has text and json only"),
    ],
)
def test_a_wrong_command_line_exits_with_64_and_the_reason(
    site: Site, arguments: list[str], message: str
) -> None:
    done = site.reconcile(*arguments)

    assert done.exit_code == 64
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["stop", "--reason"],
        ["db", "url", "--file"],
        ["freeze", "add", "weekend", "--from"],
        ["--file"],
    ],
)
def test_a_value_that_is_missing_leads_to_the_help_of_the_command(
    site: Site, arguments: list[str]
) -> None:
    done = site.reconcile(*arguments)

    commands = [each for each in arguments if each not in {arguments[-1], "weekend"}]
    path = " ".join(["reconcile", *commands])
    assert (done.exit_code, done.stdout) == (64, "")
    assert done.stderr == (
        f"error: Option '{arguments[-1]}' requires an argument.\nsee {path} --help\n"
    )


def test_an_unreachable_database_is_one_line_without_its_password(site: Site) -> None:
    done = site.reconcile(env={"DATABASE_URL": NOWHERE})

    assert done.exit_code == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "127.0.0.1" in done.stderr
    assert "s3cret" not in done.stderr


def test_verbose_adds_the_traceback_without_the_password(site: Site) -> None:
    done = site.reconcile("--verbose", env={"DATABASE_URL": NOWHERE})

    assert done.exit_code == 1
    assert "Traceback" in done.stderr
    assert "s3cret" not in done.stderr + done.stdout


def test_an_invalid_file_shows_every_error_and_uses_no_database(site: Site) -> None:
    site.write("version: 1\nfeatures:\n  x:\n    percentage: 250\n    whitelst: []\n")

    done = site.reconcile(env={"DATABASE_URL": NOWHERE})

    assert done.exit_code == 1
    assert done.stderr == (
        "rollout.yaml:4:5: features.x.percentage: 250 is more than 100\n"
        "rollout.yaml:5:5: features.x: unknown key 'whitelst', did you mean 'whitelist'?\n"
    )


def test_a_missing_schema_names_the_command_that_creates_it(site: Site) -> None:
    site.database.execute("DROP TABLE rollout_schema_version")

    done = site.reconcile()

    assert (done.exit_code, done.stderr) == (
        1,
        "error: the database has no rollout schema; run: reconcile db upgrade\n",
    )


@pytest.mark.parametrize(
    ("revision", "message"),
    [("0000", "run: reconcile db upgrade"), ("9999", "install the newest rollout-reconciler")],
)
def test_another_schema_version_gets_the_next_step(site: Site, revision: str, message: str) -> None:
    site.database.execute(f"UPDATE rollout_schema_version SET version_num = '{revision}'")

    done = site.reconcile("--dry-run")

    assert done.exit_code == 1
    assert message in done.stderr


def test_a_read_only_database_is_one_line_and_nothing_is_written(site: Site) -> None:
    name = site.database.value("SELECT current_database()")
    site.database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    done = site.reconcile()

    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "read-only" in done.stderr
    assert site.database.value("SELECT count(*) FROM rollout_configuration") == 0


def test_a_dry_run_works_on_a_read_only_database(site: Site) -> None:
    name = site.database.value("SELECT current_database()")
    site.database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    assert site.reconcile("--dry-run").exit_code == 0


def test_a_closed_pipe_ends_quietly(site: Site) -> None:
    process = subprocess.run(
        f"{sys.executable} -m reconciler schema | head -c 10",
        shell=True,
        cwd=site.folder,
        env=site.environment({}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.stderr == ""


def test_init_writes_a_valid_file_once(site: Site) -> None:
    site.file.unlink()
    first = site.reconcile("init")
    valid = site.reconcile("validate")
    text = site.file.read_text()
    second = site.reconcile("init")

    assert (first.exit_code, valid.exit_code, second.exit_code) == (0, 0, 1)
    assert "is there already and stays as it is" in second.stderr
    assert site.file.read_text() == text


def test_the_next_step_names_the_file_that_was_given(site: Site) -> None:
    begun = site.reconcile("init", "--file", "my other.yaml")
    edited = site.reconcile("test-repos", "add", "a/b", "--file", "my other.yaml")
    named = site.reconcile("set", "20", env={"ROLLOUT_FILE": "rollout.yaml"})

    assert begun.stdout.endswith("reconcile --file 'my other.yaml' --dry-run\n")
    assert "lose: reconcile --file 'my other.yaml' --dry-run. Next: commit" in edited.stderr
    assert edited.stderr.endswith("apply it now: reconcile --file 'my other.yaml'\n")
    assert named.stderr.endswith("apply it now: reconcile\n")


def test_validate_reports_the_errors_of_every_file(site: Site) -> None:
    (site.folder / "good.yaml").write_text("version: 1\n")
    (site.folder / "bad.yaml").write_text("version: 2\n")
    (site.folder / "worse.yaml").write_text("features: {}\n")

    done = site.reconcile("validate", "bad.yaml", "good.yaml", "worse.yaml")

    assert done.exit_code == 1
    assert done.stdout == "good.yaml: valid\n"
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["bad.yaml", "worse.yaml"]


def test_validate_reports_a_missing_file_and_the_other_files(site: Site) -> None:
    (site.folder / "good.yaml").write_text("version: 1\n")
    (site.folder / "bad.yaml").write_text("version: 2\n")
    files = ("bad.yaml", "missing.yaml", "good.yaml")

    done = site.reconcile("validate", *files)
    told = site.reconcile("validate", *files, "--format", "json")

    assert (done.exit_code, done.stdout) == (1, "good.yaml: valid\n")
    bad, missing = done.stderr.splitlines()
    assert bad.startswith("bad.yaml:1:1: version: 2 is not a version")
    assert missing.startswith("error: missing.yaml: the file does not exist")
    assert told.exit_code == 1
    assert [
        (each["file"], len(each["findings"])) for each in json.loads(told.stdout)["errors"]
    ] == [
        ("bad.yaml", 1),
        ("missing.yaml", 1),
    ]


def test_rollout_file_environment_variable_names_the_file(site: Site) -> None:
    site.file.rename(site.folder / "other.yaml")

    done = site.reconcile("validate", env={"ROLLOUT_FILE": "other.yaml"})

    assert done.stdout == "other.yaml: valid\n"


def test_hostile_text_is_escaped_and_stored_complete(site: Site) -> None:
    site.write("version: 1\nfeatures:\n  hybrid_progressive_capture:\n    percentage: 10\n")
    site.commit("Evil \x1b[31m ::warning::subject | `tick` <b>")
    site.reconcile()

    shown = site.reconcile("history")

    assert "\x1b" not in shown.stdout
    assert "\\x1b[31m ::warning::subject" in shown.stdout
    assert site.database.value("SELECT reason FROM rollout_history") == (
        "Evil \x1b[31m ::warning::subject | `tick` <b>"
    )


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["history"],
        ["whitelist", "list"],
        ["exclude", "list"],
        ["test-repos", "list"],
        ["repositories", "list"],
        ["db", "status"],
        ["db", "url"],
    ],
)
def test_every_reading_command_prints_json(site: Site, command: list[str]) -> None:
    site.reconcile()

    done = site.reconcile(*command, "--format", "json")

    assert done.exit_code == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict)


def test_an_unknown_feature_is_an_error_with_the_nearest_name(site: Site) -> None:
    site.reconcile()

    done = site.reconcile("status", "--feature", "hybrid_progresive_capture")

    assert (done.exit_code, done.stderr) == (
        1,
        "error: no feature is called hybrid_progresive_capture; "
        "did you mean hybrid_progressive_capture?\n",
    )


def test_several_features_need_one_to_be_named(site: Site) -> None:
    site.write("version: 1\nfeatures:\n  one: {whitelist: [a/b]}\n  two: {}\n")
    site.reconcile()

    unnamed = site.reconcile("whitelist", "list")
    named = site.reconcile("whitelist", "list", "--feature", "one")

    assert unnamed.exit_code == 64
    assert "name one with --feature: one, two" in unnamed.stderr
    assert named.stdout == "a/b  (not in the database)\n"
