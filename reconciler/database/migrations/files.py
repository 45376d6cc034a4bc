"""Running a migration's `.sql` file, statement after statement, on alembic's connection."""

from importlib.resources import files

from alembic import op


def run_file(name: str) -> None:
    """Run the file `sql/<name>` of this package; any error ends the migration's transaction."""
    text = files("reconciler.database.migrations").joinpath("sql", name).read_text("utf-8")
    # Straight to the driver: a file holds many statements, and its % and : are not parameters.
    driver_connection = op.get_bind().connection.driver_connection
    driver_connection.execute(text)
