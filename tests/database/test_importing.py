"""The description of any live state is a valid file, and its plan changes nothing."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.database.export import describe_live
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import read_only_transaction
from reconciler.operations.reconcile import apply, preview
from reconciler.planning.application import Application
from reconciler.planning.export import Description
from reconciler.planning.overrides import OverrideState
from reconciler.planning.plan import FeaturePlan, Plan
from reconciler.planning.plan_inputs import Source
from reconciler.rollout_file import parse_rollout
from reconciler.rollout_file.model import Rollout
from reconciler.rollout_file.yaml_writer import render_rollout
from tests.builders import RepositoryRow, add_repositories
from tests.postgres import Database

KNOWN = {f"00000000-0000-4000-8000-00000000000{n}": f"Acme/Repo.{n}" for n in range(1, 6)}
TWINS = {f"00000000-0000-4000-8000-00000000001{n}": "twin/same" for n in range(2)}
UNKNOWN = ["00000000-0000-4000-8000-0000000000ff", "not-yet/there", "acme/*", "Other-Org/*"]
ENTRIES = [*KNOWN, *TWINS, *UNKNOWN]

texts = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc", "Cf", "Zl"]),
    min_size=1,
    max_size=30,
).filter(lambda text: text.strip() == text and text)
hundredths = st.integers(0, 10_000).map(lambda number: number / 100)
names = st.from_regex("[a-z][a-z0-9_]{0,12}", fullmatch=True) | st.sampled_from(
    ["null", "true", "yes", "on", "y", "override", "e1"]
)


@st.composite
def features(draw: st.DrawFn) -> dict[str, Any]:
    """A row of the configuration, and the override in force."""
    listed = draw(st.lists(st.sampled_from(ENTRIES), unique=True))
    cut = draw(st.integers(0, len(listed)))
    limit = draw(st.sampled_from([None, None, "stop", "percentage"]))
    return {
        "rollout_percentage": 0 if limit == "stop" else draw(hundredths),
        "emergency_stop": limit == "stop",
        "limit": limit,
        "is_active": draw(st.booleans()),
        "rollout_strategy": draw(st.sampled_from(["percentage", "whitelist", "repository_size"])),
        "target_repositories": listed[:cut],
        "excluded_repositories": listed[cut:],
        "processor": draw(st.just("github_actions") | texts),
        "fallback": draw(st.just("inngest") | texts),
        "health_method": draw(st.sampled_from(["threshold", "evidence"])),
        "max_error_rate": draw(hundredths),
        "max_regression": draw(hundredths),
        "max_slowdown": draw(st.none() | hundredths),
        "false_alarms": draw(st.decimals("0.0001", "0.5", places=4)),
        "min_jobs": draw(st.integers(1, 2**31 - 1)),
        "monitoring_window": f"{draw(st.integers(1, 365 * 86_400))} seconds",
        "auto_rollback_enabled": draw(st.booleans()),
        "rollback_to": draw(hundredths),
        "salt": draw(st.none() | texts),
        "bucketing": draw(st.sampled_from(["sha256", "hashtext"])),
        "metadata": draw(st.sampled_from([{}, {"team": "release"}]))
        | draw(st.just({}) | st.fixed_dictionaries({"description": texts})),
    }


worlds = st.fixed_dictionaries(
    {
        "features": st.dictionaries(names, features(), max_size=3),
        "marked": st.sets(st.sampled_from([*KNOWN, *TWINS])),
        "thresholds": st.dictionaries(
            st.sampled_from(["test", "small", "medium", "large"]),
            st.tuples(*[st.integers(0, 2**31 - 1)] * 3, st.integers(0, 1000)),
        ),
    }
)


@pytest.fixture
def repositories(database: Database) -> Database:
    """A database with repositories; two of them have the same name."""
    database.execute("DROP INDEX repositories_full_name_key")
    for identifier, name in (KNOWN | TWINS).items():
        add_repositories(database, RepositoryRow(name, id=identifier))
    database.execute("CREATE TABLE threshold_before AS SELECT * FROM category_threshold")
    return database


def make_live(database: Database, world: dict[str, Any]) -> None:
    """Replace the live state by SQL."""
    with database.connect() as connection:
        connection.execute("DELETE FROM rollout_override")
        connection.execute("DELETE FROM rollout_configuration")
        connection.execute("DELETE FROM repository_categories")
        connection.execute(
            "UPDATE category_threshold AS t SET stars = b.stars, contributors = b.contributors,"
            " pull_requests = b.pull_requests, priority = b.priority"
            " FROM threshold_before AS b WHERE b.category = t.category"
        )
        for name, feature in world["features"].items():
            row = {**feature, "feature_name": name, "metadata": json.dumps(feature["metadata"])}
            limit = row.pop("limit")
            columns = ", ".join(row)
            places = ", ".join(f"%({column})s" for column in row)
            connection.execute(
                f"INSERT INTO rollout_configuration ({columns}) VALUES ({places})".encode(), row
            )
            if limit is not None:
                connection.execute(
                    "INSERT INTO rollout_override"
                    " (id, rollout_config_id, percentage, emergency_stop, reason, triggered_by)"
                    " SELECT gen_random_uuid(), id, %(percentage)s, %(stop)s, 'because: # of it', 'me'"
                    " FROM rollout_configuration WHERE feature_name = %(name)s",
                    {
                        "name": name,
                        "stop": limit == "stop",
                        "percentage": None if limit == "stop" else row["rollout_percentage"],
                    },
                )
        for identifier in world["marked"]:
            connection.execute(
                "INSERT INTO repository_categories (repository_id, category, marked_as_test)"
                " VALUES (%(id)s, 'small', true)",
                {"id": identifier},
            )
        for category, (stars, contributors, pull_requests, priority) in world["thresholds"].items():
            connection.execute(
                "UPDATE category_threshold SET stars = %(s)s, contributors = %(c)s,"
                " pull_requests = %(p)s, priority = %(priority)s WHERE category = %(category)s",
                {
                    "category": category,
                    "s": stars,
                    "c": contributors,
                    "p": pull_requests,
                    "priority": priority,
                },
            )


def described(database: Database) -> tuple[Description, str]:
    """Return the live state and the file that describes it."""
    with read_only_transaction(OpenedDatabase.at(database.address)) as connection:
        description = describe_live(connection)
    return description, render_rollout(description.rollout, ["What was live."])


def application(text: str) -> Application:
    document = parse_rollout(text.encode(), path="rollout.yaml")
    source = Source("rollout.yaml", document.digest, None, False, None)
    return Application(source, document.rollout, applied_by="a test")


def plan_for(database: Database, text: str) -> Plan:
    return preview(OpenedDatabase.at(database.address), application(text))


def is_seen_only(feature: FeaturePlan) -> bool:
    """Return whether an apply would change no override, except to record that its block was seen."""
    assert feature.before is not None
    return feature.overrides.resumed == () and all(
        row.state is OverrideState.ON and row.override == feature.overrides.in_force
        for row in feature.overrides.written
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds)
def test_a_plan_for_the_exported_file_is_empty(
    repositories: Database, world: dict[str, Any]
) -> None:
    make_live(repositories, world)

    description, text = described(repositories)

    assert description.remarks == ()
    assert parse_rollout(text.encode(), path="rollout.yaml").rollout == description.rollout
    plan = plan_for(repositories, text)
    assert (plan.change_count, plan.is_refused) == (0, False)
    assert all(is_seen_only(feature) for feature in plan.features)


odd_features = features().flatmap(
    lambda feature: st.fixed_dictionaries(
        {},
        optional={
            "target_repositories": st.just(
                [
                    "",
                    "  ",
                    "no entry",
                    "a//b",
                    "ACME/Repo.1 ",
                    "acme/repo.1",
                    None,
                    *KNOWN,
                    "\x1b[31m",
                ]
            ),
            "excluded_repositories": st.just([*KNOWN, "not-yet/there", "{brace}"]),
            "min_jobs": st.just(0),
            "monitoring_window": st.sampled_from(["400 days", "0.5 seconds", "90.25 seconds"]),
            "salt": st.sampled_from(["", "  ", "two\nlines", "s" * 500]),
            "metadata": st.sampled_from([{"description": "two\nlines"}, {"description": ""}, []]),
            "emergency_stop": st.just(True),
        },
    ).map(lambda odd: feature | {"limit": None} | odd)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    features=st.dictionaries(
        names | st.sampled_from(["Odd Name", "ä", ""]), odd_features, max_size=2
    )
)
def test_an_export_leaves_out_what_no_file_can_declare(
    repositories: Database, features: dict[str, Any]
) -> None:
    make_live(repositories, {"features": features, "marked": set(), "thresholds": {}})

    description, text = described(repositories)

    assert parse_rollout(text.encode(), path="rollout.yaml").rollout == description.rollout
    plan = plan_for(repositories, text)
    gained = {
        feature.name: feature.blast_radius.gained
        for feature in plan.features
        # Another salt selects other repositories, with a warning.
        if feature.blast_radius is not None
        and not any("another salt" in each for each in description.remarks)
    }
    assert not any(gained.values())
    # Resolving names and recording a stop in force are an apply's own work; everything else has a
    # remark.
    if not description.remarks:
        assert plan.change_count == 0


def test_an_export_reports_what_it_left_out(repositories: Database) -> None:
    make_live(
        repositories,
        {
            "features": {
                "odd": {
                    "target_repositories": ["", "acme/*", "not-yet/there"],
                    "excluded_repositories": ["not-yet/there"],
                    "min_jobs": 0,
                    "monitoring_window": "400 days",
                    "salt": "",
                    "metadata": {"description": "two\nlines"},
                    "limit": None,
                },
                "Odd Name": {"metadata": {}, "limit": None},
            },
            "marked": set(),
            "thresholds": {},
        },
    )
    repositories.execute("UPDATE category_threshold SET stars = NULL WHERE category = 'large'")

    description, _ = described(repositories)

    assert list(description.remarks) == [
        "'Odd Name' is not a valid feature name in a file, so it is left out, and an apply"
        " deactivates it; rename it in public.rollout_configuration first",
        "odd: the description 'two\\nlines' is not one line of 1 to 1,000 characters; it is left out",
        "odd: the salt '' is not one line of 1 to 200 characters; it is left out",
        "odd: with another salt an apply chooses other repositories by percentage",
        "odd: whitelist: '' is not a valid list entry, so it is left out",
        "odd: whitelist: not-yet/there is also excluded; exclusions win, so it is left out here",
        "odd: min_jobs 0 is written as 1",
        "odd: window 400d is written as 365d",
        "categories.large.stars: no limit is written as 2147483647",
    ]


FILE = """\
version: 1
features:
  capture:
    percentage: 20
    whitelist: [acme/repo.1]
    guards: {max_increase: 20, max_gain: 4}
    progression:
      - {percentage: 20, soak: 1d}
      - {percentage: 55.5, soak: 90m}
