-- name: uncounted
-- The jobs of both processors of some features that the evidence does not have yet, by window and category, counted as in
-- `take_blocks`: late jobs belong to the first window that was not counted, and errors of one repository beyond five
-- in one window count neither as jobs nor as errors. With :everything also the jobs that it has.
WITH asked AS (
    SELECT
        listed.feature,
        listed.processor,
        listed.fallback,
        listed.began_at,
        listed.closed_until,
        listed.slow_above
    FROM unnest(
        CAST(:features AS text []),
        CAST(:processors AS text []),
        CAST(:fallbacks AS text []),
        CAST(:began_at AS timestamptz []),
        CAST(:closed_until AS timestamptz []),
        CAST(:slow_above AS integer [])
    ) AS listed (feature, processor, fallback, began_at, closed_until, slow_above)
)

SELECT
    asked.feature,
    blocks.*
FROM asked
CROSS JOIN LATERAL (
    WITH by_repository AS (
        SELECT
            rollup.category,
            rollup.processor_type,
            greatest(
                date_bin('5 minutes', rollup.counts_from, '2000-01-01 00:00:00+00'),
                asked.closed_until
            ) AS window_start,
            sum(rollup.jobs) AS jobs,
            sum(rollup.errors) AS errors,
            sum(rollup.repeated_errors) + CASE
                WHEN rollup.repository_id IS NOT null THEN greatest(sum(rollup.errors) - 5, 0)
                ELSE 0
            END AS repeated_errors,
            sum(timed.jobs) AS timed,
            sum(timed.slow) AS slow
        FROM public.rollout_configuration AS configuration
        INNER JOIN public.rollout_metrics_rollup AS rollup
            ON configuration.id = rollup.rollout_config_id
        CROSS JOIN LATERAL (
            SELECT
                coalesce(sum(counts.jobs), 0) AS jobs,
                coalesce(
                    sum(counts.jobs) FILTER (WHERE counts.bucket > asked.slow_above), 0
                ) AS slow
            FROM unnest(rollup.duration_counts) WITH ORDINALITY AS counts (jobs, bucket)
        ) AS timed
        WHERE
            configuration.feature_name = asked.feature
            AND rollup.processor_type IN (asked.processor, asked.fallback)
            AND (NOT rollup.is_judged OR CAST(:everything AS boolean))
            AND rollup.counts_until > asked.began_at
            AND rollup.counts_from >= asked.began_at
        GROUP BY rollup.category, rollup.processor_type, window_start, rollup.repository_id
    )

    SELECT
        by_repository.category,
        by_repository.window_start,
        by_repository.processor_type = asked.processor AS is_new,
        CAST(sum(by_repository.jobs) - sum(by_repository.repeated_errors) AS bigint) AS jobs,
        CAST(sum(by_repository.errors) - sum(by_repository.repeated_errors) AS bigint) AS errors,
        CAST(sum(by_repository.timed) AS bigint) AS timed,
        CAST(sum(by_repository.slow) AS bigint) AS slow
    FROM by_repository
    GROUP BY by_repository.category, by_repository.window_start, by_repository.processor_type
) AS blocks
ORDER BY asked.feature, blocks.window_start, blocks.category, blocks.is_new;
