"""Categories, participation and the next repositories, as people and scripts read them."""

import csv
import io
import json
import re

import pytest
from inline_snapshot import snapshot

from tests.site import Site

REPOSITORIES = """\
full_name,stars,contributors,pull_requests
acme/empty,0,0,0
acme/site,30,4,50
acme/tools,40,9,90
other/app,400,20,700
other/platform,4000,150,9000
other/linux,90000,5000,50000
"""


@pytest.fixture
def filled(site: Site) -> Site:
    """A site with repositories of every category, one of which is always eligible."""
    (site.folder / "r.csv").write_text(REPOSITORIES)
    site.reconcile("repositories", "load", "r.csv")
    site.write(
        "version: 1\nfeatures:\n  capture:\n    strategy: repository_size\n    percentage: 10\n"
        "    whitelist: [other/linux]\n"
    )
    site.commit("Begin with test repositories")
    assert site.reconcile().exit_code == 0
    return site


def test_categorize_reports_changes_and_a_second_run_writes_nothing(filled: Site) -> None:
    first = filled.reconcile("categorize")
    second = filled.reconcile("categorize")

    assert first.stdout == snapshot("""\
6 repositories written
    new        → test               1
    new        → small              2
    new        → medium             1
    new        → large              1
    new        → enterprise         1

    acme/empty → test
    acme/site → small
    acme/tools → small
    other/app → medium
    other/linux → enterprise
    other/platform → large
""")
    assert second.stdout == "no change; every repository is in its category\n"


def test_categorize_works_for_one_repository(filled: Site) -> None:
    done = filled.reconcile("categorize", "acme/site")

    assert "acme/site → small" in done.stdout
    assert filled.database.value("SELECT count(*) FROM repository_categories") == 1


def test_categories_is_one_table(filled: Site) -> None:
    filled.reconcile("categorize")

    assert filled.reconcile("categories").stdout == snapshot("""\
category    repositories   stars  contributors  pull requests  mean activity
test                   1       0             0              0            0.0
small                  2      70            13            140           48.5
medium                 1     400            20            700          100.0
large                  1   4,000           150          9,000          100.0
enterprise             1  90,000         5,000         50,000          100.0
""")


def test_stats_shows_participation(filled: Site) -> None:
    filled.reconcile("categorize")

    assert filled.reconcile("stats").stdout == snapshot("""\
capture
    repositories 6
    categorised  6
    test         1
    eligible     2 (33.3 %)
                 test 1   enterprise 1
    active       0 with a job in the window
    jobs         0, 0 errors

category    repositories   stars  contributors  pull requests  mean activity
test                   1       0             0              0            0.0
small                  2      70            13            140           48.5
medium                 1     400            20            700          100.0
large                  1   4,000           150          9,000          100.0
enterprise             1  90,000         5,000         50,000          100.0
""")


def test_stats_as_json(filled: Site) -> None:
    filled.reconcile("categorize")

    found = json.loads(filled.reconcile("stats", "--format", "json").stdout)

    assert (found["participation"]["total"], found["participation"]["eligible"]) == (6, 2)
    assert found["rate"] == pytest.approx(2 / 6)
    assert [each["category"] for each in found["categories"]] == [
        "test",
        "small",
        "medium",
        "large",
        "enterprise",
    ]


def test_ready_lists_the_next_by_priority_and_activity(filled: Site) -> None:
    filled.reconcile("categorize")

    done = filled.reconcile("repositories", "list", "--ready", "3", "--format", "json")

    names = [each["full_name"] for each in json.loads(done.stdout)["repositories"]]
    assert names == ["acme/tools", "acme/site", "other/app"]


def test_status_is_one_screen(filled: Site) -> None:
    done = filled.reconcile("status")

    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", done.stdout)
    head = filled.git("rev-parse", "--short=7", "HEAD")
    assert text.replace(head, "COMMIT") == snapshot("""\
generation 1, COMMIT, applied TIME
    copies       one copy: no synchronous standby confirms a commit

capture
    state        active
    strategy     repository_size
    percentage   10
    eligible     2 of 6 repositories (33.3 %)
    whitelist    1 entry
    exclusions   0 entries
    changed      TIME
    health       inconclusive: no data: no job was recorded in 24h
""")


def test_history_filters_by_action_feature_and_time(filled: Site) -> None:
    filled.replace("percentage: 10", "percentage: 25")
    filled.commit("Take small ones in")
    filled.reconcile()

    def actions(*arguments: str) -> list[str]:
        done = filled.reconcile("history", "--format", "json", *arguments)
        return [each["action"] for each in json.loads(done.stdout)["history"]]

    assert actions() == ["percentage_changed", "created"]
    assert actions("--limit", "1") == ["percentage_changed"]
    assert actions("--action", "created") == ["created"]
    assert actions("--since", "1h", "--feature", "capture") == ["percentage_changed", "created"]
    assert actions("--since", "2100-01-01") == []


def test_every_change_is_shown_with_its_name_within_the_width(filled: Site) -> None:
    long = "word " * 40 + "end"
    filled.write(
        f"version: 1\nfeatures:\n  capture: {{active: false, strategy: whitelist, description: {long},\n"
        "    health: {max_error_rate: 7.5, auto_rollback: false}}\n"
        "categories:\n  small: {stars: 51, contributors: 11, pull_requests: 101, priority: 81}\n"
    )

    shown = filled.reconcile("--dry-run").stdout.splitlines()

    assert "    active       on → off" in shown
    assert "    max_error_rate 5 → 7.5" in shown
    assert "    auto_rollback on → off" in shown
    assert max(map(len, shown)) <= 100
    assert "word word end" in " ".join(" ".join(shown).split())


