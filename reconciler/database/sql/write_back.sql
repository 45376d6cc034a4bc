-- name: pending
-- What git is not known to say yet: overrides in force, and resumed ones whose block may still be there.
SELECT
    override.id,
    override.rollout_config_id,
    override.proposed_branch,
    configuration.feature_name
FROM public.rollout_override AS override
INNER JOIN public.rollout_configuration AS configuration
    ON override.rollout_config_id = configuration.id
WHERE override.state IN ('on', 'off') AND override.written_back_at IS null
ORDER BY override.created_at, override.id;

-- name: mark_seen
-- Git says what these rows do; one whose state has changed meanwhile is looked at again.
UPDATE public.rollout_override AS override
SET written_back_at = now()
FROM unnest(CAST(:ids AS uuid []), CAST(:states AS text [])) AS seen (id, state)
WHERE override.id = seen.id AND override.state = seen.state AND override.written_back_at IS null;

-- name: look_again
-- A resumed override that was taken for gone, and whose block is in a file that is applied.
UPDATE public.rollout_override
SET written_back_at = null
WHERE id = ANY(CAST(:ids AS uuid [])) AND state = 'off' AND written_back_at IS NOT null;

-- name: mark_proposed
-- The branch that proposes what its own branch did not take, so that it is pushed once.
UPDATE public.rollout_override
SET proposed_branch = :branch
WHERE id = :id;
