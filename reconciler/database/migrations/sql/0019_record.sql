-- Records the functions, triggers and views right after this release created them. `db status`, `drift` and
-- `verify` compare the database with this record (`sql/schema_objects.sql`).

CREATE OR REPLACE FUNCTION public.rollout_schema_objects()
RETURNS TABLE (kind text, name text, fingerprint text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH functions AS (
        SELECT pg_proc.*
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND proname IN (
                'add_rollout_jobs', 'categorize_all_repositories', 'categorize_repositories',
                'categorize_repository', 'category_changes', 'category_of_repository',
                'category_priority', 'category_within',
                'check_rollout_job', 'check_rollout_processor', 'claim_rollout_write',
                'cut_metric_windows', 'end_rollout_job',
                'eligible_repositories', 'explain_repository_eligibility', 'fill_configuration',
                'fill_figures', 'fill_metrics', 'fill_metrics_category', 'follow_test_column',
                'forget_rollout_starts', 'forget_write_back', 'is_repository_eligible_for_rollout', 'keep_change_time',
                'keep_metrics_rollup', 'keep_monitoring_window', 'keep_rollout_membership',
                'keep_test_mark', 'merge_rollout_rollup', 'merge_some_rollout_rollup',
                'monthly_activity_score', 'notify_configuration_changed', 'notify_of_apply', 'notify_of_choice',
                'notify_of_limit', 'notify_of_override_end', 'notify_rows_changed',
                'notify_table_changed', 'prune_rollout_metrics', 'prune_rollout_metrics_batch',
                'record_rollout_job', 'record_rollout_jobs', 'record_rollout_starts', 'refuse_rewriting',
                'rollout_add_counts', 'rollout_bucket', 'rollout_bucket_of_digest',
                'rollout_category_of', 'rollout_counted_period', 'rollout_duration_bucket_of',
                'rollout_hashtext_bucket', 'rollout_is_of_calendar', 'rollout_is_over', 'rollout_listed_repositories', 'rollout_load',
                'rollout_metrics_since', 'rollout_notification_cause',
                'rollout_notification_severity', 'rollout_notify', 'rollout_other_of', 'rollout_route_of', 'rollout_rule_of', 'rollout_schema_objects',
                'rollout_size_class', 'rollout_spills', 'rollout_step', 'rollout_sum_counts', 'rollout_window_at', 'rollout_window_key',
                'route_rollout_job', 'start_rollout_job'
            )
    )

    SELECT
        'function',
        functions.oid::regprocedure::text,
        md5(concat_ws(
            chr(31), functions.prolang, functions.prosrc, pg_get_function_sqlbody(functions.oid),
            functions.prosecdef, functions.provolatile, functions.proconfig,
            pg_get_function_arguments(functions.oid), pg_get_function_result(functions.oid)
        ))
    FROM functions
    UNION ALL
    SELECT
        'trigger',
        format('%s on %s', pg_trigger.tgname, pg_trigger.tgrelid::regclass),
        md5(concat_ws(chr(31), pg_get_triggerdef(pg_trigger.oid), pg_trigger.tgenabled))
    FROM pg_trigger
    INNER JOIN functions ON functions.oid = pg_trigger.tgfoid
    WHERE NOT pg_trigger.tgisinternal
    UNION ALL
    SELECT
        'view',
        'public.category_limits',
        md5(pg_get_viewdef(to_regclass('public.category_limits')))
    WHERE to_regclass('public.category_limits') IS NOT NULL
    UNION ALL
    -- A service may define it in its own way, with these columns.
    SELECT
        'view',
        'public.repository_activity',
        md5(string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attname))
    FROM pg_attribute
    WHERE attrelid = to_regclass('public.repository_activity')
        AND attname IN ('repository_id', 'stars', 'contributors', 'pull_requests')
    HAVING count(*) > 0
$$;

DELETE FROM public.rollout_schema_object;

INSERT INTO public.rollout_schema_object (kind, name, fingerprint, server_version)
SELECT
    kind,
    name,
    fingerprint,
    current_setting('server_version_num')::integer / 10000
FROM public.rollout_schema_objects();
