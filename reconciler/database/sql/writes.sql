-- name: claim
-- Records a write in this transaction; false if a transaction with the same id has committed. The COMMIT waits until
-- the write is on this server's disk, and on a synchronous standby's, also where the server's default is weaker.
SELECT
    public.claim_rollout_write(:id, 1, :keep_for) AS is_new,
    CASE
        WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
            THEN set_config('synchronous_commit', 'on', true)
    END AS durability;
