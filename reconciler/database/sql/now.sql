-- name: features
-- Each feature, or one, with the override in force.
SELECT
    configuration.feature_name AS name,
    configuration.is_active AS active,
    configuration.emergency_stop,
    configuration.rollout_strategy AS strategy,
    configuration.rollout_percentage AS percentage,
    configuration.processor,
    configuration.fallback,
    configuration.updated_at,
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
