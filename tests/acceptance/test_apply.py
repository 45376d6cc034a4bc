"""A person changes rollout.yaml, previews it, applies it, and finds it in the database."""

import json

from inline_snapshot import snapshot
from jsonschema import Draft202012Validator

from tests.builders import FEATURE, RepositoryRow, add_repositories, rollout_file
from tests.postgres import PROJECT
from tests.replay import live_state, marks, replayed_marks, replayed_state
from tests.site import Site


def test_the_first_apply_creates_the_feature_and_reports_it(site: Site) -> None:
    done = site.reconcile()

    assert (done.exit_code, done.stderr) == (0, "")
    head = site.git("rev-parse", "--short=7", "HEAD")
    assert done.stdout.replace(head, "HEAD") == snapshot("""\
rollout.yaml at HEAD against generation 0

+ hybrid_progressive_capture
    strategy     percentage
    percentage   10
    eligible     0 → 0 of 0 repositories   +0 gain   −0 lose

Applied: 1 feature created, 1 change, generation 1.
""")
    assert site.database.rows(
        "SELECT feature_name, rollout_percentage::float, is_active FROM rollout_configuration"
    ) == [{"feature_name": FEATURE, "rollout_percentage": 10.0, "is_active": True}]


def test_a_change_is_previewed_applied_and_in_the_history(site: Site) -> None:
    site.reconcile()
    site.replace("percentage: 10", "percentage: 25")
    commit = site.commit("Take a quarter in")

    preview = site.reconcile("--dry-run")
    before = site.database.value("SELECT rollout_percentage::int FROM rollout_configuration")
    done = site.reconcile()

    assert "percentage   10 → 25" in preview.stdout
    assert preview.stdout.endswith("1 feature to change, 1 change. Nothing was written.\n")
    assert before == 10
    assert done.stdout.endswith("Applied: 1 feature changed, 1 change, generation 2.\n")
    (row,) = site.database.rows(
        "SELECT action, previous_percentage::int, new_percentage::int, reason, metadata"
        " FROM rollout_history WHERE action <> 'created'"
    )
    metadata = row.pop("metadata")
    assert row == {
        "action": "percentage_changed",
        "previous_percentage": 10,
        "new_percentage": 25,
        "reason": "Take a quarter in",
    }
    assert (metadata["commit"], metadata["generation"], metadata["before"], metadata["after"]) == (
        commit,
        2,
        10,
        25,
    )


def test_the_reason_is_the_newest_commit_that_touched_the_file(site: Site) -> None:
    site.reconcile()
    site.replace("percentage: 10", "percentage: 25")
    site.commit("Take a quarter in")
    (site.folder / "README.md").write_text("Press Ctrl-C")
    site.commit("Explain how to end a run")

    site.reconcile()

    (row,) = site.database.rows("SELECT reason FROM rollout_history WHERE action <> 'created'")
    assert row == {"reason": "Take a quarter in"}


def test_reverted_drift_has_no_reason_of_a_commit(site: Site) -> None:
    site.reconcile()
    site.database.execute("UPDATE rollout_configuration SET rollout_percentage = 80")

    site.reconcile()

    (row,) = site.database.rows(
        "SELECT action, reason FROM rollout_history WHERE action <> 'created'"
    )
    assert row == {"action": "drift_reverted", "reason": None}


def test_a_second_apply_of_the_same_file_changes_nothing(site: Site) -> None:
    site.reconcile()
    history = site.database.rows("SELECT * FROM rollout_history")

    again = site.reconcile()

    assert again.exit_code == 0
    assert again.stdout.endswith("Nothing to change: the live state matches the file.\n")
    assert site.database.rows("SELECT * FROM rollout_history") == history
    assert site.database.value("SELECT generation FROM rollout_state") == 1


def test_a_commit_without_changes_moves_only_the_applied_commit(site: Site) -> None:
    site.reconcile()
    commit = site.commit("Say nothing new")

    site.reconcile()

    assert site.database.rows("SELECT generation, applied_commit FROM rollout_state") == [
        {"generation": 1, "applied_commit": commit}
    ]


def test_detailed_exitcode_is_2_for_pending_changes(site: Site) -> None:
    pending = site.reconcile("--dry-run", "--detailed-exitcode")
    site.reconcile()
    none_pending = site.reconcile("--dry-run", "--detailed-exitcode")

    assert (pending.exit_code, none_pending.exit_code) == (2, 0)


