-- name: take
-- Takes a lease that is free or has expired, by the database's clock; one of several takers gets a row.
INSERT INTO public.rollout_lease AS lease (name, holder, until)
VALUES (:name, :holder, clock_timestamp() + :length)
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, until = excluded.until
-- A lease written by hand can end at any time: none lasts longer than a day.
WHERE
    lease.until <= clock_timestamp()
    OR lease.until > clock_timestamp() + interval '1 day'
    -- The holder did not get the answer, and asks again.
    OR lease.holder = excluded.holder
RETURNING until;

-- name: renew
-- Extends a lease that the holder still holds, from now on.
UPDATE public.rollout_lease
SET until = clock_timestamp() + :length
WHERE name = :name AND holder = :holder AND until > clock_timestamp()
RETURNING until;

-- name: release
-- Ends a lease at once.
UPDATE public.rollout_lease
SET until = clock_timestamp()
WHERE name = :name AND holder = :holder AND until > clock_timestamp();

-- name: end
-- Ends a lease at once, whichever process holds it.
UPDATE public.rollout_lease
SET until = clock_timestamp()
WHERE name = :name AND until > clock_timestamp();

-- name: holder
-- The present holder of a lease.
SELECT holder, until
FROM public.rollout_lease
WHERE name = :name AND until > clock_timestamp();

-- name: ticked
-- Records a tick that succeeded.
UPDATE public.rollout_lease
SET last_tick = clock_timestamp()
WHERE name = :name AND holder = :holder;

-- name: lineages
-- The lineage of this server's log, and the one that was recorded last. The file of the log names the timeline at
-- once after a promotion; the control file only after the next checkpoint.
SELECT
    server.system_identifier,
    CASE
        WHEN NOT pg_is_in_recovery()
            THEN CAST(CAST('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS bit(32)) AS bigint)
    END AS timeline,
    lease.system_identifier AS recorded_system_identifier,
    lease.timeline AS recorded_timeline
FROM pg_control_system() AS server
LEFT JOIN public.rollout_lease AS lease ON lease.name = :name;

-- name: record_lineage
-- Records the lineage of a server whose overrides were compared with git.
UPDATE public.rollout_lease
SET system_identifier = :system_identifier, timeline = :timeline
WHERE name = :name AND holder = :holder;

-- name: may_read
-- Whether this account may read leases.
SELECT has_table_privilege('public.rollout_lease', 'SELECT');

-- name: last_tick
-- When the last tick that succeeded ended.
SELECT lease.last_tick
FROM public.rollout_lease AS lease
WHERE lease.name = :name;
