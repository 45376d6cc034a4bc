-- Protects a service that hands over its tables: its metrics rows stay its own, its previous state is kept
-- for `reconcile db remove`, and new objects are closed to all other roles first.

-- Whether `record_rollout_job` maintains this row as the one of its window. This holds for all rows until
-- now, except those of a service that is adopted in this transaction.
DO $$
DECLARE
    unique_window name;
BEGIN
    IF to_regclass('pg_temp.adopted') IS NOT NULL THEN
        ALTER TABLE public.rollout_metrics ADD COLUMN is_window boolean NOT NULL DEFAULT false;
        RETURN;
    END IF;
    ALTER TABLE public.rollout_metrics ADD COLUMN is_window boolean NOT NULL DEFAULT true;
    ALTER TABLE public.rollout_metrics ALTER COLUMN is_window SET DEFAULT false;
    FOR unique_window IN
        SELECT conname FROM pg_constraint
        WHERE conrelid = 'public.rollout_metrics'::regclass AND contype = 'u'
            AND pg_get_constraintdef(oid)
            = 'UNIQUE (rollout_config_id, repository_id, processor_type, metrics_window_start)'
    LOOP
        EXECUTE format('ALTER TABLE public.rollout_metrics DROP CONSTRAINT %I', unique_window);
    END LOOP;
END
$$;

CREATE UNIQUE INDEX rollout_metrics_window_key ON public.rollout_metrics (
    rollout_config_id, repository_id, processor_type, metrics_window_start
) WHERE is_window;

CREATE INDEX rollout_metrics_written_index
ON public.rollout_metrics (rollout_config_id, greatest(created_at, updated_at))
WHERE CASE
    WHEN isfinite(metrics_window_start) AND isfinite(metrics_window_end)
        THEN metrics_window_end - metrics_window_start > interval '5 minutes'
END;

-- The state of a service before adoption; `reconcile db remove` restores it.
CREATE TABLE public.rollout_adopted_object (
    kind text NOT NULL,
    relation text NOT NULL,
    name text NOT NULL,
    definition jsonb NOT NULL,
    PRIMARY KEY (kind, relation, name)
);
CREATE TABLE public.rollout_adopted_row (
    relation text NOT NULL,
    id uuid NOT NULL,
    before jsonb NOT NULL,
    -- Null if adoption deleted the row.
    after jsonb,
    PRIMARY KEY (relation, id)
);

-- The functions, triggers and views of this schema as the last upgrade created them.
CREATE TABLE public.rollout_schema_object (
    kind text NOT NULL,
    name text NOT NULL,
    fingerprint text NOT NULL,
    -- Each major release of Postgres may print definitions differently.
    server_version integer NOT NULL,
    PRIMARY KEY (kind, name)
);
