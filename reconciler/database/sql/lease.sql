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

-- name: holder
-- The present holder of a lease.
SELECT holder, until
FROM public.rollout_lease
WHERE name = :name AND until > clock_timestamp();
