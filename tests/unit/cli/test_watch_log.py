"""The log of a watch: one line for each event, with any text of a person."""

import json
import os
import re
import select
import sys
import time

import pytest
from click import BadParameter

from reconciler.cli.types import Interval
from reconciler.cli.watch_log import Log, LogFormat
from reconciler.listen_address import ListenAddress
from reconciler.operations.events import CommitNotApplied, Failed, Recovered, StandsBy, Subject
from tests.hostile import TEXTS, acts_on_a_runner, acts_on_a_terminal

HOSTILE = 'no\n{"level": "info"}\x1b[2J\u202e'


def test_the_text_log_is_one_line_with_hostile_text_escaped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Log(LogFormat.TEXT).write_event(Failed(Subject.TICK, HOSTILE, OSError()))

    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z error   failed: "
        r'tick: no\\n\{"level": "info"\}\\x1b\[2J\\u202e',
        line,
    )


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_hostile_text_does_nothing_in_the_log(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    for form in LogFormat:
        Log(form, verbose=True).write_event(Failed(Subject.TICK, text, ValueError(text)))
        Log(form).write_event(StandsBy(text))

    written = capsys.readouterr().err
    assert not acts_on_a_terminal(written)
    assert not acts_on_a_runner(written)


def test_the_json_log_is_one_object_per_line_with_the_exact_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Log(LogFormat.JSON).write_event(CommitNotApplied("a" * 40, HOSTILE))

    written = capsys.readouterr().err
    assert written.isascii()
    (line,) = written.splitlines()
    told = json.loads(line)
    assert (told["level"], told["event"], told["why"]) == ("warning", "not_applied", HOSTILE)


def test_quiet_logs_only_errors(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(LogFormat.TEXT, quiet=True)
    log.write_event(StandsBy("somebody"))
    log.write_event(Failed(Subject.FOLLOW, "gone", OSError()))
    log.write_event(Recovered(Subject.FOLLOW))

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_verbose_shows_where_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    failed = Failed(Subject.TICK, "a fault", ValueError("a\x1b[2J"))
    Log(LogFormat.TEXT, verbose=True).write_event(failed)
    Log(LogFormat.JSON, verbose=True).write_event(failed)

    first, shown, as_json = capsys.readouterr().err.splitlines()
    assert first.endswith("failed: tick: a fault")
    assert shown == "ValueError: a\\x1b[2J"
    assert json.loads(as_json)["traceback"] == "ValueError: a\x1b[2J"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464),
        ("localhost:0", "localhost", 0),
        ("[::1]:80", "::1", 80),
    ],
)
def test_addresses_to_listen_on(text: str, host: str, port: int) -> None:
    address = ListenAddress.parse(text)

    assert (address.host, address.port, str(address)) == (host, port, text)


@pytest.mark.parametrize(
    "text",
    ["", "9464", ":9464", "a:b", "::1:80", "a:65536", "u@a:1", "http://a:1", "a:1/", "a:1\n"],
)
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write host:port"):
        ListenAddress.parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1), ("5s", 5), ("500ms", 0.5), ("1.5 s", 1.5), ("1m", 60)]
)
def test_intervals(text: str, seconds: float) -> None:
    assert Interval().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["soon", "", "-1s", "1ms", "0", "61m", "1h", "1.2345s"])
def test_an_invalid_interval_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="not an interval from 100ms to 60m"):
        Interval().convert(text, None, None)


def test_a_reader_that_stopped_costs_lines_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stderr", stream)
        log = Log(LogFormat.JSON)
        began = time.monotonic()
        events = 0
        while time.monotonic() < began + 60:
            log.write_event(StandsBy("another " * 100))
            events += 1
            if not has_room(writing):
                break
        for _ in range(3):
            log.write_event(StandsBy("dropped"))
        assert time.monotonic() - began < 30
        # The reader continues, and the next line counts the lines that it missed.
        drained = os.read(reading, 1_000_000)
        log.write_event(StandsBy("after"))
        drained += os.read(reading, 1_000_000)
    os.close(reading)

    last = json.loads(drained.splitlines()[-1])
    assert (last["holder"], last["dropped"] >= 3) == ("after", True)


def has_room(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
