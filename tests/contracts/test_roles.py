"""The rights of each role: tried on a database, and compared with the page of the documentation."""

import os

from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as OpenedDatabase
from tests.contracts.record import WRITE
from tests.database.role_matrix import page
from tests.postgres import PROJECT, Database

PAGE = PROJECT / "docs" / "reference" / "roles.md"


def test_the_page_of_roles_says_what_the_database_allows(database: Database) -> None:
    apply_roles(OpenedDatabase.at(database.address))

    found = page(database)

    if WRITE in os.environ:
        PAGE.write_text(found, "utf-8")
    assert found.splitlines() == PAGE.read_text("utf-8").splitlines(), (
        "if the rights are to change: python -m tests.contracts, and commit the page"
    )
