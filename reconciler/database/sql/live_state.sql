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

-- name: feature_names
-- What the features are called.
SELECT feature_name
FROM public.rollout_configuration
ORDER BY feature_name;

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
-- The repositories that the file's names mean now: name → [id, name as it is spelled]. One JSON object each
-- way, since long lists cost more as rows and arrays than as text.
SELECT
    coalesce(
        json_object_agg(
            lower(repositories.full_name),
            json_build_array(repositories.id, repositories.full_name)
        ),
        '{}'
    )
FROM public.repositories
INNER JOIN json_array_elements_text(CAST(:names AS json)) AS wanted (name)
    ON lower(repositories.full_name) = wanted.name;

-- name: name_ids
-- What the repositories with these ids are called: id → name.
SELECT coalesce(json_object_agg(repositories.id, repositories.full_name), '{}')
FROM public.repositories
INNER JOIN json_array_elements_text(CAST(:ids AS json)) AS wanted (id)
    ON repositories.id = CAST(wanted.id AS uuid);

-- name: owned
-- Every repository of these owners: `owner/*` → id → name.
SELECT coalesce(json_object_agg(pattern, repositories), '{}')
FROM (
    SELECT
        wanted.pattern,
        json_object_agg(repositories.id, repositories.full_name) AS repositories
    FROM public.repositories
    INNER JOIN json_array_elements_text(CAST(:patterns AS json)) AS wanted (pattern)
        ON lower(split_part(repositories.full_name, '/', 1)) || '/*' = wanted.pattern
    GROUP BY wanted.pattern
) AS owned;
