-- name: database
-- The server, and the database's time.
SELECT
    now() AS now,
    current_setting('server_version') AS version,
    pg_is_in_recovery() AS is_replica,
    current_setting('synchronous_standby_names') AS synchronous_names,
    pg_postmaster_start_time() AS started_at;

-- name: lease
-- The lease of the watch, also an expired one.
SELECT
    lease.holder,
    lease.until,
    lease.last_tick,
    lease.until > clock_timestamp() AS is_held
FROM public.rollout_lease AS lease
WHERE lease.name = :name;

-- name: counted_until
-- The end of the newest window of jobs that a watch has counted.
SELECT max(evidence.closed_until) AS counted_until
FROM public.rollout_evidence AS evidence;

-- name: replicas
-- The replicas that receive the log of changes. Without `pg_monitor` an account sees that they are there, and nothing else
-- of them.
SELECT
    coalesce(replication.application_name, '') AS name,
    replication.state,
    replication.sync_state,
    replication.replay_lag AS lag
FROM pg_stat_replication AS replication
ORDER BY replication.application_name, replication.pid;

-- name: sessions
-- How many sessions of this database each program has.
SELECT
    coalesce(nullif(activity.application_name, ''), 'a program without a name') AS program,
    count(*) AS sessions
FROM pg_stat_activity AS activity
WHERE activity.datname = current_database() AND activity.backend_type = 'client backend'
GROUP BY program
ORDER BY sessions DESC, program ASC
LIMIT :most;

-- name: state
-- The newest generation and its apply.
SELECT
    state.generation,
    state.applied_commit,
    state.applied_at,
    generation.file,
    generation.applied_by
FROM public.rollout_state AS state
LEFT JOIN public.rollout_generation AS generation ON state.generation = generation.generation;
