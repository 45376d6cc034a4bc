-- name: begin
-- The settings of each transaction; they override those of the server, the database and the role. Names that are
-- not schema-qualified, and operators, mean Postgres's own: another account can create operators in `public`.
-- Times are in UTC, where each day has 24 hours, and are written as the driver reads them.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, MDY';
SET LOCAL intervalstyle = 'postgres';

-- name: limits
-- The longest wait for a lock and the longest statement of a transaction that sets no limits of its own.
SET LOCAL lock_timeout = '10s';
SET LOCAL statement_timeout = '120s';
