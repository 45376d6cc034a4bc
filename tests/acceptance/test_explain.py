"""`reconcile explain`: the answer of every rule, as people read it."""

import json
import re

import pytest
from inline_snapshot import snapshot

from tests.builders import RepositoryRow, add_repositories
from tests.site import Site

ID = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
NO_AUDIENCE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def explained(site: Site) -> Site:
    """A site with one small repository whose bucket under the feature's name is known."""
    add_repositories(
        site.database,
        RepositoryRow("acme/Tools", id=ID, stars=34, contributors=5, pull_requests=1200),
    )
    site.database.execute("SELECT categorize_all_repositories()")
    return site


def declare(site: Site, fields: str) -> None:
    site.write(f"version: 1\nfeatures:\n  capture: {{{fields}}}\n")
    done = site.reconcile("--allow", "max-increase")
    assert done.exit_code == 0, done.stdout + done.stderr


def reason(site: Site, *arguments: str, **env: str) -> str:
    """Return the first two lines of an explanation, and the line of the deciding rule."""
    done = site.reconcile("explain", *(arguments or ("acme/tools",)), env=env)
    assert done.exit_code == 0, done.stderr
    first, second, *rest = done.stdout.splitlines()
    (decided,) = [line for line in rest if line.startswith("  →")]
    return f"{first}\n{second}\n{decided}"


def test_a_complete_explanation(explained: Site) -> None:
    declare(explained, "percentage: 25")

    done = explained.reconcile("explain", "acme/tools")

    assert done.stdout == snapshot("""\
acme/Tools and capture: not eligible
    percentage_strategy: bucket 7018 is not under 2500 (25 %)

     1  environment_stop     ROLLOUT_EMERGENCY_STOP does not stop the feature
     2  unknown_feature      the feature is configured
     3  inactive             the feature is active
     4  emergency_stop       the emergency stop is off
     5  unknown_repository   the repository is known
     6  excluded             the exclusions do not have it
     7  whitelisted          the whitelist does not have it
     8  whitelist_strategy   the strategy is percentage
  →  9  percentage_strategy  bucket 7018 is not under 2500 (25 %)
    10  size_strategy        the strategy is percentage

    bucket    7018 of 10,000
    category  large (recorded): 34 stars, 5 contributors, 1,200 pull requests
    id        6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11
""")


def test_environment_stop(explained: Site) -> None:
    declare(explained, "percentage: 100")

    assert reason(explained, ROLLOUT_EMERGENCY_STOP="capture") == snapshot("""\
acme/Tools and capture: not eligible
    environment_stop: ROLLOUT_EMERGENCY_STOP names the feature
  →  1  environment_stop     ROLLOUT_EMERGENCY_STOP names the feature\
""")


def test_unknown_feature(explained: Site) -> None:
    declare(explained, "percentage: 100")

    assert reason(explained, "acme/tools", "--feature", "other") == snapshot("""\
acme/Tools and other: not eligible
    unknown_feature: no feature has this name
  →  2  unknown_feature      no feature has this name\
""")


def test_inactive(explained: Site) -> None:
    declare(explained, "percentage: 100, active: false")

    assert reason(explained) == snapshot("""\
acme/Tools and capture: not eligible
    inactive: the feature is inactive
  →  3  inactive             the feature is inactive\
""")


def test_emergency_stop(explained: Site) -> None:
    declare(explained, "percentage: 100")
    explained.database.execute("UPDATE rollout_configuration SET emergency_stop = true")

    assert reason(explained) == snapshot("""\
acme/Tools and capture: not eligible
    emergency_stop: the emergency stop is on
  →  4  emergency_stop       the emergency stop is on\
""")


def test_unknown_repository(explained: Site) -> None:
    declare(explained, "percentage: 100")

    assert reason(explained, NO_AUDIENCE) == snapshot("""\
00000000-0000-4000-8000-000000000000 and capture: not eligible
    unknown_repository: no repository has this id
  →  5  unknown_repository   no repository has this id\
""")


