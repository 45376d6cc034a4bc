"""Run a page of the documentation as a reader would: its commands, in order, in their own site.

A `console` block has commands after `$ ` and their output. `…` matches any text of a line; alone it
matches any lines. A block with a file's name as its title is that file. A `sql` block is typed into
psql. A comment `<!-- meanwhile: sql … -->` has what other people or time do and a reader does not
see.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.postgres import PROJECT
from tests.site import Site

DOCUMENTATION = PROJECT / "docs"
_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^(?P=indent)```$"
    r"|^<!-- meanwhile: (?P<language>sql|sh)\n(?P<hidden>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)
_READER = {"ROLLOUT_ACTOR": "ada"}
_EXIT_CODE = re.compile(r"  # exit (\d+)$")
_SHELL = re.compile(r"[|&;<>$`*?]")


@dataclass(frozen=True)
class Step:
    """One step of a page, and the output that the page shows."""

    line: int
    kind: str
    text: str
    title: str = ""
    expected: str = ""
    exit_code: int = 0


def steps(page: str) -> Iterator[Step]:
    """Yield each step, in order."""
    for block in _BLOCK.finditer(page):
        line = page.count("\n", 0, block.start()) + 2
        if block["hidden"] is not None:
            yield Step(line, block["language"], block["hidden"])
            continue
        body = re.sub(rf"^{block['indent']}", "", block["body"], flags=re.MULTILINE)
        if block["kind"] == "console":
            yield from _commands(line, body)
        elif block["title"] is not None:
            yield Step(line, "file", body, title=block["title"])
        elif block["kind"] == "sql":
            yield Step(line, "sql", body)


def follow(page: Path, site: Site) -> int:
    """Run the steps of a page and check their output; return the number of commands."""
    done = 0
    for step in steps(page.read_text("utf-8")):
        match step.kind:
            case "file":
                (site.folder / step.title).parent.mkdir(parents=True, exist_ok=True)
                (site.folder / step.title).write_text(step.text, "utf-8")
            case "sql":
                site.database.execute(step.text)
            case _:
                exit_code, said = run(step.text, site)
                where = f"{page.name}:{step.line}: {step.text}\n{said}"
                assert exit_code == step.exit_code, where
                assert matches(step.expected, said), f"{where}\n--- the page shows\n{step.expected}"
                done += 1
    return done


def run(command: str, site: Site) -> tuple[int, str]:
    """Run a command as a shell would; return its exit code and all its output."""
    if command.startswith("reconcile ") and not _SHELL.search(command):
        completed = site.reconcile(*shlex.split(command)[1:], env=_READER)
        return completed.exit_code, completed.stdout + completed.stderr
    programs = site.folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    program = programs / "reconcile"
    if not program.exists():
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
        program.chmod(0o755)
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=site.folder,
        env={
            **os.environ,
            **_READER,
            "DATABASE_URL": site.database.url,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    return shell.returncode, shell.stdout


def matches(shown: str, said: str) -> bool:
    """Return whether the output matches what a page shows; an empty block matches any output."""
    if not shown.strip():
        return True
    lines = [line.rstrip() for line in shown.strip("\n").splitlines()]
    pattern = "\n".join(
        "(?:.*\n?)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*?")
        for line in lines
    ).replace("(?:.*\n?)*?\n", "(?:.*\n)*?")
    told = "\n".join(line.rstrip() for line in said.strip("\n").splitlines())
    return re.fullmatch(pattern, told) is not None


def _commands(line: int, body: str) -> Iterator[Step]:
    command, begun = "", line
    expected: list[str] = []
    for number, text in enumerate(body.splitlines(keepends=True), start=line):
        if text.startswith("$ "):
            if command:
                yield _step(begun, command, "".join(expected))
            command, expected, begun = text.removeprefix("$ ").rstrip("\n"), [], number
        elif text.startswith("> ") and not expected:
            command = f"{command.removesuffix(chr(92))} {text.removeprefix('> ').strip()}"
        else:
            expected.append(text)
    if command:
        yield _step(begun, command, "".join(expected))


def _step(line: int, command: str, expected: str) -> Step:
    found = _EXIT_CODE.search(command)
    exit_code = 0 if found is None else int(found[1])
    return Step(line, "command", _EXIT_CODE.sub("", command), "", expected, exit_code)
