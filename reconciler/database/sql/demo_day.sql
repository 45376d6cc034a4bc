-- name: move_apply
-- Moves the first apply of a demo into the past.
WITH generation AS (
    UPDATE public.rollout_generation SET applied_at = :at
),

state AS (
    UPDATE public.rollout_state SET applied_at = :at
),

history AS (
    UPDATE public.rollout_history SET created_at = :at
)

UPDATE public.rollout_configuration
SET created_at = :at, updated_at = :at, evidence_began_at = :at, metrics_cut_at = :at;

-- name: move_rollback
-- Moves the rollback of a demo into the past.
WITH override AS (
    UPDATE public.rollout_override SET created_at = :at, updated_at = :at
),

history AS (
    UPDATE public.rollout_history SET created_at = :at
    WHERE action = 'rollback'
)

UPDATE public.rollout_configuration
SET updated_at = :at, evidence_began_at = :at, metrics_cut_at = :at;

-- name: eligible
-- The eligible repositories of a feature.
SELECT CAST(eligible.id AS text) FROM public.eligible_repositories(:feature) AS eligible (id);

-- name: add_jobs
-- Jobs of every repository in the windows of five minutes of a period: up to four in a window, most of them at the busiest
-- time of the day, some of them failed. The same in each demo: a digest decides, not chance.
INSERT INTO public.rollout_metrics (
    rollout_config_id, repository_id, processor_type, success_count, error_count, total_jobs,
    metrics_window_start, metrics_window_end, created_at, updated_at, last_error_message, last_error_at
)
SELECT
    job.rollout_config_id,
    job.repository_id,
    job.processor,
    job.jobs - job.errors,
    job.errors,
    job.jobs,
    job.begins_at,
    job.begins_at + interval '5 minutes',
    job.begins_at,
    job.begins_at + interval '4 minutes',
    CASE WHEN job.errors > 0 THEN 'the runner image has no Node.js 22' END,
    CASE WHEN job.errors > 0 THEN job.begins_at + interval '4 minutes' END
FROM (
    SELECT
        drawn.*,
        CASE WHEN drawn.luck < drawn.share THEN drawn.jobs ELSE 0 END AS errors
    FROM (
        SELECT
            configuration.id AS rollout_config_id,
            repository.id AS repository_id,
            begins_at,
            CASE
                WHEN repository.id = ANY (CAST(:eligible AS uuid [])) THEN configuration.processor
                ELSE configuration.fallback
            END AS processor,
            CASE
                WHEN repository.id = ANY (CAST(:eligible AS uuid []))
                    THEN CAST(:failed_share AS double precision)
                ELSE 0.005
            END AS share,
            get_byte(digest, 1) / 256.0 AS luck,
            CAST(
                floor(
                    get_byte(digest, 0) / 256.0 * 1.5
                    * (
                        2 + cos(
                            extract(EPOCH FROM begins_at - CAST(:busiest_at AS timestamptz))
                            * 2 * pi() / 86400
                        )
                    )
                ) AS integer
            ) AS jobs
        FROM public.rollout_configuration AS configuration
        CROSS JOIN public.repositories AS repository
        CROSS JOIN
            generate_series(
                CAST(:begins_at AS timestamptz),
                CAST(:ends_at AS timestamptz) - interval '5 minutes',
                '5 minutes'
            ) AS windows (begins_at)
        CROSS JOIN LATERAL sha256(
            convert_to(CAST(repository.id AS text) || extract(EPOCH FROM begins_at) % 86400, 'UTF8')
        ) AS digests (digest)
        WHERE configuration.feature_name = :feature
    ) AS drawn
    WHERE drawn.jobs > 0
) AS job;
