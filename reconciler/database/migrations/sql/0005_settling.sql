-- The rows, grants and rules for `0005_functions.sql`.

INSERT INTO public.rollout_membership (rollout_config_id, list, key, named_for)
SELECT
    membership.rollout_config_id,
    'exclusions',
    lower(repository.full_name),
    repository.id
FROM public.rollout_membership AS membership
INNER JOIN public.repositories AS repository ON membership.repository_id = repository.id
WHERE membership.list = 'exclusions' AND repository.full_name <> ''
ON CONFLICT DO NOTHING;

-- An account that may write the table directly may call the function; other accounts need the grant.
DO $$
DECLARE
    writer text;
BEGIN
    FOR writer IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = 'public.rollout_metrics'::regclass
            AND entry.privilege_type = 'INSERT' AND entry.grantee <> pg_class.relowner
    LOOP
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION public.record_rollout_job'
            '(text, uuid, text, boolean, double precision, text) TO %s', writer
        );
    END LOOP;
    IF NOT EXISTS (
        SELECT FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = 'public.rollout_metrics'::regclass
            AND entry.privilege_type = 'INSERT' AND entry.grantee = 0
    ) THEN
        REVOKE EXECUTE ON FUNCTION public.record_rollout_job(
            text, uuid, text, boolean, double precision, text
        ) FROM public;
    END IF;
END
$$;

-- These rules hold for new rows; existing rows stay unchanged. A rule that rows of the service already break
-- is left out, because the service's own statements must still work.
ALTER TABLE public.rollout_metrics ADD CONSTRAINT rollout_metrics_finite_times CHECK (
    isfinite(metrics_window_start) AND isfinite(metrics_window_end)
    AND isfinite(created_at) AND isfinite(updated_at)
    AND isfinite(coalesce(last_error_at, updated_at))
) NOT VALID;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.rollout_metrics WHERE error_count > total_jobs) THEN
        ALTER TABLE public.rollout_metrics ADD CONSTRAINT rollout_metrics_errors_of_jobs
        CHECK (error_count <= total_jobs);
    END IF;
    IF NOT EXISTS (
        SELECT FROM public.rollout_metrics
        WHERE isfinite(metrics_window_start) AND isfinite(metrics_window_end)
            AND metrics_window_end > metrics_window_start + interval '24 hours'
    ) THEN
        ALTER TABLE public.rollout_metrics ADD CONSTRAINT rollout_metrics_short_windows
        CHECK (metrics_window_end <= metrics_window_start + interval '24 hours') NOT VALID;
    END IF;
END
$$;

-- The reconciler writes with a fixed search_path. A service's trigger on these tables that uses its own
-- tables without their schema gets the search_path of the service's own sessions.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT DISTINCT pg_proc.oid::regprocedure AS function
        FROM pg_trigger
        INNER JOIN pg_proc ON pg_trigger.tgfoid = pg_proc.oid
        INNER JOIN pg_language ON pg_proc.prolang = pg_language.oid
        WHERE
            NOT pg_trigger.tgisinternal
            AND pg_trigger.tgrelid IN (
                'public.rollout_configuration'::regclass,
                'public.repository_categories'::regclass,
                'public.rollout_metrics'::regclass,
                'public.rollout_history'::regclass,
                'public.repositories'::regclass
            )
            AND pg_language.lanname IN ('plpgsql', 'sql')
            AND NOT EXISTS (
                SELECT FROM unnest(pg_proc.proconfig) AS settings (setting)
                WHERE starts_with(settings.setting, 'search_path=')
            )
            AND pg_has_role(pg_proc.proowner, 'USAGE')
    LOOP
        EXECUTE format(
            'ALTER FUNCTION %s SET search_path = %s', found.function,
            (SELECT reset_val FROM pg_settings WHERE name = 'search_path')
        );
    END LOOP;
END
$$;
