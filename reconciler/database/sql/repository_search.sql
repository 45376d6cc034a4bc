-- name: beginning_with
-- Repositories whose name begins with a text, in any case. The index gives the names from the text on, in its own
-- order; under a linguistic collation other names can be between them, so that some more are looked at.
SELECT
    nearest.id,
    nearest.full_name
FROM (
    SELECT
        CAST(repository.id AS text) AS id,
        repository.full_name
    FROM public.repositories AS repository
    WHERE lower(repository.full_name) >= lower(:beginning)
    ORDER BY lower(repository.full_name)
    LIMIT :looked_at
) AS nearest
WHERE starts_with(lower(nearest.full_name), lower(:beginning))
ORDER BY lower(nearest.full_name)
LIMIT :most;

-- name: named
-- The repositories with exactly this name; a service may keep a deleted one beside the present one.
SELECT
    CAST(repository.id AS text) AS id,
    repository.full_name
FROM public.repositories AS repository
WHERE lower(repository.full_name) = lower(:name)
ORDER BY repository.id
LIMIT :most;

-- name: with_id
-- The repository with this id.
SELECT
    CAST(repository.id AS text) AS id,
    repository.full_name
FROM public.repositories AS repository
WHERE repository.id = CAST(:id AS uuid);

-- name: any
-- Whether there is a repository at all.
SELECT EXISTS (SELECT FROM public.repositories);

-- name: last_jobs
-- The newest windows with a job of one repository, of any feature. Only the newest windows of
-- each feature in the last day are read: an index by repository would slow down each job that is reported.
SELECT
    configuration.feature_name AS feature,
    recent.metrics_window_start AS begins_at,
    recent.processor_type AS processor,
    recent.job_kind AS kind,
    CAST(sum(recent.total_jobs) AS bigint) AS jobs,
    CAST(sum(recent.error_count) AS bigint) AS errors,
    (
        array_agg(recent.last_error_message ORDER BY recent.last_error_at DESC)
        FILTER (WHERE recent.last_error_at IS NOT null)
    )[1] AS last_error
FROM public.rollout_configuration AS configuration
CROSS JOIN LATERAL (
    (
        SELECT
            metrics.repository_id,
            metrics.metrics_window_start,
            metrics.processor_type,
            metrics.job_kind,
            metrics.total_jobs,
            metrics.error_count,
            metrics.last_error_message,
            metrics.last_error_at
        FROM public.rollout_metrics AS metrics
        WHERE
            metrics.rollout_config_id = configuration.id
            AND metrics.metrics_window_start > now() - interval '1 day'
            AND metrics.metrics_window_start <= now()
        ORDER BY metrics.metrics_window_start DESC
        LIMIT :looked_at
    )
    UNION ALL
    -- Recorded jobs that a merge has not put there yet.
    SELECT
        rollup.recorded_repository_id AS repository_id,
        rollup.counts_from AS metrics_window_start,
        rollup.processor_type,
        rollup.job_kind,
        rollup.jobs AS total_jobs,
        rollup.errors AS error_count,
        rollup.error_message AS last_error_message,
        CASE WHEN rollup.errors > 0 THEN rollup.newest_at END AS last_error_at
    FROM public.rollout_metrics_rollup AS rollup
    WHERE rollup.level = 0 AND rollup.rollout_config_id = configuration.id
) AS recent
WHERE recent.repository_id = CAST(:id AS uuid)
GROUP BY
    configuration.feature_name, recent.metrics_window_start, recent.processor_type, recent.job_kind
ORDER BY begins_at DESC, feature ASC, processor ASC
LIMIT :most;
