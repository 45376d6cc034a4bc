"""What pages show beside the live state: kept counts, commits, the block in git, metrics."""

import re
from uuid import UUID

import pytest

from reconciler.dashboard.screens.in_git import InGit
from reconciler.git.limit_commits import LimitCommits, find_limit_commits
from reconciler.git.web_address import read_web_addresses
from reconciler.operations.block_in_git import read_block
from tests.builders import FEATURE, add_repositories
from tests.database.test_job_series import add_feature
from tests.postgres import Database
from tests.screens import Browser
from tests.site import Site

LATER = "2099-01-01T00:00:00Z"
STOP = "UPDATE rollout_configuration SET emergency_stop = true, updated_at = now()"


def eligible(browser: Browser) -> object:
    (feature,) = browser.get("/api/now").json()["features"]
    return feature["eligible"]


def test_now_counts_a_small_table_for_each_page(database: Database) -> None:
    add_repositories(database, "acme/tools", "acme/site")
    add_feature(database, FEATURE)
    browser = Browser.acting(database)

    count = eligible(browser)

    assert isinstance(count, dict)
    assert count["of"] == 2
    assert count["is_estimated"] is False
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", count["as_of"])
    database.execute(STOP)
    page = browser.get("/").text
    assert "<td>0 of 2" in page
    assert "The eligible repositories were counted at <time>" in page


def test_a_commit_is_a_link_where_the_repository_has_a_page(site: Site) -> None:
    site.reconcile("--yes")
    commit = site.git("rev-parse", "HEAD").strip()
    plain = Browser.acting(site.database)
    linking = Browser.acting(site.database, in_git=InGit("https://git.example.com/acme/rollout"))
    link = f'href="https://git.example.com/acme/rollout/commit/{commit}" rel="noreferrer"'

    for path in ("/history", f"/features/{FEATURE}"):
        assert link in linking.get(path).text
        assert commit[:7] in plain.get(path).text
        assert "noreferrer" not in plain.get(path).text


def test_an_act_has_the_commit_that_write_back_made_for_it(site: Site) -> None:
    site.reconcile("--yes")
    file = site.folder / "rollout.yaml"
    in_git = InGit(
        "https://git.example.com/acme/rollout",
        find_limit_commits=lambda overrides: find_limit_commits(file, overrides),
    )
    browser = Browser.acting(site.database, in_git=in_git)
    page = f"/features/{FEATURE}"

    site.reconcile("stop", "--feature", FEATURE, "--reason", "it hangs")
    # Before a fetch the checkout does not know the commit, and no other one stands for it.
    assert "Git has it." in browser.get(page).text
    applied = [site.git("rev-parse", "HEAD")]
    assert re.findall(r"/commit/([0-9a-f]{40})", browser.get("/history").text) == applied
    # The checkout is behind: its branch of the remote is enough.
    site.git("fetch", "--quiet")
    stop = site.git("rev-parse", "origin/main")
    assert (
        f'Git has it: <a class="commit" href="{in_git.commit_url(stop)}"' in browser.get(page).text
    )

    site.reconcile("resume", "--feature", FEATURE, "--reason", "fixed")
    site.git("fetch", "--quiet")
    resume = site.git("rev-parse", "origin/main")
    for path in (page, "/history"):
        links = re.findall(r"/commit/([0-9a-f]{40})", browser.get(path).text)
        assert links == [resume, stop, site.git("rev-parse", "HEAD")]


def override_messages(site: Site) -> tuple[str, str, UUID]:
    """Stop and resume a feature; return both messages that write-back wrote, and the override's id."""
    site.reconcile("--yes")
    site.reconcile("stop", "--feature", FEATURE, "--reason", "it hangs")
    site.reconcile("resume", "--feature", FEATURE, "--reason", "fixed")
    site.git("fetch", "--quiet")
    written, removed = (
        site.git("log", "-1", "--format=%B", each) for each in ("origin/main~", "origin/main")
    )
    return written, removed, UUID(re.findall(r"Override-Id: (\S+)", written)[0])


