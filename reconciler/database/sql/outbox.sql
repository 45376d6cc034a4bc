-- name: targets
-- The targets of the last applied file.
SELECT name, kind, events, severities, features
FROM public.rollout_notification_target
ORDER BY name;

-- name: remove_targets
-- Targets that the file no longer has.
DELETE FROM public.rollout_notification_target
WHERE name <> ALL (CAST(:names AS text []));

-- name: write_target
-- One target as the file has it.
INSERT INTO public.rollout_notification_target (name, kind, events, severities, features)
VALUES (
    :name,
    :kind,
    CAST(:events AS text []),
    CAST(:severities AS text []),
    CAST(:features AS text [])
)
ON CONFLICT (name) DO UPDATE
SET
    kind = excluded.kind,
    events = excluded.events,
    severities = excluded.severities,
    features = excluded.features;

-- name: notify
-- Records an event that no trigger sees, for each target that receives it.
SELECT public.rollout_notify(:event, :feature, :occurrence, CAST(:details AS jsonb));

-- name: due_targets
-- The targets that have a row whose time has come, and the moment of this look. Events that this release does not
-- know are left to a newer one.
SELECT DISTINCT target, statement_timestamp() AS now
FROM public.rollout_notification
WHERE
    state = 'pending'
    AND next_try_at <= statement_timestamp()
    AND event = ANY (CAST(:events AS text []))
ORDER BY target;

-- name: claim
-- Takes the rows of a target's next message, so that another process does not send them: those of the oldest row
-- that is due, and those of the same event that are due with it. A row waits for each older row of its incident.
-- A message that was claimed before keeps its rows and its id.
WITH due AS (
    SELECT candidate.id, candidate.event, candidate.message_id, candidate.position
    FROM public.rollout_notification AS candidate
    WHERE
        candidate.target = :target
        AND candidate.state = 'pending'
        AND candidate.event = ANY (CAST(:events AS text []))
        AND candidate.next_try_at <= clock_timestamp()
        AND candidate.created_at <= CAST(:until AS timestamptz)
        AND NOT EXISTS (
            SELECT FROM public.rollout_notification AS older
            WHERE older.target = candidate.target
                AND older.dedup_key = candidate.dedup_key
                AND older.state = 'pending'
                AND older.position < candidate.position
        )
    ORDER BY candidate.position
    FOR UPDATE SKIP LOCKED
),

first_due AS (
    SELECT event, message_id
    FROM due
    ORDER BY position
    LIMIT 1
),

same_message AS (
    SELECT due.id, due.position, due.message_id IS NOT null AS was_claimed
    FROM due
    INNER JOIN first_due ON due.event = first_due.event
        AND due.message_id IS NOT DISTINCT FROM first_due.message_id
),

chosen AS (
    SELECT id
    FROM (
        SELECT
            id,
            position = min(position) OVER () AS is_oldest,
            count(*) OVER () > :most_single AS are_many,
            was_claimed
        FROM same_message
    ) AS candidate
    WHERE was_claimed OR are_many OR is_oldest
)

UPDATE public.rollout_notification AS claimed
SET
    attempts = claimed.attempts + 1,
    next_try_at = clock_timestamp() + :claim,
    message_id = coalesce(claimed.message_id, :message_id)
FROM chosen
WHERE claimed.id = chosen.id
RETURNING
    claimed.id,
    claimed.target,
    claimed.event,
    claimed.severity,
    claimed.feature_name AS feature,
    claimed.dedup_key,
    claimed.details,
    claimed.created_at,
    claimed.attempts,
    claimed.tried_since,
    claimed.message_id,
    claimed.position,
    clock_timestamp() AS now;

-- name: settle
-- The result of a try. A row that another process has settled meanwhile stays as it is.
UPDATE public.rollout_notification
SET
    state = :state,
    last_answer = :answer,
    delivered_at = CASE WHEN :state = 'delivered' THEN clock_timestamp() END,
    next_try_at = CASE
        WHEN :state = 'pending' THEN clock_timestamp() + CAST(:wait AS interval) ELSE next_try_at
    END
WHERE message_id = :message_id AND target = :target AND state = 'pending';

-- name: list
-- Rows of the outbox, the newest first, of the events that this release knows.
SELECT
    notification.id,
    notification.target,
    notification.event,
    notification.severity,
    notification.feature_name AS feature,
    notification.dedup_key,
    notification.details,
    notification.created_at,
    notification.attempts,
    notification.state,
    notification.last_answer,
    notification.next_try_at
