-- Ends a migration. It keeps the rows and marks of a service that is adopted in this transaction, and closes
-- new objects to all roles that had no access before.

DO $$
BEGIN
    IF to_regclass('pg_temp.adopted') IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO public.rollout_adopted_object SELECT * FROM pg_temp.host_object WHERE kind <> 'mark';
    INSERT INTO public.rollout_adopted_row SELECT * FROM pg_temp.host_row;

    -- A mark that people set stays, also if the category changes. If the service's own categorising sets the
    -- column too, only a value that does not follow from the category is a mark.
    UPDATE public.repository_categories AS recorded
    SET marked_as_test = true
    FROM pg_temp.host_object AS mark
    WHERE mark.kind = 'mark' AND mark.name = recorded.repository_id::text
        AND NOT recorded.marked_as_test
        AND (
            public.category_of_repository(recorded.repository_id) IS DISTINCT FROM 'test'
            OR NOT EXISTS (
                SELECT FROM pg_temp.host_object
                WHERE kind = 'function' AND (definition ->> 'sets_marks')::boolean
            )
        );
END
$$;

-- On Postgres 15 and newer the view uses the rights and policies of the calling role. Older servers cannot do
-- this: there the view is revoked from every role that does not see all rows.
DO $$
DECLARE
    grantee text;
BEGIN
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW public.repository_activity SET (security_invoker = true);
        ALTER VIEW public.category_limits SET (security_invoker = true);
    ELSIF EXISTS (
        SELECT FROM pg_class
        WHERE oid IN (to_regclass('public.repositories'), to_regclass('public.pull_requests'))
            AND relrowsecurity
    ) THEN
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM pg_class, aclexplode(relacl) AS entry
            WHERE pg_class.oid = 'public.repository_activity'::regclass
                AND entry.grantee <> relowner
        LOOP
            EXECUTE format('REVOKE ALL ON public.repository_activity FROM %s', grantee);
        END LOOP;
    END IF;
END
$$;

-- Tables and sequences that this transaction created, and the functions of a new schema. The service's
-- earlier objects keep their grants.
DO $$
DECLARE
    made record;
    grantee text;
    is_new CONSTANT boolean := to_regclass('pg_temp.adopted') IS NOT NULL;
    adopted CONSTANT text [] := ARRAY(
        SELECT name FROM public.rollout_adopted_object WHERE kind IN ('table', 'function')
    );
    hides_rows CONSTANT boolean := EXISTS (
        SELECT FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relrowsecurity
            AND relname IN ('repositories', 'rollout_configuration')
    );
BEGIN
    FOR made IN
        SELECT pg_class.oid::regclass AS relation, pg_class.*
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
            AND relname IN (
                'rollout_adopted_object', 'rollout_adopted_row', 'rollout_schema_object'
            )
            OR is_new AND relnamespace = 'public'::regnamespace AND relname IN (
                'repositories', 'rollout_configuration', 'repository_categories', 'rollout_metrics',
                'rollout_history', 'rollout_schema_version'
            )
            AND relname <> ALL (adopted)
    LOOP
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM aclexplode(made.relacl) AS entry WHERE entry.grantee <> made.relowner
        LOOP
            EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', made.relation, grantee);
        END LOOP;
        IF hides_rows THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made.relation);
        END IF;
    END LOOP;

    -- A role that checks the version of the schema can check its objects.
    FOR grantee IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = 'public.rollout_schema_version'::regclass
            AND entry.grantee <> relowner AND entry.privilege_type = 'SELECT'
    LOOP
        EXECUTE format('GRANT SELECT ON public.rollout_schema_object TO %s', grantee);
        EXECUTE format('GRANT EXECUTE ON FUNCTION public.rollout_schema_objects() TO %s', grantee);
    END LOOP;

    FOR made IN
        SELECT pg_proc.oid::regprocedure AS function, pg_proc.*
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND pg_proc.oid::regprocedure::text IN (
                SELECT name FROM public.rollout_schema_object WHERE kind = 'function'
            )
            AND (is_new OR proname IN ('follow_test_column', 'fill_metrics'))
            AND pg_proc.oid::regprocedure::text <> ALL (adopted)
    LOOP
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM aclexplode(coalesce(made.proacl, acldefault('f', made.proowner))) AS entry
            WHERE entry.grantee <> made.proowner
        LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', made.function, grantee);
        END LOOP;
        -- Roles that read the configuration may call eligibility functions; roles that write metrics may
        -- record jobs.
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM (
                SELECT granted.grantee, granted.privilege_type, pg_class.relowner
                FROM pg_class, aclexplode(relacl) AS granted
                WHERE pg_class.oid = CASE made.proname
                    WHEN 'record_rollout_job' THEN 'public.rollout_metrics'::regclass
                    ELSE 'public.rollout_configuration'::regclass
                END
                UNION ALL
                SELECT granted.grantee, granted.privilege_type, 0
                FROM pg_attribute, aclexplode(attacl) AS granted
                WHERE attrelid = 'public.rollout_configuration'::regclass
                    AND made.proname <> 'record_rollout_job'
            ) AS entry
            WHERE entry.grantee <> entry.relowner
                AND entry.privilege_type
                = CASE made.proname WHEN 'record_rollout_job' THEN 'INSERT' ELSE 'SELECT' END
                AND made.prorettype <> 'trigger'::regtype
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', made.function, grantee);
        END LOOP;
    END LOOP;
END
$$;
