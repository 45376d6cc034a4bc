-- Creates the table that `0001_service_functions.sql` reads: the functions that an adopted service had.
CREATE TEMPORARY TABLE IF NOT EXISTS host_object (
    kind text, relation text, name text, definition jsonb, PRIMARY KEY (kind, relation, name)
) ON COMMIT DROP;

INSERT INTO pg_temp.host_object (kind, relation, name, definition)
SELECT
    kind,
    relation,
    name,
    definition
FROM public.rollout_adopted_object
WHERE kind = 'function'
ON CONFLICT DO NOTHING;
