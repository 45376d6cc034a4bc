-- name: synchronous
-- Whether a COMMIT waits for a standby. Patroni sets the names while there is one.
SELECT
    current_setting('synchronous_standby_names') <> ''
    AND current_setting('synchronous_commit') <> 'local';

-- name: replayed
-- The time of the newest commit that a replica has replayed; null on a primary.
SELECT CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_xact_replay_timestamp(), 'epoch') END;
