-- name: state
-- The newest generation, and the newest applied commit.
SELECT generation, applied_commit, applied_at
FROM public.rollout_state;

-- name: features
-- Each feature's configuration, with the number of its list's entries.
SELECT
    configuration.feature_name AS name,
    configuration.is_active AS active,
    configuration.emergency_stop,
    configuration.rollout_strategy AS strategy,
    configuration.rollout_percentage AS percentage,
    (
        SELECT count(*)
        FROM public.rollout_membership AS membership
        WHERE membership.rollout_config_id = configuration.id AND membership.list = 'whitelist'
    ) AS whitelist,
    (
        SELECT count(*)
        FROM public.rollout_membership AS membership
        WHERE 
            membership.rollout_config_id = configuration.id
            AND membership.list = 'exclusions'
            AND membership.named_for IS null
    ) AS exclusions,
    (
        SELECT count(*)
        FROM public.rollout_override AS override
        WHERE
            override.rollout_config_id = configuration.id
            AND override.state = 'off'
            AND override.written_back_at IS null
    ) AS resumed_in_git,
    configuration.updated_at
FROM public.rollout_configuration AS configuration
WHERE CAST(:feature AS text) IS null OR configuration.feature_name = :feature
ORDER BY configuration.feature_name;

-- name: overrides
-- The overrides in force, and whether git has them: write-back has seen it in git, or the newest generation's
-- commit contains it.
SELECT
    configuration.feature_name AS feature,
    override.id,
    override.percentage,
    override.reason,
    override.triggered_by AS by,
    override.created_at AS at,
    (
        override.written_back_at IS NOT null
        OR coalesce(
            generation.desired #>> ARRAY[
                'features', configuration.feature_name, 'override', 'id'
            ] = CAST(override.id AS text),
            false
        )
    ) AS in_git,
    override.proposed_branch
FROM public.rollout_override AS override
INNER JOIN public.rollout_configuration AS configuration
    ON override.rollout_config_id = configuration.id
LEFT JOIN public.rollout_generation AS generation
    ON generation.generation = (SELECT state.generation FROM public.rollout_state AS state)
        AND generation.commit IS NOT null
WHERE override.state = 'on';

-- name: repositories
-- The number of all repositories.
SELECT count(*) FROM public.repositories;
