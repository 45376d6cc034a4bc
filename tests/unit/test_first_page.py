"""README.md, as an index and a hosting service show it; and what the site makes of a page."""

import re
import tomllib

import pytest

from scripts import diagrams
from scripts.docs_hooks import commands_of, on_page_content
from tests.postgres import PROJECT

README = (PROJECT / "README.md").read_text("utf-8")
LINK = re.compile(r"\]\(([^)]+)\)")
HERE = re.compile(
    r"https://(?:github\.com/acme/rollout-reconciler/blob|"
    r"raw\.githubusercontent\.com/acme/rollout-reconciler)/main/([^#]+)"
)


def test_every_link_of_the_readme_works_outside_of_the_repository() -> None:
    links = LINK.findall(README)

    assert links
    assert [each for each in links if not each.startswith("https://")] == []
    files = [found[1] for each in links if (found := HERE.fullmatch(each))]
    assert len(files) >= 10
    assert [each for each in files if not (PROJECT / each).is_file()] == []


def test_each_picture_of_the_readme_has_a_text() -> None:
    pictures = re.findall(r"!\[([^\]]*)\]", README)

    assert len(pictures) == 4
    assert min(map(len, pictures)) > 60


def test_the_example_of_the_readme_is_the_file_of_the_demo() -> None:
    example = (PROJECT / "reconciler" / "demo_files" / "rollout.yaml").read_text("utf-8")

    assert f"```yaml\n{example}```" in README


def test_the_package_names_the_addresses_of_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]

    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= project["urls"].keys()
    assert project["readme"] == "README.md"


@pytest.mark.parametrize("name", diagrams.diagrams())
def test_a_diagram_is_up_to_date(name: str) -> None:
    drawn = (diagrams.PICTURES / name).read_text("utf-8")

    assert drawn == diagrams.diagrams()[name], f"{name}: run make generate"


def test_a_diagram_on_a_page_is_part_of_it() -> None:
    page = on_page_content('<p><img alt="The loop" src="images/loop.svg" /></p>')

    assert page.startswith("<figure><svg")
    assert "<desc id=" in page


@pytest.mark.parametrize(
    ("block", "commands"),
    [
        ("$ git add .\n$ reconcile --yes\nApplied.\n", "git add .\nreconcile --yes"),
        (
            "$ reconcile stop \\\n> --yes\n> not a command\n",
            "reconcile stop \\\n--yes\nnot a command",
        ),
        ("Applied.\n> quoted\n", ""),
    ],
)
def test_a_console_block_is_copied_without_its_output(block: str, commands: str) -> None:
    assert commands_of(block) == commands


def test_the_copy_of_a_block_is_text_and_not_markup() -> None:
    block = '<div class="language-console highlight"><span class="gp">$ </span>echo &quot;&lt;a&gt;&quot;\nout</div>'

    assert 'data-copy="echo &quot;&lt;a&gt;&quot;"' in on_page_content(block)


def test_a_bar_in_a_table_has_no_backslash() -> None:
    assert on_page_content("<td><code>on\\|off</code></td>") == "<td><code>on|off</code></td>"
