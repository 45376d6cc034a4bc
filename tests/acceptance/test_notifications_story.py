"""Notifications of a whole incident, an hour of outage of the receivers, and secrets that appear nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import pytest

from reconciler.rollout_file.editing import without_override
from tests.builders import add_repositories
from tests.eventually import eventually
from tests.notifications import make_due, webhook_environment
from tests.receivers import ROUTING_KEY, Answer, Receiver, check_pagerduty, check_webhook, receiver
from tests.site import Site
from tests.watching import FILE, Watcher, fail_jobs, watching
from tests.writing_back import apply_file, commits

NOTIFIED: Final = f"""{FILE}
notifications:
  oncall: {{kind: pagerduty, severities: [page]}}
  audit: {{kind: webhook}}
"""


@pytest.fixture
def oncall() -> Iterator[Receiver]:
    with receiver(check_pagerduty, 202) as running:
        yield running


@pytest.fixture
def audit() -> Iterator[Receiver]:
    with receiver(check_webhook) as running:
        yield running


def taken_half_in(site: Site, text: str) -> Site:
    add_repositories(site.database, "a/b")
    site.write(text)
    site.commit("Take half in, and notify")
    site.push()
    apply_file(site)
    return site


def try_again(site: Site, *receivers: Receiver) -> None:
    """Let the waiting messages be due; return when each receiver got another try."""
    before = [len(each.tried) for each in receivers]
    make_due(site.database)
    eventually(
        lambda: all(len(each.tried) > tried for each, tried in zip(receivers, before, strict=True))
    )


def test_an_incident_pages_and_resolves_through_an_outage(
    site: Site, oncall: Receiver, audit: Receiver
) -> None:
    taken_half_in(site, NOTIFIED)
    env = {
        **webhook_environment("audit", audit),
        "ROLLOUT_NOTIFY_ONCALL_URL": oncall.url,
        "ROLLOUT_NOTIFY_ONCALL_SECRET": ROUTING_KEY,
    }
    with watching(site) as start:
        watcher = start("--listen", "127.0.0.1:0", env=env)
        watcher.tells("active")

        # The rollback pages.
        fail_jobs(site, jobs=6)
        (paged,) = oncall.waits_for(1)
        assert paged.body["event_action"] == "trigger"
        assert paged.body["payload"]["custom_details"]["reason"].startswith("error rate 100.00%")

        # The write-back reports its commit, which is the newest one of `main`.
        written = watcher.tells("write_back", feature="capture", outcome="written")
        assert written["commit"] == commits(site)[0].id

        # The merge that removes the override resolves the page.
        site.git("pull", "--quiet", "--ff-only")
        site.file.write_bytes(without_override(site.file.read_bytes(), "capture"))
        site.commit("Resume capture: jobs no longer fail")
        site.push()
        apply_file(site)
        resolved = oncall.waits_for(2)[1]
        assert resolved.body["event_action"] == "resolve"
        assert resolved.body["dedup_key"] == paged.body["dedup_key"]
        assert [each.body["event"] for each in audit.waits_for(2)] == ["rolled_back", "resumed"]
        assert watcher.end() == 0

        # For an hour no receiver answers, and a person stops and resumes by SQL.
        watcher = start("--listen", "127.0.0.1:0", "--no-write-back", env=env)
        for each in (oncall, audit):
            each.script = [Answer(503)] * 1000
        for is_stopped in (True, False, True, False):
            site.database.execute(
                f"UPDATE rollout_configuration SET emergency_stop = {is_stopped}"
                " WHERE feature_name = 'export'"
            )
        for _ in range(4):
            try_again(site, oncall, audit)
            site.database.execute(
                "UPDATE rollout_notification SET tried_since = tried_since - interval '15 minutes',"
                " created_at = created_at - interval '15 minutes' WHERE state = 'pending'"
            )
        assert (len(oncall.received), len(audit.received)) == (2, 2)
        eventually(lambda: watcher.metric('rollout_notifications{state="late"}') > 0)
        # No try is under way when they answer again: a message whose try fails at that moment comes later.
        assert watcher.end() == 0

        # Once they answer, everything arrives, in order.
        for each in (oncall, audit):
            each.script = []
        make_due(site.database)
        watcher = start("--listen", "127.0.0.1:0", "--no-write-back", env=env)

        def has_arrived() -> bool:
            make_due(site.database)
            return len(oncall.received) >= 6 and len(audit.received) >= 6

        eventually(has_arrived)
        assert watcher.end() == 0
    actions = [each.body["event_action"] for each in oncall.received[2:]]
    assert actions == ["trigger", "resolve", "trigger", "resolve"]
    told = [each.body["event"] for each in audit.received[2:]]
    assert told == ["stopped", "resumed", "stopped", "resumed"]
    assert len({each.headers["webhook-id"] for each in audit.received}) == 6


SECRETS: Final = {
    "slack": "T0SLACKSECRET",
    "teams": "T0TEAMSSECRET",
    "pagerduty": "R0PAGERDUTYSECRET",
    "webhook": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "path": "P0PATHSECRET",
    "email": "p%40ss0EMAILSECRET",
    "apprise": "A0APPRISESECRET",
}
KINDS: Final = ("slack", "teams", "pagerduty", "webhook", "email", "apprise")
HIDDEN: Final = (*SECRETS.values(), "p@ss0EMAILSECRET")


@contextmanager
def echo(status: int) -> Iterator[int]:
    """A receiver that repeats the whole request in its answer; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(f"{self.path} {self.headers} ".encode() + body)

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def secret_environment(port: int) -> dict[str, str]:
    place = f"http://127.0.0.1:{port}"
    return {
        "ROLLOUT_NOTIFY_ALLOW_PRIVATE": "true",
        "ROLLOUT_NOTIFY_SLACK_URL": f"{place}/services/{SECRETS['slack']}",
        "ROLLOUT_NOTIFY_TEAMS_URL": f"{place}/workflow?sig={SECRETS['teams']}",
        "ROLLOUT_NOTIFY_PAGERDUTY_URL": f"{place}/v2/enqueue",
        "ROLLOUT_NOTIFY_PAGERDUTY_SECRET": SECRETS["pagerduty"],
        "ROLLOUT_NOTIFY_WEBHOOK_URL": f"{place}/hooks/{SECRETS['path']}",
        "ROLLOUT_NOTIFY_WEBHOOK_SECRET": f"whsec_{SECRETS['webhook']}",
        "ROLLOUT_NOTIFY_EMAIL_URL": (
            f"smtp://ada:{SECRETS['email']}@127.0.0.1:{port}/?from=a@acme.example&to=b@acme.example"
        ),
        "ROLLOUT_NOTIFY_APPRISE_URL": f"json://ada:{SECRETS['apprise']}@127.0.0.1:{port}/",
    }


