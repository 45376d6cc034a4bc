"""Alembic's environment: it runs on the connection of `schema.upgrade`, in its transaction."""

from alembic import context

from reconciler.database.migrations.files import OBJECTS_SINCE, run_objects
from reconciler.database.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema="public",
    on_version_apply=context.config.attributes["after_revision"],
)
context.run_migrations()

# Once for all revisions: each time, a service waits longer for its tables.
reached = context.get_context().get_current_revision()
if reached is not None and reached >= OBJECTS_SINCE:
    run_objects(context.config.attributes["connection"], until=reached)
