-- The rollout's four roles and what each may do; running it again changes nothing.
--
--   rollout_reader      reads everything, asks for eligibility: enough for a dry run
--   rollout_worker      asks for eligibility, records jobs
--   rollout_safeguard   reads metrics and deletes old ones, makes and ends overrides
--   rollout_reconciler  applies
--
-- These roles cannot sign in: grant one to the account that does, such as
--   GRANT rollout_reader TO ci_preview;
-- No role may change the history or the generations, delete rows of other tables than metrics, or create or
-- change a table. (On Postgres 14 every account may create tables in public until CREATE is revoked from
-- PUBLIC; this script does not revoke it.)

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY[
        'rollout_reader', 'rollout_worker', 'rollout_safeguard', 'rollout_reconciler'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION
                -- Roles belong to the whole server: another session created it meanwhile.
                WHEN duplicate_object OR unique_violation THEN NULL;
            END;
        END IF;
    END LOOP;
END
$$;

-- Grants that are not below are revoked.
REVOKE ALL ON
public.repositories,
public.repository_activity,
public.repository_categories,
public.category_limits,
public.category_threshold,
public.rollout_configuration,
public.rollout_duration_bucket,
public.rollout_eligible_count,
public.rollout_evidence,
public.rollout_evidence_state,
public.rollout_generation,
public.rollout_history,
public.rollout_lease,
public.rollout_lock,
public.rollout_membership,
public.rollout_metrics,
public.rollout_metrics_rollup,
public.rollout_metrics_turn,
public.rollout_notification,
public.rollout_notification_target,
public.rollout_override,
public.rollout_processor,
public.rollout_processor_name,
public.rollout_running_job,
public.rollout_state,
public.rollout_schema_object,
public.rollout_schema_version,
public.rollout_write
FROM rollout_reader, rollout_worker, rollout_safeguard, rollout_reconciler;

REVOKE CREATE ON SCHEMA public
FROM rollout_reader, rollout_worker, rollout_safeguard, rollout_reconciler;

GRANT USAGE ON SCHEMA public
TO rollout_reader, rollout_worker, rollout_safeguard, rollout_reconciler;

-- Eligibility. Only the columns of the repositories that the rollout reads: a service stores more there.
DO $$
DECLARE
    readable record;
BEGIN
    FOR readable IN
        SELECT
            relation.name,
            string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns
        FROM (
            VALUES
            (
                'public.repositories',
                ARRAY[
                    'id', 'github_id', 'owner', 'name', 'full_name', 'stargazers_count',
                    'contributors_count', 'pull_requests_count'
                ]
            ),
            ('public.pull_requests', ARRAY['repository_id'])
        ) AS relation (name, columns)
        INNER JOIN pg_attribute
            ON pg_attribute.attrelid = to_regclass(relation.name)
                AND pg_attribute.attname = ANY (relation.columns)
                AND NOT pg_attribute.attisdropped
        GROUP BY relation.name
    LOOP
        EXECUTE format(
            'GRANT SELECT (%s) ON %s'
            ' TO rollout_reader, rollout_worker, rollout_safeguard, rollout_reconciler',
            readable.columns, readable.name
        );
    END LOOP;
END
$$;

GRANT SELECT ON
public.repository_activity,
public.repository_categories,
public.category_limits,
public.category_threshold,
public.rollout_configuration,
public.rollout_membership,
public.rollout_schema_object,
public.rollout_schema_version
TO rollout_reader, rollout_worker, rollout_safeguard, rollout_reconciler;

-- A service that was adopted has arguments of its own in two of them.
DO $$
DECLARE
    needed regprocedure;
BEGIN
    FOR needed IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND proname IN (
                'categorize_repository', 'is_repository_eligible_for_rollout',
                'explain_repository_eligibility', 'eligible_repositories', 'rollout_bucket',
                -- The functions that these functions call.
                'category_of_repository', 'category_within', 'category_priority', 'category_changes',
                'monthly_activity_score', 'rollout_bucket_of_digest', 'rollout_hashtext_bucket',
                'rollout_step', 'rollout_listed_repositories', 'rollout_metrics_since',
                'rollout_rule_of', 'rollout_route_of', 'rollout_is_over', 'rollout_other_of', 'rollout_spills',
                'rollout_load', 'route_rollout_job', 'rollout_schema_objects',
                'rollout_add_counts', 'rollout_sum_counts'
            )
    LOOP
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION %s'
            ' TO rollout_reader, rollout_worker, rollout_safeguard, rollout_reconciler', needed
        );
    END LOOP;
END
$$;

-- History, metrics and overrides.
GRANT SELECT ON
public.rollout_duration_bucket,
public.rollout_eligible_count,
public.rollout_evidence,
public.rollout_evidence_state,
public.rollout_generation,
public.rollout_history,
public.rollout_metrics,
public.rollout_metrics_rollup,
public.rollout_notification,
public.rollout_notification_target,
public.rollout_override,
public.rollout_processor,
public.rollout_running_job,
public.rollout_state
TO rollout_reader, rollout_safeguard, rollout_reconciler;

-- A job's outcome, start and end. The functions run with their owner's rights and check their arguments: a worker has
-- no right on the metrics, which decide about rollbacks, or on the running jobs.
GRANT EXECUTE ON FUNCTION
public.record_rollout_job(text, uuid, text, boolean, double precision, text, text, bigint),
public.record_rollout_jobs(
    text, uuid [], text [], boolean [], double precision [], text [], text [], bigint []
),
public.start_rollout_job(text, uuid, text, bigint, uuid),
public.record_rollout_starts(uuid [], text [], text [], double precision [], uuid),
public.end_rollout_job(uuid)
TO rollout_worker;

