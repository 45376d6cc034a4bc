-- Bucketing: how a percentage picks repositories. A feature uses `sha256`, as before, or `hashtext`, the hash
-- of services that decided by `abs(hashtext(id::text) % 100)`. `reconciler.targeting` computes both in
-- Python.

-- Another hash would move repositories without a change of the configuration.
DO $$
BEGIN
    IF hashtext('6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11') <> 243516521 THEN
        RAISE EXCEPTION 'hashtext of this server has other values than that of Postgres 14 to 18 on'
            ' little-endian machines'
            USING ERRCODE = 'RR001', HINT = 'use a little-endian server, Postgres 14 to 18';
    END IF;
END
$$;

-- The features of an adopted service get the bucketing of the service's own function.
DO $$
BEGIN
    EXECUTE format(
        'ALTER TABLE public.rollout_configuration ADD COLUMN bucketing text NOT NULL DEFAULT %L'
        ' CHECK (bucketing IN (''sha256'', ''hashtext''))',
        coalesce(nullif(current_setting('rollout.bucketing', true), ''), 'sha256')
    );
END
$$;
ALTER TABLE public.rollout_configuration ALTER COLUMN bucketing SET DEFAULT 'sha256';

-- Roles that read single columns need this column for eligibility, as they need the salt.
DO $$
DECLARE
    reader text;
BEGIN
    FOR reader IN
        SELECT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_attribute, aclexplode(attacl) AS entry
        WHERE attrelid = 'public.rollout_configuration'::regclass
            AND attname = 'salt' AND entry.privilege_type = 'SELECT'
    LOOP
        EXECUTE format('GRANT SELECT (bucketing) ON public.rollout_configuration TO %s', reader);
    END LOOP;
END
$$;
