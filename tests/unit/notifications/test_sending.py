"""What a try comes to: answers, addresses, secrets and limits."""

from collections.abc import Iterator
from dataclasses import replace
from email import policy
from email.parser import BytesParser
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from reconciler.errors import SetupInvalid
from reconciler.notifications.address import TargetAddress, read_address
from reconciler.notifications.delivery import sample_message
from reconciler.notifications.email import Mailbox
from reconciler.notifications.http import Post, is_public, send
from reconciler.notifications.outcome import Result, outcome_of_status
from reconciler.notifications.sender import Sender
from reconciler.planning.notifications import Message
from reconciler.rollout_file.notifications import TargetKind
from tests.receivers import Answer, Receiver, check_slack, receiver

if TYPE_CHECKING:
    from email.message import EmailMessage

ALLOWED: Final = {"ROLLOUT_NOTIFY_ALLOW_PRIVATE": "true"}


def sample() -> Message:
    return replace(sample_message({}), id=UUID(int=7))


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver(check_slack) as running:
        yield running


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Result.DELIVERED),
        (202, Result.DELIVERED),
        (204, Result.DELIVERED),
        (301, Result.REFUSED),
        (302, Result.REFUSED),
        (400, Result.REFUSED),
        (401, Result.REFUSED),
        (404, Result.REFUSED),
        (410, Result.REFUSED),
        (408, Result.AGAIN),
        (429, Result.AGAIN),
        (500, Result.AGAIN),
        (503, Result.AGAIN),
    ],
)
def test_an_answer_is_delivered_final_or_tried_again(status: int, result: Result) -> None:
    assert outcome_of_status(status, "").result is result


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("99999999", 3_600), ("Mon, 01 Jan 2001 00:00:00 GMT", 0), ("soon", None)],
)
def test_the_receivers_wish_to_wait_is_obeyed(
    hook: Receiver, header: str, seconds: float | None
) -> None:
    hook.script = [Answer(429, {"retry-after": header})]
    outcome = send(Post(hook.url, b"{}"), allows_private=True)
    assert outcome.retry_after_seconds == seconds


def test_a_redirect_is_not_followed(hook: Receiver) -> None:
    hook.script = [Answer(307, {"location": hook.url})]
    assert send(Post(hook.url, b"{}"), allows_private=True).result is Result.REFUSED
    assert len(hook.tried) == 1


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_not_used(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for other in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    hook.script = [Answer(200, {})]
    assert send(Post(hook.url, b"{}"), allows_private=True).result is Result.DELIVERED
    assert len(hook.tried) == 1


def test_a_mute_receiver_is_left_after_its_time(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.notifications.http.ANSWER_SECONDS", 0.3)
    hook.mute.set()
    outcome = send(Post(hook.url, b"{}"), allows_private=True)
    assert outcome.result is Result.AGAIN
    assert outcome.answer.startswith("no answer")


def test_a_receiver_that_is_not_there_is_tried_again() -> None:
    outcome = send(Post("http://127.0.0.1:1/", b"{}"), allows_private=True)
    assert (outcome.result, outcome.answer) == (Result.AGAIN, "no answer: ConnectError")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - not bound to
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
    ],
)
def test_addresses_of_private_networks_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_other_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://2130706433/",
        "https://0x7f.1/",
    ],
)
def test_each_spelling_of_a_private_address_needs_permission(url: str) -> None:
    with pytest.raises(SetupInvalid, match="private network"):
        send(Post(url, b"{}"), allows_private=False)


@pytest.mark.parametrize(
    "url", ["http://hooks.example/", "ftp://x/", "https://", "x", "https://\x07/"]
)
def test_an_address_that_is_not_https_is_refused(url: str) -> None:
    with pytest.raises(SetupInvalid, match="https"):
        send(Post(url, b"{}"), allows_private=False)


