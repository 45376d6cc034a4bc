"""A commit that allows what a guard refuses: the commits that count, and what they allow."""

from pathlib import Path

import pytest

from tests.overrides import FEATURE
from tests.site import Site
from tests.writing_back import remote_git

TWO = "version: 1\nfeatures:\n  %s: {percentage: %s}\n  other: {percentage: %s}\n"


@pytest.fixture
def applied(site: Site) -> Site:
    """A site whose file has two features, applied at 10 percent."""
    site.write(TWO % (FEATURE, 10, 10))
    site.commit("Two features")
    site.reconcile()
    return site


def change(site: Site, to: int, message: str, *, other: int = 10) -> str:
    site.write(TWO % (FEATURE, to, other))
    return site.commit(message)


def percentage(site: Site) -> int:
    value: int = site.database.value(
        "SELECT rollout_percentage::int FROM rollout_configuration WHERE feature_name = %(name)s",
        name=FEATURE,
    )
    return value


def test_the_commit_that_raises_allows_it_and_the_plan_names_it(applied: Site) -> None:
    change(applied, 90, "Raise it")
    refused = applied.reconcile()
    applied.git(
        "commit", "--quiet", "--amend", "--message", "Raise it\n\nRollout-Allow: max-increase"
    )
    commit = applied.git("rev-parse", "--short=7", "HEAD")

    preview = applied.reconcile("--dry-run")
    allowed = applied.reconcile()

    assert (refused.exit_code, allowed.exit_code, percentage(applied)) == (3, 0, 90)
    assert "--allow max-increase" in refused.stdout
    assert f"(Rollout-Allow in {commit};" in " ".join(preview.stdout.split())


@pytest.mark.parametrize(
    "message",
    [
        "Raise it (#12)\n\n* Raise it\n\nRollout-Allow: max-increase\n\n* Fix a typo\n\nMore text.",
        "Raise it\n\nROLLOUT-ALLOW:max-increase",
        "Raise it\n\n* rollout-allow: Max-Increase # we agreed",
        "Raise it\n\nRollout-Allow: soak, max-increase (we agreed)\n\nCo-authored-by: A <a@example.com>",
        f"Raise it\n\nRollout-Allow: max-increase {FEATURE}\n",
        "Raise it\n\nRollout-Allow: soak\nRollout-Allow: max-increase",
        "Raise it\n\nRollout-Allow: soak # see the ticket\nRollout-Allow: max-increase",
        "Raise it\n\nRollout-Allow: soak (see\nRollout-Allow: max-increase (agreed)",
        f"Raise it\n\n> * Rollout-Allow: `max-increase` '{FEATURE}'",
    ],
)
def test_a_permission_counts_wherever_and_however_it_stands(applied: Site, message: str) -> None:
    change(applied, 90, message)

    done = applied.reconcile()

    assert (done.exit_code, percentage(applied)) == (0, 90), done.stdout


def test_a_commit_that_does_not_change_the_file_allows_nothing(applied: Site) -> None:
    (applied.folder / "README.md").write_text("A typo\n")
    commit = applied.commit("Fix a typo\n\nRollout-Allow: max-increase")
    change(applied, 90, "Raise it")

    done = applied.reconcile()

    assert (done.exit_code, percentage(applied)) == (3, 10)
    text = " ".join(done.stdout.split())
    assert f"Rollout-Allow in {commit[:7]}: max-increase does not count" in text
    assert "that commit does not change the file" in text


def test_a_commit_that_changes_another_feature_allows_nothing(applied: Site) -> None:
    change(applied, 10, "Raise the other\n\nRollout-Allow: max-increase", other=12)
    change(applied, 90, "Raise it", other=12)

    refused = applied.reconcile()
    change(applied, 91, f"Allow it\n\nRollout-Allow: max-increase {FEATURE}", other=12)
    allowed = applied.reconcile()

    assert (refused.exit_code, allowed.exit_code, percentage(applied)) == (3, 0, 91)


def test_a_permission_for_a_named_feature_is_not_for_another(applied: Site) -> None:
    change(applied, 90, "Raise both\n\nRollout-Allow: max-increase other", other=90)

    done = applied.reconcile()

    assert (done.exit_code, percentage(applied)) == (3, 10)


def test_a_name_that_is_not_a_guard_is_reported(applied: Site) -> None:
    commit = change(applied, 90, "Raise it\n\nRollout-Allow: max-incraese")

    done = applied.reconcile()

    assert done.exit_code == 3
    assert f"Rollout-Allow in {commit[:7]}: 'max-incraese' is not the name of a guard" in " ".join(
        done.stdout.split()
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (
            "Rollout-Allow: max-increase serach",
            "max-increase has no effect, since there is no feature 'serach'",
        ),
        ("Rollout-Allow: # see the ticket", "a line names no guard"),
        ("Rollout-Allow:\n  max-increase", "a line names no guard"),
    ],
)
def test_a_line_that_can_allow_nothing_is_reported(applied: Site, line: str, fault: str) -> None:
    commit = change(applied, 90, f"Raise it\n\n{line}")

    done = applied.reconcile()

    assert done.exit_code == 3
    assert f"Rollout-Allow in {commit[:7]}: {fault}" in " ".join(done.stdout.split())


