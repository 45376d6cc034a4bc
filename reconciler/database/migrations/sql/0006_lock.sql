-- The lock of writers: one row, which only accounts that may apply can lock. Every login can take every advisory
-- lock and hold it; a row needs rights. The file can run twice: a first upgrade begins with it, so that of two
-- first upgrades at once one waits for the other.

CREATE TABLE IF NOT EXISTS public.rollout_lock (
    name text PRIMARY KEY CHECK (name = 'writer')
);

INSERT INTO public.rollout_lock (name) VALUES ('writer') ON CONFLICT DO NOTHING;

-- The default privileges of a platform can give rights on each new table to accounts of its own.
DO $$
DECLARE
    account text;
BEGIN
    FOR account IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = 'public.rollout_lock'::regclass AND entry.grantee <> pg_class.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON public.rollout_lock FROM %s', account);
    END LOOP;
END
$$;