-- The evidence, and the sums of jobs: those who judge move them on.
GRANT INSERT, UPDATE, DELETE ON public.rollout_evidence, public.rollout_evidence_state
TO rollout_safeguard, rollout_reconciler;
GRANT UPDATE (is_judged) ON public.rollout_metrics_rollup TO rollout_safeguard, rollout_reconciler;
GRANT EXECUTE ON FUNCTION public.merge_rollout_rollup(integer)
TO rollout_safeguard, rollout_reconciler;

-- The counts of eligible repositories: an apply and the watch write them.
GRANT INSERT, UPDATE ON public.rollout_eligible_count TO rollout_safeguard, rollout_reconciler;

-- Deleting old windows. This function also runs with its caller's rights.
GRANT DELETE ON public.rollout_metrics TO rollout_safeguard;
GRANT EXECUTE ON FUNCTION
public.prune_rollout_metrics(interval),
public.prune_rollout_metrics_batch(interval, integer)
TO rollout_safeguard;

-- Each writer records its writes, so that each takes place once.
GRANT EXECUTE ON FUNCTION public.claim_rollout_write(uuid, bigint, interval)
TO rollout_worker, rollout_safeguard, rollout_reconciler;

-- An override, the values that it limits, and its row of history. Only the columns of a
-- configuration that an override changes.
GRANT INSERT, UPDATE ON public.rollout_override TO rollout_safeguard, rollout_reconciler;
GRANT SELECT ON public.rollout_lease TO rollout_reader;
GRANT SELECT, INSERT, UPDATE ON public.rollout_lease TO rollout_safeguard, rollout_reconciler;
GRANT UPDATE (rollout_percentage, emergency_stop, updated_at)
ON public.rollout_configuration TO rollout_safeguard;
GRANT UPDATE (routing_choices) ON public.rollout_configuration TO rollout_safeguard;
GRANT INSERT ON public.rollout_history TO rollout_safeguard, rollout_reconciler;

-- Notifications: delivering them, and reporting what no trigger sees.
GRANT UPDATE, DELETE ON public.rollout_notification TO rollout_safeguard, rollout_reconciler;
GRANT EXECUTE ON FUNCTION public.rollout_notify(text, text, text, jsonb)
TO rollout_safeguard, rollout_reconciler;

-- An apply.
GRANT INSERT, UPDATE, DELETE ON public.rollout_notification_target, public.rollout_processor TO rollout_reconciler;
GRANT INSERT, UPDATE ON public.rollout_configuration TO rollout_reconciler;
GRANT INSERT, UPDATE ON public.repository_categories TO rollout_reconciler;
GRANT UPDATE (stars, contributors, pull_requests, priority)
ON public.category_threshold TO rollout_reconciler;
GRANT INSERT ON public.rollout_generation TO rollout_reconciler;
GRANT UPDATE (generation, applied_commit, applied_at)
ON public.rollout_state TO rollout_reconciler;
-- The lock of writers. UPDATE on the column locks its row and not the table, and the column's rule keeps the name.
GRANT SELECT, UPDATE (name) ON public.rollout_lock TO rollout_reconciler;
GRANT EXECUTE ON FUNCTION
public.categorize_repositories(uuid []),
public.categorize_all_repositories()
TO rollout_reconciler;

-- With row security a grant alone gives access to 0 rows: each role gets a policy for its grants above.
DO $$
DECLARE
    secured record;
    allowed text;
BEGIN
    FOR secured IN
        SELECT
            oid::regclass AS relation,
            command,
            'rollout_roles_' || lower(command) AS policy
        FROM pg_class
        CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS commands (command)
        WHERE relnamespace = 'public'::regnamespace
            AND relrowsecurity
            AND relname IN (
                'repositories', 'pull_requests', 'repository_categories', 'category_threshold',
                'rollout_configuration', 'rollout_eligible_count', 'rollout_generation', 'rollout_history',
                'rollout_lease', 'rollout_lock', 'rollout_membership', 'rollout_metrics',
                'rollout_notification', 'rollout_notification_target', 'rollout_override',
                'rollout_processor', 'rollout_running_job',
                'rollout_state', 'rollout_schema_object', 'rollout_schema_version', 'rollout_duration_bucket',
                'rollout_metrics_rollup', 'rollout_evidence', 'rollout_evidence_state'
            )
        ORDER BY 1, 2
    LOOP
        EXECUTE format('DROP POLICY IF EXISTS %I ON %s', secured.policy, secured.relation);
        SELECT string_agg(rolname, ', ' ORDER BY rolname) INTO allowed
        FROM pg_roles
        WHERE rolname IN (
            'rollout_reader', 'rollout_worker', 'rollout_safeguard', 'rollout_reconciler'
        )
            AND EXISTS (
                -- Grants to the role itself: a grant to PUBLIC gives these roles no policy.
                SELECT FROM pg_class, aclexplode(relacl) AS granted
                WHERE pg_class.oid = secured.relation
                    AND granted.grantee = pg_roles.oid
                    AND granted.privilege_type = secured.command
                UNION ALL
                SELECT FROM pg_attribute, aclexplode(attacl) AS granted
                WHERE attrelid = secured.relation
                    AND granted.grantee = pg_roles.oid
                    AND granted.privilege_type = secured.command
            );
        CONTINUE WHEN allowed IS NULL;
        EXECUTE format(
            'CREATE POLICY %I ON %s FOR %s TO %s %s', secured.policy, secured.relation,
            secured.command, allowed,
            CASE secured.command
                WHEN 'INSERT' THEN 'WITH CHECK (true)'
                WHEN 'UPDATE' THEN 'USING (true) WITH CHECK (true)'
                ELSE 'USING (true)'
            END
        );
    END LOOP;
END
$$;
