-- name: processors
-- A feature's two processors and its rules.
SELECT
    processor,
    fallback,
    routing,
    routing_choices
FROM public.rollout_configuration
WHERE feature_name = :feature;

-- name: now
-- The database's time.
SELECT now();

-- name: loads
-- The limits of processors, and the jobs that run there, counted up to the limit.
SELECT
    load.processor,
    load.concurrency,
    load.running
FROM public.rollout_load(CAST(:processors AS text [])) AS load;

-- name: running
-- The jobs of a feature that run now, by processor, with the limit and with the jobs of all features there.
SELECT
    named.processor,
    priced.concurrency,
    count(job.id) FILTER (WHERE job.rollout_config_id = named.id) AS running,
    count(job.id) AS running_of_all
FROM (
    SELECT
        configuration.id,
        unnest(ARRAY[configuration.processor, configuration.fallback]) AS processor
    FROM public.rollout_configuration AS configuration
    WHERE configuration.feature_name = :feature
) AS named
LEFT JOIN public.rollout_processor AS priced ON named.processor = priced.name
LEFT JOIN public.rollout_running_job AS job
    ON
        named.processor = job.processor_type
        AND job.started_at > now() - interval '1 hour'
        AND job.started_at < now() + interval '1 hour'
GROUP BY named.processor, priced.concurrency
ORDER BY named.processor;

-- name: jobs
-- A feature's recorded jobs of a period by processor, category, kind and size, and where it is asked, by whether
-- their repositories are eligible now. A row with one timed job has that job's own time: it is rounded up to each
-- of the given seconds. Of other rows there are the counts by duration.
WITH eligible AS MATERIALIZED (
    SELECT found.id
    FROM public.eligible_repositories(:feature) AS found (id)
    WHERE CAST(:with_eligibility AS boolean)
),

counted AS (
    SELECT
        metrics.processor_type AS processor,
        coalesce(metrics.category, 'enterprise') AS category,
        metrics.job_kind AS kind,
        metrics.size_class,
        eligible.id IS NOT null AS eligible,
        metrics.total_jobs,
        metrics.error_count,
        metrics.timed_jobs,
        coalesce(metrics.average_processing_time * metrics.timed_jobs, 0) AS seconds,
        CASE WHEN metrics.timed_jobs = 1 THEN metrics.average_processing_time END AS single,
        CAST(metrics.duration_counts AS bigint []) AS duration_counts
    FROM public.rollout_configuration AS configuration
    CROSS JOIN LATERAL public.rollout_metrics_since(
        configuration.id, CAST(:since AS timestamptz)
    ) AS metrics
    LEFT JOIN eligible ON metrics.repository_id = eligible.id
    WHERE configuration.feature_name = :feature AND metrics.total_jobs > 0
)

SELECT
    counted.processor,
    counted.category,
    counted.kind,
    counted.size_class,
    counted.eligible,
    CAST(sum(counted.total_jobs) AS bigint) AS jobs,
    CAST(sum(counted.error_count) AS bigint) AS errors,
    CAST(sum(counted.timed_jobs) AS bigint) AS timed,
    CAST(sum(counted.seconds) AS double precision) AS seconds,
    ARRAY(
        SELECT
            CAST(
                sum(greatest(ceil(single.seconds / rounding.seconds), 1) * rounding.seconds)
                AS double precision
            )
        FROM unnest(CAST(:round_ups AS numeric [])) WITH ORDINALITY AS rounding (seconds, position)
        LEFT JOIN unnest(array_agg(counted.single)) AS single (seconds)
            ON single.seconds IS NOT null
        GROUP BY rounding.position
        ORDER BY rounding.position
    ) AS single,
    public.rollout_sum_counts(counted.duration_counts, 1) FILTER (WHERE counted.timed_jobs > 1)
        AS counts,
    public.rollout_sum_counts(counted.duration_counts, 1) AS durations
FROM counted
GROUP BY
    counted.processor, counted.category, counted.kind, counted.size_class, counted.eligible
ORDER BY
    counted.processor, counted.category, counted.kind, counted.size_class, counted.eligible;

-- name: lock_choices
-- Locks a feature's row until the end of the transaction; its choices, the newest generation and the database's time.
SELECT
    configuration.routing_choices,
    state.generation,
    now() AS now
FROM public.rollout_configuration AS configuration
CROSS JOIN public.rollout_state AS state
WHERE configuration.feature_name = :feature
FOR NO KEY UPDATE OF configuration;

-- name: write_choices
-- The processors that are chosen for a feature's rules.
UPDATE public.rollout_configuration
SET routing_choices = CAST(:choices AS jsonb)
WHERE feature_name = :feature;
