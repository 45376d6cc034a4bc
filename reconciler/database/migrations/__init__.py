"""The migrations: alembic revisions whose statements are in `sql/`."""
