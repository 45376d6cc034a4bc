"""Hostile texts in every column that a person or a program writes: no command lets them act, in any format."""

from collections import Counter
from itertools import product

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.cli.main import EXIT_COMMAND_LINE_WRONG
from reconciler.cli.options import Format
from tests.builders import RepositoryRow, add_repositories
from tests.hostile import (
    TEXTS,
    acts_in_a_page,
    acts_in_a_spreadsheet,
    acts_in_markdown,
    acts_on_a_runner,
    acts_on_a_terminal,
    is_json,
)
from tests.postgres import Database
from tests.screens import Browser
from tests.site import Site
from tests.watching import watching

FEATURE = "hybrid_progressive_capture"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("--dry-run",),
    ("status",),
    ("stats", "--feature", FEATURE),
    ("cost", "--feature", FEATURE),
    ("health",),
    ("health", "--explain"),
    ("history", "--limit", "500"),
    ("verify",),
    ("drift",),
    ("metrics", "show", "--feature", FEATURE),
    ("notify", "list"),
    ("notify", "retry"),
    ("repositories", "list"),
    ("explain", "acme/tools", "--feature", FEATURE),
    ("freezes",),
    ("categories",),
    ("db", "status"),
    ("db", "roles", "--check"),
    ("promote",),
    ("validate",),
    ("write-back",),
)
PAGES = (
    *("/", "/repositories?q=acme/tools", "/waiting", "/history", "/cost"),
    *("/machinery", f"/features/{FEATURE}"),
)
EXPORTS = ("/history.csv", "/history.json")
FEWEST = {Format.TEXT: 19, Format.JSON: 18, Format.MARKDOWN: 2, Format.GITHUB: 3, Format.CSV: 1}
"""How many of the commands have the format."""


@pytest.fixture
def written(site: Site) -> Site:
    """A rollout in which each free text is a hostile one, of each kind."""
    site.reconcile("--yes")
    site.commit(" ".join(TEXTS.values()).replace("\0", ""))
    site.push()
    add_repositories(site.database, RepositoryRow("acme/tools"))
    for kind, text in TEXTS.items():
        write_everywhere(site.database, kind, text)
    stop = ("stop", "--yes", "--no-write-back", "--feature", FEATURE)
    site.reconcile(*stop, "--reason", " ".join(TEXTS.values()))
    return site


def write_everywhere(database: Database, kind: str, text: str) -> None:
    """Write a text where a service, a worker, an operator by SQL and a receiver of messages can."""
    values = {"text": text, "kind": kind, "feature": FEATURE}
    for statement in (
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage, processor)"
        " VALUES (%(text)s, 10, %(text)s)",
        "INSERT INTO repositories (id, owner, name, full_name)"
        " VALUES (gen_random_uuid(), 'acme', %(text)s, 'acme/' || %(text)s)",
        "SELECT record_rollout_job(%(feature)s, id, %(text)s, false, 1, %(text)s, %(text)s, 1)"
        " FROM repositories WHERE full_name = 'acme/tools'",
        "SELECT record_rollout_job(%(feature)s, id, 'github_actions', false, 1, %(text)s)"
        " FROM repositories WHERE full_name = 'acme/tools'",
        "INSERT INTO rollout_history (rollout_config_id, action, reason, triggered_by, metadata)"
        " SELECT id, %(text)s, %(text)s, %(text)s, jsonb_build_object(%(text)s, %(text)s, 'commit', %(text)s)"
        " FROM rollout_configuration WHERE feature_name = %(feature)s",
        "UPDATE rollout_configuration SET target_repositories = target_repositories || %(text)s"
        " WHERE feature_name = %(feature)s",
        "INSERT INTO rollout_notification (target, event, severity, dedup_key, occurrence, state,"
        " last_answer, feature_name, details) VALUES (%(text)s, %(text)s, 'page', %(text)s, %(text)s,"
        " 'dead', %(text)s, %(text)s, jsonb_build_object('reason', %(text)s))",
        "INSERT INTO rollout_override (id, rollout_config_id, state, emergency_stop, reason,"
        " triggered_by, proposed_branch)"
        " SELECT gen_random_uuid(), id, 'off', true, %(text)s, %(text)s, %(text)s"
        " FROM rollout_configuration WHERE feature_name = %(feature)s",
        "INSERT INTO rollout_lease (name, holder, until)"
        " VALUES ('watch', %(text)s, now() + interval '1 hour')"
        " ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder",
    ):
        database.execute(statement.replace("%(text)s", "%(text)s::text"), **values)


def test_hostile_texts_do_nothing_in_the_output_of_a_command(written: Site) -> None:
    runs = Counter[Format]()
    for command, shown_in in product(COMMANDS, Format):
        done = written.reconcile(*command, "--format", shown_in, env={"GITHUB_ACTIONS": "true"})
        output = done.stdout + done.stderr
        assert not acts_on_a_terminal(output), (command, shown_in)
        assert not acts_on_a_runner(done.stderr), (command, shown_in)
        assert "this is a fault" not in output, (command, shown_in)
        if done.exit_code != EXIT_COMMAND_LINE_WRONG:
            runs[shown_in] += 1
            assert not acts_in(shown_in, done.stdout), (command, shown_in)
    assert all(runs[each] >= fewest for each, fewest in FEWEST.items()), runs


def acts_in(shown_in: Format, output: str) -> bool:
    match shown_in:
        case Format.TEXT | Format.GITHUB:
            return acts_on_a_runner(output)
        case Format.MARKDOWN:
            return acts_in_markdown(output)
        case Format.JSON:
            return acts_on_a_runner(output) or not is_json(output)
        case Format.CSV:
            return acts_in_a_spreadsheet(output)


def test_hostile_texts_do_nothing_in_a_page(written: Site) -> None:
    browser = Browser.of(written.database)
    for path in PAGES:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert "evil" in answer.text, path
        assert not acts_on_a_terminal(answer.text), path
        assert not acts_in_a_page(answer.text), path
    for path in EXPORTS:
        text = browser.get(path).text
        assert "evil" in text
        assert not acts_in_a_spreadsheet(text) if path.endswith("csv") else is_json(text)


def test_hostile_texts_do_nothing_in_metrics_and_logs(written: Site) -> None:
    with watching(written) as start:
        watcher = start("--listen", "127.0.0.1:0")
        watcher.tells("started")
        watcher.ticks_on()
        status, exposed = watcher.get("/metrics")
        log = watcher.log
    names = {each.name for each in text_string_to_metric_families(exposed)}
    assert status == 200
    assert all(each.startswith(("rollout_", "process_", "python_")) for each in names)
    assert not acts_on_a_terminal(exposed + log)
    assert not acts_on_a_runner(log)