def test_a_commit_is_found_after_a_rebase_and_a_squash(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, removed, override = override_messages(site)
    monkeypatch.setenv("GIT_COMMITTER_DATE", LATER)
    # The branch of the proposal stays, and main has other commits with the same changes.
    rebased = site.commit(written)
    squashed = site.commit(f"Overrides of the night (#12)\n\n* {removed}\n\n* Another change\n")

    found = find_limit_commits(site.folder / "rollout.yaml", [override])

    assert found == {override: LimitCommits(rebased, squashed)}


def test_one_squash_can_write_and_remove_an_override(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, removed, override = override_messages(site)
    monkeypatch.setenv("GIT_COMMITTER_DATE", LATER)
    both = site.commit(f"Night (#12)\n\n* {written}\n\n* {removed}")

    found = find_limit_commits(site.folder / "rollout.yaml", [override])

    assert found == {override: LimitCommits(both, both)}


def test_a_stop_in_two_commits_has_not_been_removed(site: Site) -> None:
    written, _, override = override_messages(site)
    site.git("push", "--quiet", "--force", "origin", "HEAD:main")
    site.git("fetch", "--quiet")
    site.commit(written)
    squashed = site.commit(f"Stop (#12)\n\n* {written}\n\n* Another change")

    found = find_limit_commits(site.folder / "rollout.yaml", [override])

    assert found == {override: LimitCommits(squashed, None)}


def test_a_reason_cannot_name_another_override(site: Site) -> None:
    _, _, override = override_messages(site)
    reason = f"x Override-Id: {override} It was made because: y"
    site.reconcile("stop", "--feature", FEATURE, "--reason", reason)
    site.git("fetch", "--quiet")
    other = site.git("rev-parse", "origin/main")

    (found,) = find_limit_commits(site.folder / "rollout.yaml", [override]).values()

    assert other not in (found.written, found.removed)


@pytest.mark.parametrize("commit", ["main", "javascript:alert(1)", "../../x", None, 7])
def test_what_is_no_commit_is_no_link(commit: object) -> None:
    assert InGit("https://git.example.com/acme/rollout").commit_url(commit) is None


def test_a_feature_leads_to_the_editor_of_the_file(site: Site) -> None:
    site.reconcile("--yes")
    site.git("remote", "set-url", "origin", "git@github.com:acme/rollout.git")
    pages = read_web_addresses(site.folder / "rollout.yaml")
    browser = Browser.acting(site.database, in_git=InGit(editor_url=pages.editor))

    shown = browser.get(f"/features/{FEATURE}").text

    assert 'href="https://github.com/acme/rollout/edit/main/rollout.yaml"' in shown
    assert f"reconcile set PERCENT --feature {FEATURE}" in shown


def test_a_feature_shows_its_override_as_git_has_it(site: Site) -> None:
    site.reconcile("--yes")
    file = site.folder / "rollout.yaml"
    browser = Browser.acting(
        site.database, in_git=InGit(read_block=lambda feature: read_block(file, feature))
    )
    page = f"/features/{FEATURE}"
    assert "In git" not in browser.get(page).text

    site.reconcile("stop", "--feature", FEATURE, "--reason", "it <b>hangs</b>", "--no-write-back")
    assert "has no override of this feature" in browser.get(page).text
    site.reconcile("write-back")
    site.git("pull", "--quiet")
    shown = browser.get(page).text
    assert "emergency_stop: true" in shown
    assert "it &lt;b&gt;hangs&lt;/b&gt;" in shown

    site.write("version: 1\nfeatures: [\n")
    site.commit("Break the file")
    assert "The file in git could not be read" in browser.get(page).text


def test_metrics_count_requests_and_need_no_sign_in(database: Database) -> None:
    browser = Browser.acting(database)
    browser.get("/")
    browser.get("/features/nothing", method="BREW")
    metrics = browser.get("/metrics").text
    assert 'rollout_dashboard_requests_total{method="GET",status="200"} 1.0' in metrics
    assert 'rollout_dashboard_requests_total{method="other",status="405"} 1.0' in metrics
    assert "rollout_dashboard_streams 0.0" in metrics
