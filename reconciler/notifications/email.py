"""Messages by email: SMTP with STARTTLS, one try each.

The address is `smtp://user:password@host:587/?from=rollout@acme.example&to=oncall@acme.example`.
"""

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from reconciler.errors import SetupInvalid
from reconciler.notifications.http import ALLOW_PRIVATE, is_public
from reconciler.notifications.outcome import Outcome, Result
from reconciler.planning.notifications import ANSWER_SECONDS, Message

SUBMISSION_PORT: Final = 587
PERMANENT: Final = 500


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An SMTP server, with the sender and the receivers of the messages."""

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    sender: str
    receivers: tuple[str, ...]

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the mailbox that an address names.

        Raises:
            SetupInvalid: the address is incomplete.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _invalid() from None
        asked = parse_qs(parts.query)
        sender, receivers = asked.get("from", []), asked.get("to", [])
        if parts.scheme != "smtp" or not parts.hostname or len(sender) != 1 or not receivers:
            raise _invalid()
        if any(not each.isprintable() or "@" not in each for each in (*sender, *receivers)):
            raise _invalid()
        return cls(
            host=parts.hostname,
            port=port or SUBMISSION_PORT,
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            sender=sender[0],
            receivers=tuple(receivers),
        )


def send_email(
    message: Message, mailbox: Mailbox, *, allows_private: bool, context: ssl.SSLContext
) -> Outcome:
    """Send a message once; return the outcome.

    Raises:
        SetupInvalid: the server's address may not be used.
    """
    try:
        with smtplib.SMTP(mailbox.host, mailbox.port, timeout=ANSWER_SECONDS) as server:
            peer = server.sock.getpeername()[0] if server.sock is not None else ""
            if not allows_private and not is_public(ip_address(peer.partition("%")[0])):
                raise SetupInvalid(
                    f"{mailbox.host} is an address of a private network; to allow it, "
                    f"set {ALLOW_PRIVATE}=true"
                )
            server.starttls(context=context)
            if mailbox.user is not None:
                server.login(mailbox.user, mailbox.password or "")
            server.send_message(_email(message, mailbox))
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError) as error:
        return Outcome(Result.REFUSED, type(error).__name__)
    except smtplib.SMTPResponseException as error:
        is_final = error.smtp_code >= PERMANENT
        answer = f"{error.smtp_code} {type(error).__name__}"
        return Outcome(Result.REFUSED if is_final else Result.AGAIN, answer)
    except (OSError, smtplib.SMTPException) as error:
        return Outcome(Result.AGAIN, f"no answer: {type(error).__name__}")
    return Outcome(Result.DELIVERED, "250 accepted")


def _email(message: Message, mailbox: Mailbox) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = f"[{message.environment}] {message.title}"
    mail["From"] = mailbox.sender
    mail["To"] = ", ".join(mailbox.receivers)
    mail["Date"] = format_datetime(message.at)
    # The same on every try: mail programs drop a copy.
    mail["Message-ID"] = f"<{message.id}@rollout-reconciler>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{message.text}\n")
    return mail


def _invalid() -> SetupInvalid:
    return SetupInvalid(
        "the address of an email target is smtp://USER:PASSWORD@HOST:587/?from=ADDRESS&to=ADDRESS"
    )
