-- name: standing
-- Overrides that git must have (in force) or lose (resumed), and whether git was seen to agree.
SELECT
    override.id,
    override.rollout_config_id,
    override.proposed_branch,
    configuration.feature_name,
    override.written_back_at IS NOT null AS is_seen
FROM public.rollout_override AS override
INNER JOIN public.rollout_configuration AS configuration
    ON override.rollout_config_id = configuration.id
WHERE
    override.state = 'on'
    OR (override.state = 'off' AND override.written_back_at IS null)
ORDER BY override.created_at, override.id;

-- name: mark_seen
-- Marks rows with which git agrees; a row whose state has changed meanwhile is checked again.
UPDATE public.rollout_override AS override
SET written_back_at = now()
FROM unnest(CAST(:features AS text []), CAST(:ids AS uuid []), CAST(:states AS text []))
AS seen (feature_name, id, state)
INNER JOIN public.rollout_configuration AS configuration
    ON seen.feature_name = configuration.feature_name
WHERE
    override.rollout_config_id = configuration.id
    AND override.id = seen.id
    AND override.state = seen.state
    AND override.written_back_at IS null;

-- name: look_again
-- Unmarks overrides with which git does not agree any more: a resumed one with a block in an applied file,
-- and one in force without a block there.
UPDATE public.rollout_override AS override
SET written_back_at = null
FROM unnest(CAST(:features AS text []), CAST(:ids AS uuid []), CAST(:states AS text []))
AS found (feature_name, id, state)
INNER JOIN public.rollout_configuration AS configuration
    ON found.feature_name = configuration.feature_name
WHERE
    override.rollout_config_id = configuration.id
    AND override.id = found.id
    AND override.state = found.state
    AND override.written_back_at IS NOT null;

-- name: mark_proposed
-- Stores the branch that proposes an override whose own branch accepted no push, so that it is pushed once.
UPDATE public.rollout_override AS override
SET proposed_branch = :branch
FROM public.rollout_configuration AS configuration
WHERE
    override.rollout_config_id = configuration.id
    AND configuration.feature_name = :feature
    AND override.id = :id;
