-- name: decide
-- The answer of the function that services call.
SELECT
    explained.eligible,
    explained.rule,
    explained.reason,
    explained.bucket,
    explained.category
FROM public.explain_repository_eligibility(CAST(:id AS uuid), :feature) AS explained;

-- name: decisions
-- The answers of the function that services call, for one repository and every feature.
SELECT
    configuration.feature_name AS feature,
    explained.eligible,
    explained.rule,
    explained.reason,
    explained.bucket,
    explained.category
FROM public.rollout_configuration AS configuration
CROSS JOIN LATERAL public.explain_repository_eligibility(
    CAST(:id AS uuid), configuration.feature_name
) AS explained
ORDER BY configuration.feature_name;

-- name: targeting
-- The configuration of one feature, or of every feature, for one repository. From the lists it has only the
-- repository's keys.
SELECT
    configuration.feature_name AS feature,
    configuration.is_active AS active,
    configuration.emergency_stop,
    configuration.rollout_strategy AS strategy,
    configuration.rollout_percentage AS percentage,
    coalesce(configuration.salt, configuration.feature_name) AS salt,
    configuration.bucketing,
    ARRAY(
        SELECT membership.key
        FROM public.rollout_membership AS membership
        WHERE
            membership.rollout_config_id = configuration.id
            AND membership.list = 'whitelist'
            AND membership.key = ANY(CAST(:keys AS text []))
    ) AS whitelist,
    ARRAY(
        SELECT membership.key
        FROM public.rollout_membership AS membership
        WHERE
            membership.rollout_config_id = configuration.id
            AND membership.list = 'exclusions'
            AND membership.key = ANY(CAST(:keys AS text []))
    ) AS exclusions
FROM public.rollout_configuration AS configuration
WHERE CAST(:feature AS text) IS null OR configuration.feature_name = :feature;

-- name: activity
-- One repository with the present counts that decide its category.
SELECT
    repository.id::text AS id,
    repository.full_name,
    activity.stars,
    activity.contributors,
    activity.pull_requests,
    coalesce(recorded.category, public.category_of_repository(repository.id)) AS category,
    recorded.category IS NOT null AS is_categorized,
    coalesce(recorded.marked_as_test, false) AS marked_as_test
FROM public.repositories AS repository
INNER JOIN public.repository_activity AS activity ON repository.id = activity.repository_id
LEFT JOIN public.repository_categories AS recorded ON repository.id = recorded.repository_id
WHERE repository.id = CAST(:id AS uuid);

-- name: jobs
-- The sums of the jobs of features, and their repositories with a job, over the configured window.
SELECT
    configuration.feature_name AS feature,
    coalesce(sum(metrics.total_jobs), 0) AS jobs,
    coalesce(sum(metrics.error_count), 0) AS errors,
    count(DISTINCT metrics.repository_id) FILTER (WHERE metrics.total_jobs > 0) AS active
FROM public.rollout_configuration AS configuration
CROSS JOIN LATERAL public.rollout_metrics_since(
    configuration.id,
    now() - least(configuration.monitoring_window, interval '36525 days')
) AS metrics
WHERE configuration.feature_name = ANY(CAST(:features AS text []))
GROUP BY configuration.feature_name;

-- name: ready
-- The repositories to add next: neither eligible nor excluded, by priority, then by activity. An
-- uncategorised repository counts by its counts of now.
SELECT
    candidate.id::text AS id,
    candidate.full_name,
    candidate.category,
    coalesce(
        candidate.priority_level, public.category_priority(candidate.limits, candidate.category)
    ) AS priority,
    candidate.activity
FROM (
    SELECT
        repository.id,
        coalesce(repository.full_name, repository.id::text) AS full_name,
        limits,
        coalesce(
            recorded.category,
            public.category_within(
                limits, activity.stars, activity.contributors, activity.pull_requests
            )
        ) AS category,
        recorded.priority_level,
        coalesce(
            recorded.monthly_activity_score,
            public.monthly_activity_score(
                activity.stars, activity.contributors, activity.pull_requests
            )
        ) AS activity
    FROM public.repositories AS repository
    INNER JOIN public.repository_activity AS activity ON repository.id = activity.repository_id
    CROSS JOIN public.category_limits AS limits
    LEFT JOIN public.repository_categories AS recorded ON repository.id = recorded.repository_id
) AS candidate
WHERE
    NOT EXISTS (
        SELECT
        FROM public.eligible_repositories(:feature) AS eligible (id)
        WHERE eligible.id = candidate.id
    )
    AND NOT EXISTS (
        SELECT
        FROM public.rollout_listed_repositories(:feature) AS listed
        WHERE listed.list = 'exclusions' AND listed.repository_id = candidate.id
    )
ORDER BY
    priority DESC,
    candidate.activity DESC,
    lower(candidate.full_name)
LIMIT :most;
