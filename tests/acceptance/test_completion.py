"""Completion in real shells: the result of Tab on the start of a line."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site import Site
from tests.terminal import start

LINES = [
    ("reconcile whitel", "whitelist"),
    ("reconcile whitelist ad", "add"),
    ("reconcile set 5 --comm", "--commit"),
    ("reconcile status --feature hyb", "hybrid_progressive_capture"),
    ("reconcile strategy repo", "repository_size"),
    ("reconcile whitelist remove acme/t", "acme/tools"),
    ("reconcile validate rollo", "rollout.yaml"),
    ("reconcile --file rollo", "rollout.yaml"),
]


@pytest.fixture
def completed(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site with a whitelist, shells that find `reconcile`, and a completion script for each shell."""
    site.write(site.file.read_text() + "    whitelist: [acme/tools]\n")
    programs = site.folder / "programs"
    programs.mkdir()
    program = programs / "reconcile"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return site


def write_script(site: Site, shell: str) -> Path:
    done = site.reconcile("completion", shell)
    assert (done.exit_code, done.stderr) == (0, "")
    script = site.folder / f"completion.{shell}"
    script.write_text(done.stdout)
    return script


@pytest.mark.parametrize(
    ("shell", "options", "setting"),
    [
        ("bash", ["--norc", "--noprofile", "-i"], "bind 'set enable-bracketed-paste off'"),
        ("zsh", ["-f", "-i"], "autoload -Uz compinit; compinit -u"),
    ],
)
def test_tab_completes_a_line(
    completed: Site, shell: str, options: list[str], setting: str
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    script = write_script(completed, shell)
    terminal = start(completed, program, options, 200, {"PS1": "> "})
    terminal.sendline(f"{setting}; source {script}; echo re''ady")
    terminal.expect_exact("ready")
    for begun, completes in LINES:
        terminal.send(f"{begun}\t")
        whole = f"{begun.rpartition(' ')[0]} {completes}"
        # A shell may give the blank its own style.
        terminal.expect(rf"{re.escape(whole)}(\x1b\[[0-9;]*m)* ")
        terminal.sendcontrol("u")
    terminal.close(force=True)


def test_fish_completes_a_line(completed: Site) -> None:
    program = shutil.which("fish")
    if program is None:
        pytest.skip("no fish here")
    script = write_script(completed, "fish")
    asked = "; ".join(f"complete --do-complete '{begun}'" for begun, _ in LINES)
    done = subprocess.run(
        [program, "--no-config", "--command", f"source {script}; {asked}"],
        cwd=completed.folder,
        capture_output=True,
        text=True,
        check=True,
    )

    offered = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert offered == [completes for _, completes in LINES]


def test_a_feature_of_a_file_with_an_error_is_completed(site: Site) -> None:
    site.write(site.file.read_text() + "  broken_one: {percentage: 400}\n")
    words = {"COMP_WORDS": "reconcile stop --feature bro", "COMP_CWORD": "3"}

    done = site.reconcile(env={"_RECONCILE_COMPLETE": "bash_complete", **words})

    assert done.stdout == "plain,broken_one\n"


def test_an_unknown_shell_is_refused_with_the_known_ones(site: Site) -> None:
    done = site.reconcile("completion", "tcsh")

    assert done.exit_code == 64
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr
