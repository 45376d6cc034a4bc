-- name: watched
-- The processors and health limits of some features, their last resumes, and the database's time.
SELECT
    configuration.feature_name AS feature,
    now() AS now,
    configuration.processor,
    configuration.fallback,
    configuration.health_method,
    configuration.max_error_rate,
    configuration.max_regression,
    configuration.max_slowdown,
    configuration.false_alarms,
    configuration.min_jobs,
    configuration.monitoring_window,
    configuration.evidence_began_at,
    (
        SELECT max(history.created_at)
        FROM public.rollout_history AS history
        WHERE history.rollout_config_id = configuration.id AND history.action = 'resumed'
    ) AS resumed_at
FROM public.rollout_configuration AS configuration
WHERE configuration.feature_name = any(CAST(:features AS text []));

-- name: odd_time
-- The first impossible time or duration of each of some features, with its row and its column; the conditions are
-- those of the indexes on odd times. A resume in the future would hide every job. The history is read before the others
-- and without LIMIT: with it the planner expects an odd row soon, and scans the whole table once for each feature.
WITH odd_history AS MATERIALIZED (
    SELECT DISTINCT ON (history.rollout_config_id)
        history.rollout_config_id,
        'rollout_history row ' || history.id AS place,
        jsonb_build_object('created_at', CAST(history.created_at AS text)) AS times
    FROM public.rollout_history AS history
    WHERE NOT (
        history.created_at BETWEEN timestamptz '0001-01-01 00:00:00+00'
        AND timestamptz '9998-12-31 00:00:00+00'
    )
    ORDER BY history.rollout_config_id
)

SELECT DISTINCT ON (configuration.feature_name)
    configuration.feature_name AS feature,
    places.place,
    columns.name AS column_name,
    columns.written
FROM public.rollout_configuration AS configuration
CROSS JOIN LATERAL (
    SELECT
        'rollout_configuration' AS place,
        false AS is_odd,
        jsonb_build_object(
            'created_at', CAST(configuration.created_at AS text),
            'updated_at', CAST(configuration.updated_at AS text),
            'metrics_cut_at', CAST(configuration.metrics_cut_at AS text),
            'evidence_began_at', CAST(configuration.evidence_began_at AS text)
        ) AS times
    UNION ALL
    SELECT
        odd.place,
        true AS is_odd,
        odd.times
    FROM odd_history AS odd
    WHERE odd.rollout_config_id = configuration.id
    UNION ALL
    (
        SELECT
            'rollout_history row ' || history.id AS place,
            true AS is_odd,
            jsonb_build_object('created_at', CAST(history.created_at AS text)) AS times
        FROM public.rollout_history AS history
        WHERE
            history.rollout_config_id = configuration.id
            AND history.action = 'resumed'
            AND history.created_at > now() + interval '1 day'
        LIMIT 1
    )
    UNION ALL
    SELECT
        'rollout_override row ' || override.id AS place,
        false AS is_odd,
        jsonb_build_object(
            'created_at', CAST(override.created_at AS text),
            'updated_at', CAST(override.updated_at AS text),
            'written_back_at', CAST(override.written_back_at AS text)
        ) AS times
    FROM public.rollout_override AS override
    WHERE override.rollout_config_id = configuration.id
    UNION ALL
    (
        SELECT
            'rollout_metrics row ' || metrics.id AS place,
            false AS is_odd,
            jsonb_build_object(
                'metrics_window_start', CAST(metrics.metrics_window_start AS text),
                'metrics_window_end', CAST(metrics.metrics_window_end AS text),
                'created_at', CAST(metrics.created_at AS text),
                'updated_at', CAST(metrics.updated_at AS text),
                'last_error_at', CAST(metrics.last_error_at AS text)
            ) AS times
        FROM public.rollout_metrics AS metrics
        WHERE
            metrics.rollout_config_id = configuration.id
            AND NOT (
                metrics.metrics_window_start BETWEEN timestamptz '0001-01-01 00:00:00+00'
                AND timestamptz '9998-12-31 00:00:00+00'
                AND metrics.metrics_window_end BETWEEN timestamptz '0001-01-01 00:00:00+00'
                AND timestamptz '9998-12-31 00:00:00+00'
                AND metrics.created_at BETWEEN timestamptz '0001-01-01 00:00:00+00'
                AND timestamptz '9998-12-31 00:00:00+00'
                AND metrics.updated_at BETWEEN timestamptz '0001-01-01 00:00:00+00'
                AND timestamptz '9998-12-31 00:00:00+00'
                AND coalesce(metrics.last_error_at, metrics.updated_at)
                BETWEEN timestamptz '0001-01-01 00:00:00+00'
                AND timestamptz '9998-12-31 00:00:00+00'
            )
        -- The order of the index, so that the planner never prefers the whole table.
        ORDER BY metrics.created_at
        LIMIT 1
    )
) AS places
CROSS JOIN LATERAL (
    SELECT
        times.name,
        times.written
    FROM jsonb_each_text(places.times) AS times (name, written)
    WHERE
        places.is_odd
        OR NOT (
            CAST(times.written AS timestamptz) BETWEEN timestamptz '0001-01-01 00:00:00+00'
            AND timestamptz '9998-12-31 00:00:00+00'
        )
    UNION ALL
    SELECT
        'monitoring_window' AS name,
        CAST(configuration.monitoring_window AS text) AS written
    WHERE
        places.place = 'rollout_configuration'
        AND configuration.monitoring_window > interval '36525 days'
) AS columns
WHERE configuration.feature_name = any(CAST(:features AS text []))
ORDER BY configuration.feature_name, places.place, columns.name;

