-- name: limit_waiting
-- Limits the waits of this transaction, its idle time and the duration of a statement.
SELECT
    set_config('lock_timeout', :lock_timeout, true) AS lock_timeout,
    set_config('idle_in_transaction_session_timeout', :idle_timeout, true) AS idle_timeout,
    set_config('statement_timeout', :statement_timeout, true) AS statement_timeout;

-- name: lock_configurations
-- Locks the configurations: no other transaction changes one between the plan and its writing. Workers can
-- still report jobs, whose rows refer to a configuration.
SELECT id
FROM public.rollout_configuration
ORDER BY feature_name
FOR NO KEY UPDATE;

-- name: create_configuration
-- A new feature.
INSERT INTO public.rollout_configuration (
    feature_name,
    is_active,
    emergency_stop,
    rollout_strategy,
    rollout_percentage,
    salt,
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
    metadata
)
VALUES (
    :feature_name,
    :active,
    :emergency_stop,
    :strategy,
    :percentage,
    :salt,
    :bucketing,
    :whitelist,
    :exclusions,
    :processor,
    :fallback,
    CAST(:routing AS jsonb),
    :method,
    :max_error_rate,
    :max_regression,
    :max_slowdown,
    :false_alarms,
    :min_jobs,
    :window,
    :auto_rollback,
    :rollback_to,
    jsonb_strip_nulls(jsonb_build_object('description', CAST(:description AS text)))
);

-- name: update_configuration
-- A feature's values. Its lists are written separately, because their keys cost more.
UPDATE public.rollout_configuration
SET
    is_active = :active,
    emergency_stop = :emergency_stop,
    rollout_strategy = :strategy,
    rollout_percentage = :percentage,
    salt = :salt,
    bucketing = :bucketing,
    processor = :processor,
    fallback = :fallback,
    routing = CAST(:routing AS jsonb),
    health_method = :method,
    max_error_rate = :max_error_rate,
    max_regression = :max_regression,
    max_slowdown = :max_slowdown,
    false_alarms = :false_alarms,
    min_jobs = :min_jobs,
    monitoring_window = :window,
    auto_rollback_enabled = :auto_rollback,
    rollback_to = :rollback_to,
    -- Keys other than the description belong to the service. A value that is not an object has only a
    -- description.
    metadata = CASE jsonb_typeof(metadata) WHEN 'object' THEN metadata - 'description' ELSE '{}' END
    || jsonb_strip_nulls(jsonb_build_object('description', CAST(:description AS text))),
    updated_at = now()
WHERE feature_name = :feature_name;

-- name: update_lists
-- A feature's whitelist and exclusions.
UPDATE public.rollout_configuration
SET
    target_repositories = :whitelist,
    excluded_repositories = :exclusions,
    updated_at = now()
WHERE feature_name = :feature_name;

-- name: mark_as_test
-- Marks repositories, giving those that have no category yet the one that they have now.
INSERT INTO public.repository_categories (
    repository_id,
    category,
    priority_level,
    star_count,
    contributor_count,
    pr_count,
    monthly_activity_score,
    marked_as_test
)
SELECT
    activity.repository_id,
    threshold.category,
    threshold.priority,
    activity.stars,
    activity.contributors,
    activity.pull_requests,
    public.monthly_activity_score(
        activity.stars, activity.contributors, activity.pull_requests
    ),
    true
FROM unnest(CAST(:ids AS uuid [])) AS wanted (id)
INNER JOIN public.repository_activity AS activity ON wanted.id = activity.repository_id
INNER JOIN public.category_threshold AS threshold
    ON threshold.category = public.category_of_repository(activity.repository_id)
ON CONFLICT (repository_id) DO UPDATE
SET marked_as_test = true, updated_at = now();

-- name: unmark_as_test
-- Removes marks; the category stays.
UPDATE public.repository_categories
SET marked_as_test = false, updated_at = now()
FROM unnest(CAST(:ids AS uuid [])) AS wanted (id)
WHERE repository_categories.repository_id = wanted.id;

-- name: move_threshold
-- One category's threshold.
UPDATE public.category_threshold
SET
    stars = :stars,
    contributors = :contributors,
    pull_requests = :pull_requests,
    priority = :priority
WHERE category = :category;

-- name: categorize_all
-- Every repository, under the thresholds that are in force now.
SELECT public.categorize_all_repositories();

-- name: record_generation
-- The compare-and-set: if two writers planned against the same generation, the second one fails here.
INSERT INTO public.rollout_generation (
    generation,
    commit,
    uncommitted,
    file,
    file_digest,
    desired,
    effective,
    applied_by
)
VALUES (
    :generation,
    :commit,
    :uncommitted,
    :file,
    :file_digest,
    CAST(:desired AS jsonb),
    CAST(:effective AS jsonb),
    :applied_by
);

-- name: move_state
-- Stores the newest generation and commit; a plan without changes changes only the commit.
UPDATE public.rollout_state
SET
    generation = :generation,
    applied_commit = :commit,
    applied_at = now();