def test_names_become_ids_and_unknown_ones_are_kept_until_they_are_known(site: Site) -> None:
    add_repositories(site.database, "Acme/Tools")
    site.write(rollout_file({FEATURE: {"whitelist": ["acme/tools", "acme/later", "other/*"]}}))
    first = site.reconcile("--format", "json")
    known = site.database.value("SELECT id::text FROM repositories")
    live_first = live_state(site.database)[FEATURE]["whitelist"]

    add_repositories(site.database, "acme/later")
    later_id = site.database.value(
        "SELECT id::text FROM repositories WHERE full_name = 'acme/later'"
    )
    second = json.loads(site.reconcile("--format", "json").stdout)

    assert json.loads(first.stdout)["features"][0]["unresolved"] == ["acme/later"]
    assert live_first == sorted([known, "acme/later", "other/*"])
    assert second["features"][0]["changes"] == [
        {"field": "whitelist", "added": [], "removed": [], "resolved": ["acme/later"]}
    ]
    assert live_state(site.database)[FEATURE]["whitelist"] == sorted([known, later_id, "other/*"])
    assert live_state(site.database) == replayed_state(site.database)


def test_history_replayed_from_empty_gives_the_live_state(site: Site) -> None:
    add_repositories(site.database, "acme/a", "acme/b", "acme/c")
    files = (
        "percentage: 10\n    whitelist: [acme/a, acme/b]",
        "percentage: 12.5\n    strategy: repository_size\n    whitelist: [acme/b, acme/c]",
        "percentage: 0\n    active: false\n    exclusions: [acme/a]\n    description: why",
        "salt: other\n    bucketing: hashtext\n    health: {window: 90s, min_jobs: 3, rollback_to: 1, auto_rollback: false}",
    )
    for fields in files:
        site.write(f"version: 1\nfeatures:\n  {FEATURE}:\n    {fields}\n")
        done = site.reconcile("--allow", "list-emptied")
        assert done.exit_code == 0, done.stdout

    assert live_state(site.database) == replayed_state(site.database)
    assert site.database.value("SELECT generation FROM rollout_state") == len(files)


def test_a_removed_feature_is_deactivated_and_keeps_its_history(site: Site) -> None:
    site.reconcile()
    site.write(rollout_file({}))

    done = site.reconcile("--allow", "feature-removed")

    assert "- hybrid_progressive_capture" in done.stdout
    assert site.database.value("SELECT is_active FROM rollout_configuration") is False
    actions = site.database.rows("SELECT action FROM rollout_history ORDER BY position")
    assert [row["action"] for row in actions] == ["created", "deactivated"]


def test_a_removed_features_limit_is_said_to_be_of_its_name_alone(site: Site) -> None:
    site.reconcile()
    site.reconcile("stop", "--reason", "it hurts", "--no-write-back")
    site.write(rollout_file({"renamed": {"percentage": 10}}))

    done = site.reconcile("--allow", "feature-removed")
    words = " ".join(done.stdout.split())

    assert done.exit_code == 0, done.stderr
    assert "the stop is in force under this name alone" in words
    assert "git does not have it, because this file does not have the feature" in words
    assert "pull the branch" not in words


def test_test_repositories_are_marked_and_unmarked(site: Site) -> None:
    add_repositories(site.database, "acme/one", "acme/two", "other/three")
    first = rollout_file({}, test_repositories=["acme/*", "acme/unknown"])
    site.write(first)
    marked = site.reconcile()
    site.write(rollout_file({}, test_repositories=["other/three"]))
    site.reconcile()

    assert "+ acme/one   + acme/two   (1 not in the database yet)" in marked.stdout
    names = site.database.rows("""
        SELECT full_name FROM repositories
        JOIN repository_categories AS categories ON repository_id = repositories.id
        WHERE is_test_repository AND category <> 'test' OR marked_as_test
    """)
    assert [row["full_name"] for row in names] == ["other/three"]
    assert marks(site.database) == replayed_marks(site.database)


def test_changed_thresholds_categorise_all_repositories_again(site: Site) -> None:
    add_repositories(site.database, RepositoryRow("acme/tools", stars=55))
    site.database.execute("SELECT categorize_all_repositories()")
    site.write(rollout_file({}, categories={"small": {"stars": 60}}))

    done = site.reconcile()

    assert "50 stars, 10 contributors, 100 pull requests, priority 80 → 60 stars" in done.stdout
    assert site.database.value("SELECT category FROM repository_categories") == "small"


def test_json_of_an_apply_is_the_plan_applied(site: Site) -> None:
    planned = json.loads(site.reconcile("--dry-run", "--format", "json").stdout)
    applied = json.loads(site.reconcile("--format", "json").stdout)

    assert (planned["applied"], applied["applied"]) == (False, True)
    assert (planned["generation"], applied["generation"]) == (0, 1)
    moved = {"applied", "generation"}
    assert {key: planned[key] for key in planned if key not in moved} == {
        key: applied[key] for key in applied if key not in moved
    }


def test_uncommitted_changes_are_shown_in_plan_and_history(site: Site) -> None:
    site.replace("percentage: 10", "percentage: 11")

    done = site.reconcile()

    assert ", uncommitted, against generation 0" in done.stdout
    assert site.database.value("SELECT metadata -> 'uncommitted' FROM rollout_history") is True


