-- name: limit_waiting
-- Limits the waits of an action: a person who stops a feature must learn soon that it failed.
SELECT
    set_config('lock_timeout', :lock_timeout, true) AS lock_timeout,
    set_config('statement_timeout', :statement_timeout, true) AS statement_timeout;

-- name: lock_feature
-- One feature, locked to the end of the transaction. An apply locks the same row, so each sees the other's
-- result.
SELECT id
FROM public.rollout_configuration
WHERE feature_name = :feature
FOR NO KEY UPDATE;

-- name: feature
-- One feature without its lists: an action does not change them, and they can be long.
SELECT
    configuration.id,
    configuration.is_active AS active,
    configuration.emergency_stop,
    configuration.rollout_percentage AS percentage,
    configuration.rollout_strategy AS strategy,
    configuration.auto_rollback_enabled AS auto_rollback,
    configuration.rollback_to,
    configuration.fallback,
    now() AS now
FROM public.rollout_configuration AS configuration
WHERE configuration.feature_name = :feature;

-- name: desired
-- A feature in the newest apply: its part of the file (`declared`) and the resulting state (`stored`); null
-- if there is none.
SELECT
    state.generation,
    generation.desired -> 'features' -> CAST(:feature AS text) AS declared,
    (generation.effective -> 'features' -> CAST(:feature AS text))
    - ARRAY['whitelist', 'exclusions'] AS stored
FROM public.rollout_state AS state
LEFT JOIN public.rollout_generation AS generation
    ON state.generation = generation.generation;

-- name: before_overrides
-- The state of a feature without an apply before the first of these overrides.
SELECT history.metadata -> 'before'
FROM public.rollout_history AS history
WHERE
    history.rollout_config_id = :configuration
    AND history.action IN ('auto_rollback', 'rollback', 'emergency_stop', 'restored')
    AND history.metadata ->> 'override' = any(CAST(:overrides AS text []))
ORDER BY history.position
LIMIT 1;

-- name: expose
-- Writes a feature's exposure.
UPDATE public.rollout_configuration
SET
    rollout_percentage = :percentage,
    emergency_stop = :emergency_stop,
    updated_at = now()
WHERE id = :configuration;

-- name: activate
-- A separate statement, because only an account that applies may run it.
UPDATE public.rollout_configuration
SET is_active = :active, updated_at = now()
WHERE id = :configuration AND is_active <> :active;