"""


def test_an_export_keeps_settings_that_only_the_last_file_has(repositories: Database) -> None:
    apply(OpenedDatabase.at(repositories.address), application(FILE))

    description, text = described(repositories)

    feature = description.rollout.features["capture"]
    assert feature == parse_rollout(FILE.encode(), path="x").rollout.features["capture"].model_copy(
        update={"whitelist": ("Acme/Repo.1",)}
    )
    assert not plan_for(repositories, text).has_changes


def test_an_export_under_an_override_has_the_desired_state(repositories: Database) -> None:
    apply(OpenedDatabase.at(repositories.address), application(FILE))
    repositories.execute("""
        UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true;
        INSERT INTO rollout_override (id, rollout_config_id, emergency_stop, reason, triggered_by)
        SELECT gen_random_uuid(), id, true, 'errors', 'safeguard' FROM rollout_configuration;
    """)

    description, text = described(repositories)

    feature = description.rollout.features["capture"]
    assert feature.percentage == 20
    assert feature.override is not None
    assert (feature.override.reason, feature.override.by) == ("errors", "safeguard")
    assert plan_for(repositories, text).change_count == 0


def test_an_export_writes_a_stop_by_sql_as_an_override(repositories: Database) -> None:
    repositories.execute("""
        INSERT INTO rollout_configuration (feature_name, emergency_stop) VALUES ('capture', true)
    """)

    description, text = described(repositories)
    again, _ = described(repositories)

    override = description.rollout.features["capture"].override
    assert override is not None
    assert (override.emergency_stop, override.by) == (True, "import")
    assert again.rollout == description.rollout
    plan = plan_for(repositories, text)
    assert plan.change_count == 0
    apply(OpenedDatabase.at(repositories.address), application(text))
    assert repositories.value("SELECT emergency_stop FROM rollout_configuration") is True
    assert repositories.value("SELECT id FROM rollout_override WHERE state = 'on'") == override.id
    assert plan_for(repositories, text).change_count == 0


def test_an_empty_database_is_exported_as_an_empty_file(database: Database) -> None:
    description, text = described(database)
    assert description == Description(Rollout(version=1), ())
    assert not plan_for(database, text).has_changes