def test_a_folder_without_git_works_and_the_plan_shows_it(site: Site) -> None:
    (site.folder / ".git").rename(site.folder / "not-git")

    done = site.reconcile()

    assert done.exit_code == 0
    assert done.stdout.startswith("rollout.yaml outside git against generation 0\n")


def test_a_repository_renamed_twice_keeps_its_entry(site: Site) -> None:
    add_repositories(site.database, "acme/one")
    site.write(rollout_file({FEATURE: {"whitelist": ["acme/one"]}}))
    site.reconcile()
    rename = "UPDATE repositories SET name = '{0}', full_name = 'acme/{0}'"
    site.database.execute(rename.format("two"))
    site.replace("acme/one", "acme/two")
    written = site.reconcile()
    again = site.reconcile("--format", "json")
    site.database.execute(rename.format("three"))

    done = site.reconcile()

    assert written.stdout.endswith("Nothing to change: the live state matches the file.\n")
    assert json.loads(again.stdout)["generation"] == 2
    assert "acme/two is called acme/three now" in " ".join(done.stdout.split())
    assert site.database.value(
        "SELECT target_repositories = ARRAY[(SELECT id::text FROM repositories)]"
        " FROM rollout_configuration"
    )


def test_require_commit_refuses_a_file_outside_git(site: Site) -> None:
    (site.folder / ".git").rename(site.folder / "not-git")

    refused = site.reconcile("--require-commit")
    in_ci = site.reconcile(env={"CI": "true"})

    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "rollout.yaml is outside git" in refused.stderr
    assert in_ci.exit_code == 0


def test_a_file_in_a_repository_without_commits_is_uncommitted(site: Site) -> None:
    site.git("checkout", "--quiet", "--orphan", "nothing-yet")

    refused = site.reconcile(env={"CI": "true"})
    done = site.reconcile()

    assert (refused.exit_code, done.exit_code) == (3, 0)
    assert done.stdout.startswith("rollout.yaml, uncommitted, against generation 0\n")
    assert site.database.value("SELECT uncommitted FROM rollout_generation") is True


def test_every_plan_printed_as_json_fits_the_published_schema(site: Site) -> None:
    schema = json.loads((PROJECT / "schemas" / "plan.schema.json").read_text("utf-8"))
    add_repositories(site.database, "acme/one", "acme/two")
    site.write(
        f"version: 1\nfeatures:\n  {FEATURE}:\n    percentage: 12.5\n    whitelist: [acme/one, a/b]\n"
        "    override: {id: 019343a7-6f8e-7c34-9a55-0b8a1f0d2c11, percentage: 0, reason: why,"
        " by: me, at: 2026-11-23T12:00:00Z}\n"
        "test_repositories: [acme/two]\ncategories: {small: {stars: 60}}\n"
    )
    plans = [
        json.loads(site.reconcile(*arguments, "--format", "json").stdout)
        for arguments in (["--dry-run"], [], ["--dry-run"])
    ]

    for plan in plans:
        Draft202012Validator(schema).validate(plan)
    assert [(plan["applied"], plan["has_changes"]) for plan in plans] == [
        (False, True),
        (True, True),
        (False, False),
    ]


def test_history_shows_rows_of_others_with_any_metadata(site: Site) -> None:
    site.database.execute("""
        INSERT INTO rollout_history (action, metadata, triggered_by, created_at)
        SELECT 'paused', found::jsonb, 'ada', '2025-01-02Z'
        FROM unnest(ARRAY[null, 'null', '[1]', '"commit"', '7', '{"before": 1}']) AS found
    """)

    shown = site.reconcile("history")

    assert (shown.exit_code, shown.stderr) == (0, "")
    row = "2025-01-02T00:00:00Z  all features  paused\n"
    assert shown.stdout == f"{row * 6}    by ada\n"
    told = json.loads(site.reconcile("history", "--format", "json").stdout)["history"]
    assert [row["metadata"] for row in told] == [
        {"before": 1},
        7,
        "commit",
        [1],
        None,
        None,
    ]


def test_a_description_keeps_the_services_other_metadata(site: Site) -> None:
    site.reconcile()
    site.database.execute(
        """UPDATE rollout_configuration SET metadata = '{"team": {"lead": null}}'"""
    )
    site.replace("    percentage: 10", "    percentage: 10\n    description: Capture")
    site.reconcile()
    assert site.database.value("SELECT metadata FROM rollout_configuration") == {
        "team": {"lead": None},
        "description": "Capture",
    }

    site.database.execute("UPDATE rollout_configuration SET metadata = '[1]'")
    site.reconcile()
    assert site.database.value("SELECT metadata FROM rollout_configuration") == {
        "description": "Capture"
    }
    assert "Nothing to change" in site.reconcile("--dry-run").stdout
