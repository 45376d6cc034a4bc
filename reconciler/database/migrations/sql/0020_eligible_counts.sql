-- The eligible repositories of each feature, as an apply or the watch counted them last.
CREATE TABLE public.rollout_eligible_count (
    rollout_config_id uuid PRIMARY KEY REFERENCES public.rollout_configuration (id) ON DELETE CASCADE,
    -- A hash of the configuration that was counted. A count with another hash is of an earlier configuration.
    audience_hash bigint NOT NULL,
    counted_at timestamptz NOT NULL,
    repositories bigint NOT NULL,
    test_repositories bigint NOT NULL,
    -- The eligible repositories by category.
    test bigint NOT NULL,
    small bigint NOT NULL,
    medium bigint NOT NULL,
    large bigint NOT NULL,
    enterprise bigint NOT NULL
);

-- The last resume of a feature, without a scan of the whole history.
CREATE INDEX rollout_history_resumed_index ON public.rollout_history (rollout_config_id, created_at)
WHERE action = 'resumed';

-- The default privileges of a platform can give rights on each new table to accounts of its own.
DO $$
DECLARE
    account text;
BEGIN
    FOR account IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = 'public.rollout_eligible_count'::regclass
            AND entry.grantee <> pg_class.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON public.rollout_eligible_count FROM %s', account);
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = 'public.rollout_configuration'::regclass)
    THEN
        ALTER TABLE public.rollout_eligible_count ENABLE ROW LEVEL SECURITY;
    END IF;
END
$$;
