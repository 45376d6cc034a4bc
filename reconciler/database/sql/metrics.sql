-- name: record
-- Records one job's outcome by the function that workers call.
SELECT public.record_rollout_job(
    :feature,
    CAST(:repository AS uuid),
    :processor,
    :succeeded,
    CAST(:seconds AS double precision),
    CAST(:error AS text),
    CAST(:kind AS text),
    CAST(:size AS bigint)
);

-- name: prune
-- Deletes the windows that ended longer ago; their number.
SELECT public.prune_rollout_metrics(:keep);

-- name: prune_batch
-- Deletes some of the windows that ended longer ago; returns their number.
SELECT public.prune_rollout_metrics_batch(:keep, CAST(:most AS integer));

-- name: merge
-- Merges some rows of the sums of jobs; returns their number.
SELECT public.merge_rollout_rollup(CAST(:most AS integer));

-- name: windows
-- A feature's metrics by window and processor over all repositories, the newest first. A window that a
-- rollback or a resume split counts as two.
SELECT
    metrics.metrics_window_start AS begins_at,
    max(metrics.metrics_window_end) AS ends_at,
    metrics.processor_type AS processor,
    CAST(sum(metrics.total_jobs) AS bigint) AS jobs,
    CAST(sum(metrics.error_count) AS bigint) AS errors,
    count(DISTINCT metrics.repository_id) AS repositories,
    sum(metrics.average_processing_time * metrics.timed_jobs)
    / nullif(sum(metrics.timed_jobs), 0) AS mean_seconds,
    (
        array_agg(metrics.last_error_message ORDER BY metrics.last_error_at DESC)
        FILTER (WHERE metrics.last_error_at IS NOT null)
    )[1] AS last_error
FROM public.rollout_configuration AS configuration
CROSS JOIN LATERAL public.rollout_metrics_since(
    configuration.id,
    coalesce(
        CAST(:since AS timestamptz),
        now() - least(configuration.monitoring_window, interval '36525 days')
    )
) AS metrics
WHERE configuration.feature_name = :feature
GROUP BY metrics.metrics_window_start, metrics.processor_type
ORDER BY metrics.metrics_window_start DESC, metrics.processor_type ASC
LIMIT :limit;
