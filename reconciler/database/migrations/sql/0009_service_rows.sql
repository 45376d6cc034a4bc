-- The statements of an adopted service go on working. Its windows begin by the clock of a client, end by that of the
-- database, and can be a little longer than a day, or much longer; it can count an error without its job. Such rows
-- count from when they were written.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM public.rollout_adopted_object WHERE kind = 'table' AND name = 'rollout_metrics'
    )
        -- The first releases kept no record of what they adopted.
        OR EXISTS (SELECT FROM public.rollout_history WHERE action = 'adopted')
    THEN
        ALTER TABLE public.rollout_metrics
        DROP CONSTRAINT IF EXISTS rollout_metrics_short_windows,
        DROP CONSTRAINT IF EXISTS rollout_metrics_errors_of_jobs;
    END IF;
END
$$;

-- The releases that adopted with the revisions 0003 to 0005 replaced each `categorize_repository` of a service, also
-- one that has to keep its result, its rights and its writing. The files that follow make it as the service needs it,
-- unless something uses the present one.
UPDATE public.rollout_adopted_object AS adopted
SET definition = jsonb_set(adopted.definition, '{kept}', 'true')
WHERE adopted.kind = 'function'
    AND adopted.name = 'public.categorize_repository(uuid)'
    AND adopted.definition ->> 'result' IN ('text', 'character varying', 'void')
    AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE pg_depend.refclassid = 'pg_proc'::regclass
            AND pg_depend.refobjid = to_regprocedure('public.categorize_repository(uuid)')
            AND pg_depend.deptype = 'n'
    );

DO $$
BEGIN
    IF to_regclass('pg_temp.host_object') IS NOT NULL THEN
        -- An earlier revision of this upgrade has read it.
        DELETE FROM pg_temp.host_object WHERE kind = 'function';
    END IF;
END
$$;
