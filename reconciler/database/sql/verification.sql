-- name: applied
-- One feature in the newest apply.
SELECT generation.effective -> 'features' -> CAST(:feature AS text)
FROM public.rollout_state AS state
INNER JOIN public.rollout_generation AS generation ON state.generation = generation.generation;

-- name: eligible
-- The number of repositories that are eligible by the function that services call.
SELECT count(*) FROM public.eligible_repositories(:feature);

-- name: jobs_since
-- The jobs of repositories that are not eligible now, by processor, in windows that began since a rollback.
WITH eligible AS MATERIALIZED (
    SELECT eligible.id
    FROM public.eligible_repositories(:feature) AS eligible (id)
)

SELECT
    coalesce(
        sum(metrics.total_jobs) FILTER (WHERE metrics.processor_type = :fallback), 0
    ) AS on_fallback,
    coalesce(
        sum(metrics.total_jobs) FILTER (WHERE metrics.processor_type <> :fallback), 0
    ) AS elsewhere,
    max(least(metrics.updated_at, metrics.metrics_window_end))
        FILTER (WHERE metrics.processor_type <> :fallback) AS last_elsewhere_at
FROM public.rollout_configuration AS configuration
CROSS JOIN LATERAL public.rollout_metrics_since(configuration.id, :since, :since) AS metrics
WHERE
    configuration.feature_name = :feature
    AND metrics.total_jobs > 0
    AND NOT EXISTS (
        SELECT FROM eligible
        WHERE eligible.id = metrics.repository_id
    );

-- name: history_rows
-- The number of history rows about an override: by its id, or by its time for changes that people wrote
-- into the file or the database by hand.
SELECT count(*)
FROM public.rollout_configuration AS configuration
INNER JOIN public.rollout_history AS history ON configuration.id = history.rollout_config_id
WHERE
    configuration.feature_name = :feature
    AND (
        history.metadata ->> 'override' = CAST(:override AS text)
        OR (
            history.created_at >= :since
            AND history.action IN ('drift_kept', 'emergency_rollback', 'percentage_changed')
        )
    );
