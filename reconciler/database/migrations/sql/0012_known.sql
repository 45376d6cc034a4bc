-- Creates the table that `0012_rights.sql` reads: the functions that are there before this release's are made.
CREATE TEMPORARY TABLE IF NOT EXISTS known_function (function oid) ON COMMIT DROP;

INSERT INTO pg_temp.known_function (function)
SELECT oid FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_temp.known_function);
