"""`reconcile db`, and the embedded database, for which a user installs nothing."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from reconciler.database import schema
from tests.site import Completed, Site

EMBEDDED: dict[str, str | None] = {"DATABASE_URL": None}


@pytest.fixture
def alone(site: Site) -> Iterator[Site]:
    """A site without its own database: the embedded one is beside the file."""
    yield site
    site.reconcile("db", "stop", env=EMBEDDED)


def run(site: Site, *arguments: str) -> Completed:
    return site.reconcile(*arguments, env=EMBEDDED)


def test_a_trial_needs_no_database(alone: Site) -> None:
    preview = run(alone, "--dry-run")
    done = run(alone)
    ignored = alone.git("status", "--porcelain")

    assert preview.exit_code == 0, preview.stderr
    assert done.stdout.endswith("Applied: 1 feature created, 1 change, generation 1.\n")
    assert (alone.folder / ".reconcile").is_dir()
    assert ignored == ""


def test_data_survives_a_stop_of_the_server(alone: Site) -> None:
    run(alone)
    stopped = run(alone, "db", "stop")
    again = run(alone, "status", "--format", "json")

    assert stopped.stdout == "the embedded database is stopped\n"
    assert json.loads(again.stdout)["generation"] == 1


def test_status_does_not_start_the_server(alone: Site) -> None:
    before = run(alone, "db", "status")
    run(alone, "db", "start")
    after = json.loads(run(alone, "db", "status", "--format", "json").stdout)

    assert before.stdout.splitlines()[1] == "state     absent"
    assert (after["state"], after["schema"]) == ("running", schema.NEWEST_REVISION)


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("stop", "--reason", "x"),
        ("health", "--rollback"),
        ("categorize",),
        ("metrics", "record", "acme/tools", "--processor", "x"),
        ("drift", "revert"),
        ("watch",),
        ("db", "url"),
        ("db", "psql"),
        ("db", "upgrade"),
        ("import",),
        ("write-back",),
    ],
)
def test_no_other_command_creates_the_database(alone: Site, command: tuple[str, ...]) -> None:
    done = run(alone, *command)

    assert done.exit_code == 1
    assert done.stderr.startswith(
        "error: there is no database: --database-url and DATABASE_URL are not set, and there is no "
        f"embedded database in {alone.folder / '.reconcile'}; "
    )
    assert not (alone.folder / ".reconcile").exists()


def test_every_use_of_the_embedded_database_is_reported(alone: Site) -> None:
    run(alone)
    folder = alone.folder / ".reconcile"

    shown = run(alone, "status")
    quiet = run(alone, "status", "--quiet")

    assert shown.stderr == f"using the embedded database in {folder}\n"
    assert quiet.stderr == ""
    assert f"the embedded database in {folder}\n" in run(alone, "db", "status").stdout


def test_a_trial_writes_nothing_to_the_remote(alone: Site) -> None:
    alone.push()
    before = alone.git("ls-remote", "origin")
    run(alone)

    stopped = run(alone, "stop", "--reason", "a trial")
    unchanged = alone.git("ls-remote", "origin")
    run(alone, "resume", "--reason", "a trial")
    asked = run(alone, "stop", "--reason", "on purpose", "--write-back")

    assert stopped.exit_code == 0
    assert "not written to git, because the database is the embedded one" in stopped.stderr
    assert unchanged == before
    assert "override written to origin/main" in asked.stdout
    assert "reason: on purpose" in alone.remote_text()


def test_stopping_a_stopped_server_is_not_an_error(alone: Site) -> None:
    done = run(alone, "db", "stop")

    assert (done.exit_code, done.stdout) == (0, "the embedded database was not running\n")


def test_the_url_is_one_that_libpq_takes(alone: Site) -> None:
    run(alone, "db", "start")
    url = run(alone, "db", "url").stdout.strip()

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_url_has_no_password(site: Site) -> None:
    done = site.reconcile("db", "url", env={"DATABASE_URL": "postgresql://me:s3cret@h:5/d"})

    assert done.exit_code == 0
    assert "s3cret" not in done.stdout
    assert "user=me" in done.stdout


def test_psql_runs_and_its_exit_code_is_passed_on(site: Site) -> None:
    good = site.reconcile("db", "psql", "--", "-Atc", "SELECT 40 + 2")
    bad = site.reconcile("db", "psql", "--", "-c", "SELECT nonsense")

    assert (good.exit_code, good.stdout) == (0, "42\n")
    assert bad.exit_code == 1


def test_upgrade_creates_the_schema_once(site: Site) -> None:
    site.database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    first = site.reconcile("db", "upgrade")
    second = site.reconcile("db", "upgrade")

    assert first.stdout == f"the schema is {schema.NEWEST_REVISION} now\n", first.stderr
    assert second.stdout == f"the schema is {schema.NEWEST_REVISION} already; no action is needed\n"


def test_another_database_is_never_migrated_implicitly(site: Site) -> None:
    site.database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    done = [site.reconcile(*each) for each in ((), ("--dry-run",), ("status",), ("categorize",))]

    assert {each.exit_code for each in done} == {1}
    assert all("run: reconcile db upgrade" in each.stderr for each in done)
    assert site.database.value("SELECT count(*) FROM pg_class WHERE relname = 'repositories'") == 0


def test_a_port_in_the_environment_is_ignored(alone: Site) -> None:
    done = alone.reconcile("db", "status", env={**EMBEDDED, "PGPORT": "1"})
    started = alone.reconcile("db", "start", env={**EMBEDDED, "PGPORT": "1"})

    assert (done.exit_code, started.exit_code) == (0, 0), started.stderr
