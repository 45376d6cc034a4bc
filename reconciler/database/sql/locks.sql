-- name: try
-- The lock of writers, if no other writer has it; no row otherwise.
SELECT lock.name
FROM public.rollout_lock AS lock
WHERE lock.name = 'writer'
FOR UPDATE SKIP LOCKED;

-- name: wait
-- The lock of writers, as soon as the writer that has it ends.
SELECT lock.name
FROM public.rollout_lock AS lock
WHERE lock.name = 'writer'
FOR UPDATE;

-- name: limit_waiting
-- Bounds the waits of this transaction.
SELECT set_config('lock_timeout', :lock_timeout, true);

-- name: writer
-- The session that has the lock of writers: a row names the transaction that locked it.
SELECT
    activity.pid,
    coalesce(nullif(activity.application_name, ''), 'a program without a name') AS program,
    activity.usename AS role,
    activity.state,
    activity.xact_start AS since
FROM public.rollout_lock AS lock
INNER JOIN pg_locks AS locks
    ON lock.xmax = locks.transactionid AND locks.granted AND locks.mode = 'ExclusiveLock'
INNER JOIN pg_stat_activity AS activity ON locks.pid = activity.pid
WHERE lock.name = 'writer' AND locks.pid <> pg_backend_pid();

-- name: holders
-- The sessions that hold locks on the tables, the oldest transaction first. A session that only reads holds
-- up an upgrade alone. A relation that is in no catalog yet is one that an open transaction created.
SELECT DISTINCT
    activity.pid,
    coalesce(nullif(activity.application_name, ''), 'a program without a name') AS program,
    activity.usename AS role,
    activity.state,
    activity.xact_start AS since
FROM pg_locks AS locks
INNER JOIN pg_stat_activity AS activity ON locks.pid = activity.pid
LEFT JOIN pg_class AS class ON locks.relation = class.oid
WHERE
    locks.granted
    AND locks.pid <> pg_backend_pid()
    AND locks.locktype = 'relation'
    AND locks.database = (
        SELECT db.oid FROM pg_database AS db
        WHERE db.datname = current_database()
    )
    AND (
        (class.oid IS null AND locks.mode = 'AccessExclusiveLock')
        OR (
            class.relnamespace = to_regnamespace('public')
            AND class.relname IN (
                'repositories', 'pull_requests', 'repository_categories', 'category_threshold',
                'rollout_configuration', 'rollout_metrics', 'rollout_history', 'rollout_generation',
                'rollout_state', 'rollout_override', 'rollout_membership', 'rollout_lease',
                'rollout_lock', 'rollout_metrics_rollup', 'rollout_metrics_turn', 'rollout_evidence', 'rollout_evidence_state',
                'rollout_processor', 'rollout_processor_name', 'rollout_running_job',
                'rollout_schema_version', 'rollout_write', 'rollout_eligible_count'
            )
            AND (:with_readers OR locks.mode <> 'AccessShareLock')
        )
    )
ORDER BY since, activity.pid
LIMIT 5;
