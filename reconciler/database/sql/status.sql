-- name: state
-- What was applied last.
SELECT generation, applied_commit, applied_at
FROM public.rollout_state;

-- name: features
-- Each feature on one line: what is asked for, and how many get it.
SELECT
    configuration.feature_name AS name,
    configuration.is_active AS active,
    configuration.emergency_stop,
    configuration.rollout_strategy AS strategy,
    configuration.rollout_percentage AS percentage,
    (
        SELECT count(*) FROM public.eligible_repositories(configuration.feature_name)
    ) AS eligible,
    (
        SELECT count(*)
        FROM public.rollout_membership AS membership
        WHERE membership.rollout_config_id = configuration.id AND membership.list = 'whitelist'
    ) AS whitelist,
    (
        SELECT count(*)
        FROM public.rollout_membership AS membership
        WHERE membership.rollout_config_id = configuration.id AND membership.list = 'exclusions'
    ) AS exclusions,
    configuration.updated_at
FROM public.rollout_configuration AS configuration
WHERE CAST(:feature AS text) IS null OR configuration.feature_name = :feature
ORDER BY configuration.feature_name;

-- name: repositories
-- How many there are to choose from.
SELECT count(*) FROM public.repositories;
