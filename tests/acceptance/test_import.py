"""`reconcile import`: from a service's database to a file whose apply changes nothing."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.database.hosts import CORE, make_host
from tests.postgres import Database
from tests.site import Site

FEATURE = "hybrid_progressive_capture"


@pytest.fixture
def adopted(tmp_path: Path, empty_database: Database) -> Iterator[Site]:
    """A site with the database of a service."""
    make_host(empty_database)
    empty_database.execute(f"""
        UPDATE rollout_configuration SET excluded_repositories = '{{{CORE},acme/next,Other/*}}'
        WHERE feature_name = '{FEATURE}';
    """)
    site = Site.make(tmp_path, empty_database)
    yield site
    site.end()


def test_an_adopted_database_is_imported_and_a_dry_run_has_nothing_to_do(adopted: Site) -> None:
    upgraded = adopted.reconcile("db", "upgrade")
    assert (upgraded.exit_code, upgraded.stderr) == (0, "")

    imported = adopted.reconcile("import", "--output", "rollout.yaml", "--force")
    assert (imported.exit_code, imported.stderr) == (0, "")
    ids = [
        row["id"]
        for row in adopted.database.rows(
            "SELECT o.id::text FROM rollout_override AS o JOIN rollout_configuration AS c"
            " ON c.id = rollout_config_id ORDER BY feature_name"
        )
    ]
    text = adopted.file.read_text()
    for number, each in enumerate(ids):
        text = text.replace(each, f"ID-{number}")
    text = re.sub(r"at: \d.*Z", "at: TIME", text)
    assert text == snapshot("""\
# yaml-language-server: $schema=schemas/rollout.schema.json
# The live state when `reconcile import` wrote this; `reconcile --dry-run` shows later changes.
version: 1

