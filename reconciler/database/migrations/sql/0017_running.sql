-- The jobs that run now, and how many jobs may run on a processor.

ALTER TABLE public.rollout_processor
-- Over it, jobs of a rule with `spill` go to the feature's other processor; null: no limit.
ADD COLUMN concurrency integer CHECK (concurrency > 0);

ALTER TABLE public.rollout_configuration
ADD CONSTRAINT rollout_configuration_spill_check CHECK (
    NOT jsonb_path_exists(routing, '$[*] ? (exists (@.spill) && @.spill.type() != "boolean")')
);

-- One row for each job that started and has not ended. No two jobs write the same row, and no row refers to the
-- feature's, so that no job waits for another one.
CREATE TABLE public.rollout_running_job (
    id uuid PRIMARY KEY,
    rollout_config_id uuid NOT NULL,
    processor_type varchar(50) NOT NULL,
    reporter uuid,
    started_at timestamptz NOT NULL
);

CREATE INDEX rollout_running_job_processor_index
ON public.rollout_running_job (processor_type, started_at);

CREATE INDEX rollout_running_job_started_index ON public.rollout_running_job (started_at);

-- The default privileges of a platform can give rights on each new table to accounts of its own.
DO $$
DECLARE
    account text;
BEGIN
    FOR account IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = 'public.rollout_running_job'::regclass
            AND entry.grantee <> pg_class.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON public.rollout_running_job FROM %s', account);
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = 'public.rollout_configuration'::regclass)
    THEN
        ALTER TABLE public.rollout_running_job ENABLE ROW LEVEL SECURITY;
    END IF;
END
$$;
