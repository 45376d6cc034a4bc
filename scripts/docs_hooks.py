"""What the site does with a page when it is built; mkdocs calls these functions.

A diagram becomes a part of the page, so that it has the page's colours and its text can be read and found.
The copy button of a console block copies its commands only. A bar in a table's code loses the backslash
that Markdown on a hosting service needs.
"""

import html
import re
from pathlib import Path
from typing import Any

_IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
_DIAGRAM = re.compile(
    r'<p><img alt="([^"]*)" src="(?:\.\./)?images/(loop|stages|rules|methods)\.svg" ?/?></p>'
)
_CONSOLE = re.compile(r'<div class="language-console highlight">(.*?)</div>', re.DOTALL)
_CELL = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")


def on_page_content(content: str, **_context: Any) -> str:
    """Return a page's HTML as the site has it."""
    content = _DIAGRAM.sub(_inline, content)
    content = _CONSOLE.sub(_with_commands_to_copy, content)
    return _CELL.sub(lambda cell: cell[0].replace("\\|", "|"), content)


def commands_of(console: str) -> str:
    """Return the commands of a console block's text: what follows `$ `, and `> ` in the next lines."""
    commands: list[str] = []
    is_command = False
    for line in console.splitlines():
        if line.startswith("$ "):
            commands.append(line.removeprefix("$ "))
            is_command = True
        elif is_command and line.startswith("> "):
            commands.append(line.removeprefix("> "))
        else:
            is_command = False
    return "\n".join(commands)


def _inline(image: re.Match[str]) -> str:
    diagram = (_IMAGES / f"{image[2]}.svg").read_text("utf-8")
    return f"<figure>{diagram}</figure>"


def _with_commands_to_copy(block: re.Match[str]) -> str:
    text = html.unescape(_TAG.sub("", block[1]))
    commands = html.escape(commands_of(text), quote=True).replace("\n", "&#10;")
    return f'<div class="language-console highlight" data-copy="{commands}">{block[1]}</div>'
