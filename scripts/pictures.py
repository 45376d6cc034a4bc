"""Draw the pictures of README.md and of the documentation from the real program, in a new demo.

`python scripts/pictures.py` writes them to `docs/images`. A test fails if the program prints something else.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import markdown
import pexpect

from reconciler.operations.demo import next_lines
from scripts.terminal_picture import Moment, Span, recording, spans, still

PROJECT = Path(__file__).resolve().parents[1]
PICTURES = PROJECT / "docs" / "images"
COLUMNS = 100
ROWS = 28
PROMPT = Span("$ ", "#7ee787", is_bold=True)
SECONDS_AFTER_A_COMMAND = 1.0
SECONDS_AFTER_ITS_OUTPUT = 3.2
SECONDS_AT_THE_END = 6.0
NOT_RECORDED = ("reconcile --dry-run", "git pull --quiet", "reconcile status", "reconcile db stop")
"""Lines of the demo that a reader types, and a viewer need not see."""


class Shell:
    """A person's terminal in the folder of a demo."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder.parent / "programs"
        programs.mkdir()
        program = programs / "reconcile"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
        program.chmod(0o755)
        self.variables: dict[str, str] = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
            "HOME": str(folder.parent),
            "TERM": "xterm-256color",
            "ROLLOUT_ACTOR": "ada",
        }
        for name in ("DATABASE_URL", "ROLLOUT_FILE", "NO_COLOR", "CI"):
            self.variables.pop(name, None)

    def run(self, command: str) -> list[str]:
        """Return what a command prints on the terminal; each question is answered with y."""
        terminal = pexpect.spawn(
            "/bin/bash",
            ["-c", command],
            cwd=str(self.folder),
            env=self.variables,
            dimensions=(50, COLUMNS),
            encoding="utf-8",
            timeout=120,
        )
        printed = ""
        while terminal.expect_exact(["[y/N]: ", pexpect.EOF]) == 0:
            printed += f"{terminal.before}[y/N]: "
            terminal.sendline("y")
        printed += str(terminal.before)
        terminal.close()
        assert terminal.exitstatus == 0, f"{command}\n{printed}"
        return [
            each.rstrip("\r")
            for each in printed.rstrip().split("\n")
            if not each.startswith("using the embedded database in ")
        ]


def commands(lines: str) -> Iterator[str]:
    """Return each command of a demo's lines; one of several lines as one text."""
    command = ""
    for line in lines.splitlines():
        if not line.startswith("#"):
            command = f"{command}\n{line}".strip("\n")
            if command and not line.startswith((" ", "for ")):
                yield command
                command = ""


def draw(folder: Path) -> Mapping[str, str]:
    """Run a demo in a new folder, and return each picture by its file's name."""
    trial = folder / "trial"
    trial.mkdir()
    shell = Shell(trial)
    shell.run("reconcile demo .")
    try:
        return {
            "recording.svg": _recording(shell),
            "plan.svg": _plan(shell),
            "comment.svg": _comment(shell),
        }
    finally:
        shell.run("reconcile db stop")


def _recording(shell: Shell) -> str:
    moments: list[Moment] = []
    now = 0.5
    for command in commands(next_lines()):
        if command in NOT_RECORDED:
            shell.run(command)
            continue
        first, *rest = command.split("\n")
        moments.append(Moment(now, [PROMPT, Span(first, is_bold=True)]))
        moments += [Moment(now, [Span(f"  {each}", is_bold=True)]) for each in rest]
        now += SECONDS_AFTER_A_COMMAND
        moments += [Moment(now, spans(each)) for each in shell.run(command)]
        moments.append(Moment(now, []))
        now += SECONDS_AFTER_ITS_OUTPUT
    title = "A rollout is applied, fails, is rolled back by a commit, and resumes"
    return recording(title, moments, COLUMNS, ROWS, now + SECONDS_AT_THE_END)


def _plan(shell: Shell) -> str:
    shell.run('reconcile set 50 --commit --reason "No errors at 25 percent"')
    command = "reconcile --dry-run"
    prompt = f"\x1b[32;1m$ \x1b[0m\x1b[1m{command}\x1b[0m"
    title = "The preview of a change from 25 to 50 percent"
    return still(title, [prompt, *shell.run(command)], COLUMNS)


def _comment(shell: Shell) -> str:
    text = "\n".join(shell.run("reconcile --dry-run --format markdown"))
    text = re.sub(r"<!--.*?-->", "", text)
    # A reader of the pull request opens the details; the picture has their titles.
    text = re.sub(r"(<summary>.*?</summary>).*?</details>", r"\1</details>", text, flags=re.DOTALL)
    body = markdown.markdown(text, extensions=["tables"], output_format="xhtml")
    title = "The same preview as a comment on the pull request"
    description = re.sub(r"<[^>]+>", "", body)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t d" \
viewBox="0 0 812 376" width="812" height="376">
<title id="t">{title}</title>
<desc id="d">{description}</desc>
<rect x="0.5" y="0.5" width="811" height="375" rx="6" fill="#ffffff" stroke="#d1d9e0"/>
<path d="M0.5 6.5a6 6 0 0 1 6-6h799a6 6 0 0 1 6 6v32h-811z" fill="#f6f8fa" stroke="#d1d9e0"/>
<foreignObject x="1" y="1" width="810" height="374">
<div xmlns="http://www.w3.org/1999/xhtml"><style>
div{{font:14px/1.5 system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;color:#1f2328}}
.head{{padding:9px 16px;color:#59636e}} .body{{padding:4px 16px}}
h3{{font-size:18px;margin:12px 0}} h4{{font-size:14px;margin:14px 0 8px}} p{{margin:8px 0}}
code{{background:#eff1f3;border-radius:6px;padding:2px 5px;font-size:12px}}
table{{border-collapse:collapse}} th,td{{border:1px solid #d1d9e0;padding:5px 12px}}
</style><div class="head"><b>github-actions</b> commented</div><div class="body">
{body}
</div></div>
</foreignObject>
</svg>
"""


def main() -> None:
    """Write the pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, picture in draw(Path(folder)).items():
            (PICTURES / name).write_text(picture, "utf-8")


if __name__ == "__main__":
    main()