def test_excluded(explained: Site) -> None:
    declare(explained, "percentage: 100, whitelist: [acme/tools], exclusions: [acme/*]")

    assert reason(explained) == snapshot("""\
acme/Tools and capture: not eligible
    excluded: the exclusions have acme/*
  →  6  excluded             the exclusions have acme/*\
""")


def test_each_list_names_its_entry_as_the_file_has_it(explained: Site) -> None:
    declare(explained, "percentage: 0, whitelist: [acme/*], exclusions: [acme/tools]")
    explained.database.execute("UPDATE rollout_configuration SET emergency_stop = true")

    done = explained.reconcile("explain", "acme/tools")

    assert "     6  excluded             the exclusions have acme/tools\n" in done.stdout
    assert "     7  whitelisted          the whitelist has acme/*\n" in done.stdout


def test_whitelisted(explained: Site) -> None:
    declare(explained, "percentage: 0, whitelist: [acme/tools]")

    assert reason(explained) == snapshot("""\
acme/Tools and capture: eligible
    whitelisted: the whitelist has acme/tools
  →  7  whitelisted          the whitelist has acme/tools\
""")


def test_whitelist_strategy(explained: Site) -> None:
    declare(explained, "strategy: whitelist, whitelist: [other/*]")

    assert reason(explained) == snapshot("""\
acme/Tools and capture: not eligible
    whitelist_strategy: the strategy is whitelist, and the whitelist does not have it
  →  8  whitelist_strategy   the strategy is whitelist, and the whitelist does not have it\
""")


def test_percentage_strategy(explained: Site) -> None:
    declare(explained, "percentage: 12.5")

    assert reason(explained) == snapshot("""\
acme/Tools and capture: not eligible
    percentage_strategy: bucket 7018 is not under 1250 (12.5 %)
  →  9  percentage_strategy  bucket 7018 is not under 1250 (12.5 %)\
""")


def test_size_strategy(explained: Site) -> None:
    declare(explained, "strategy: repository_size, percentage: 60")

    assert reason(explained) == snapshot("""\
acme/Tools and capture: not eligible
    size_strategy: large repositories are eligible from 75 %, the percentage is 60 %
  → 10  size_strategy        large repositories are eligible from 75 %, the percentage is 60 %\
""")


def test_the_process_may_lower_the_percentage(explained: Site) -> None:
    declare(explained, "percentage: 100")

    assert reason(explained, ROLLOUT_PERCENTAGE="1") == snapshot("""\
acme/Tools and capture: not eligible
    percentage_strategy: bucket 7018 is not under 100 (1 %, lowered by ROLLOUT_PERCENTAGE)
  →  9  percentage_strategy  bucket 7018 is not under 100 (1 %, lowered by ROLLOUT_PERCENTAGE)\
""")


def test_json_has_the_contracts_keys(explained: Site) -> None:
    declare(explained, "percentage: 25")

    found = json.loads(explained.reconcile("explain", ID, "--format", "json").stdout)

    assert {"eligible", "rule", "reason", "bucket", "category", "rules"} <= set(found)
    assert (found["rule"], found["category"]) == ("percentage_strategy", "large")
    assert [rule["rule"] for rule in found["rules"] if rule["decides"]] == ["percentage_strategy"]
    assert len(found["rules"]) == 10


def test_an_unknown_name_is_an_error_with_the_nearest_names(explained: Site) -> None:
    declare(explained, "percentage: 25")

    done = explained.reconcile("explain", "acme/tool")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "error: no repository is called 'acme/tool', did you mean acme/Tools?\n"


def test_explaining_writes_nothing(explained: Site) -> None:
    declare(explained, "percentage: 25")
    explained.database.execute("DELETE FROM repository_categories")
    name = explained.database.value("SELECT current_database()")
    explained.database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    done = explained.reconcile("explain", "acme/tools")

    assert "(not recorded yet, as of now)" in done.stdout


