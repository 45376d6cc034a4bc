-- Takes the functions that write with their owner's rights from roles whose rows row security refuses. A hosted
-- platform grants every table to its role for visitors, and only the missing policy stops that role.

DO $$
DECLARE
    refused record;
BEGIN
    FOR refused IN
        WITH granted AS (
            SELECT
                pg_class.relname,
                entry.grantee,
                NOT pg_class.relrowsecurity
                OR coalesce(pg_roles.rolsuper OR pg_roles.rolbypassrls, false)
                OR EXISTS (
                    SELECT FROM pg_policy
                    CROSS JOIN LATERAL unnest(pg_policy.polroles) AS named (role)
                    WHERE pg_policy.polrelid = pg_class.oid
                        AND pg_policy.polpermissive
                        AND pg_policy.polcmd IN ('*', CASE entry.privilege_type WHEN 'DELETE' THEN 'd' ELSE 'a' END)
                        AND (
                            named.role = 0
                            OR entry.grantee <> 0 AND pg_has_role(entry.grantee, named.role, 'USAGE')
                        )
                ) AS may_write
            FROM pg_class
            CROSS JOIN LATERAL aclexplode(pg_class.relacl) AS entry
            LEFT JOIN pg_roles ON pg_roles.oid = entry.grantee
            WHERE pg_class.relnamespace = 'public'::regnamespace
                AND entry.privilege_type IN ('INSERT', 'DELETE')
                AND entry.grantee <> pg_class.relowner
        )

        SELECT
            pg_proc.oid::regprocedure AS function,
            CASE executing.grantee WHEN 0 THEN 'PUBLIC' ELSE executing.grantee::regrole::text END AS grantee
        FROM (
            VALUES
            ('record_rollout_job', ARRAY['rollout_metrics']),
            ('record_rollout_jobs', ARRAY['rollout_metrics']),
            ('start_rollout_job', ARRAY['rollout_metrics']),
            ('record_rollout_starts', ARRAY['rollout_metrics']),
            ('end_rollout_job', ARRAY['rollout_metrics']),
            (
                'claim_rollout_write',
                ARRAY['rollout_metrics', 'rollout_history', 'rollout_lease', 'repository_categories']
            )
        ) AS needed (function, relations)
        INNER JOIN pg_proc
            ON pg_proc.pronamespace = 'public'::regnamespace
                AND needed.function = pg_proc.proname
                AND pg_proc.prosecdef
        CROSS JOIN LATERAL aclexplode(pg_proc.proacl) AS executing
        INNER JOIN granted
            ON granted.relname = ANY (needed.relations) AND executing.grantee = granted.grantee
        WHERE executing.grantee <> pg_proc.proowner
        GROUP BY pg_proc.oid, executing.grantee
        HAVING NOT bool_or(granted.may_write)
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', refused.function, refused.grantee);
    END LOOP;
END
$$;