def test_history_is_a_table_without_formulas(filled: Site) -> None:
    reason = '=HYPERLINK("http://x"), "quoted"\nand a second line'
    filled.database.execute(
        "INSERT INTO rollout_history (action, reason, triggered_by) VALUES ('note', %(reason)s, '@lin')",
        reason=reason,
    )

    done = filled.reconcile("history", "--format", "csv", "--limit", "2")

    newest, first = csv.DictReader(io.StringIO(done.stdout))
    assert (newest["reason"], newest["by"]) == (f"'{reason}", "'@lin")
    assert (first["feature"], first["action"], first["commit"]) == (
        "capture",
        "created",
        filled.git("rev-parse", "HEAD"),
    )


def test_history_shows_values_as_people_write_them(filled: Site) -> None:
    filled.database.execute("""
        UPDATE rollout_configuration
        SET rollout_percentage = 50, auto_rollback_enabled = false, target_repositories = '{a/b,c/d}'
            || target_repositories
    """)
    filled.write(
        "version: 1\nfeatures:\n  capture:\n    strategy: repository_size\n    percentage: 10\n"
        "    description: Why\n    whitelist: [other/linux]\ncategories:\n  small: {priority: 81}\n"
    )
    filled.reconcile()

    lines = filled.reconcile("history").stdout.splitlines()

    told = [line.partition("Z  ")[2] for line in lines if not line.startswith(" ")]
    assert told == snapshot(
        [
            "all features  updated  categories.small: priority 80 → 81",
            "capture  updated  description (none) → Why",
            "capture  drift_reverted  whitelist 3 entries → 1 entry",
            "capture  drift_reverted  auto_rollback off → on",
            "capture  drift_reverted  percentage 50 → 10",
            "capture  created  10",
        ]
    )
    assert filled.database.rows("""
        SELECT previous_percentage::int AS before, new_percentage::int AS after
        FROM rollout_history WHERE metadata ->> 'field' = 'percentage'
    """) == [{"before": 50, "after": 10}]


def test_history_shows_rows_written_by_hand(filled: Site) -> None:
    filled.database.execute("""
        INSERT INTO rollout_history
            (rollout_config_id, action, previous_percentage, new_percentage, reason, triggered_by)
        VALUES ((SELECT id FROM rollout_configuration), 'emergency_rollback', 50, 0,
                'Manual emergency rollback', 'manual')
    """)

    done = filled.reconcile("history", "--limit", "1")

    first, second = done.stdout.splitlines()
    assert first.endswith("Z  capture  emergency_rollback  50 → 0")
    assert second == "    by manual: Manual emergency rollback"


def test_the_plan_markdown_names_gained_and_lost_repositories(filled: Site) -> None:
    filled.replace("percentage: 10", "percentage: 25")
    filled.replace("whitelist: [other/linux]", "exclusions: [other/linux]")
    filled.commit("Take small ones in")

    done = filled.reconcile("--dry-run", "--format", "markdown", "--allow", "list-emptied")

    head = filled.git("rev-parse", "--short=7", "HEAD")
    before = filled.git("rev-parse", "--short=7", "HEAD~1")
    text = done.stdout.replace(head, "HEAD").replace(before, "BEFORE")
    assert text[: text.index("<details><summary>As in")] == snapshot("""\
### Rollout: 3 changes in 1 feature, +2 gain, −1 lose

`rollout.yaml` at `HEAD` against generation 1. Plan: 1 feature to change, 3 changes. Nothing was written.

#### `capture` (update)

> **Allowed** by `list-emptied`: whitelist would be empty: its one entry is removed

| field | before | after |
| --- | --- | --- |
| percentage | `10` | `25` |
| whitelist | − `other/linux` |  |
| exclusions |  | + `other/linux` |

**2 → 3** of 6 repositories are eligible: **+2** gain, **−1** lose.

Gain: `acme/tools`, `acme/site`

Lose: `other/linux`

<details><summary>By category and owner</summary>

| repositories | gain | lose |
| --- | --- | --- |
| category `small` | 2 | 0 |
| category `enterprise` | 0 | 1 |
| owner `acme` | 2 | 0 |
| owner `other` | 0 | 1 |

</details>

""")
    assert "<!-- rollout-plan sha256:" in text.splitlines()[-1]


def test_the_plan_markdown_stays_under_githubs_limit(filled: Site) -> None:
    features = "".join(
        f"  feature_{number}:\n    whitelist: [{', '.join(f'o/r{each}' for each in range(30))}]\n"
        for number in range(120)
    )
    filled.write(f"version: 1\nfeatures:\n{features}")

    done = filled.reconcile("--dry-run", "--format", "markdown", "--allow", "feature-removed")

    assert len(done.stdout) <= 60_000
    assert "_The rest does not fit here" in done.stdout
    assert "<!-- rollout-plan sha256:" in done.stdout.splitlines()[-1]


def test_status_reports_a_replaced_function_and_goes_on(filled: Site) -> None:
    filled.database.execute("""
        CREATE OR REPLACE FUNCTION rollout_step(category text, marked_as_test boolean) RETURNS integer
        LANGUAGE sql IMMUTABLE AS 'SELECT 0'
    """)

    shown = [filled.reconcile("status", *options) for options in ((), ("--format", "json"))]
    refused = [
        filled.reconcile(*command) for command in (("db", "status"), ("drift",), ("verify",))
    ]

    assert [each.exit_code for each in shown] == [0, 0]
    assert "health" in shown[0].stdout
    assert json.loads(shown[1].stdout)["features"][0]["name"] == "capture"
    for each in shown:
        (line,) = each.stderr.splitlines()
        assert line.startswith("function public.rollout_step(")
        assert line.endswith("run: reconcile db upgrade --repair")
    assert [each.exit_code for each in refused] == [1, 1, 1]
