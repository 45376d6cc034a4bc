"""Every change that affects eligibility notifies the listeners, by any statement."""

from tests.builders import RepositoryRow, add_repositories
from tests.postgres import Database

REPOSITORY = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
FEATURE = '{"table" : "rollout_configuration", "feature" : "f"}'
MEMBERSHIP = '{"table" : "rollout_membership"}'
CATEGORIES = '{"table" : "repository_categories"}'
THRESHOLDS = '{"table" : "category_threshold"}'


def told(database: Database, statement: str) -> list[str]:
    """Return the notifications of a statement."""
    with database.connect(autocommit=True) as listener:
        listener.execute("LISTEN rollout_changed")
        database.execute(statement)
        database.execute("SELECT pg_notify('rollout_changed', 'that was all')")
        heard: list[str] = []
        for notification in listener.notifies():
            if notification.payload == "that was all":
                return heard
            heard.append(notification.payload)
    raise AssertionError


STEPS = [
    ("UPDATE rollout_configuration SET emergency_stop = NOT emergency_stop", [FEATURE]),
    ("UPDATE rollout_configuration SET emergency_stop = emergency_stop", []),
    # The feature's notification covers the rows that the trigger writes.
    ("UPDATE rollout_configuration SET target_repositories = '{a/b,c/d}'", [FEATURE]),
    (
        "INSERT INTO rollout_configuration (feature_name, target_repositories)"
        " VALUES ('another', '{a/b}')",
        [FEATURE.replace('"f"', '"another"')],
    ),
    (
        "DELETE FROM rollout_configuration WHERE feature_name = 'another'",
        [FEATURE.replace('"f"', '"another"')],
    ),
    (
        "INSERT INTO rollout_membership (rollout_config_id, list, key)"
        " SELECT id, 'exclusions', 'x/y' FROM rollout_configuration WHERE feature_name = 'f'",
        [MEMBERSHIP],
    ),
    ("UPDATE rollout_membership SET key = 'x/z' WHERE key = 'x/y'", [MEMBERSHIP]),
    ("DELETE FROM rollout_membership WHERE key = 'x/z'", [MEMBERSHIP]),
    ("TRUNCATE rollout_membership", [MEMBERSHIP]),
    ("UPDATE repository_categories SET marked_as_test = NOT marked_as_test", [CATEGORIES]),
    ("TRUNCATE repository_categories", [CATEGORIES]),
    ("SELECT categorize_all_repositories()", [CATEGORIES]),
    ("DELETE FROM repository_categories", [CATEGORIES]),
    ("DELETE FROM repository_categories", []),
    ("UPDATE category_threshold SET stars = stars + 1 WHERE category = 'small'", [THRESHOLDS]),
    ("TRUNCATE category_threshold", [THRESHOLDS]),
]


def test_each_change_sends_a_notification(database: Database) -> None:
    add_repositories(database, RepositoryRow("acme/tools", id=REPOSITORY))
    database.execute("""
        INSERT INTO rollout_configuration (feature_name, target_repositories) VALUES ('f', '{a/b}');
        SELECT categorize_all_repositories();
    """)
    for statement, payloads in STEPS:
        assert told(database, statement) == payloads, statement
