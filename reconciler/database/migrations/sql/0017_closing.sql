-- The rights of `0017_starts.sql`: an account that records jobs may record their starts and ends, and one that reads
-- the features may read how many jobs run.

DO $$
DECLARE
    made record;
    given text;
BEGIN
    FOR made IN
        SELECT pg_proc.oid, pg_proc.oid::regprocedure AS function, pg_proc.proname,
            coalesce(pg_proc.proacl, acldefault('f', pg_proc.proowner)) AS acl, pg_proc.proowner
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND proname IN (
                'rollout_load', 'forget_rollout_starts', 'start_rollout_job',
                'record_rollout_starts', 'end_rollout_job'
            )
    LOOP
        FOR given IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM aclexplode(made.acl) AS entry
            WHERE entry.grantee <> made.proowner
        LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', made.function, given);
        END LOOP;
        FOR given IN
            SELECT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM pg_proc,
                aclexplode(coalesce(pg_proc.proacl, acldefault('f', pg_proc.proowner))) AS entry
            WHERE made.proname IN ('start_rollout_job', 'record_rollout_starts', 'end_rollout_job')
                AND pg_proc.pronamespace = 'public'::regnamespace
                AND pg_proc.proname IN ('record_rollout_job', 'record_rollout_jobs')
                AND entry.privilege_type = 'EXECUTE' AND entry.grantee <> pg_proc.proowner
            UNION
            SELECT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM pg_class
            CROSS JOIN LATERAL (
                SELECT granted.grantee, granted.privilege_type FROM aclexplode(pg_class.relacl) AS granted
                UNION ALL
                SELECT granted.grantee, granted.privilege_type
                FROM pg_attribute, aclexplode(attacl) AS granted WHERE attrelid = pg_class.oid
            ) AS entry
            WHERE made.proname = 'rollout_load'
                AND pg_class.oid = 'public.rollout_configuration'::regclass
                AND entry.privilege_type = 'SELECT' AND entry.grantee <> pg_class.relowner
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', made.function, given);
        END LOOP;
    END LOOP;
END
$$;
