"""Kept counts: an apply counts the eligible repositories, and `status` uses the number while it holds."""

import json
from typing import Any

import pytest

from tests.screens import Browser
from tests.site import Site

FILE = """\
version: 1
features:
  capture:
    percentage: {percentage}
    guards: {{max_increase: 100}}
  other:
    strategy: whitelist
    whitelist: [acme/repo-1]
"""


@pytest.fixture
def large(site: Site) -> Site:
    """A site with enough repositories that counts are kept, at 100 percent."""
    site.database.execute(
        "INSERT INTO public.repositories (owner, name, full_name)"
        " SELECT 'acme', 'repo-' || number, 'acme/repo-' || number"
        " FROM generate_series(1, 60000) AS number"
    )
    _apply(site, 100)
    return site


def _apply(site: Site, percentage: int) -> None:
    site.write(FILE.format(percentage=percentage))
    site.commit(f"{percentage} percent")
    assert site.reconcile().exit_code == 0


def _features(site: Site, command: str, *options: str) -> dict[str, Any]:
    found = json.loads(site.reconcile(command, "--format", "json", *options).stdout)
    return {each["name"]: each for each in found["features"]}


def test_status_shows_what_the_apply_counted(large: Site) -> None:
    large.database.execute("DELETE FROM public.repositories WHERE name = 'repo-7'")

    kept, exact = _features(large, "status"), _features(large, "status", "--exact")

    assert (kept["capture"]["eligible"], exact["capture"]["eligible"]) == (60_000, 59_999)
    assert kept["capture"]["counted_at"] is not None
    assert exact["capture"]["counted_at"] is None


def test_health_shows_what_the_apply_counted(large: Site) -> None:
    large.database.execute("DELETE FROM public.repositories WHERE name <> 'repo-1'")

    kept, exact = _features(large, "health"), _features(large, "health", "--exact")

    assert kept["other"]["indicators"]["participation"]["value"] == pytest.approx(1 / 600)
    assert exact["other"]["indicators"]["participation"]["value"] == 100
    assert "counted at" in large.reconcile("health").stdout


def test_a_later_apply_keeps_the_counts_of_other_features(large: Site) -> None:
    large.database.execute("DELETE FROM public.repositories WHERE name = 'repo-1'")
    _apply(large, 0)

    found = _features(large, "status")

    assert (found["other"]["eligible"], found["capture"]["eligible"]) == (1, 0)
    assert _features(large, "status", "--exact")["other"]["eligible"] == 0


def test_a_count_from_before_a_change_is_shown_as_such(large: Site) -> None:
    large.database.execute(
        "UPDATE public.rollout_configuration SET rollout_percentage = 0 WHERE feature_name = 'capture'"
    )

    found = _features(large, "status")

    assert (found["capture"]["eligible"], found["capture"]["counted_before_change"]) == (
        60_000,
        True,
    )
    assert found["other"]["counted_before_change"] is False
    assert _features(large, "health")["capture"]["counted_before_change"] is True
    for command in ("status", "health"):
        assert "before the last change; --exact counts now" in " ".join(
            large.reconcile(command).stdout.split()
        )
    exact = _features(large, "status", "--exact")["capture"]
    assert (exact["eligible"], exact["counted_before_change"]) == (0, False)


def test_a_count_holds_again_after_a_stop_and_a_resume(large: Site) -> None:
    act = ("--feature", "capture", "--reason", "x", "--no-write-back")
    assert large.reconcile("stop", *act).exit_code == 0
    assert _features(large, "status")["capture"]["eligible"] == 0
    assert large.reconcile("resume", *act).exit_code == 0

    found = _features(large, "status")["capture"]

    assert (found["eligible"], found["counted_before_change"]) == (60_000, False)


def test_the_number_of_repositories_is_of_the_same_time(large: Site) -> None:
    large.database.execute("DELETE FROM public.repositories WHERE name <> 'repo-1'")

    text = large.reconcile("status").stdout

    assert "60,000 of 60,000 repositories (100.0 %)" in text
    assert "1 of 60,000 repositories (0.0 %)" in text


def test_status_and_the_dashboard_show_one_count(large: Site) -> None:
    large.database.execute("DELETE FROM public.repositories WHERE name = 'repo-7'")
    shown = _features(large, "status")["capture"]
    browser = Browser.acting(large.database)

    found = {each["name"]: each["eligible"] for each in browser.get("/api/now").json()["features"]}

    assert found["capture"] == {
        "repositories": shown["eligible"],
        "of": 60_000,
        "is_estimated": False,
        "is_before_change": False,
        "as_of": shown["counted_at"],
    }
    large.database.execute("UPDATE public.rollout_configuration SET rollout_percentage = 50")
    assert "<small>before the last change</small>" in browser.get("/").text


def test_a_database_without_kept_counts_is_counted(large: Site) -> None:
    large.database.execute("DELETE FROM public.rollout_eligible_count")

    found = _features(large, "status")["capture"]

    assert (found["eligible"], found["counted_at"]) == (60_000, None)
    assert "not counted yet" in Browser.acting(large.database).get("/").text


def test_no_repository_is_eligible_for_a_stopped_feature(large: Site) -> None:
    large.database.execute("UPDATE public.rollout_configuration SET emergency_stop = true")

    assert [each["eligible"] for each in _features(large, "status").values()] == [0, 0]


def test_no_scan_counts_a_feature_that_an_older_apply_removed(large: Site) -> None:
    large.write(FILE.format(percentage=100).partition("  other:")[0])
    large.commit("Remove a feature")
    assert large.reconcile("--allow", "feature-removed").exit_code == 0
    _apply_capture_alone(large)

    removed = _features(large, "status")["other"]

    assert (removed["active"], removed["eligible"]) == (False, 0)
    assert removed["counted_at"] is not None


def _apply_capture_alone(site: Site) -> None:
    site.write(FILE.format(percentage=90).partition("  other:")[0])
    site.commit("90 percent")
    assert site.reconcile().exit_code == 0