def test_explain_names_the_author_of_a_stop_and_its_reason(explained: Site) -> None:
    declare(explained, "percentage: 100")
    stop = ("stop", "--feature", "capture", "--reason", "jobs hang", "--by", "root")
    explained.reconcile(*stop, "--no-write-back")

    done = explained.reconcile("explain", "acme/tools", "--feature", "capture")
    data = json.loads(explained.reconcile("explain", "acme/tools", "--format", "json").stdout)

    assert re.search(r"    stop by root since \S+Z: jobs hang\n", done.stdout), done.stdout
    assert (data["override"]["by"], data["override"]["reason"]) == ("root", "jobs hang")


def test_the_rule_that_chooses_the_processor_of_a_job_is_named(explained: Site) -> None:
    rule = '{when: {kind: [reviews], size: "<=10"}, to: inngest, because: somebody waits for it}'
    declare(explained, f"percentage: 100, routing: [{rule}]")

    def last_line(job: str) -> str:
        return explained.reconcile("explain", "acme/tools", "--job", job).stdout.splitlines()[-1]

    assert last_line("reviews:10") == (
        "    job       inngest (rule 1 of routing: somebody waits for it)"
    )
    assert last_line("reviews:11") == "    job       github_actions (no rule of routing fits)"
    declare(explained, f"percentage: 0, routing: [{rule}]")
    assert last_line("reviews") == "    job       inngest (the repository is not eligible)"


def test_the_processor_of_a_job_in_the_past_is_repeated(explained: Site) -> None:
    def decided(moment: str) -> str:
        done = explained.reconcile("explain", "acme/tools", "--job", "reviews:5", "--at", moment)
        assert done.exit_code == 0, done.stderr
        return done.stdout.splitlines()[-1].strip()

    def newest() -> str:
        return str(explained.database.value("SELECT generation FROM rollout_state"))

    declare(explained, "percentage: 100, routing: [{to: inngest, because: it is cheaper}]")
    first = newest()
    declare(explained, "percentage: 100, routing: [{to: github_actions}]")
    second = newest()
    declare(explained, "percentage: 0, routing: [{to: github_actions}]")
    third = newest()

    assert decided(first) == "job       inngest (rule 1 of routing: it is cheaper)"
    assert decided(second) == "job       github_actions (rule 1 of routing)"
    assert decided(third) == "job       inngest (the repository is not eligible)"


def test_a_job_that_spills_is_explained(explained: Site) -> None:
    explained.write(
        "version: 1\n"
        "processors:\n"
        "  github_actions: {cost: {per_minute: 0.01}, concurrency: 1, as_of: 2026-11-01}\n"
        "features:\n"
        "  capture: {percentage: 100, routing: [{to: github_actions, spill: true}]}\n"
    )
    assert explained.reconcile("--yes", "--allow", "max-increase").exit_code == 0

    def last_line(*options: str) -> str:
        done = explained.reconcile("explain", "acme/tools", "--job", "reviews", *options)
        return done.stdout.splitlines()[-1].strip()

    assert last_line() == "job       github_actions (rule 1 of routing)"
    explained.database.execute(
        "SELECT start_rollout_job('capture', id) FROM repositories"
        " WHERE lower(full_name) = 'acme/tools'"
    )
    assert last_line() == (
        "job       inngest (rule 1 of routing; github_actions is at its concurrency)"
    )
    newest = str(explained.database.value("SELECT generation FROM rollout_state"))
    assert last_line("--at", newest) == "job       github_actions (rule 1 of routing)"


def test_a_job_that_cannot_be_read_is_refused(explained: Site) -> None:
    done = explained.reconcile("explain", "acme/tools", "--job", "reviews:many")
    assert done.exit_code == 64
    assert "'reviews:many' is not KIND or KIND:SIZE, such as pull_requests:120" in done.stderr
