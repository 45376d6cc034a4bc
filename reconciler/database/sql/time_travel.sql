-- name: by_generation
-- One generation.
SELECT
    generation,
    commit,
    applied_at
FROM public.rollout_generation
WHERE generation = :generation;

-- name: by_commit
-- The generations applied from a commit with this prefix; the newest commit may have changed nothing.
SELECT
    generation.generation,
    generation.commit,
    generation.applied_at
FROM public.rollout_generation AS generation
WHERE starts_with(generation.commit, :beginning)
UNION
SELECT
    generation.generation,
    state.applied_commit AS commit,
    generation.applied_at
FROM public.rollout_state AS state
INNER JOIN public.rollout_generation AS generation
    ON state.generation = generation.generation
WHERE starts_with(state.applied_commit, :beginning)
ORDER BY generation;

-- name: by_time
-- The generation that was the newest at a time.
SELECT
    generation,
    commit,
    applied_at
FROM public.rollout_generation
WHERE applied_at <= :time
ORDER BY generation DESC
LIMIT 1;

-- name: first
-- The first generation.
SELECT
    generation,
    applied_at
FROM public.rollout_generation
ORDER BY generation
LIMIT 1;

-- name: newest
-- The newest generations, the newest first.
SELECT
    generation,
    commit
FROM public.rollout_generation
ORDER BY generation DESC
LIMIT :most;

-- name: effective
-- One feature as a generation applied it, with the marks and the thresholds.
SELECT
    effective -> 'features' -> CAST(:feature AS text) AS feature,
    coalesce(effective -> 'test_repositories', '[]') AS marked,
    coalesce(effective -> 'categories', '{}') AS categories
FROM public.rollout_generation
WHERE generation = :generation;

-- name: acted
-- The last stop, rollback or resume of a feature after a generation and up to a time; a resume by an apply
-- belongs to the next generation.
SELECT
    history.action,
    history.created_at,
    history.metadata -> 'after' AS exposure
FROM public.rollout_history AS history
INNER JOIN public.rollout_configuration AS configuration
    ON history.rollout_config_id = configuration.id
WHERE
    configuration.feature_name = :feature
    AND history.action IN ('auto_rollback', 'rollback', 'emergency_stop', 'resumed', 'restored')
    AND history.metadata -> 'generation' = to_jsonb(CAST(:generation AS bigint))
    AND history.metadata #> '{after,emergency_stop}' IS NOT null
    AND history.metadata ->> 'removed_from' IS null
    AND history.created_at <= :time
ORDER BY history.position DESC
LIMIT 1;

-- name: choices
-- The processors that were chosen for a feature's rules at a time.
SELECT history.metadata -> 'routing_choices' AS choices
FROM public.rollout_history AS history
INNER JOIN public.rollout_configuration AS configuration
    ON history.rollout_config_id = configuration.id
WHERE
    configuration.feature_name = :feature
    AND jsonb_typeof(history.metadata -> 'routing_choices') = 'array'
    AND history.created_at <= :time
ORDER BY history.position DESC
LIMIT 1;
