-- Closes the rollout's functions to PUBLIC. A new function is open to PUBLIC and to the roles of the default
-- privileges; the first two releases left their functions open. A role that has the right on the table can call the
-- function that needs it. Functions of an adopted service keep their own grants.

DO $$
DECLARE
    made record;
    grantee text;
BEGIN
    FOR made IN
        SELECT
            pg_proc.oid::regprocedure AS function,
            pg_proc.proname,
            pg_proc.proowner,
            coalesce(pg_proc.proacl, acldefault('f', pg_proc.proowner)) AS acl,
            pg_proc.oid NOT IN (SELECT function FROM pg_temp.known_function) AS is_new
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND pg_proc.oid::regprocedure::text IN (
                SELECT name FROM public.rollout_schema_object WHERE kind = 'function'
            )
            AND pg_proc.oid::regprocedure::text NOT IN (
                SELECT name FROM public.rollout_adopted_object WHERE kind = 'function'
            )
    LOOP
        CONTINUE WHEN NOT made.is_new
            AND NOT EXISTS (SELECT FROM aclexplode(made.acl) AS entry WHERE entry.grantee = 0);
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM aclexplode(made.acl) AS entry
            WHERE entry.grantee = 0 OR made.is_new AND entry.grantee <> made.proowner
        LOOP
            EXECUTE format('REVOKE ALL ON ROUTINE %s FROM %s', made.function, grantee);
        END LOOP;
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM (
                VALUES
                ('repository_categories', 'INSERT', ARRAY[
                    'categorize_repositories', 'categorize_all_repositories'
                ]),
                ('rollout_metrics', 'INSERT', ARRAY[
                    'record_rollout_job', 'record_rollout_jobs', 'claim_rollout_write',
                    'start_rollout_job', 'record_rollout_starts', 'end_rollout_job'
                ]),
                ('rollout_history', 'INSERT', ARRAY['claim_rollout_write']),
                ('rollout_metrics', 'DELETE', ARRAY[
                    'prune_rollout_metrics', 'prune_rollout_metrics_batch'
                ]),
                ('rollout_schema_version', 'SELECT', ARRAY['rollout_schema_objects']),
                ('rollout_configuration', 'SELECT', ARRAY[
                    'categorize_repository', 'is_repository_eligible_for_rollout',
                    'explain_repository_eligibility', 'eligible_repositories', 'rollout_bucket',
                    'category_of_repository', 'category_within', 'category_priority', 'category_changes',
                    'monthly_activity_score', 'rollout_bucket_of_digest', 'rollout_hashtext_bucket',
                    'rollout_step', 'rollout_listed_repositories', 'rollout_metrics_since',
                    'rollout_rule_of', 'rollout_route_of', 'rollout_is_over', 'rollout_other_of', 'rollout_spills', 'rollout_load',
                    'route_rollout_job', 'rollout_add_counts', 'rollout_sum_counts'
                ])
            ) AS needed (relation, privilege, functions)
            INNER JOIN pg_class ON pg_class.oid = to_regclass('public.' || needed.relation)
            CROSS JOIN LATERAL (
                SELECT granted.grantee, granted.privilege_type FROM aclexplode(pg_class.relacl) AS granted
                UNION ALL
                SELECT granted.grantee, granted.privilege_type
                FROM pg_attribute, aclexplode(attacl) AS granted WHERE attrelid = pg_class.oid
            ) AS entry
            WHERE made.proname = ANY (needed.functions)
                AND entry.privilege_type = needed.privilege
                AND entry.grantee <> pg_class.relowner
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', made.function, grantee);
        END LOOP;
    END LOOP;
END
$$;
