-- name: overrides
-- Every override of all features, or of one, in the order in which they were made.
SELECT
    override.id,
    override.rollout_config_id,
    override.state,
    override.percentage,
    override.emergency_stop,
    override.reason,
    override.triggered_by,
    override.created_at,
    override.superseded_by,
    override.removals
FROM public.rollout_override AS override
INNER JOIN public.rollout_configuration AS configuration
    ON override.rollout_config_id = configuration.id
WHERE CAST(:feature AS text) IS null OR configuration.feature_name = :feature
ORDER BY override.created_at, override.id;

-- name: write_override
-- An override's row: a new one, or its state and its limit from now on.
INSERT INTO public.rollout_override (
    id,
    rollout_config_id,
    state,
    percentage,
    emergency_stop,
    reason,
    triggered_by,
    created_at,
    superseded_by,
    removals
)
SELECT
    :id,
    configuration.id,
    :state,
    :percentage,
    :emergency_stop,
    :reason,
    :triggered_by,
    :created_at,
    :superseded_by,
    :removals
FROM public.rollout_configuration AS configuration
WHERE configuration.feature_name = :feature_name
ON CONFLICT (rollout_config_id, id) DO UPDATE
SET
    percentage = excluded.percentage,
    emergency_stop = excluded.emergency_stop,
    reason = excluded.reason,
    triggered_by = excluded.triggered_by,
    created_at = excluded.created_at,
    state = excluded.state,
    superseded_by = excluded.superseded_by,
    removals = excluded.removals,
    updated_at = now();
