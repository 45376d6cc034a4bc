-- name: refusals
-- Applies that were refused since the newest apply, the newest first: each commit once. They are known only where a
-- target receives the event.
SELECT DISTINCT ON (notification.occurrence)
    notification.event,
    notification.created_at AS at,
    notification.details ->> 'reason' AS reason,
    notification.details ->> 'commit' AS commit
FROM public.rollout_notification AS notification
WHERE
    notification.event IN ('refused', 'drift_held')
    AND notification.created_at > coalesce(
        (SELECT state.applied_at FROM public.rollout_state AS state), '-infinity'
    )
ORDER BY notification.occurrence ASC, notification.created_at DESC
LIMIT :most;

-- name: undelivered
-- Notifications that are dead, or that have waited for longer than people expect, the oldest first.
SELECT
    notification.id,
    notification.target,
    notification.event,
    notification.feature_name AS feature,
    notification.state = 'dead' AS is_dead,
    notification.created_at AS at,
    notification.attempts,
    notification.last_answer
FROM public.rollout_notification AS notification
WHERE
    notification.state = 'dead'
    OR (
        notification.state = 'pending'
        AND notification.created_at < clock_timestamp() - CAST(:late AS interval)
    )
ORDER BY notification.position
LIMIT :most;
