-- name: history
-- The newest rows, newest first; each filter is off where its parameter is null.
SELECT
    history.created_at,
    configuration.feature_name,
    history.action,
    history.previous_percentage,
    history.new_percentage,
    history.reason,
    history.triggered_by,
    history.metadata
FROM public.rollout_history AS history
LEFT JOIN public.rollout_configuration AS configuration
    ON history.rollout_config_id = configuration.id
WHERE (CAST(:feature AS text) IS null OR configuration.feature_name = :feature)
    AND (CAST(:action AS text) IS null OR history.action = :action)
    AND (CAST(:since AS timestamptz) IS null OR history.created_at >= :since)
ORDER BY history.position DESC
LIMIT :limit;
