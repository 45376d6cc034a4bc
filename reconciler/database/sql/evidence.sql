-- name: run
-- The evidence of some features up to the last window that was counted, one row for each start and category; one row
-- without a number if there is no state yet.
SELECT
    configuration.feature_name AS feature,
    evidence.began_at,
    evidence.closed_until,
    evidence.slow_above,
    state.number,
    state.category,
    state.regression,
    state.slowdown,
    state.baseline_jobs,
    state.baseline_errors,
    state.baseline_timed,
    state.baseline_slow,
    state.new_jobs,
    state.new_errors,
    state.new_timed,
    state.new_slow
FROM public.rollout_configuration AS configuration
INNER JOIN public.rollout_evidence AS evidence ON configuration.id = evidence.rollout_config_id
LEFT JOIN public.rollout_evidence_state AS state
    ON evidence.rollout_config_id = state.rollout_config_id
WHERE configuration.feature_name = any(CAST(:features AS text []))
ORDER BY configuration.feature_name, state.number, state.category;

-- name: lock
-- Locks a feature's evidence, and makes its row if it is missing. If two processes hold the lease, the second one
-- waits for the first. A row that another process has just made is not visible to this statement, but to the next one.
INSERT INTO public.rollout_evidence AS evidence (rollout_config_id, began_at, closed_until)
SELECT
    configuration.id,
    :began_at,
    :closed_until
FROM public.rollout_configuration AS configuration
WHERE configuration.feature_name = :feature
ON CONFLICT (rollout_config_id) DO UPDATE SET began_at = evidence.began_at;

-- name: take_blocks
-- Marks the jobs of closed windows that the evidence does not have yet, and returns their sums by window, category
-- and processor. Late jobs belong to the first window that was not counted. Errors of one repository beyond five in
-- one window count neither as jobs nor as errors. Rows that another transaction merges stay for the next time.
WITH free AS MATERIALIZED (
    SELECT rollup.ctid AS place
    FROM public.rollout_configuration AS configuration
    INNER JOIN public.rollout_metrics_rollup AS rollup
        ON configuration.id = rollup.rollout_config_id
    WHERE
        configuration.feature_name = :feature
        AND NOT rollup.is_judged
        AND rollup.counts_until > :began_at
        AND rollup.counts_from >= :began_at
        AND rollup.counts_from < :until
    FOR UPDATE OF rollup SKIP LOCKED
),

taken AS (
    UPDATE public.rollout_metrics_rollup AS rollup
    SET is_judged = true
    FROM free
    WHERE rollup.ctid = free.place
    RETURNING
        rollup.category,
        rollup.processor_type,
        rollup.counts_from,
        rollup.repository_id,
        rollup.jobs,
        rollup.errors,
        rollup.repeated_errors,
        rollup.duration_counts
),

by_repository AS (
    SELECT
        taken.category,
        taken.processor_type,
        greatest(
            date_bin('5 minutes', taken.counts_from, '2000-01-01 00:00:00+00'),
            CAST(:closed_until AS timestamptz)
        ) AS window_start,
        sum(taken.jobs) AS jobs,
        sum(taken.errors) AS errors,
        sum(taken.repeated_errors) + CASE
            WHEN taken.repository_id IS NOT null THEN greatest(sum(taken.errors) - 5, 0)
            ELSE 0
        END AS repeated_errors,
        sum(timed.jobs) AS timed,
        sum(timed.slow) AS slow
    FROM taken
    CROSS JOIN LATERAL (
        SELECT
            coalesce(sum(counts.jobs), 0) AS jobs,
            coalesce(
                sum(counts.jobs) FILTER (WHERE counts.bucket > CAST(:slow_above AS integer)), 0
            ) AS slow
        FROM unnest(taken.duration_counts) WITH ORDINALITY AS counts (jobs, bucket)
    ) AS timed
    WHERE taken.processor_type IN (:processor, :fallback)
    GROUP BY taken.category, taken.processor_type, window_start, taken.repository_id
)

SELECT
    by_repository.category,
    by_repository.window_start,
    by_repository.processor_type = :processor AS is_new,
    CAST(sum(by_repository.jobs) - sum(by_repository.repeated_errors) AS bigint) AS jobs,
    CAST(sum(by_repository.errors) - sum(by_repository.repeated_errors) AS bigint) AS errors,
    CAST(sum(by_repository.timed) AS bigint) AS timed,
    CAST(sum(by_repository.slow) AS bigint) AS slow
FROM by_repository
GROUP BY by_repository.category, by_repository.window_start, by_repository.processor_type
ORDER BY by_repository.window_start, by_repository.category, is_new;