@pytest.mark.parametrize("status", [400, 500, None], ids=["refuses", "fails", "is not there"])
def test_a_secret_of_a_receiver_appears_nowhere(site: Site, status: int | None) -> None:
    targets = "".join(f"  {kind}: {{kind: {kind}}}\n" for kind in KINDS)
    taken_half_in(site, f"{FILE}notifications:\n{targets}")
    shown: list[str] = []

    def run(*arguments: str) -> None:
        done = site.reconcile(*arguments, env=env)
        shown.extend((done.stdout, done.stderr))

    with echo(status or 200) as port, watching(site) as start:
        env = secret_environment(port if status is not None else 1)
        for kind in KINDS:
            run("notify", "test", kind)
        site.database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        watcher = start("--listen", "127.0.0.1:0", "--no-write-back", env=env)
        eventually(
            lambda: (
                site.database.value(
                    "SELECT min(tries.most) FROM (SELECT max(attempts) AS most"
                    " FROM rollout_notification GROUP BY target) AS tries"
                )
                >= 1
            )
        )
        shown += [watcher.get(path)[1] for path in ("/metrics", "/healthz")]
        shown.append(command_lines(watcher))
        assert watcher.end() == 0
        shown.append(watcher.log)
        make_due(site.database)
        run("notify", "deliver", "--format", "json")
        for line in ("notify list", "notify list --format json", "status --format json", "history"):
            run(*line.split())
    tables = (
        "rollout_notification", "rollout_notification_target", "rollout_history",
        "rollout_generation", "rollout_state",
    )  # fmt: skip
    for table in tables:
        rows = site.database.rows(f"SELECT {table}::text AS written FROM {table}")
        shown += [each["written"] for each in rows]

    text = "\n".join(shown)
    assert all(kind in text for kind in KINDS)
    assert [secret for secret in HIDDEN if secret in text] == []


def command_lines(watcher: Watcher) -> str:
    """What `ps` shows of the watcher."""
    return Path(f"/proc/{watcher.process.pid}/cmdline").read_text().replace("\0", " ")