-- name: any_eligible
-- The features that have an eligible repository. It stops at the first one, however many there are.
SELECT asked.feature
FROM unnest(CAST(:features AS text [])) AS asked (feature)
WHERE EXISTS (SELECT FROM public.eligible_repositories(asked.feature));

-- name: metrics
-- The sums of the jobs of some features: in all (both groups null), by category, by processor and by both. The rows are sums
-- by window, so that their number does not depend on the number of jobs. The window in which the period begins
-- counts as a whole. Windows from before a resume or a rollback do not count: `record_rollout_job` begins a new
-- window there, and a window that another program continued has jobs of both sides. The newest job is not later
-- than its window's end, also if its row has a later time.
WITH asked AS (
    SELECT
        listed.feature,
        listed.begins_at,
        listed.cut_at
    FROM unnest(
        CAST(:features AS text []),
        CAST(:begins AS timestamptz []),
        CAST(:cuts AS timestamptz [])
    ) AS listed (feature, begins_at, cut_at)
)

SELECT
    asked.feature,
    sums.*
FROM asked
CROSS JOIN LATERAL (
    SELECT
        grouping(rollup.processor_type) = 0 AS is_by_processor,
        grouping(rollup.category) = 0 AS is_by_category,
        rollup.processor_type AS processor,
        rollup.category,
        CAST(sum(rollup.jobs) AS bigint) AS jobs,
        CAST(sum(rollup.errors) AS bigint) AS errors,
        max(rollup.newest_at) AS newest_at
    FROM public.rollout_configuration AS configuration
    INNER JOIN public.rollout_metrics_rollup AS rollup ON configuration.id = rollup.rollout_config_id
    WHERE
        configuration.feature_name = asked.feature
        AND rollup.counts_until > asked.begins_at
        AND (
            asked.cut_at IS null
            OR rollup.counts_from >= asked.cut_at
        )
    GROUP BY GROUPING SETS (
        (), (rollup.category), (rollup.processor_type), (rollup.category, rollup.processor_type)
    )
    HAVING sum(rollup.jobs) > 0 OR grouping(rollup.category, rollup.processor_type) = 3
) AS sums
ORDER BY sums.jobs DESC, sums.processor ASC;

-- name: reached
-- The time at which a stage was reached: the last rise to it or over it, or a later event that restarts the
-- soak; and for how long since then the feature was inactive. An adopted feature reached its stage at its
-- adoption. A feature that is not live, without a row of history since when, does not soak.
WITH feature AS (
    SELECT
        configuration.id,
        configuration.is_active,
        greatest(
            coalesce(
                max(history.created_at) FILTER (
                    WHERE history.action = 'adopted'
                    OR (
                        history.new_percentage >= :percentage
                        AND coalesce(history.previous_percentage, 0) < :percentage
                    )
                ),
                configuration.created_at
            ),
            max(history.created_at) FILTER (
                WHERE history.action IN (
                    'auto_rollback', 'rollback', 'emergency_stop', 'emergency_rollback', 'resumed',
                    'restored', 'drift_kept'
                )
            ),
            CASE WHEN configuration.emergency_stop THEN now() END
        ) AS reached_at
    FROM public.rollout_configuration AS configuration
    LEFT JOIN public.rollout_history AS history ON configuration.id = history.rollout_config_id
    WHERE configuration.feature_name = :feature
    GROUP BY configuration.id
),

-- Each row that turned the feature off, with the next row that turned it on or off again.
inactive AS (
    SELECT
        history.action,
        history.created_at AS begun_at,
        lead(history.created_at) OVER in_order AS ended_at,
        first_value(history.created_at) OVER in_order AS first_at,
        first_value(history.action) OVER in_order AS first_action,
        last_value(history.action) OVER (
            ORDER BY history.position
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS last_action
    FROM public.rollout_history AS history
    INNER JOIN feature ON history.rollout_config_id = feature.id
    WHERE history.action IN ('deactivated', 'reactivated')
    WINDOW in_order AS (ORDER BY history.position)
),

periods AS (
    SELECT
        inactive.begun_at,
        coalesce(inactive.ended_at, now()) AS ended_at
    FROM inactive
    WHERE inactive.action = 'deactivated'
    UNION ALL
    -- A feature that was created inactive.
    SELECT DISTINCT
        timestamptz '-infinity' AS begun_at,
        inactive.first_at AS ended_at
    FROM inactive
    WHERE inactive.first_action = 'reactivated'
)

SELECT
    since.reached_at,
    coalesce(
        sum(least(periods.ended_at, now()) - greatest(periods.begun_at, since.reached_at))
            FILTER (WHERE periods.begun_at IS NOT null),
        interval '0'
    ) AS inactive_for
FROM (
    SELECT
        CASE
            WHEN feature.is_active OR latest.last_action = 'deactivated' THEN feature.reached_at
            ELSE now()
        END AS reached_at
    FROM feature
    LEFT JOIN (SELECT DISTINCT inactive.last_action FROM inactive) AS latest ON true
) AS since
LEFT JOIN periods
    ON
        isfinite(since.reached_at)
        AND isfinite(periods.ended_at)
        AND greatest(periods.begun_at, since.reached_at) < least(periods.ended_at, now())
GROUP BY since.reached_at;