-- name: open_jobs
-- The jobs of a processor that the evidence does not have yet, counted as those of closed windows are.
SELECT
    CAST(coalesce(sum(by_repository.jobs - by_repository.repeated_errors), 0) AS bigint) AS jobs,
    CAST(coalesce(sum(by_repository.errors - by_repository.repeated_errors), 0) AS bigint) AS errors
FROM (
    SELECT
        sum(rollup.jobs) AS jobs,
        sum(rollup.errors) AS errors,
        sum(rollup.repeated_errors) + CASE
            WHEN rollup.repository_id IS NOT null THEN greatest(sum(rollup.errors) - 5, 0)
            ELSE 0
        END AS repeated_errors
    FROM public.rollout_configuration AS configuration
    INNER JOIN public.rollout_metrics_rollup AS rollup
        ON configuration.id = rollup.rollout_config_id
    WHERE
        configuration.feature_name = :feature
        AND rollup.processor_type = :processor
        AND NOT rollup.is_judged
        AND rollup.counts_until > :closed_until
        AND rollup.counts_from >= :began_at
    GROUP BY
        rollup.repository_id,
        date_bin('5 minutes', rollup.counts_from, '2000-01-01 00:00:00+00')
) AS by_repository;

-- name: durations
-- The number of a processor's jobs in each bucket of durations, in the monitoring window that ended at a time.
SELECT
    counts.bucket,
    CAST(sum(counts.jobs) AS bigint) AS jobs
FROM public.rollout_configuration AS configuration
INNER JOIN public.rollout_metrics_rollup AS rollup
    ON configuration.id = rollup.rollout_config_id
CROSS JOIN LATERAL unnest(rollup.duration_counts) WITH ORDINALITY AS counts (jobs, bucket)
WHERE
    configuration.feature_name = :feature
    AND rollup.processor_type = :processor
    AND rollup.counts_until
    > CAST(:until AS timestamptz) - least(configuration.monitoring_window, interval '36525 days')
    AND rollup.counts_until <= CAST(:until AS timestamptz)
GROUP BY counts.bucket
ORDER BY counts.bucket;

-- name: write
-- Replaces a feature's evidence, if the lease is still held; returns a row if so. States of starts that are no longer
-- kept are deleted.
WITH moved AS (
    UPDATE public.rollout_evidence AS evidence
    SET began_at = :began_at, closed_until = :closed_until, slow_above = :slow_above
    FROM public.rollout_configuration AS configuration
    WHERE
        configuration.feature_name = :feature
        AND evidence.rollout_config_id = configuration.id
        AND EXISTS (
            SELECT FROM public.rollout_lease AS lease
            WHERE
                lease.name = :lease
                AND lease.holder = :holder
                AND lease.until > clock_timestamp()
        )
    RETURNING evidence.rollout_config_id
),

given AS (
    SELECT
        moved.rollout_config_id,
        state.*
    FROM moved
    CROSS JOIN LATERAL jsonb_to_recordset(CAST(:states AS jsonb)) AS state (
        number integer,
        category text,
        regression double precision,
        slowdown double precision,
        baseline_jobs bigint,
        baseline_errors bigint,
        baseline_timed bigint,
        baseline_slow bigint,
        new_jobs bigint,
        new_errors bigint,
        new_timed bigint,
        new_slow bigint
    )
),

dropped AS (
    DELETE FROM public.rollout_evidence_state AS state
    USING moved
    WHERE
        state.rollout_config_id = moved.rollout_config_id
        AND NOT EXISTS (
            SELECT FROM given
            WHERE given.number = state.number AND given.category = state.category
        )
),

kept AS (
    INSERT INTO public.rollout_evidence_state AS state (
        rollout_config_id, number, category, regression, slowdown, baseline_jobs, baseline_errors,
        baseline_timed, baseline_slow, new_jobs, new_errors, new_timed, new_slow
    )
    SELECT
        given.rollout_config_id,
        given.number,
        given.category,
        given.regression,
        given.slowdown,
        given.baseline_jobs,
        given.baseline_errors,
        given.baseline_timed,
        given.baseline_slow,
        given.new_jobs,
        given.new_errors,
        given.new_timed,
        given.new_slow
    FROM given
    ON CONFLICT (rollout_config_id, number, category) DO UPDATE SET
        regression = excluded.regression,
        slowdown = excluded.slowdown,
        baseline_jobs = excluded.baseline_jobs,
        baseline_errors = excluded.baseline_errors,
        baseline_timed = excluded.baseline_timed,
        baseline_slow = excluded.baseline_slow,
        new_jobs = excluded.new_jobs,
        new_errors = excluded.new_errors,
        new_timed = excluded.new_timed,
        new_slow = excluded.new_slow
)

SELECT moved.rollout_config_id FROM moved;
