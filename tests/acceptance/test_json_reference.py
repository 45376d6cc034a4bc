"""The JSON of each command compared key by key with the page that documents it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as OpenedDatabase
from tests.pages import DOCUMENTATION
from tests.site import Site

PAGE = DOCUMENTATION / "reference" / "json.md"

FILE = """\
version: 1
features:
  capture:
    percentage: 50
    whitelist: [acme/tool-1, acme/nobody]
    exclusions: [acme/tool-2]
    guards: {max_increase: 100}
    health: {min_jobs: 1, method: evidence}
    progression: [{percentage: 50, soak: 1d}, {percentage: 100, soak: 1d}]
test_repositories: [acme/tool-3]
notifications: {oncall: {kind: webhook}}
freezes:
  - {name: always, from: 2020-01-01 00:00, to: 2199-12-31 00:00, features: [capture]}
  - {name: weekend, from: fri 16:00, to: mon 08:00}
  - {name: later, from: 2190-01-01 00:00, to: 2190-01-02 00:00, features: [capture]}
"""
REPOSITORIES = "full_name,stars,contributors,pull_requests\n" + "".join(
    f"acme/tool-{number},10,2,10\n" for number in range(12)
)

BY_NAME = (
    "added",
    "by_category",
    "by_processor",
    "changed",
    "eligible_by_category",
    "frozen_until",
    "indicators",
    "removed",
    "tests",
)
"""Objects whose keys are names."""
OPAQUE = {"adoption", "details", "metadata", "plan", "last_applied", "live"}
"""Keys that a page describes as a whole."""

ROLLED_OUT = [
    ("repositories load", "repositories load r.csv"),
    ("", "--allow soak --allow max-gain --allow freeze --reason urgent"),
    ("categorize", "categorize"),
    ("metrics record", "metrics record acme/tool-4 --processor github_actions --failed --error no"),
    ("metrics record", "metrics record acme/tool-5 --processor inngest --seconds 2"),
    ("metrics show", "metrics show"),
    ("status", "status"),
    ("stats", "stats"),
    ("cost", "cost"),
    ("cost", "cost --resolve"),
    ("categories", "categories"),
    ("explain", "explain acme/tool-1 --job reviews:20"),
    ("repositories list", "repositories list"),
    ("repositories list", "repositories list --ready 3"),
    ("whitelist list", "whitelist list"),
    ("whitelist list", "exclude list"),
    ("whitelist list", "test-repos list"),
    ("health", "health"),
    ("health", "health --explain"),
    ("simulate", "simulate --rollouts 10 --watch-for 1h"),
    ("validate", "validate wrong.yaml"),
    ("freezes", "freezes"),
    ("freezes", "freezes --at 2026-11-28T10:00Z"),
    ("freeze list", "freeze list"),
    ("promote", "promote"),
    ("db status", "db status"),
    ("db roles", "db roles --check"),
    ("db upgrade", "db upgrade --repair"),
    ("set", "set 40"),
    ("set", "set 40"),
    ("stop", "stop --reason hurts --no-write-back"),
    ("status", "status"),
    ("verify", "verify"),
    ("notify list", "notify list"),
    ("notify test", "notify test oncall"),
    ("notify deliver", "notify deliver"),
    ("notify retry", "notify retry"),
    ("explain", "explain acme/tool-1 --at 2999-01-01"),
    ("repositories list", "repositories list --eligible --at 2999-01-01"),
    ("repositories list", "repositories list --eligible --at 1"),
    ("write-back", "write-back"),
    ("stop", "resume --reason fixed --allow freeze"),
    ("stop", "rollback --to 10 --reason again"),
    ("stop", "resume --reason fixed --allow freeze"),
    ("history", "history"),
]
"""Each section of the page, and a command line that prints its JSON, in order."""


def test_documented_keys_and_printed_keys_are_the_same(
    site: Site,
) -> None:
    (site.folder / "r.csv").write_text(REPOSITORIES)
    (site.folder / "wrong.yaml").write_text("version: 2\n")
    site.write(FILE)
    site.commit("Begin")
    site.push()
    apply_roles(OpenedDatabase.at(site.database.address))
    site.database.execute("""
        REVOKE SELECT ON rollout_history FROM rollout_reader;
        GRANT INSERT ON rollout_metrics TO PUBLIC;
        ALTER TABLE rollout_configuration ENABLE ROW LEVEL SECURITY;
    """)
    printed: dict[str, set[str]] = {}

    def run(section: str, line: str) -> None:
        done = site.reconcile(*line.split(), "--format", "json")
        assert done.exit_code in {0, 1, 3}, (line, done.stderr)
        assert done.stdout, (line, done.stderr)
        if section:
            printed.setdefault(section, set()).update(paths(json.loads(done.stdout)))

    for section, line in ROLLED_OUT:
        run(section, line)
    site.database.execute("UPDATE rollout_configuration SET rollout_percentage = 5")
    site.database.execute(
        "INSERT INTO rollout_history (rollout_config_id, action, reason, triggered_by)"
        " SELECT id, 'emergency_rollback', 'it hurts', 'lin' FROM rollout_configuration"
    )
    run("drift", "drift")
    run("status", "status")

    documented = dict(sections(PAGE.read_text("utf-8")))
    assert printed.keys() == documented.keys()
    for section, keys in documented.items():
        unknown = {
            each
            for each in printed[section]
            # If an object or a list is null or empty in this run, its keys document it.
            if not any(each == key or key.startswith((f"{each}.", f"{each}[")) for key in keys)
            and not any(each.startswith(key.removesuffix("…")) for key in keys if "…" in key)
        }
        assert unknown == set(), section
        missing = {
            each
            for each in keys
            if not any(
                path == each or ("…" in each and path.startswith(each.removesuffix("…")))
                for path in printed[section]
            )
        }
        assert missing == set(), section


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"a": 1, "b": [{"c": None}]}, {"a", "b[].c"}),
        ({"by_category": {"small": {"jobs": 1}}}, {"by_category.NAME.jobs"}),
        ({"a": [], "b": ["x"], "plan": {"c": 1}}, {"a", "b[]", "plan"}),
    ],
)
def test_the_keys_of_a_document(value: Any, found: set[str]) -> None:
    assert set(paths(value)) == found


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Return the path of each value that is no container, and of each empty one."""
    if path.rpartition(".")[2] in OPAQUE:
        yield path
    elif isinstance(value, dict) and value:
        for key, inner in value.items():
            name = "NAME" if path.rpartition(".")[2] in BY_NAME else key
            yield from paths(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from paths(inner, f"{path}[]")
    else:
        yield path


def sections(page: str) -> Iterator[tuple[str, set[str]]]:
    """Return each command of the page, and the keys that it documents."""
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        yield part.partition("\n")[0], set(re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE))
