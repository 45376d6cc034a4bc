-- The writes that took place. Each has an id that its writer made before the transaction, and the transaction
-- records it here. A writer whose COMMIT got no answer sends the same id again: it is refused if the first
-- transaction took place. The number of a transaction proves nothing: after a failover the new primary
-- gives the number of a lost transaction to another one.

CREATE TABLE public.rollout_write (
    id uuid PRIMARY KEY,
    number bigint NOT NULL,
    keep_until timestamptz NOT NULL
);

CREATE INDEX rollout_write_keep_until_index ON public.rollout_write (keep_until);

-- The default privileges of a platform can give rights on each new table to accounts of its own.
DO $$
DECLARE
    account text;
BEGIN
    FOR account IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = 'public.rollout_write'::regclass
            AND entry.grantee <> pg_class.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON public.rollout_write FROM %s', account);
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = 'public.rollout_configuration'::regclass)
    THEN
        ALTER TABLE public.rollout_write ENABLE ROW LEVEL SECURITY;
    END IF;
END
$$;
