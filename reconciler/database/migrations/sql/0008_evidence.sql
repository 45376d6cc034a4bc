-- The two processors of a feature, how its jobs are judged, and when its evidence began.

ALTER TABLE public.rollout_configuration
ADD COLUMN processor varchar(50) NOT NULL DEFAULT 'github_actions' CHECK (processor <> ''),
ADD COLUMN fallback varchar(50) NOT NULL DEFAULT 'inngest' CHECK (fallback <> ''),
ADD COLUMN health_method varchar(20) NOT NULL DEFAULT 'threshold'
CHECK (health_method IN ('threshold', 'evidence')),
ADD COLUMN max_regression numeric(5, 2) NOT NULL DEFAULT 2
CHECK (max_regression BETWEEN 0 AND 100),
-- Null shows slow jobs and does not judge them.
ADD COLUMN max_slowdown numeric(5, 2) CHECK (max_slowdown BETWEEN 0 AND 100),
ADD COLUMN false_alarms numeric(5, 4) NOT NULL DEFAULT 0.001
CHECK (false_alarms > 0 AND false_alarms <= 0.5),
-- The last change of the audience or of what is compared; `cut_metric_windows` maintains it.
ADD COLUMN evidence_began_at timestamptz NOT NULL DEFAULT now();

-- Of a service that is adopted in this transaction, the processors are those that its metrics name. One of the
-- default names stays where a row has it.
DO $$
BEGIN
    IF to_regclass('pg_temp.adopted') IS NULL THEN
        RETURN;
    END IF;

    WITH eligible AS MATERIALIZED (
        SELECT
            configuration.id AS rollout_config_id,
            found.id
        FROM public.rollout_configuration AS configuration
        CROSS JOIN LATERAL public.eligible_repositories(configuration.feature_name) AS found (id)
    ),

    counted AS (
        SELECT
            configuration.id,
            metrics.processor_type AS name,
            sum(metrics.total_jobs) FILTER (WHERE eligible.id IS NOT NULL) AS of_eligible,
            sum(metrics.total_jobs) FILTER (WHERE eligible.id IS NULL) AS of_others
        FROM public.rollout_configuration AS configuration
        INNER JOIN public.rollout_metrics AS metrics
            ON configuration.id = metrics.rollout_config_id
        LEFT JOIN eligible
            ON configuration.id = eligible.rollout_config_id AND metrics.repository_id = eligible.id
        WHERE metrics.processor_type <> '' AND length(metrics.processor_type) <= 50
        GROUP BY configuration.id, metrics.processor_type
    ),

    processors AS (
        SELECT DISTINCT ON (counted.id)
            counted.id,
            counted.name
        FROM counted
        WHERE
            counted.name = 'github_actions'
            OR (counted.name <> 'inngest' AND counted.of_eligible > 0)
        ORDER BY
            counted.id ASC,
            counted.name = 'github_actions' DESC,
            counted.of_eligible DESC NULLS LAST,
            counted.name COLLATE "C" ASC
    ),

    fallbacks AS (
        SELECT DISTINCT ON (counted.id)
            counted.id,
            counted.name
        FROM counted
        LEFT JOIN processors ON counted.id = processors.id
        WHERE
            counted.name = 'inngest'
            OR (
                counted.name <> 'github_actions'
                AND counted.name IS DISTINCT FROM processors.name
                AND counted.of_others > 0
            )
        ORDER BY
            counted.id ASC,
            counted.name = 'inngest' DESC,
            counted.of_others DESC NULLS LAST,
            counted.name COLLATE "C" ASC
    )

    UPDATE public.rollout_configuration AS configuration
    SET
        processor = coalesce(processors.name, configuration.processor),
        fallback = coalesce(fallbacks.name, configuration.fallback)
    FROM public.rollout_configuration AS named
    LEFT JOIN processors ON named.id = processors.id
    LEFT JOIN fallbacks ON named.id = fallbacks.id
    WHERE
        configuration.id = named.id
        AND (processors.name IS NOT NULL OR fallbacks.name IS NOT NULL);
END
$$;
