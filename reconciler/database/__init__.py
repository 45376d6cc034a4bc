"""Everything that communicates with Postgres."""