def test_a_shallow_clone_does_not_guess_what_a_commit_changed(
    applied: Site, tmp_path: Path
) -> None:
    applied.git("checkout", "--quiet", "-b", "work")
    change(applied, 90, "Raise it")
    (applied.folder / "README.md").write_text("A typo\n")
    applied.commit("Fix a typo\n\nRollout-Allow: max-increase")
    applied.git("checkout", "--quiet", "main")
    applied.git("merge", "--quiet", "--no-ff", "--message", "Merge work", "work")
    applied.push()
    url = applied.remote.as_uri()
    applied.git("clone", "--quiet", "--depth=2", url, str(tmp_path / "shallow"))

    done = Site(tmp_path / "shallow", applied.remote, applied.database).reconcile()

    assert (done.exit_code, done.stdout, percentage(applied)) == (1, "", 10)
    assert "fetch-depth: 0" in done.stderr


def test_a_partial_clone_does_not_guess_what_a_commit_changed(
    applied: Site, tmp_path: Path
) -> None:
    change(applied, 90, "Raise it")
    change(applied, 90, "Raise the other\n\nRollout-Allow: max-increase", other=12)
    applied.push()
    remote_git(applied.remote, "config", "uploadpack.allowFilter", "true")
    url = applied.remote.as_uri()
    applied.git("clone", "--quiet", "--filter=blob:none", url, str(tmp_path / "partial"))
    applied.remote.rename(tmp_path / "away.git")

    done = Site(tmp_path / "partial", applied.remote, applied.database).reconcile()

    assert (done.exit_code, done.stdout, percentage(applied)) == (1, "", 10)
    assert len(done.stderr.splitlines()) == 1
    assert "git cannot read rollout.yaml at" in done.stderr


def test_a_permission_of_a_commit_applied_before_is_over(applied: Site) -> None:
    change(applied, 40, "Raise it\n\nRollout-Allow: max-increase")
    applied.reconcile()
    change(applied, 95, "Raise it more")

    assert applied.reconcile().exit_code == 3


def test_a_permission_of_a_reverted_commit_is_over(applied: Site) -> None:
    allowed = change(applied, 90, "Raise it\n\nRollout-Allow: max-increase")
    applied.git("revert", "--no-edit", "HEAD")
    change(applied, 80, "Raise it without a permission")

    refused = applied.reconcile()
    change(applied, 81, "Raise it again\n\nRollout-Allow: max-increase")
    again = applied.reconcile()

    assert (refused.exit_code, again.exit_code, percentage(applied)) == (3, 0, 81)
    text = " ".join(refused.stdout.split())
    assert f"Rollout-Allow in {allowed[:7]}: max-increase does not count" in text
    assert "a later commit reverts its change" in text


def test_a_permission_survives_changes_of_other_things(applied: Site) -> None:
    change(applied, 90, "Raise it\n\nRollout-Allow: max-increase")
    change(applied, 90, "Raise the other", other=12)
    applied.git("revert", "--no-edit", "HEAD")

    assert (applied.reconcile().exit_code, percentage(applied)) == (0, 90)


def test_a_permission_on_a_merged_branch_counts(applied: Site) -> None:
    applied.git("checkout", "--quiet", "-b", "raise")
    change(applied, 90, "Raise it\n\nRollout-Allow: max-increase")
    applied.git("checkout", "--quiet", "main")
    applied.write(TWO % (FEATURE, 10, 10) + "# A comment\n")
    applied.commit("Comment")
    applied.git("merge", "--quiet", "--no-edit", "raise")

    assert (applied.reconcile().exit_code, percentage(applied)) == (0, 90)


def test_a_commit_before_the_file_was_moved_counts(applied: Site) -> None:
    change(applied, 90, "Raise it\n\nRollout-Allow: max-increase")
    (applied.folder / "ops").mkdir()
    applied.git("mv", "rollout.yaml", "ops/rollout.yaml")
    applied.commit("Move it")

    done = applied.reconcile("--file", "ops/rollout.yaml")

    assert (done.exit_code, percentage(applied)) == (0, 90), done.stdout


def test_a_permission_in_another_form_is_reported(applied: Site) -> None:
    commit = change(applied, 90, "Raise it\n\n- [x] Rollout-Allow: max-increase")

    refused = applied.reconcile("--dry-run")

    assert refused.exit_code == 3
    assert f"Rollout-Allow in {commit[:7]}: no line has the form Rollout-Allow: GUARD" in " ".join(
        refused.stdout.split()
    )


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_every_form_warns_of_a_squash_that_drops_the_line(applied: Site, form: str) -> None:
    change(applied, 90, "Raise it\n\nRollout-Allow: max-increase")

    done = applied.reconcile("--dry-run", "--format", form)

    assert "a squash only if its message has that line" in " ".join(done.stdout.split())


def test_a_commit_that_a_merge_brings_counts(applied: Site) -> None:
    applied.git("checkout", "--quiet", "-b", "raise")
    change(applied, 90, "Raise it\n\nRollout-Allow: max-increase")
    applied.git("checkout", "--quiet", "main")
    (applied.folder / "README.md").write_text("Meanwhile\n")
    applied.commit("Meanwhile")
    applied.git("merge", "--quiet", "--no-ff", "-m", "Merge pull request #7 from raise", "raise")

    done = applied.reconcile()

    assert (done.exit_code, percentage(applied)) == (0, 90), done.stdout


def test_the_message_of_a_merge_commit_counts_for_what_it_brings(applied: Site) -> None:
    applied.git("checkout", "--quiet", "-b", "raise")
    change(applied, 90, "Raise it")
    applied.git("checkout", "--quiet", "main")
    message = "Merge pull request #7 from raise\n\nRollout-Allow: max-increase"
    applied.git("merge", "--quiet", "--no-ff", "-m", message, "raise")

    done = applied.reconcile()

    assert (done.exit_code, percentage(applied)) == (0, 90), done.stdout
