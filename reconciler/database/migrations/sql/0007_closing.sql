-- The sums of the jobs that are there, and the rights that go with `0007_functions.sql`.

INSERT INTO public.rollout_metrics_rollup (
    rollout_config_id, processor_type, category, counts_from, counts_until, jobs, errors, newest_at,
    repeated_errors, level
)
SELECT
    counted.rollout_config_id,
    counted.processor_type,
    counted.category,
    counted.counts_from,
    counted.counts_until,
    sum(counted.jobs),
    sum(counted.errors),
    max(counted.newest_at),
    sum(greatest(counted.errors - 5, 0)),
    2
FROM (
    SELECT
        metrics.rollout_config_id,
        metrics.processor_type,
        metrics.repository_id,
        period.counts_from,
        period.counts_until,
        coalesce(recorded.category, public.rollout_category_of(metrics.repository_id)) AS category,
        sum(metrics.total_jobs) AS jobs,
        sum(metrics.error_count) AS errors,
        max(least(metrics.updated_at, metrics.metrics_window_end)) AS newest_at
    FROM public.rollout_metrics AS metrics
    INNER JOIN public.rollout_configuration AS configuration
        ON metrics.rollout_config_id = configuration.id
    LEFT JOIN public.repository_categories AS recorded
        ON metrics.repository_id = recorded.repository_id
    CROSS JOIN LATERAL public.rollout_counted_period(
        metrics.metrics_window_start, metrics.metrics_window_end, metrics.created_at,
        metrics.updated_at, metrics.is_window OR metrics.slot IS NOT null,
        configuration.metrics_cut_at
    ) AS period
    WHERE
        public.rollout_is_of_calendar(
            metrics.metrics_window_start, metrics.metrics_window_end, metrics.created_at,
            metrics.updated_at
        )
        AND metrics.total_jobs + metrics.error_count > 0
    GROUP BY 1, 2, 3, 4, 5, 6
) AS counted
GROUP BY 1, 2, 3, 4, 5;

-- Grants of default privileges go. Roles that read metrics read their sums.
DO $$
DECLARE
    made regclass;
    grantee text;
BEGIN
    FOREACH made IN ARRAY ARRAY[
        'public.rollout_duration_bucket', 'public.rollout_metrics_rollup', 'public.rollout_evidence',
        'public.rollout_evidence_state'
    ]::regclass [] LOOP
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM pg_class, aclexplode(relacl) AS entry
            WHERE pg_class.oid = made AND entry.grantee <> relowner
        LOOP
            EXECUTE format('REVOKE ALL ON %s FROM %s', made, grantee);
        END LOOP;
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM pg_class, aclexplode(relacl) AS entry
            WHERE pg_class.oid = 'public.rollout_metrics'::regclass
                AND entry.grantee <> relowner AND entry.privilege_type = 'SELECT'
        LOOP
            EXECUTE format('GRANT SELECT ON %s TO %s', made, grantee);
        END LOOP;
        IF (SELECT relrowsecurity FROM pg_class WHERE oid = 'public.rollout_configuration'::regclass) THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made);
            EXECUTE format(
                'CREATE POLICY rollout_read ON %s FOR SELECT USING (%s)', made,
                CASE made
                    WHEN 'public.rollout_duration_bucket'::regclass THEN 'true'
                    ELSE 'EXISTS (SELECT FROM public.rollout_configuration WHERE id = rollout_config_id)'
                END
            );
        END IF;
    END LOOP;
END
$$;

-- The new functions are closed to all other roles: those that run with their owner's rights call them. The new forms
-- of older functions have their grants.
DO $$
DECLARE
    made record;
    given record;
BEGIN
    FOR made IN
        SELECT
            pg_proc.oid::regprocedure AS function,
            CASE
                WHEN proname IN ('record_rollout_job', 'record_rollout_jobs') THEN 'record_rollout_job'
                WHEN proname = 'prune_rollout_metrics_batch' THEN 'prune_rollout_metrics'
            END AS granted_as,
            proacl,
            proowner
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND proname IN (
                'add_rollout_jobs', 'check_rollout_job', 'cut_metric_windows',
                'fill_metrics_category', 'keep_metrics_rollup', 'merge_rollout_rollup',
                'merge_some_rollout_rollup', 'prune_rollout_metrics_batch', 'record_rollout_job',
                'record_rollout_jobs', 'rollout_add_counts', 'rollout_category_of',
                'rollout_counted_period', 'rollout_duration_bucket_of', 'rollout_is_of_calendar',
                'rollout_size_class', 'rollout_sum_counts', 'rollout_window_at'
            )
    LOOP
        FOR given IN
            SELECT DISTINCT
                CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END AS grantee
            FROM aclexplode(coalesce(made.proacl, acldefault('f', made.proowner))) AS entry
            WHERE entry.grantee <> made.proowner
        LOOP
            EXECUTE format('REVOKE ALL ON ROUTINE %s FROM %s', made.function, given.grantee);
        END LOOP;
        FOR given IN SELECT grantee FROM pg_temp.function_grant WHERE name = made.granted_as LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', made.function, given.grantee);
        END LOOP;
    END LOOP;
END
$$;
