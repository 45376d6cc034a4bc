-- The names of processors that each feature's jobs were reported with, by day. A worker can report any name; each is
-- kept in every row of metrics, so their number has a limit. Names are not unique: no worker waits for another one.

CREATE TABLE public.rollout_processor_name (
    rollout_config_id uuid NOT NULL
    REFERENCES public.rollout_configuration (id) ON DELETE CASCADE,
    reported_on date NOT NULL,
    name varchar(50) NOT NULL
);

CREATE INDEX rollout_processor_name_index
ON public.rollout_processor_name (rollout_config_id, reported_on, name);

-- The default privileges of a platform can give rights on each new table to accounts of its own.
DO $$
DECLARE
    account text;
BEGIN
    FOR account IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = 'public.rollout_processor_name'::regclass
            AND entry.grantee <> pg_class.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON public.rollout_processor_name FROM %s', account);
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = 'public.rollout_configuration'::regclass)
    THEN
        ALTER TABLE public.rollout_processor_name ENABLE ROW LEVEL SECURITY;
    END IF;
END
$$;
