-- name: take
-- Takes what is free or has run out, by the database's clock; of several who try one gets a row back.
INSERT INTO public.rollout_lease AS lease (name, holder, until)
VALUES (:name, :holder, clock_timestamp() + :length)
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, until = excluded.until
WHERE lease.until <= clock_timestamp()
RETURNING until;

-- name: renew
-- Makes a lease last again from now on, where it is still the holder's.
UPDATE public.rollout_lease
SET until = clock_timestamp() + :length
WHERE name = :name AND holder = :holder AND until > clock_timestamp()
RETURNING until;

-- name: release
-- Lets the next one in at once.
UPDATE public.rollout_lease
SET until = clock_timestamp()
WHERE name = :name AND holder = :holder AND until > clock_timestamp();

-- name: holder
-- Who holds a lease now.
SELECT holder, until
FROM public.rollout_lease
WHERE name = :name AND until > clock_timestamp();
