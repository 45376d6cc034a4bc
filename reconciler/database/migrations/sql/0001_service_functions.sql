-- The two functions that services call. In an adopted service they keep its argument names, types, defaults
-- and results, so all its calls still work and its deploy can replace the functions. The file reads the
-- temporary table `host_object`. `reconcile db upgrade --repair` runs it again.

CREATE TEMPORARY TABLE service_function (name text, signature text, statement text, grants jsonb)
ON COMMIT DROP;

INSERT INTO service_function (name, signature, statement, grants)
SELECT
    relation,
    name,
    format(
        'CREATE OR REPLACE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql %s %s AS %L',
        relation,
        definition ->> 'arguments',
        definition ->> 'result',
        CASE
            WHEN (definition ->> 'writes')::boolean THEN 'VOLATILE' ELSE 'STABLE PARALLEL SAFE'
        END,
        CASE
            WHEN (definition ->> 'definer')::boolean
                THEN 'SECURITY DEFINER SET search_path = pg_catalog, pg_temp'
        END,
        CASE
            WHEN relation = 'is_repository_eligible_for_rollout' AND definition ->> 'count' = '1'
                THEN $body$
BEGIN
    RETURN (
        SELECT explained.eligible
        FROM public.explain_repository_eligibility($1, 'hybrid_progressive_capture') AS explained
    );
END
$body$
            WHEN relation = 'is_repository_eligible_for_rollout'
                THEN $body$
BEGIN
    RETURN (
        SELECT explained.eligible
        FROM public.explain_repository_eligibility($1, $2::text) AS explained
    );
END
$body$
            WHEN (definition ->> 'writes')::boolean AND definition ->> 'result' = 'void'
                THEN $body$
BEGIN
    PERFORM public.categorize_repositories(ARRAY[$1]);
END
$body$
            WHEN (definition ->> 'writes')::boolean
                THEN $body$
BEGIN
    PERFORM public.categorize_repositories(ARRAY[$1]);
    RETURN public.category_of_repository($1);
END
$body$
            ELSE $body$
BEGIN
    RETURN public.category_of_repository($1);
END
$body$
        END
    ),
    coalesce(nullif(definition -> 'grants', 'null'), '[]')
FROM host_object
WHERE kind = 'function' AND (definition ->> 'kept')::boolean;

-- PL/pgSQL, because it keeps its plan for the session; SQL functions do so only from release 18 on.
INSERT INTO service_function (name, signature, statement)
SELECT
    'is_repository_eligible_for_rollout',
    'public.is_repository_eligible_for_rollout(uuid,text)',
    format(
        $statement$
        CREATE OR REPLACE FUNCTION public.is_repository_eligible_for_rollout(
            repo_id uuid, feature_name text %s
        ) RETURNS boolean
        LANGUAGE plpgsql STABLE PARALLEL SAFE
        AS $body$
BEGIN
    RETURN (
        SELECT explained.eligible
        FROM public.explain_repository_eligibility(repo_id, feature_name) AS explained
    );
END
$body$
        $statement$,
        -- If the service has a function with one argument, a call with one argument still calls it.
        CASE
            WHEN count(*) = 0 THEN 'DEFAULT ''hybrid_progressive_capture''' ELSE ''
        END
    )
FROM service_function
WHERE name = 'is_repository_eligible_for_rollout'
HAVING
    bool_and(signature = 'public.is_repository_eligible_for_rollout(uuid)') IS NOT false;

INSERT INTO service_function (name, signature, statement)
SELECT
    'categorize_repository',
    'public.categorize_repository(uuid)',
    'CREATE OR REPLACE FUNCTION public.categorize_repository(repo_id uuid) RETURNS text'
    ' LANGUAGE sql STABLE PARALLEL SAFE RETURN public.category_of_repository(repo_id)'
WHERE NOT EXISTS (
    SELECT
    FROM service_function
    WHERE name = 'categorize_repository'
);

DO $$
DECLARE
    each record;
    grantee text;
BEGIN
    FOR each IN
        SELECT oid::regprocedure AS function FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND proname IN ('categorize_repository', 'is_repository_eligible_for_rollout')
            AND oid::regprocedure::text NOT IN (SELECT signature FROM pg_temp.service_function)
    LOOP
        EXECUTE format('DROP FUNCTION %s', each.function);
    END LOOP;

    FOR each IN SELECT * FROM pg_temp.service_function LOOP
        BEGIN
            EXECUTE each.statement;
        EXCEPTION
            -- The existing function has other argument names, or another result.
            WHEN invalid_function_definition THEN
                EXECUTE format('DROP FUNCTION %s', each.signature);
                EXECUTE each.statement;
        END;
        CONTINUE WHEN each.grants IS NULL;
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', each.signature);
        FOR grantee IN SELECT jsonb_array_elements_text(each.grants) LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', each.signature, grantee);
        END LOOP;
    END LOOP;
END
$$;

DROP TABLE service_function;