features:
  full_of_nulls:
    active: false
    strategy: whitelist
    percentage: 0
    bucketing: hashtext
    override: # in force; remove this block to resume
      id: ID-0
      emergency_stop: true
      reason: stopped when the database was adopted
      by: database
      at: TIME
  hybrid_progressive_capture:
    description: Capture
    strategy: repository_size
    percentage: 10
    bucketing: hashtext
    whitelist:
      - acme/tools
    exclusions:
      - acme/next
      - Globex/Core
      - other/*
    health:
      window: 2d
  stopped:
    strategy: percentage
    percentage: 50
    bucketing: hashtext
    override: # in force; remove this block to resume
      id: ID-1
      emergency_stop: true
      reason: stopped when the database was adopted
      by: database
      at: TIME

test_repositories:
  - acme/site
  - acme/tools
""")

    adopted.commit("Describe what is live")
    for arguments in (
        ("--dry-run", "--detailed-exitcode"),
        ("--yes",),
        ("--dry-run", "--detailed-exitcode"),
    ):
        done = adopted.reconcile(*arguments)
        assert (done.exit_code, done.stderr) == (0, ""), done.stdout
    assert (
        adopted.database.value("SELECT count(*) FROM rollout_history WHERE action <> 'adopted'")
        == 2
    )


def test_removing_an_imported_stop_resumes_as_it_was(adopted: Site) -> None:
    adopted.reconcile("db", "upgrade")
    adopted.reconcile("import", "--output", "rollout.yaml", "--force")
    adopted.commit("Describe what is live")
    adopted.reconcile()

    lines = adopted.file.read_text().splitlines(keepends=True)
    start = lines.index("  stopped:\n")
    block = next(
        n for n, line in enumerate(lines) if n > start and line.startswith("    override:")
    )
    adopted.write("".join([*lines[:block], *lines[block + 6 :]]))
    adopted.commit("Resume")
    done = adopted.reconcile()

    assert done.exit_code == 0, done.stderr
    assert adopted.database.rows("""
        SELECT c.emergency_stop, state FROM rollout_configuration AS c
        JOIN rollout_override AS o ON c.id = rollout_config_id WHERE feature_name = 'stopped'
    """) == [{"emergency_stop": False, "state": "done"}]


def test_import_prints_the_file_and_reports_what_it_left_out(site: Site) -> None:
    site.database.execute("""
        INSERT INTO rollout_configuration (feature_name, target_repositories)
        VALUES ('capture', '{a/b,"  "}')
    """)

    done = site.reconcile("import")

    assert done.exit_code == 0
    assert done.stdout.startswith("# yaml-language-server: $schema=")
    assert done.stdout.endswith("    whitelist:\n      - a/b\n")
    assert (
        done.stderr == "note: capture: whitelist: '' is not a valid list entry, so it is left out\n"
    )


def test_import_does_not_overwrite_a_file(site: Site) -> None:
    before = site.file.read_bytes()

    done = site.reconcile("import", "--output", "rollout.yaml")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "error: rollout.yaml is there already and stays as it is; name another file, or use --force\n"
    )
    assert site.file.read_bytes() == before
    assert sorted(each.name for each in site.folder.iterdir()) == [".git", "rollout.yaml"]


def test_import_replaces_a_file_completely_and_keeps_its_mode(site: Site) -> None:
    site.file.chmod(0o640)

    assert site.reconcile("import", "--output", "rollout.yaml", "--force").exit_code == 0
    assert site.reconcile("import", "--output", "another.yaml").exit_code == 0

    assert stat.S_IMODE(site.file.stat().st_mode) == 0o640
    assert site.file.read_bytes() == (site.folder / "another.yaml").read_bytes()
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((site.folder / "another.yaml").stat().st_mode) == 0o666 & ~mask
    assert sorted(each.name for each in site.folder.iterdir()) == [
        ".git",
        "another.yaml",
        "rollout.yaml",
    ]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("--force",), 64, "--force needs --output"),
        (("--format", "json"), 64, "--format json"),
        (("--output", "nowhere/rollout.yaml"), 1, "nowhere/rollout.yaml cannot be written"),
    ],
)
def test_an_impossible_request_is_one_line(
    site: Site, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    done = site.reconcile("import", *arguments)
    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert message in done.stderr


def test_import_needs_the_schema_and_no_file(site: Site) -> None:
    site.file.unlink()
    assert site.reconcile("import").exit_code == 0
    site.database.execute("DROP TABLE rollout_schema_version")
    done = site.reconcile("import")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "run: reconcile db upgrade" in done.stderr


def test_a_stop_by_sql_after_an_import_stays(site: Site) -> None:
    site.database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('capture', 15)"
    )
    site.reconcile("import", "--output", "rollout.yaml", "--force")
    site.commit("Declare the rollout as it is")
    first = site.reconcile()
    site.database.execute(
        "UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true"
    )

    second = site.reconcile("--no-write-back")

    assert "Nothing to change" in first.stdout
    assert second.exit_code == 0
    assert site.database.value("SELECT emergency_stop FROM rollout_configuration") is True


@pytest.mark.parametrize("percentage", [0, 5])
def test_a_percentage_lowered_by_sql_after_an_import_stays(adopted: Site, percentage: int) -> None:
    imported(adopted)
    by_hand(adopted, f"rollout_percentage = {percentage}")

    done = adopted.reconcile("--no-write-back")

    assert done.exit_code == 0
    assert live(adopted, "rollout_percentage::integer") == percentage
    assert "(database)" in done.stdout


def test_a_deactivation_by_sql_after_an_import_is_kept_as_a_stop(adopted: Site) -> None:
    imported(adopted)
    by_hand(adopted, "is_active = false")

    done = adopted.reconcile("--no-write-back")

    assert done.exit_code == 0
    assert live(adopted, "emergency_stop") is True
    assert eligible(adopted) == set()


def test_a_feature_that_never_was_active_is_activated_by_its_first_file(site: Site) -> None:
    site.database.execute(
        "INSERT INTO rollout_configuration (feature_name, is_active) VALUES ('capture', false)"
    )
    site.write("version: 1\nfeatures:\n  capture:\n    percentage: 10\n")

    assert site.reconcile("--no-write-back").exit_code == 0
    assert live(site, "is_active AND NOT emergency_stop", "capture") is True


def test_a_feature_that_began_at_zero_is_raised_by_its_first_file(site: Site) -> None:
    site.database.execute("INSERT INTO rollout_configuration (feature_name) VALUES ('capture')")
    site.write("version: 1\nfeatures:\n  capture:\n    percentage: 10\n")

    done = site.reconcile("--no-write-back")

    assert done.exit_code == 0
    assert live(site, "rollout_percentage::integer", "capture") == 10


NARROWED = (
    pytest.param("target_repositories = '{}'", id="a whitelist"),
    pytest.param(
        "excluded_repositories = array_append(excluded_repositories, 'acme/tools')",
        id="exclusions",
    ),
    pytest.param("rollout_strategy = 'whitelist', rollout_percentage = 100", id="a strategy"),
)


@pytest.mark.parametrize("change", NARROWED)
def test_a_narrowing_by_sql_after_an_import_waits_for_a_person(adopted: Site, change: str) -> None:
    adopted.database.execute(
        f"UPDATE rollout_configuration SET rollout_percentage = 100 WHERE feature_name = '{FEATURE}'"
    )
    imported(adopted)
    by_hand(adopted, change)
    narrowed = eligible(adopted)

    held = adopted.reconcile("--no-write-back")

    assert held.exit_code == 3, held.stdout
    assert eligible(adopted) == narrowed
    adopt = adopted.reconcile("drift", "adopt", "--feature", FEATURE, "--yes")
    assert adopt.exit_code == 0, adopt.stderr
    adopted.commit("Keep what was narrowed by hand")
    done = adopted.reconcile("--no-write-back", "--allow", "list-emptied")
    assert done.exit_code == 0, done.stdout
    assert eligible(adopted) == narrowed


def test_a_narrowing_by_sql_after_an_import_can_be_reverted(adopted: Site) -> None:
    imported(adopted)
    before = live(adopted, "target_repositories")
    by_hand(adopted, "target_repositories = '{}'")

    reverted = adopted.reconcile("drift", "revert", "--feature", FEATURE, "--yes")

    assert reverted.exit_code == 0, reverted.stderr
    assert live(adopted, "target_repositories") == before
    assert adopted.reconcile("--no-write-back").exit_code == 0


def test_an_import_after_a_narrowing_by_sql_has_nothing_to_hold(adopted: Site) -> None:
    adopted.reconcile("db", "upgrade")
    by_hand(adopted, "target_repositories = '{}', rollout_percentage = 0")
    imported(adopted)

    done = adopted.reconcile("--no-write-back")

    assert done.exit_code == 0
    assert "Nothing to change" in done.stdout


BY_SQL = (
    pytest.param("excluded_repositories = '{acme/c,acme/d}'", id="an exclusion added"),
    pytest.param("target_repositories = '{}'", id="the whitelist emptied"),
    pytest.param("target_repositories = '{acme/a}'", id="the whitelist shortened"),
    pytest.param("rollout_strategy = 'whitelist'", id="the strategy"),
    pytest.param("target_repositories = '{}', rollout_percentage = 5", id="and the percentage"),
)
CONFIGURED = "(rollout_strategy, target_repositories, excluded_repositories)::text"


@pytest.fixture
def not_adopted(site: Site) -> Site:
    """A site whose feature was inserted into the tables of a release, and imported."""
    site.database.execute("""
        INSERT INTO rollout_configuration
            (feature_name, rollout_percentage, target_repositories, excluded_repositories)
        VALUES ('capture', 15, '{acme/a,acme/b}', '{acme/c}')
    """)
    imported(site)
    return site


@pytest.mark.parametrize("change", BY_SQL)
def test_without_an_adoption_a_narrowing_after_an_import_stays(
    not_adopted: Site, change: str
) -> None:
    not_adopted.database.execute(f"UPDATE rollout_configuration SET {change}")
    narrowed = live(not_adopted, CONFIGURED, "capture")

    refused = not_adopted.reconcile("--no-write-back")

    assert refused.exit_code == 3, refused.stdout
    assert "first-apply" in refused.stdout
    assert live(not_adopted, CONFIGURED, "capture") == narrowed
    imported(not_adopted)
    assert not_adopted.reconcile("--no-write-back").exit_code == 0
    assert live(not_adopted, CONFIGURED, "capture") == narrowed


def test_an_edited_file_opens_a_feature_that_was_not_adopted(
    not_adopted: Site,
) -> None:
    not_adopted.database.execute("UPDATE rollout_configuration SET target_repositories = '{}'")

    done = not_adopted.reconcile("--no-write-back", "--allow", "first-apply")

    assert done.exit_code == 0, done.stdout
    assert "acme/a" in str(live(not_adopted, CONFIGURED, "capture"))


def test_without_an_adoption_an_unchanged_import_changes_nothing(not_adopted: Site) -> None:
    done = not_adopted.reconcile("--no-write-back")

    assert (done.exit_code, "Nothing to change" in done.stdout) == (0, True)


def imported(site: Site) -> None:
    site.reconcile("db", "upgrade")
    done = site.reconcile("import", "--output", "rollout.yaml", "--force")
    assert done.exit_code == 0, done.stderr
    site.commit("Declare the rollout as it is")


def by_hand(site: Site, change: str) -> None:
    site.database.execute(
        f"UPDATE rollout_configuration SET {change} WHERE feature_name = '{FEATURE}'"
    )


def eligible(site: Site) -> set[str]:
    rows = site.database.rows(f"SELECT eligible_repositories('{FEATURE}')::text AS id")
    return {row["id"] for row in rows}


def live(site: Site, columns: str, feature: str = FEATURE) -> object:
    return site.database.value(
        f"SELECT {columns} FROM rollout_configuration WHERE feature_name = '{feature}'"
    )
