"""Alembic's environment: it runs on the connection of `schema.upgrade`, in its transaction."""

from alembic import context

from reconciler.database.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema="public",
    on_version_apply=context.config.attributes["after_revision"],
)
context.run_migrations()
