-- Makes the tables of this schema like the models of `0001_models.sql`. A table that is missing is created
-- like its model. A table that a service already has keeps its rows, names, policies and grants, and gets the
-- missing columns and rules. If a value can mean two things, it gets the meaning that makes no further
-- repository eligible.

-- The tables that a service already has: these are adopted.
CREATE TEMPORARY TABLE adopted ON COMMIT DROP AS
SELECT
    name,
    to_regclass('public.' || name) AS relation,
    to_regclass('pg_temp.' || name) AS model
FROM unnest(ARRAY[
    'rollout_configuration', 'repository_categories', 'rollout_metrics', 'rollout_history'
]) AS tables (name)
WHERE to_regclass('public.' || name) IS NOT null;

-- A copy of the rows before adoption, for the history.
CREATE TEMPORARY TABLE adopted_feature (id uuid, row_values jsonb) ON COMMIT DROP;
DO $$
BEGIN
    IF to_regclass('public.rollout_configuration') IS NOT NULL THEN
        INSERT INTO pg_temp.adopted_feature
        SELECT id, to_jsonb(configuration) FROM public.rollout_configuration AS configuration;
    END IF;
END
$$;

-- Columns whose type is narrower than the model's, or another one. A wider type of the service stays.
CREATE TEMPORARY TABLE retyped ON COMMIT DROP AS
SELECT
    adopted.relation,
    host.attnum,
    host.attname,
    format_type(host.atttypid, host.atttypmod) AS found,
    format_type(model.atttypid, model.atttypmod) AS wanted
FROM adopted
INNER JOIN pg_attribute AS model ON adopted.model = model.attrelid
INNER JOIN pg_attribute AS host ON adopted.relation = host.attrelid AND model.attname = host.attname
WHERE
    model.attnum > 0
    AND NOT host.attisdropped
    AND (host.atttypid, host.atttypmod) <> (model.atttypid, model.atttypmod)
    AND NOT CASE format_type(model.atttypid, null)
        WHEN 'character varying'
            THEN
                host.atttypid = 'text'::regtype
                OR (
                    host.atttypid = model.atttypid
                    AND (host.atttypmod = -1 OR host.atttypmod > model.atttypmod)
                )
        WHEN 'integer' THEN host.atttypid = 'bigint'::regtype
        -- A mean that is rounded at each job is wrong after many jobs.
        WHEN 'numeric'
            THEN model.atttypmod = -1
            AND host.atttypid IN ('real'::regtype, 'double precision'::regtype)
        ELSE false
    END;

-- The functions of the service that functions of this schema replace, whatever their bodies are.
CREATE TEMPORARY TABLE replaced_function ON COMMIT DROP AS
SELECT
    pg_proc.oid AS function,
    successors.signature AS successor,
    pg_proc.proacl AS grants,
    pg_proc.proowner AS owner
FROM (
    VALUES
    ('categorize_repository', 'public.categorize_repository(uuid)', true),
    (
        'is_repository_eligible_for_rollout',
        'public.is_repository_eligible_for_rollout(uuid, text)',
        true
    ),
    (
        'explain_repository_eligibility',
        'public.explain_repository_eligibility(uuid, text)',
        false
    ),
    ('eligible_repositories', 'public.eligible_repositories(text)', false),
    ('rollout_bucket', 'public.rollout_bucket(text, uuid)', false),
    ('categorize_all_repositories', 'public.categorize_all_repositories()', false),
    (
        'record_rollout_job',
        'public.record_rollout_job(text, uuid, text, boolean, double precision, text)',
        false
    )
) AS successors (name, signature, with_every_overload)
INNER JOIN pg_proc
    ON successors.name = pg_proc.proname
        AND (
            pg_proc.oid = to_regprocedure(successors.signature)
            -- An overload with a default would make a call ambiguous.
            OR (successors.with_every_overload AND pg_proc.proargtypes[0] = 'uuid'::regtype)
        )
LEFT JOIN host_object
    ON host_object.kind = 'function' AND pg_proc.oid::regprocedure::text = host_object.name
WHERE pg_proc.pronamespace = 'public'::regnamespace
    -- The two that services call keep their arguments and are not dropped: a call that waits for the tables goes on
    -- with the new body (`0001_service_functions.sql`).
    AND (host_object.definition ->> 'kept')::boolean IS NOT true;
