"""Eligibility with its reason at a generation, a commit or a time, as `eligible_repositories` was then."""

import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.site import Site

# The ids decide which of them are eligible by a percentage.
REPOSITORIES = "full_name,id,stars,contributors,pull_requests\n" + "".join(
    f"acme/tool-{number},00000000-0000-4000-8000-{number:012},{stars},1,1\n"
    for number, stars in enumerate([0, 0, 40, 40, 400, 400, 4000, 4000, 90000, 90000])
)


def declare(site: Site, fields: str, rest: str = "") -> str:
    site.write(
        f"version: 1\nfeatures:\n  capture: {{{fields}, guards: {{max_increase: 100}}}}\n{rest}"
    )
    commit = site.commit(f"Declare {fields}"[:60])
    site.push()
    done = site.reconcile("--allow", "list-emptied")
    assert done.exit_code == 0, done.stdout + done.stderr
    return commit


def in_now(site: Site) -> tuple[str, list[str]]:
    """Return the database's time and the repositories that its function returns."""
    (row,) = site.database.rows(
        "SELECT clock_timestamp() AS at, array(SELECT full_name FROM repositories"
        " WHERE id IN (SELECT eligible_repositories('capture')) ORDER BY 1) AS names"
    )
    return str(row["at"].isoformat()), row["names"]


def read(site: Site, *arguments: str) -> Any:
    done = site.reconcile(*arguments, "--format", "json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def in_then(site: Site, at: str) -> list[str]:
    found = read(site, "repositories", "list", "--eligible", "--at", at)
    return [each["full_name"] for each in found["repositories"]]


@pytest.fixture
def filled(site: Site) -> Site:
    (site.folder / "r.csv").write_text(REPOSITORIES)
    assert site.reconcile("repositories", "load", "r.csv").exit_code == 0
    assert site.reconcile("categorize").exit_code == 0
    return site


def test_past_eligibility_equals_the_answers_of_that_time(filled: Site) -> None:
    moments = []
    first = declare(filled, "percentage: 40, whitelist: [acme/tool-9, acme/later]")
    moments.append(in_now(filled))
    filled.reconcile("stop", "--reason", "it hurts", "--no-write-back")
    moments.append(in_now(filled))
    filled.reconcile("resume", "--reason", "fixed", "--no-write-back")
    moments.append(in_now(filled))
    filled.reconcile("rollback", "--to", "10", "--reason", "again", "--no-write-back")
    moments.append(in_now(filled))
    filled.reconcile("resume", "--reason", "fixed", "--no-write-back")
    declare(
        filled,
        "strategy: repository_size, percentage: 50, exclusions: [acme/tool-2]",
        "test_repositories: [acme/tool-8]\ncategories: {medium: {stars: 5000}}\n",
    )
    moments.append(in_now(filled))
    declare(filled, "percentage: 100, active: false")
    moments.append(in_now(filled))

    assert moments[1][1] == moments[5][1] == []
    assert len({tuple(names) for _, names in moments}) == 4
    assert [in_then(filled, at) for at, _ in moments] == [names for _, names in moments]
    by_generation = [in_then(filled, str(number)) for number in (1, 2, 3)]
    assert by_generation == [moments[0][1], moments[4][1], moments[5][1]]
    assert in_then(filled, first[:7]) == in_then(filled, first) == moments[0][1]


def test_an_explanation_names_its_point_in_time(filled: Site) -> None:
    commit = declare(filled, "percentage: 0, whitelist: [acme/tool-3]")
    declare(filled, "percentage: 0")

    then = filled.reconcile("explain", "acme/tool-3", "--at", commit[:9])
    told = read(filled, "explain", "acme/tool-3", "--at", "1")
    now = read(filled, "explain", "acme/tool-3")

    lines = then.stdout.splitlines()
    key = told["id"]
    assert lines[:2] == [
        "acme/tool-3 and capture: eligible",
        f"    whitelisted: the whitelist has {key}",
    ]
    assert lines[2].startswith(f"    entry {key}; added in generation 1 ({commit[:7]}) by ")
    assert lines[3].startswith(f"    as of generation 1 ({commit[:7]}), applied ")
    assert lines[4] == snapshot(
        "    names and sizes are those of today; environment variables do not count"
    )
    assert (told["eligible"], told["rule"], told["as_of"]["generation"]) == (True, "whitelisted", 1)
    assert told["as_of"]["commit"] == commit
    assert (now["eligible"], now["as_of"]) == (False, None)


def test_a_past_stop_is_shown_with_its_time(filled: Site) -> None:
    declare(filled, "percentage: 100")
    filled.reconcile("stop", "--reason", "it hurts", "--no-write-back")
    stopped = filled.database.value("SELECT created_at FROM rollout_override").isoformat()
    filled.reconcile("resume", "--reason", "fixed", "--no-write-back")

    at_the_time = read(filled, "explain", "acme/tool-1", "--at", stopped)
    at_the_generation = read(filled, "explain", "acme/tool-1", "--at", "1")

    assert (at_the_time["eligible"], at_the_time["rule"]) == (False, "emergency_stop")
    assert at_the_time["as_of"]["act"]["action"] == "emergency_stop"
    assert (at_the_generation["eligible"], at_the_generation["as_of"]["act"]) == (True, None)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("9", "generation 9 does not exist; the newest are "),
        ("abcdef0", "no generation was applied from abcdef0; the newest generations are 1 ("),
        (
            "2020-01-01",
            "nothing was applied before 2020-01-01T00:00:00Z; the first apply made generation 1, at ",
        ),
        ("yesterday", "'yesterday' is not a time; write 2026-11-23T12:00Z or 24h"),
        ("99999d", "'99999d' is not a time"),
        ("HEAD", "the number of a generation, or seven characters or more of a commit"),
        (
            "99999999999999999999999999",
            "99999999999999999999999999 is neither a generation nor an applied commit; the newest generations are",
        ),
    ],
)
def test_an_unknown_point_in_time_is_an_error_with_the_nearest(
    site: Site, at: str, message: str
) -> None:
    site.reconcile()

    done = site.reconcile("repositories", "list", "--eligible", "--at", at)

    assert done.exit_code in {1, 64}
    assert message in done.stderr
    assert done.stdout == ""


def test_a_commit_applied_twice_must_be_named_by_generation(filled: Site) -> None:
    commit = declare(filled, "percentage: 10")
    filled.database.execute("UPDATE rollout_configuration SET rollout_percentage = 50")
    assert filled.reconcile().exit_code == 0

    done = filled.reconcile("explain", "acme/tool-1", "--at", commit[:7])

    assert done.exit_code == 1
    assert f"matches generations 1 ({commit[:7]}), 2 ({commit[:7]}); give the number of one" in (
        done.stderr
    )


def test_at_works_only_with_eligible(site: Site) -> None:
    done = site.reconcile("repositories", "list", "--at", "1")

    assert done.exit_code == 64
    assert "--at needs --eligible" in done.stderr
