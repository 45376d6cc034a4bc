-- name: state
-- The newest generation, the commit that was applied last, and the time: not that of the transaction, which can
-- have waited for a lock.
SELECT
    generation,
    applied_commit,
    clock_timestamp() AS now
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
    bucketing,
    target_repositories,
    excluded_repositories,
    processor,
    fallback,
    routing,
    health_method,
    max_error_rate,
    max_regression,
    max_slowdown,
    false_alarms,
    min_jobs,
    monitoring_window,
    auto_rollback_enabled,
    rollback_to,
    metadata ->> 'description' AS description,
    updated_at
FROM public.rollout_configuration
ORDER BY feature_name;

-- name: before_any_apply
-- The features that no apply has stored: their state at the adoption, and whether they were open further than now,
-- by their history or the time of their last change. A feature without a change has its first state.
SELECT
    configuration.feature_name,
    adoption.metadata -> 'after' AS adopted,
    -- An adoption records whether the feature was active; without an adoption the time of a change decides.
    NOT configuration.is_active
    AND coalesce(
        adoption.metadata #> '{after,active}' = 'true',
        configuration.updated_at > configuration.created_at,
        false
    ) AS was_deactivated,
    coalesce(
        configuration.updated_at > coalesce(adoption.created_at, configuration.created_at), false
    )
    OR EXISTS (
        SELECT FROM public.rollout_history AS history
        WHERE
            history.rollout_config_id = configuration.id
            AND greatest(history.previous_percentage, history.new_percentage)
            > configuration.rollout_percentage
    ) AS was_lowered
FROM public.rollout_configuration AS configuration
LEFT JOIN LATERAL (
    SELECT
        history.metadata,
        history.created_at
    FROM public.rollout_history AS history
    WHERE history.rollout_config_id = configuration.id AND history.action = 'adopted'
    ORDER BY history.position DESC
    LIMIT 1
) AS adoption ON true
WHERE configuration.feature_name = ANY(:features);

-- name: last_applied
-- The record of the newest apply: the file, its effective state, and the id of each name.
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

-- name: directory
-- The present repositories of keys, by id, name and key: those with these names, those of these owners (the
-- key is `owner/*`), and the others with these ids (the key is null). It is one row of three lists in the same
-- order, because many rows cost more. Each name is looked up in the index, in order so that the next lookup finds
-- the pages of the last one: the join would read the whole table for 10,000 names.
WITH named AS MATERIALIZED (
    SELECT
        repositories.id,
        repositories.full_name,
        wanted.key
    FROM (
        SELECT given.key
        FROM unnest(CAST(:names AS text [])) AS given (key)
        ORDER BY given.key COLLATE "C"
        OFFSET 0
    ) AS wanted
    CROSS JOIN LATERAL (
        SELECT
            repository.id,
            repository.full_name
        FROM public.repositories AS repository
        WHERE lower(repository.full_name) = wanted.key
        OFFSET 0
    ) AS repositories
    UNION ALL
    SELECT
        repositories.id,
        repositories.full_name,
        wanted.key
    FROM public.repositories
    INNER JOIN unnest(CAST(:patterns AS text [])) AS wanted (key)
        ON lower(split_part(repositories.full_name, '/', 1)) || '/*' = wanted.key
)

SELECT
    string_agg(CAST(found.id AS text), ',') AS ids,
    coalesce(json_agg(found.full_name), '[]') AS names,
    coalesce(json_agg(found.key), '[]') AS written_keys
FROM (
    SELECT
        named.id,
        named.full_name,
        named.key
    FROM named
    UNION ALL
    SELECT
        repositories.id,
        repositories.full_name,
        null AS key
    FROM public.repositories
    INNER JOIN unnest(CAST(:ids AS uuid [])) AS wanted (id)
        ON repositories.id = wanted.id
    WHERE NOT EXISTS (
        SELECT FROM named
        WHERE named.id = repositories.id
    )
) AS found;
