-- The rights of `0013_functions.sql`: an account that records jobs or writes history may record a write.

DO $$
DECLARE
    given text;
BEGIN
    FOR given IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_proc,
            aclexplode(coalesce(pg_proc.proacl, acldefault('f', pg_proc.proowner))) AS entry
        WHERE pg_proc.oid = 'public.claim_rollout_write(uuid, bigint, interval)'::regprocedure
            AND entry.grantee <> pg_proc.proowner
    LOOP
        EXECUTE format(
            'REVOKE ALL ON FUNCTION public.claim_rollout_write(uuid, bigint, interval) FROM %s', given
        );
    END LOOP;
    FOR given IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_proc,
            aclexplode(coalesce(pg_proc.proacl, acldefault('f', pg_proc.proowner))) AS entry
        WHERE pg_proc.pronamespace = 'public'::regnamespace
            AND pg_proc.proname IN ('record_rollout_job', 'record_rollout_jobs')
            AND entry.privilege_type = 'EXECUTE' AND entry.grantee <> pg_proc.proowner
        UNION
        SELECT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(pg_class.relacl) AS entry
        WHERE pg_class.oid IN (
            'public.rollout_history'::regclass, 'public.rollout_lease'::regclass,
            'public.repository_categories'::regclass, 'public.rollout_metrics'::regclass
        )
            AND entry.privilege_type IN ('INSERT', 'DELETE')
            AND entry.grantee <> pg_class.relowner
    LOOP
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION public.claim_rollout_write(uuid, bigint, interval) TO %s', given
        );
    END LOOP;
END
$$;
