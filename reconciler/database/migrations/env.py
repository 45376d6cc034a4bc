"""Where alembic runs: on the connection that `schema.upgrade` hands over, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table_schema="public")
context.run_migrations()
