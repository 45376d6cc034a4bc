"""The documentation: its commands run as they are written."""

import pytest

from scripts import reference
from tests.pages import DOCUMENTATION, follow, matches
from tests.postgres import PROJECT, Database
from tests.site import Site

PAGES = ("strategies.md", "runbook.md", "from-a-console.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_print_what_it_shows(page: str, site: Site) -> None:
    (site.folder / "rollout.yaml").unlink()
    examples = site.folder / "examples"
    examples.mkdir()
    (examples / "repositories.csv").write_bytes(
        (PROJECT / "examples" / "repositories.csv").read_bytes()
    )

    assert follow(DOCUMENTATION / page, site) > 0


def test_the_tutorial_prints_what_it_shows(site: Site) -> None:
    samples = PROJECT / "reconciler" / "demo_files"
    site.write((samples / "rollout.yaml").read_text("utf-8"))
    site.reconcile("repositories", "load", str(samples / "repositories.csv"))
    site.commit("Declare the rollout of capture")
    site.push()

    assert follow(DOCUMENTATION / "tutorial.md", site) > 0


@pytest.mark.parametrize(
    ("shown", "said", "is_shown"),
    [
        ("a … c", "a b c\n", True),
        ("a\n…\nd", "a\nb\nc\nd\n", True),
        ("a\n…", "a\nb\n", True),
        ("a\nb", "a\nc\n", False),
        ("a", "a\nb\n", False),
        ("", "anything\n", True),
    ],
)
def test_the_output_on_a_page_is_compared(shown: str, said: str, *, is_shown: bool) -> None:
    assert matches(shown, said) is is_shown


def test_the_reference_pages_are_up_to_date(database: Database) -> None:
    with database.engine.connect() as connection:
        tables = reference.tables_page(connection)

    for name, page in (
        ("commands.md", reference.commands_page()),
        ("rollout-file.md", reference.file_page()),
        ("tables.md", tables),
    ):
        written = (DOCUMENTATION / "reference" / name).read_text("utf-8")
        assert written == page, f"{name} is not what the code says; run make generate"