def test_secrets_are_in_files_too(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("https://hooks.example/T0/B0/secret\n")
    found = read_address("team", TargetKind.SLACK, {"ROLLOUT_NOTIFY_TEAM_URL_FILE": str(file)})
    assert found.url == "https://hooks.example/T0/B0/secret"
    assert "secret" not in repr(found)


def test_a_missing_file_of_a_secret_is_a_sentence(tmp_path: Path) -> None:
    environment = {"ROLLOUT_NOTIFY_TEAM_URL_FILE": str(tmp_path / "absent")}
    with pytest.raises(SetupInvalid, match="ROLLOUT_NOTIFY_TEAM_URL_FILE cannot be read: No such"):
        read_address("team", TargetKind.SLACK, environment)


def test_an_answer_that_repeats_the_secret_is_stored_without_it(hook: Receiver) -> None:
    environment = {**ALLOWED, "ROLLOUT_NOTIFY_TEAM_URL": "http://127.0.0.1:1/T0/secret"}
    outcome = Sender(environment).send("team", TargetKind.SLACK, sample())
    assert "secret" not in outcome.answer


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("404 /services/T0/B0SECRET is unknown", "404 /***/T0/*** is unknown"),
        ("400 token=a/b+c0 is wrong", "400 token=*** is wrong"),
        ("400 token=a%2Fb%2Bc0 is wrong", "400 token=*** is wrong"),
        ("401 for ada:p@ssword", "401 for ada:***"),
        ("401 MfKQ9r8GKYqrTwjU", "401 ***"),
        ("401 cut in MfKQ9r8GKYq", "401 cut in ***"),
        ("200 ok", "200 ok"),
    ],
)
def test_an_answer_that_repeats_a_part_of_a_secret_is_stored_without_it(
    answer: str, shown: str
) -> None:
    url = "https://ada:p%40ssword@hooks.example/services/T0/B0SECRET?token=a%2Fb%2Bc0"
    assert TargetAddress(url, "whsec_MfKQ9r8GKYqrTwjU").without_secrets(answer) == shown


class Inbox:
    """An SMTP server with STARTTLS that asks for a password."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuses = False

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        parser = BytesParser(policy=policy.default)
        self.mails.append(parser.parsebytes(envelope.content))
        return "250 accepted"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def inbox(authority: trustme.CA) -> Iterator[tuple[Inbox, Controller]]:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def authenticate(*arguments: Any) -> AuthResult:
        data = arguments[-1]
        return AuthResult(success=(data.login, data.password) == (b"ada", b"p@ss/word"))

    class OnAFreePort(Controller):
        def _trigger_server(self) -> None:
            listening: Any = self.server
            self.port = listening.sockets[0].getsockname()[1]
            super()._trigger_server()  # type: ignore[no-untyped-call]

    handler = Inbox()
    controller = OnAFreePort(
        handler,
        hostname="127.0.0.1",
        port=0,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )
    controller.start()
    try:
        yield handler, controller
    finally:
        controller.stop()


def mail_environment(controller: Controller, **changes: str) -> dict[str, str]:
    url = f"smtp://ada:p%40ss%2Fword@localhost:{controller.port}/?from=rollout@acme.example&to=oncall@acme.example"
    return {**ALLOWED, "ROLLOUT_NOTIFY_MAIL_URL": url, **changes}


def tls_of(authority: trustme.CA) -> Any:
    import ssl

    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_an_email_arrives_encrypted_and_signed_in(
    inbox: tuple[Inbox, Controller], authority: trustme.CA
) -> None:
    handler, controller = inbox
    sender = Sender(mail_environment(controller), tls_of(authority))
    outcome = sender.send("mail", TargetKind.EMAIL, sample())
    assert outcome.result is Result.DELIVERED, outcome.answer
    (mail,) = handler.mails
    assert mail["Subject"] == "[rollout] a test: this receiver gets notifications of the rollout"
    assert mail["To"] == "oncall@acme.example"
    assert mail["Message-ID"] == f"<{UUID(int=7)}@rollout-reconciler>"
    assert "next: reconcile notify list" in mail.get_content()


def test_an_unknown_certificate_ends_the_try(inbox: tuple[Inbox, Controller]) -> None:
    handler, controller = inbox
    outcome = Sender(mail_environment(controller)).send("mail", TargetKind.EMAIL, sample())
    assert outcome.result is Result.AGAIN
    assert handler.mails == []


def test_an_unknown_mailbox_is_final(
    inbox: tuple[Inbox, Controller], authority: trustme.CA
) -> None:
    handler, controller = inbox
    handler.refuses = True
    sender = Sender(mail_environment(controller), tls_of(authority))
    assert sender.send("mail", TargetKind.EMAIL, sample()).result is Result.REFUSED


@pytest.mark.parametrize(
    "url",
    [
        "smtp://host/",
        "smtp://host/?from=a@b",
        "http://host/?from=a@b&to=c@d",
        "smtp://host:x/?from=a@b&to=c@d",
        "smtp://host/?from=a@b%0ABcc:x@y&to=c@d",
    ],
)
def test_an_incomplete_mailbox_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(SetupInvalid, match="smtp://USER:PASSWORD@HOST"):
        Mailbox.parse(url)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_apprise_reaches_its_services() -> None:
    with receiver(lambda _headers, _body: None) as running:
        environment = {"ROLLOUT_NOTIFY_ANY_URL": f"json://127.0.0.1:{running.port}/hook"}
        outcome = Sender(environment).send("any", TargetKind.APPRISE, sample())
        assert outcome.result is Result.DELIVERED
        assert running.received[0].body["title"] == sample().title
