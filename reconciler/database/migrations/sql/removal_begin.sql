-- `reconcile db remove`, first part: what goes, and what of the service stands in the way. `0001_dependents.sql` and
-- `removal_end.sql` follow.

SET LOCAL row_security = off;
SET LOCAL search_path = pg_catalog;
SET CONSTRAINTS ALL IMMEDIATE;

DO $$
BEGIN
    IF EXISTS (SELECT FROM public.rollout_history WHERE action = 'adopted')
        AND NOT EXISTS (SELECT FROM public.rollout_adopted_object)
    THEN
        RAISE EXCEPTION
            'an older release adopted these tables, and kept no record of their columns, rules and functions'
            USING ERRCODE = 'RR001',
                HINT = 'restore a backup from before the adoption in another database, copy its functions'
                    ' is_repository_eligible_for_rollout and categorize_repository and its rows from there,'
                    ' and let the service use that database';
    END IF;
END
$$;

CREATE TEMPORARY TABLE host_object ON COMMIT DROP AS SELECT * FROM public.rollout_adopted_object;
CREATE TEMPORARY TABLE host_row ON COMMIT DROP AS SELECT * FROM public.rollout_adopted_row;

CREATE TEMPORARY TABLE own_function ON COMMIT DROP AS
SELECT oid AS function
FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
    AND oid::regprocedure::text IN (
        SELECT name FROM public.rollout_schema_objects()
        WHERE kind = 'function'
    );

CREATE TEMPORARY TABLE adopted ON COMMIT DROP AS
SELECT
    name,
    to_regclass('public.' || name) AS relation
FROM host_object
WHERE kind = 'table' AND name NOT IN ('repositories', 'pull_requests');

DO $$
DECLARE
    each record;
BEGIN
    LOCK TABLE public.rollout_configuration, public.repository_categories, public.rollout_metrics,
    public.rollout_history IN ACCESS EXCLUSIVE MODE;
    -- Recorded jobs go into the service's table, as long as the triggers and sums are there.
    IF to_regclass('public.rollout_metrics_turn') IS NOT null THEN
        WHILE public.merge_rollout_rollup(100000) = 100000 LOOP
        END LOOP;
    END IF;
    FOR each IN
        SELECT tgname AS name, tgrelid::regclass AS relation FROM pg_trigger
        WHERE tgfoid IN (SELECT function FROM pg_temp.own_function) AND NOT tgisinternal
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', each.name, each.relation);
    END LOOP;
    FOR each IN
        SELECT polname AS name, polrelid::regclass AS relation FROM pg_policy
        WHERE polname IN (
            'rollout_read', 'rollout_roles_select', 'rollout_roles_insert', 'rollout_roles_update',
            'rollout_roles_delete'
        )
    LOOP
        EXECUTE format('DROP POLICY %I ON %s', each.name, each.relation);
    END LOOP;
END
$$;

CREATE TEMPORARY TABLE retyped ON COMMIT DROP AS
SELECT
    adopted.relation,
    pg_attribute.attnum,
    pg_attribute.attname,
    format_type(pg_attribute.atttypid, pg_attribute.atttypmod) AS found,
    host_object.definition ->> 'type' AS wanted
FROM adopted
INNER JOIN host_object ON adopted.name = host_object.relation AND host_object.kind = 'column'
INNER JOIN pg_attribute
    ON adopted.relation = pg_attribute.attrelid AND host_object.name = pg_attribute.attname
WHERE
    host_object.definition ->> 'type'
    <> format_type(pg_attribute.atttypid, pg_attribute.atttypmod);

CREATE TEMPORARY TABLE replaced_function ON COMMIT DROP AS
SELECT
    pg_proc.oid AS function,
    pg_proc.oid::regprocedure::text AS successor,
    -- The service's functions get their own grants with them.
    null::aclitem [] AS grants,
    pg_proc.proowner AS owner
FROM pg_proc
INNER JOIN host_object
    ON host_object.kind = 'function' AND pg_proc.oid::regprocedure::text = host_object.name
WHERE pg_proc.oid IN (SELECT function FROM own_function);