FROM public.rollout_notification AS notification
WHERE
    (CAST(:state AS text) IS null OR notification.state = :state)
    AND (CAST(:feature AS text) IS null OR notification.feature_name = :feature)
    AND notification.event = ANY (CAST(:events AS text []))
ORDER BY notification.position DESC
LIMIT :limit;

-- name: retry
-- Makes dead and waiting rows due now: those with these ids, or all. A message is then tried for another 24 hours.
-- The end of an incident that was delivered already is delivered again after them: without it, a page that comes late
-- would never resolve.
WITH retried AS (
    UPDATE public.rollout_notification
    SET state = 'pending', next_try_at = clock_timestamp(), attempts = 0, tried_since = clock_timestamp()
    WHERE
        state IN ('dead', 'pending')
        AND (CAST(:ids AS uuid []) IS null OR id = ANY (CAST(:ids AS uuid [])))
    RETURNING id, target, dedup_key, position
),

resolving AS (
    UPDATE public.rollout_notification AS ending
    SET state = 'pending', next_try_at = clock_timestamp(), attempts = 0, tried_since = clock_timestamp()
    FROM retried
    WHERE
        ending.state = 'delivered'
        AND ending.event = 'resumed'
        AND ending.target = retried.target
        AND ending.dedup_key = retried.dedup_key
        AND ending.position > retried.position
    RETURNING ending.id
)

SELECT id FROM retried
UNION ALL
SELECT id FROM resolving;

-- name: counts
-- How many rows are dead, late and pending.
SELECT
    count(*) FILTER (WHERE state = 'dead') AS dead,
    count(*) FILTER (
        WHERE state = 'pending' AND created_at < clock_timestamp() - CAST(:late AS interval)
    ) AS late,
    count(*) FILTER (WHERE state = 'pending') AS pending
FROM public.rollout_notification
WHERE state <> 'delivered';

-- name: prune
-- Deletes old rows, some at a time. The row of a limit in force stays: the end of the limit must resolve it.
DELETE FROM public.rollout_notification
WHERE id IN (
    SELECT id
    FROM public.rollout_notification
    WHERE
        created_at < clock_timestamp() - CAST(:keep AS interval)
        AND state <> 'pending'
        AND NOT (event IN ('rolled_back', 'stopped', 'watch_absent') AND resolved_at IS null)
    ORDER BY created_at
    LIMIT 1000
);

-- name: reason_by_hand
-- The newest row of history that people wrote by hand about a feature since a moment: psql often commits the
-- change before its history.
SELECT reason, triggered_by
FROM public.rollout_history AS history
INNER JOIN public.rollout_configuration AS configuration
    ON history.rollout_config_id = configuration.id
WHERE
    configuration.feature_name = :feature
    AND history.created_at >= :since
    AND NOT coalesce(history.metadata ? 'generation', false)
ORDER BY history.position DESC
LIMIT 1;

-- name: absent_since
-- The end of the watch's lease, if it ended long ago and a watcher held it at some time.
SELECT until
FROM public.rollout_lease
WHERE name = :lease AND until < clock_timestamp() - CAST(:patience AS interval);

-- name: stuck_overrides
-- Overrides that git does not show after a time: those in force whose block is not in the file.
SELECT
    override.id,
    override.reason,
    override.triggered_by AS by,
    configuration.feature_name AS feature,
    override.proposed_branch
FROM public.rollout_override AS override
INNER JOIN public.rollout_configuration AS configuration
    ON override.rollout_config_id = configuration.id
WHERE
    override.state IN ('on', 'off')
    AND override.written_back_at IS null
    AND override.updated_at < clock_timestamp() - CAST(:patience AS interval);

-- name: source_file
-- The file of the last apply.
SELECT generation.file
FROM public.rollout_generation AS generation
INNER JOIN public.rollout_state AS state ON generation.generation = state.generation;

-- name: resolved_incidents
-- The incidents among the given ones that are over. Rows that one message opened are one incident, with the key
-- of the oldest; it is over when each of them is.
SELECT DISTINCT
    (
        SELECT oldest.dedup_key
        FROM public.rollout_notification AS oldest
        WHERE oldest.target = opening.target AND oldest.message_id = opening.message_id
        ORDER BY oldest.position
        LIMIT 1
    ) AS dedup_key
FROM public.rollout_notification AS opening
WHERE
    opening.target = :target
    AND opening.dedup_key = ANY (CAST(:dedup_keys AS text []))
    AND opening.event <> 'resumed'
    AND opening.message_id IS NOT null
    AND NOT EXISTS (
        SELECT
        FROM public.rollout_notification AS together
        WHERE
            together.target = opening.target
            AND together.message_id = opening.message_id
            AND together.resolved_at IS null
    );
