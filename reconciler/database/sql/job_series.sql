-- name: processors
-- A feature's two processors, and the database's time.
SELECT
    configuration.processor,
    configuration.fallback,
    now() AS now
FROM public.rollout_configuration AS configuration
WHERE configuration.feature_name = :feature;

-- name: windows
-- The jobs of a feature's two processors per five minutes, from the kept sums. A sum that a correction makes
-- negative counts as 0.
SELECT
    date_bin('5 minutes', rollup.counts_from, '2000-01-01 00:00:00+00') AS begins_at,
    rollup.processor_type AS processor,
    CAST(greatest(sum(rollup.jobs), 0) AS bigint) AS jobs,
    CAST(greatest(sum(rollup.errors), 0) AS bigint) AS errors
FROM public.rollout_configuration AS configuration
INNER JOIN public.rollout_metrics_rollup AS rollup
    ON configuration.id = rollup.rollout_config_id
WHERE
    configuration.feature_name = :feature
    AND rollup.processor_type IN (configuration.processor, configuration.fallback)
    AND rollup.counts_until > :begins_at
    AND rollup.counts_from >= :begins_at
    AND rollup.counts_from < :ends_at
GROUP BY begins_at, rollup.processor_type
HAVING sum(rollup.jobs) > 0 OR sum(rollup.errors) > 0
ORDER BY begins_at, processor;

-- name: hours
-- The jobs of each feature's judged processor per hour, from the kept sums; of one feature, or of all.
SELECT
    configuration.feature_name AS feature,
    date_bin('1 hour', rollup.counts_from, '2000-01-01 00:00:00+00') AS begins_at,
    CAST(greatest(sum(rollup.jobs), 0) AS bigint) AS jobs,
    CAST(greatest(sum(rollup.errors), 0) AS bigint) AS errors
FROM public.rollout_configuration AS configuration
INNER JOIN public.rollout_metrics_rollup AS rollup
    ON
        configuration.id = rollup.rollout_config_id
        AND configuration.processor = rollup.processor_type
WHERE
    (CAST(:feature AS text) IS null OR configuration.feature_name = :feature)
    AND rollup.counts_until > :begins_at
    AND rollup.counts_from >= :begins_at
    AND rollup.counts_from < :ends_at
GROUP BY configuration.feature_name, begins_at;

-- name: now
-- The database's time.
SELECT now();

-- name: marks
-- The acts of people, applies and the safeguard on a feature in a period, the newest first: one row for each
-- transaction and action, also if it changed several entries of a list.
SELECT
    history.created_at AS at,
    history.action,
    history.triggered_by AS by,
    count(*) AS changes,
    (array_agg(history.previous_percentage ORDER BY history.position))[1] AS before,
    (array_agg(history.new_percentage ORDER BY history.position DESC))[1] AS after
FROM public.rollout_history AS history
INNER JOIN public.rollout_configuration AS configuration
    ON history.rollout_config_id = configuration.id
WHERE
    configuration.feature_name = :feature
    AND history.created_at >= :begins_at
    AND history.created_at <= :ends_at
GROUP BY history.created_at, history.action, history.triggered_by
ORDER BY max(history.position) DESC
LIMIT :most;
