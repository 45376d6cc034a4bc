"""Plans of a fixed corpus, with their digests: a saved plan fits every release.

A digest covers the actions of a plan and its warnings, which are sentences. Repositories, features
and times are fixed.
"""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contracts.record import check_json
from tests.site import Site

REPOSITORIES = """
    INSERT INTO repositories
        (id, owner, name, full_name, stargazers_count, contributors_count, pull_requests_count)
    SELECT
        ('00000000-0000-4000-8000-' || lpad(number::text, 12, '0'))::uuid,
        owner, name, owner || '/' || name, number * number, number, number * 10
    FROM generate_series(1, 30) AS number, LATERAL (
        SELECT (ARRAY['acme', 'beta', 'Gamma'])[1 + number % 3] AS owner, 'tool-' || number AS name
    ) AS named
"""
LATE = """
    INSERT INTO repositories (id, owner, name, full_name) VALUES
    ('00000000-0000-4000-8000-00000000aaaa', 'late', 'comer', 'late/comer')
"""
FEATURE = """
    INSERT INTO rollout_configuration (id, feature_name)
    VALUES ('00000000-0000-4000-9000-000000000001', 'capture')
"""
"""The id of a feature is part of the id of an override for its kept drift."""
LONG_AGO = """;
    SET LOCAL session_replication_role = replica;
    UPDATE rollout_configuration SET updated_at = '2026-01-02T03:04:05.678Z'
"""
SEVENTH = "00000000-0000-4000-8000-000000000007"
STOP = """    override:
      id: 019343a7-6f8e-7c34-9a55-0b8a1f0d2c11
      emergency_stop: true
      reason: errors
      by: Ada
      at: 2026-01-02T03:04:05Z
"""
LIMIT = STOP.replace("emergency_stop: true", "percentage: 5.5")


def rollout(feature: str, rest: str = "") -> str:
    return f"version: 1\nfeatures:\n  capture:\n{feature}{rest}"


PERCENTAGE = rollout("    percentage: 20\n")
LISTS = rollout(
    f"    whitelist: [acme/*, beta/tool-1, {SEVENTH}]\n    exclusions: [Gamma/tool-2]\n"
)


@dataclass(frozen=True)
class Case:
    """A file to plan, after another was applied and the database changed."""

    file: str
    applied: str = ""
    changed: str = ""


CASES = {
    "new_feature": Case(PERCENTAGE),
    "nothing_changes": Case(PERCENTAGE, applied=PERCENTAGE),
    "percentage": Case(rollout("    percentage: 42.25\n"), applied=PERCENTAGE),
    "lists": Case(
        rollout(f"    whitelist: [beta/*, beta/tool-1, {SEVENTH}, no/one]\n"), applied=LISTS
    ),
    "new_lists": Case(LISTS),
    "resolved_name": Case(
        rollout("    whitelist: [late/comer, no/one]\n"),
        applied=rollout("    whitelist: [late/comer]\n"),
        changed=LATE,
    ),
    "strategy": Case(
        rollout("    strategy: repository_size\n    percentage: 25\n"),
        applied=rollout("    percentage: 25\n"),
    ),
    "new_salt": Case(rollout("    percentage: 20\n    salt: pepper\n"), applied=PERCENTAGE),
    "salt_of_a_new_feature": Case(rollout("    percentage: 20\n    salt: pepper\n")),
    "texts_and_switches": Case(
        rollout("    description: Grüße, 世界\n    active: false\n    percentage: 20\n"),
        applied=PERCENTAGE,
    ),
    "health": Case(
        rollout(
            "    percentage: 20\n    health: {max_error_rate: 2.5, min_jobs: 3, window: 90m,"
            " auto_rollback: false, rollback_to: 1.25}\n"
        ),
        applied=PERCENTAGE,
    ),
    "guards_and_progression": Case(
        rollout(
            "    percentage: 20\n    guards: {max_increase: 5, max_removal: 10, max_gain: 500}\n"
            "    progression: [{percentage: 20, soak: 1d}, {percentage: 100, soak: 7d}]\n"
        ),
        applied=PERCENTAGE,
    ),
    "stop": Case(PERCENTAGE + STOP, applied=PERCENTAGE),
    "limit": Case(PERCENTAGE + LIMIT, applied=PERCENTAGE),
    "resumed": Case(PERCENTAGE, applied=PERCENTAGE + LIMIT),
    "feature_removed": Case(
        "version: 1\nfeatures:\n  other: {percentage: 1}\n", applied=PERCENTAGE
    ),
    "test_marks": Case(
        PERCENTAGE + "test_repositories: [acme/tool-3, no/one]\n",
        applied=PERCENTAGE + "test_repositories: [beta/tool-1]\n",
    ),
    "categories": Case(
        PERCENTAGE + "categories:\n  small: {stars: 75, priority: 81}\n", applied=PERCENTAGE
    ),
    "drift_kept": Case(
        PERCENTAGE,
        applied=PERCENTAGE,
        changed=f"UPDATE rollout_configuration SET rollout_percentage = 5 {LONG_AGO}",
    ),
    "drift_stopped": Case(
        PERCENTAGE,
        applied=PERCENTAGE,
        changed=f"UPDATE rollout_configuration SET emergency_stop = true {LONG_AGO}",
    ),
    "drift_reverted": Case(
        PERCENTAGE,
        applied=PERCENTAGE,
        changed="UPDATE rollout_configuration SET rollout_percentage = 90",
    ),
    "drift_held": Case(
        LISTS,
        applied=LISTS,
        changed="UPDATE rollout_configuration SET target_repositories = '{acme/*}'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_plan_and_its_digest(site: Site, name: str) -> None:
    case = CASES[name]
    site.database.execute(REPOSITORIES)
    if case.applied:
        site.database.execute(FEATURE)
        apply(site, case.applied)
    if case.changed:
        site.database.execute(case.changed)
    site.write(case.file)
    site.commit("Change the rollout")

    planned = site.reconcile("--dry-run", "--format", "json")

    assert planned.exit_code in {0, 3}, planned.stderr
    check_json(f"plans/{name}", recorded(json.loads(planned.stdout)))


def apply(site: Site, file: str) -> None:
    site.write(file)
    site.commit("Begin")
    applied = site.reconcile("--yes")
    assert applied.exit_code == 0, applied


def recorded(plan: dict[str, Any]) -> dict[str, Any]:
    """Return what a digest covers and the names of the guards, without the commit of the plan."""
    for feature in plan["features"]:
        feature["guards"] = [guard["name"] for guard in feature["guards"]]
    kept = (
        *("format_version", "has_changes", "refused", "plan_digest", "generation"),
        *("features", "test_repositories", "categories"),
    )
    return {key: plan[key] for key in kept}
