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

-- name: by_hand
-- The newest row of each feature since the last apply that no program of the rollout wrote. All rows of
-- programs have a generation in their metadata.
SELECT DISTINCT ON (configuration.feature_name)
    history.created_at,
    configuration.feature_name,
    history.action,
    history.previous_percentage,
    history.new_percentage,
    history.reason,
    history.triggered_by,
    history.metadata
FROM public.rollout_history AS history
INNER JOIN public.rollout_configuration AS configuration
    ON history.rollout_config_id = configuration.id
WHERE
    NOT coalesce(history.metadata ? 'generation', false)
    AND history.created_at > coalesce(
        (SELECT max(generation.applied_at) FROM public.rollout_generation AS generation),
        '-infinity'
    )
ORDER BY configuration.feature_name ASC, history.position DESC;

-- name: newest_entry
-- The newest row that records one of these keys in a list of a feature, or that created the feature with it.
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
INNER JOIN public.rollout_configuration AS configuration
    ON history.rollout_config_id = configuration.id
WHERE
    configuration.feature_name = :feature
    AND (
        (
            history.action = :action
            AND lower(history.metadata ->> 'key') = ANY(:keys)
        )
        -- A feature is created with its whole lists, in one row.
        OR (
            history.action = 'created'
            AND CAST(lower(CAST(history.metadata -> 'after' -> CAST(:list AS text) AS text)) AS jsonb)
            ?| CAST(:keys AS text[])
        )
    )
ORDER BY history.position DESC
LIMIT 1;

-- name: record_change
-- One change of one value. Author, time and reason are the same for a whole apply and are in `metadata`.
INSERT INTO public.rollout_history (
    rollout_config_id,
    action,
    previous_percentage,
    new_percentage,
    reason,
    triggered_by,
    metadata
)
VALUES (
    (
        SELECT configuration.id
        FROM public.rollout_configuration AS configuration
        WHERE configuration.feature_name = :feature_name
    ),
    :action,
    :previous_percentage,
    :new_percentage,
    :reason,
    :triggered_by,
    CAST(:metadata AS jsonb)
);

-- name: record_entries
-- One row for each added or removed entry of a list, or mark.
INSERT INTO public.rollout_history (
    rollout_config_id,
    action,
    reason,
    triggered_by,
    metadata
)
SELECT
    configuration.id,
    :action,
    :reason,
    :triggered_by,
    CAST(:metadata AS jsonb) || jsonb_build_object('entry', entries.name, 'key', entries.key)
FROM unnest(CAST(:keys AS text []), CAST(:names AS text [])) WITH ORDINALITY
AS entries (key, name, position)
LEFT JOIN public.rollout_configuration AS configuration
    ON configuration.feature_name = :feature_name
ORDER BY entries.position;
