"""The screens that only read: what they show with nothing, one and a hundred features, and hostile text."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

import reconciler.dashboard
from reconciler.dashboard.screens.now import read_now_screen
from reconciler.database import eligible_counts
from reconciler.database.driver import DriverConnection, Rows
from reconciler.database.health import read_healths_within
from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as OpenedDatabase
from tests.builders import FEATURE, add_repositories, report_jobs, rollout_file
from tests.database.reading import reading
from tests.database.test_job_series import add_feature, add_history
from tests.eventually import eventually
from tests.postgres import Database
from tests.screens import Browser
from tests.site import Site

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=\"alert('x')\">"
TEMPLATES = Path(reconciler.dashboard.__file__).parent / "templates"
SCREENS = ("/", "/repositories", "/waiting", "/history", "/cost", "/machinery")


@pytest.fixture
def client(database: Database) -> Browser:
    return Browser.of(database)


def shown(client: Browser, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.text[-2000:]
    return answer.text


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "There is no feature yet."),
        ("/repositories", "reconcile repositories load"),
        ("/repositories?q=acme/tools", "reconcile repositories load"),
        ("/waiting", "The live state is as the last apply left it."),
        ("/history", "Apply a rollout file first"),
        ("/cost", "There is no feature yet."),
        ("/machinery", "No watch has run here."),
        ("/machinery", "one copy: no synchronous standby confirms a commit"),
    ],
)
def test_an_empty_screen_says_what_to_do_first(client: Browser, path: str, words: str) -> None:
    assert words in shown(client, path)


def test_a_repository_without_a_feature_says_what_to_do_first(
    client: Browser, database: Database
) -> None:
    add_repositories(database, "acme/tools")

    assert "There is no feature yet." in shown(client, "/repositories?q=acme/tools")


def test_a_repository_has_every_rule_of_each_feature_and_its_jobs(
    client: Browser, database: Database
) -> None:
    add_repositories(database, "acme/tools")
    add_feature(database, "first")
    add_feature(database, "second")
    report_jobs(database, 3, errors=1, feature="second")

    page = shown(client, "/repositories?q=ACME/tools")

    assert page.count("1 environment_stop") == 2
    assert page.count("10 size_strategy") == 2
    assert page.count('class="decides"') == 2
    assert "<td>github_actions</td>" in page.replace("\n", "")
    assert "reconcile explain acme/tools --feature second" in page


def test_several_matches_are_links_and_one_is_explained(
    client: Browser, database: Database
) -> None:
    add_repositories(database, "acme/tools", "acme/tasks")
    add_feature(database)

    assert "environment_stop" not in shown(client, "/repositories?q=acme/")
    assert "environment_stop" in shown(client, "/repositories?q=acme/to")
    assert shown(client, "/repositories/found?q=acme/").count("<li>") == 2


def test_the_past_is_shown_by_generation_and_by_commit(site: Site) -> None:
    add_repositories(site.database, "acme/tools")
    site.reconcile("--yes")
    commit = site.git("rev-parse", "HEAD")
    client = Browser.of(site.database)
    for at in ("1", commit[:10]):
        page = client.get("/repositories", params={"q": "acme/tools", "at": at}).text
        assert "As of generation 1" in page
    nonsense = client.get("/repositories", params={"q": "acme/tools", "at": "yesterday"}).text

    assert "is not a time; write 2026-11-23T12:00Z or 24h" in nonsense


@pytest.mark.parametrize(
    "query", ["%", "_", "\0", "\ud800".encode("utf-8", "replace").decode(), "a" * 5000, "💥", "'"]
)
@pytest.mark.parametrize("path", ["/repositories", "/repositories/found", "/history"])
def test_any_text_in_a_box_is_answered(client: Browser, path: str, query: str) -> None:
    parameters = {"q": query, "at": query, "feature": query, "by": query}

    assert client.get(path, params=parameters).status_code == 200


def test_history_is_filtered_and_leads_to_older_entries(
    client: Browser, database: Database
) -> None:
    add_feature(database)
    for number in range(130):
        add_history(database, "updated", by=f"ada {number}")
    add_history(database, "rollback", by="grace", before=50, after=0)

    first = shown(client, "/history?feature=capture")
    older = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = shown(client, older)

    assert "50 → 0" in first
    assert first.count('<th scope="row">') == 100
    assert second.count('<th scope="row">') == 31
    assert "grace" not in shown(client, "/history?by=ada")
    assert "No entry matches." in shown(client, "/history?by=nobody")
    assert "is not a time" in shown(client, "/history?since=x", 400)
    assert "the link to this page is broken" in shown(client, "/history?before=x", 400)


def test_the_exports_have_every_entry_that_passes_the_filter(
    client: Browser, database: Database
) -> None:
    add_feature(database)
    for number in range(1203):
        add_history(database, "updated", by=f"ada {number}")
    add_history(database, "rollback", by="=1+1")

    lines = client.get("/history.csv").text.removeprefix("\ufeff").splitlines()
    rollback = client.get("/history.json?action=rollback").json()["history"]

    assert len(lines) == 1205
    assert "'=1+1" in lines[1]
    assert [each["triggered_by"] for each in rollback] == ["=1+1"]
    assert client.get("/history.csv?since=x").status_code == 400
    assert json.loads(client.get("/history.json?by=nobody").text) == {"history": []}


def test_an_address_without_a_page_leads_back_to_the_features(client: Browser) -> None:
    as_page = {"Accept": "text/html"}
    for path, words in (
        ("/nowhere/<b>", "no page has the address /nowhere/&lt;b&gt;"),
        ("/features/nothing", "no feature is called nothing"),
    ):
        answer = client.get(path, headers=as_page)
        assert answer.status_code == 404
        assert words in answer.text
        assert "<h1>Not found</h1>" in answer.text
        assert '<a href="/">All features</a>' in answer.text
    assert client.get("/nowhere").text == "no page has the address /nowhere\n"


def test_a_limited_repository_names_the_limit_and_its_percentage(site: Site) -> None:
    add_repositories(site.database, "acme/tools")
    site.reconcile("--yes")
    client = Browser.of(site.database)
    assert "Limited by" not in shown(client, "/repositories?q=acme/tools")

    site.reconcile("rollback", "--to", "0", "--reason", "it hangs", "--by", "grace")

    page = shown(client, "/repositories?q=acme/tools")
    assert "Limited by grace since <time>" in page
    assert "it hangs" in page
    found = re.search(r"bucket ([0-9,]+) from ([0-9.]+) percent on", page)
    assert found is not None
    bucket = int(found[1].replace(",", ""))
    assert float(found[2]) == pytest.approx((bucket + 1) / 100)


def test_now_has_the_column_of_evidence_only_where_it_is_used(
    client: Browser, database: Database
) -> None:
    add_feature(database, "first")
    column = '<th scope="col">evidence</th>'
    assert column not in shown(client, "/")

    database.execute("UPDATE rollout_configuration SET health_method = 'evidence'")

    assert column in shown(client, "/")


def test_hostile_text_leaves_no_markup(client: Browser, database: Database) -> None:
    add_repositories(database, "acme/tools")
    add_feature(database, HOSTILE)
    add_history(database, "updated", by=HOSTILE[:100])
    report_jobs(database, 1, errors=1, feature=HOSTILE, processor=HOSTILE[:50])
    database.execute("UPDATE rollout_metrics SET last_error_message = %(text)s", text=HOSTILE)
    database.execute(
        "INSERT INTO rollout_notification (target, event, severity, dedup_key, occurrence, state,"
        " last_answer, feature_name) VALUES (%(text)s, %(text)s, 'page', 'k', 'o', 'dead', %(text)s,"
        " %(text)s)",
        text=HOSTILE,
    )
    database.execute(
        "INSERT INTO rollout_lease VALUES ('watch', %(text)s, now() + interval '1 hour')",
        text=HOSTILE,
    )

    for path in (*SCREENS, "/repositories?q=acme/tools"):
        page = client.get(path, params={"by": HOSTILE} if path == "/history" else None).text
        assert "<script>alert" not in page
        assert "<img" not in page
    assert "alert(1)" in shown(client, "/repositories?q=acme/tools")


def test_a_hundred_features_are_answered_on_every_screen(
    client: Browser, database: Database
) -> None:
    add_repositories(database, "acme/tools")
    for number in range(100):
        add_feature(database, f"feature_{number:03}")

    for path in SCREENS:
        shown(client, path)
    assert shown(client, "/repositories?q=acme/tools").count("<details") == 100


def test_a_hundred_features_are_at_most_a_hundred_kilobytes(
    database: Database,
) -> None:
    add_repositories(database, "acme/tools")
    for number in range(100):
        add_feature(database, f"{FEATURE}_{number:02}")
    database.execute("UPDATE rollout_configuration SET health_method = 'evidence'")
    # Each two hours of the day have another number of jobs, and some fail in every second of them.
    database.execute("""
        INSERT INTO rollout_metrics (
            rollout_config_id, repository_id, processor_type, total_jobs, error_count,
            metrics_window_start, metrics_window_end, updated_at
        )
        SELECT
            configuration.id, repository.id, arm.processor, 1000 + 97 * hour % 800, hour % 4 / 3,
            begin, begin + interval '5 minutes', begin + interval '1 minute'
        FROM rollout_configuration AS configuration, repositories AS repository,
            generate_series(0, 22) AS hour, unnest('{github_actions,inngest}'::text[]) AS arm (processor),
            date_bin('5 minutes', now() - hour * interval '1 hour', '2000-01-01 00:00+00') AS begin
    """)
    database.execute("SELECT merge_rollout_rollup(1000000)")
    client = Browser.acting(database)
    eventually(lambda: "not counted yet" not in shown(client, "/"))

    page = shown(client, "/")

    assert page.count(f"/features/{FEATURE}_") == 300
    assert page.count('class="failed"') == 100
    assert page.count('class="evidence-bar"') == 100
    assert len(page.encode()) <= 100_000


def test_now_has_the_stage_of_each_feature(site: Site) -> None:
    progression = [{"percentage": each, "soak": "1d"} for each in (1, 10, 50)]
    staged = {"percentage": 1, "progression": progression}
    site.write(rollout_file({"a": staged, "b": {"percentage": 5}}))
    site.reconcile("--yes")
    client = Browser.of(site.database)

    assert "1<br><small>stage 1 of 3</small>" in shown(client, "/")
    features = client.get("/api/now").json()["features"]
    assert [each["stage"] for each in features] == [{"number": 1, "of": 3}, None]


def test_a_freeze_shows_on_every_screen_that_leads_to_an_act(site: Site) -> None:
    site.write(
        "version: 1\nfeatures:\n  capture: {percentage: 0}\nfreezes:\n"
        "  - {name: holidays, from: 2020-01-01 00:00, to: 2199-12-31 12:00}\n"
        "  - {name: later, from: 2190-01-01 00:00, to: 2190-12-31 12:00, features: [capture]}\n"
    )
    site.commit("Freeze")
    assert site.reconcile().exit_code == 0
    client = Browser.of(site.database)

    now, feature, waiting = (shown(client, path) for path in ("/", "/features/capture", "/waiting"))

    sentence = "the freeze holidays holds every widening until tue 2199-12-31 12:00 UTC"
    assert sentence in now
    assert sentence in feature
    assert "◆ frozen" in now
    assert "holidays holds until tue 2199-12-31 12:00 UTC" in waiting
    assert re.findall(r'<th scope="row">([^<]+)</th>', waiting) == ["all", "1 feature"]
    assert (
        "later comes next: fri 2190-01-01 00:00 to fri 2190-12-31 12:00 UTC; features capture"
        in (waiting)
    )
    (row,) = json.loads(client.get("/api/now").text)["features"]
    assert row["freeze"] == {"names": ["holidays"], "until": "2199-12-31T12:00:00Z"}


def test_now_puts_the_limited_and_failing_features_first(site: Site) -> None:
    health = {"min_jobs": 3, "max_error_rate": 5}
    features = {name: {"percentage": 10, "health": health} for name in ("a", "b", "c", "d")}
    site.write(rollout_file(features))
    add_repositories(site.database, "acme/tools")
    site.reconcile("--yes")
    report_jobs(site.database, 9, errors=9, feature="d")
    site.reconcile("rollback", "--to", "0", "--feature", "c", "--reason", "too slow", "--yes")
    client = Browser.of(site.database)

    page = shown(client, "/")
    features = client.get("/api/now").json()["features"]

    assert [each["name"] for each in features] == ["d", "c", "a", "b"]
    assert features[0]["verdict"] == "fail"
    assert features[1]["limit"]["reason"] == "too slow"
    assert page.index("/features/d") < page.index("/features/c") < page.index("/features/a")
    assert "▼ held at 0" in page
    assert "reconcile write-back" in page


@pytest.mark.parametrize("name", ["a/b", "a?b", "a#b", "a%2Fb", "a b&c=d", "ä/💥", "a//b/"])
def test_a_row_that_sql_wrote_has_a_page_whatever_its_name(
    client: Browser, database: Database, name: str
) -> None:
    add_feature(database, name)
    (link,) = re.findall(r'href="(/features/[^"]*)"', shown(client, "/"))

    page = shown(client, html.unescape(link))

    (heading,) = re.findall(r"<h1>(.*?)</h1>", page)
    assert html.unescape(heading) == name


def test_an_inactive_feature_shows_its_limit_too(site: Site) -> None:
    site.write(rollout_file({"a": {"percentage": 10, "active": False}, "b": {"percentage": 10}}))
    site.reconcile("--yes")
    client = Browser.of(site.database)
    assert "<b>○ inactive</b>" in shown(client, "/")

    site.reconcile("stop", "--feature", "a", "--reason", "it hangs", "--no-write-back")

    assert "<b>○ inactive, ■ stopped</b>" in shown(client, "/")


def test_a_slow_verdict_does_not_keep_the_page_from_its_other_rows(database: Database) -> None:
    add_feature(database, "first")
    add_feature(database, "second")

    rows = read_now_screen(OpenedDatabase.at(database.address), judging_seconds=0).rows

    assert [(row.feature.name, row.verdict) for row in rows] == [
        ("first", "not judged"),
        ("second", "not judged"),
    ]


def test_judging_that_takes_too_long_ends_without_a_verdict(database: Database) -> None:
    add_feature(database, "first")
    database.execute("UPDATE rollout_configuration SET health_method = 'evidence'")

    with database.connect() as other, reading(database) as connection:
        other.execute("LOCK TABLE rollout_evidence")
        assert read_healths_within(connection, ["first"], eligible={}, seconds=0.2) is None


@pytest.mark.parametrize(
    ("counted_up_to", "most"),
    [pytest.param(0, 12, id="kept counts"), pytest.param(10**6, 15, id="a small table")],
)
def test_now_takes_as_many_queries_however_many_features_there_are(
    database: Database, monkeypatch: pytest.MonkeyPatch, counted_up_to: int, most: int
) -> None:
    monkeypatch.setattr(eligible_counts, "COUNTED_UP_TO_BYTES", counted_up_to)
    add_repositories(database, "acme/tools")
    for number in range(20):
        add_feature(database, f"f{number}")
        report_jobs(database, 3, errors=1, feature=f"f{number}")
    database.execute("UPDATE rollout_configuration SET health_method = 'evidence'")
    statements: list[str] = []
    execute = DriverConnection.execute

    def note(connection: DriverConnection, statement: str, *parameters: Any) -> Rows:
        statements.append(statement)
        return execute(connection, statement, *parameters)

    monkeypatch.setattr(DriverConnection, "execute", note)
    rows = read_now_screen(OpenedDatabase.at(database.address)).rows

    assert len(rows) == 20
    assert all(row.health is not None and row.health.evidence is not None for row in rows)
    queries = [each for each in statements if "SELECT" in each]
    assert 5 < len(queries) <= most, queries


def test_a_feature_has_its_charts_lists_and_history(site: Site) -> None:
    progression = [{"percentage": 10, "soak": "1d"}, {"percentage": 50, "soak": "1d"}]
    feature = {
        "percentage": 10,
        "whitelist": ["acme/tools", "acme/unknown"],
        "progression": progression,
        "health": {"method": "evidence"},
    }
    site.write(rollout_file({"capture": feature}))
    add_repositories(site.database, "acme/tools")
    site.reconcile("--yes")
    report_jobs(site.database, 5, errors=1)
    site.reconcile("stop", "--reason", "it fails", "--yes", "--no-write-back")
    client = Browser.of(site.database)

    page = shown(client, "/features/capture")

    for title in ("Jobs per five minutes", "Evidence", "Stages", "Eligible by category"):
        assert f"<figcaption>{title}</figcaption>" in page
    for text in (
        "acme/tools",
        "(matches no repository)",
        "it fails",
        "■ stopped",
        "emergency_stop",
    ):
        assert text in page
    assert "no feature is called nothing" in shown(client, "/features/nothing", 404)


def test_a_request_under_the_name_of_another_host_is_refused(client: Browser) -> None:
    answer = client.get("/", headers={"Host": "attacker.example"})

    assert answer.status_code == 421


def test_every_answer_has_the_headers_of_the_policy(client: Browser) -> None:
    for path in (*SCREENS, "/static/page.css", "/nothing"):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_no_template_has_an_inline_style_or_script() -> None:
    for template in TEMPLATES.glob("*.html"):
        text = template.read_text("utf-8")
        assert " style=" not in text
        assert "<style" not in text
        assert "<script>" not in text
        assert not re.search(r"\son[a-z]+=", text)


def test_the_machinery_shows_who_holds_the_lease(client: Browser, database: Database) -> None:
    database.execute(
        "INSERT INTO rollout_lease VALUES ('watch', 'process 7', now() + interval '1 h')"
    )
    assert "process 7" in shown(client, "/machinery")
    assert "last tick" not in shown(client, "/machinery")
    database.execute("UPDATE rollout_lease SET last_tick = '2026-01-02 03:04:05Z'")
    assert "last tick" in shown(client, "/machinery")

    database.execute("UPDATE rollout_lease SET until = now() - interval '1 hour'")
    assert "✗ none since" in shown(client, "/machinery")


def test_a_reader_sees_every_screen(database: Database) -> None:
    add_repositories(database, "acme/tools")
    add_feature(database, FEATURE)
    apply_roles(OpenedDatabase.at(database.address))
    reader = Browser.of(Database(f"{database.url}&options=-c%20role%3Drollout_reader"))

    for path in (*SCREENS, "/repositories?q=acme/tools", "/history.csv"):
        shown(reader, path)


def test_a_database_that_is_away_is_a_sentence(database: Database) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nothing")

    client = Browser.of(away)
    assert "check that the server runs" in shown(client, "/machinery", 503)
    assert "check that the server runs" in shown(client, "/waiting")


def test_only_get_is_answered(client: Browser) -> None:
    for path in SCREENS:
        assert client.get(path, method="POST").status_code == 405
