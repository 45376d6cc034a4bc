-- name: page
-- A page of history rows, the newest first; each filter is off where its parameter is null. A person is found by a
-- part of the name, in any case.
SELECT
    history.position,
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
WHERE
    (CAST(:feature AS text) IS null OR configuration.feature_name = :feature)
    AND (CAST(:action AS text) IS null OR history.action = :action)
    AND (
        CAST(:by AS text) IS null
        OR strpos(lower(history.triggered_by), lower(CAST(:by AS text))) > 0
    )
    AND (CAST(:since AS timestamptz) IS null OR history.created_at >= :since)
    AND (CAST(:until AS timestamptz) IS null OR history.created_at < :until)
    AND (CAST(:before AS bigint) IS null OR history.position < :before)
ORDER BY history.position DESC
LIMIT :limit;
