-- name: features
-- Each feature, or one, with the override in force, and the number of its stages as the last applied file has them. The
-- desired state is unpacked once for all features.
WITH desired AS (
    SELECT
        feature.key AS name,
        nullif(feature.value -> 'progression', 'null') AS progression
    FROM public.rollout_state AS state
    INNER JOIN public.rollout_generation AS generation ON state.generation = generation.generation
    CROSS JOIN LATERAL jsonb_each(generation.desired -> 'features') AS feature
),

progress AS (
    SELECT
        configuration.id,
        count(*) AS stages,
        count(*) FILTER (
            WHERE CAST(stage.value ->> 'percentage' AS numeric) <= configuration.rollout_percentage
        ) AS stage
    FROM desired
    INNER JOIN public.rollout_configuration AS configuration ON desired.name = configuration.feature_name
    CROSS JOIN LATERAL jsonb_array_elements(desired.progression) AS stage
    GROUP BY configuration.id
)

SELECT
    configuration.feature_name AS name,
    configuration.is_active AS active,
    configuration.emergency_stop,
    configuration.rollout_strategy AS strategy,
    configuration.rollout_percentage AS percentage,
    configuration.processor,
    configuration.fallback,
    configuration.updated_at,
    coalesce(progress.stages, 0) AS stages,
    coalesce(progress.stage, 0) AS stage,
    override.id AS override_id,
    override.percentage AS override_percentage,
    override.reason AS override_reason,
    override.triggered_by AS override_by,
    override.created_at AS override_at,
    override.written_back_at IS NOT null AS is_in_git,
    override.proposed_branch
FROM public.rollout_configuration AS configuration
LEFT JOIN public.rollout_override AS override
    ON configuration.id = override.rollout_config_id AND override.state = 'on'
LEFT JOIN progress ON configuration.id = progress.id
WHERE CAST(:feature AS text) IS null OR configuration.feature_name = :feature
ORDER BY configuration.feature_name;

-- name: fingerprint
-- A text that changes with the features, their limits, the history and the generation, from indexes and small tables.
SELECT
    concat_ws(
        ' ',
        (SELECT state.generation FROM public.rollout_state AS state),
        (SELECT max(history.position) FROM public.rollout_history AS history),
        (
            SELECT concat(count(*), ' ', max(configuration.updated_at))
            FROM public.rollout_configuration AS configuration
        ),
        (
            SELECT concat(count(*), ' ', max(override.updated_at))
            FROM public.rollout_override AS override
        )
    ) AS fingerprint;
