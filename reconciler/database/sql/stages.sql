-- name: progression
-- The stages of a feature, or of every feature, as the last applied file has them, its desired percentage there, and
-- whether something keeps its stage from soaking.
SELECT
    configuration.feature_name AS feature,
    now() AS now,
    generation.desired #>> ARRAY['features', configuration.feature_name, 'progression'] AS stages,
    coalesce(
        generation.desired #>> ARRAY['features', configuration.feature_name, 'percentage'], '0'
    ) AS percentage,
    configuration.is_active
    AND NOT configuration.emergency_stop
    AND NOT EXISTS (
        SELECT FROM public.rollout_override AS override
        WHERE override.rollout_config_id = configuration.id AND override.state = 'on'
    ) AS is_soaking
FROM public.rollout_configuration AS configuration
LEFT JOIN public.rollout_generation AS generation
    ON generation.generation = (SELECT state.generation FROM public.rollout_state AS state)
WHERE CAST(:feature AS text) IS null OR configuration.feature_name = :feature
ORDER BY configuration.feature_name;

-- name: began_at
-- When the evidence of a feature began.
SELECT configuration.evidence_began_at
FROM public.rollout_configuration AS configuration
WHERE configuration.feature_name = :feature;
