-- name: state
-- The newest generation and the commit that was applied last.
SELECT generation, applied_commit
FROM public.rollout_state;

-- name: configurations
-- Every feature's configuration, with list entries as keys.
SELECT
    id,
    feature_name,
    is_active,
    emergency_stop,
    rollout_strategy,
    rollout_percentage,
    coalesce(salt, feature_name) AS salt,
    target_repositories,
    excluded_repositories,
    max_error_rate,
    min_jobs,
    monitoring_window,
    auto_rollback_enabled,
    rollback_to,
    metadata ->> 'description' AS description,
    updated_at
FROM public.rollout_configuration
ORDER BY feature_name;

-- name: overrides
-- Every override that is not settled for good, and those that a file could put back.
SELECT
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
FROM public.rollout_override
ORDER BY created_at, id;

-- name: last_applied
-- What the newest apply stored: the file, what it meant, and which id each name was.
SELECT
    desired,
    effective
FROM public.rollout_generation
WHERE generation = :generation;

-- name: marked
-- The repositories marked as test.
SELECT repository_id::text AS id
FROM public.repository_categories
WHERE marked_as_test;

-- name: thresholds
-- The thresholds of the categories.
SELECT
    category,
    stars,
    contributors,
    pull_requests,
    priority
FROM public.category_threshold;

-- name: resolve_names
-- The repositories that the file's names mean now.
SELECT
    lower(repositories.full_name) AS key,
    repositories.id::text AS id,
    repositories.full_name
FROM public.repositories
INNER JOIN unnest(CAST(:names AS text [])) AS wanted (name)
    ON lower(repositories.full_name) = wanted.name;

-- name: name_ids
-- What the repositories with these ids are called.
SELECT
    repositories.id::text AS id,
    repositories.full_name
FROM public.repositories
INNER JOIN unnest(CAST(:ids AS uuid [])) AS wanted (id) ON repositories.id = wanted.id;

-- name: owned
-- Every repository of these owners.
SELECT
    lower(repositories.owner) || '/*' AS pattern,
    repositories.id::text AS id,
    repositories.full_name
FROM public.repositories
INNER JOIN unnest(CAST(:patterns AS text [])) AS wanted (pattern)
    ON lower(repositories.owner) || '/*' = wanted.pattern;
