-- Functions and triggers that still work with an odd row, a reused name, a slow worker or an idle listener.
-- They replace those of `0001_*.sql` and `0003_functions.sql`.

-- An exclusion stores its id and its name: a repository with either is excluded. So a repository that is
-- deleted and created again with the same name and another id stays excluded. `named_for` is the excluded id
-- of a name key; it is null for keys that the lists contain themselves.
ALTER TABLE public.rollout_membership ADD COLUMN IF NOT EXISTS named_for uuid;

CREATE OR REPLACE FUNCTION public.keep_rollout_membership() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT entries.list, lower(btrim(entries.entry)) AS key
        FROM (
            SELECT 'whitelist' AS list, unnest(NEW.target_repositories) AS entry
            UNION ALL
            SELECT 'exclusions' AS list, unnest(NEW.excluded_repositories) AS entry
        ) AS entries
        WHERE entries.entry IS NOT NULL
    ),

    removed AS (
        DELETE FROM public.rollout_membership AS membership
        WHERE membership.rollout_config_id = NEW.id
            AND NOT EXISTS (
                SELECT FROM wanted
                WHERE wanted.list = membership.list
                    AND wanted.key = coalesce(membership.named_for::text, membership.key)
            )
    )

    INSERT INTO public.rollout_membership AS membership (
        rollout_config_id, list, key, repository_id
    )
    SELECT
        NEW.id,
        wanted.list,
        wanted.key,
        CASE
            WHEN wanted.key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN wanted.key::uuid
        END
    FROM wanted
    ON CONFLICT (rollout_config_id, list, key) DO UPDATE SET named_for = NULL
    WHERE membership.named_for IS NOT NULL;

    -- A name stays for as long as its id is excluded, also when the repository is gone or renamed.
    INSERT INTO public.rollout_membership (rollout_config_id, list, key, named_for)
    SELECT NEW.id, 'exclusions', lower(repository.full_name), repository.id
    FROM public.rollout_membership AS membership
    INNER JOIN public.repositories AS repository ON repository.id = membership.repository_id
    WHERE membership.rollout_config_id = NEW.id
        AND membership.list = 'exclusions'
        AND repository.full_name <> ''
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

-- Times

-- Deletes the windows that ended longer ago than `keep`, and returns their number. A window that a feature's
-- monitoring window still covers stays. `keep` is elapsed time and independent of the session's time zone. An
-- odd window of one feature does not prevent the deletion of other rows.
CREATE OR REPLACE FUNCTION public.prune_rollout_metrics(keep interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    pruned bigint;
BEGIN
    IF coalesce(keep < interval '0', true) THEN
        RAISE EXCEPTION 'keep has to be a time from 0'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM public.rollout_metrics AS metrics
    USING public.rollout_configuration AS configuration
    WHERE configuration.id = metrics.rollout_config_id
        AND metrics.metrics_window_end < now() - least(
            greatest(keep, configuration.monitoring_window), interval '36525 days'
        );
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

-- Sets the time of a change of a feature's limits, also if a statement typed by hand leaves out `updated_at`:
-- `verify` counts the jobs since then.
CREATE OR REPLACE FUNCTION public.keep_change_time() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER keep_change_time
BEFORE UPDATE OF rollout_percentage, emergency_stop, is_active ON public.rollout_configuration
FOR EACH ROW WHEN (
    OLD.updated_at IS NOT DISTINCT FROM NEW.updated_at
    AND (OLD.rollout_percentage, OLD.emergency_stop, OLD.is_active)
    IS DISTINCT FROM (NEW.rollout_percentage, NEW.emergency_stop, NEW.is_active)
)
EXECUTE FUNCTION public.keep_change_time();

-- Workers report jobs by calling this function and need no right on a table: it runs with the rights of its
-- owner and checks its arguments.
CREATE OR REPLACE FUNCTION public.record_rollout_job(
    feature_name text,
    repo_id uuid,
    processor_type text,
    succeeded boolean,
    processing_seconds double precision DEFAULT null,
    error_message text DEFAULT null
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
    kept_message text;
BEGIN
    IF record_rollout_job.succeeded IS NULL THEN
        RAISE EXCEPTION 'succeeded is null: say whether the job did'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF coalesce(length(record_rollout_job.processor_type) NOT BETWEEN 1 AND 50, true) THEN
        RAISE EXCEPTION 'processor_type has to have 1 to 50 characters'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- NaN is more than every number. A mean of longer times would take any precision.
    IF NOT coalesce(processing_seconds >= 0 AND processing_seconds <= 3155760000, true) THEN
        RAISE EXCEPTION 'processing_seconds is %: it has to be a time from 0', processing_seconds
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT record_rollout_job.succeeded THEN
        kept_message = regexp_replace(
            left(error_message, 1000), '[\u0001-\u0008\u000b-\u001f\u007f-\u009f]', ' ', 'g'
        );
    END IF;

    INSERT INTO public.rollout_metrics AS metrics (
        rollout_config_id, repository_id, processor_type, success_count, error_count, total_jobs,
        timed_jobs, average_processing_time, last_error_message, last_error_at,
        metrics_window_start, metrics_window_end, is_window
    )
    SELECT
        configuration.id,
        repository.id,
        record_rollout_job.processor_type,
        record_rollout_job.succeeded::integer,
        (NOT record_rollout_job.succeeded)::integer,
        1,
        (processing_seconds IS NOT NULL)::integer,
        processing_seconds,
        kept_message,
        CASE WHEN NOT record_rollout_job.succeeded THEN reported.at END,
        greatest(bin.start, reported.cut_at),
        bin.start + interval '5 minutes',
        true
    FROM public.rollout_configuration AS configuration
    INNER JOIN public.repositories AS repository ON repository.id = repo_id
    CROSS JOIN LATERAL (
        -- Not the transaction's time: a worker may have opened its own when the job began. A cut written by
        -- hand can be of any time: one of the future cuts nothing.
        SELECT
            greatest(statement_timestamp(), cut.at) AS at,
            cut.at AS cut_at
        FROM (
            SELECT
                CASE
                    WHEN configuration.metrics_cut_at <= statement_timestamp() + interval '1 minute'
                        THEN configuration.metrics_cut_at
                END AS at
        ) AS cut
    ) AS reported
    CROSS JOIN LATERAL (
        SELECT date_bin('5 minutes', reported.at, '2000-01-01 00:00:00+00') AS start
    ) AS bin
    WHERE configuration.feature_name = record_rollout_job.feature_name
    ON CONFLICT (rollout_config_id, repository_id, processor_type, metrics_window_start)
    WHERE is_window
    DO UPDATE SET
        success_count = metrics.success_count + excluded.success_count,
        error_count = metrics.error_count + excluded.error_count,
        total_jobs = metrics.total_jobs + 1,
        timed_jobs = metrics.timed_jobs + excluded.timed_jobs,
        average_processing_time = CASE
            WHEN excluded.timed_jobs = 0 THEN metrics.average_processing_time
            ELSE (
                coalesce(metrics.average_processing_time, 0) * metrics.timed_jobs
                + excluded.average_processing_time
            ) / (metrics.timed_jobs + 1)
        END,
        last_error_message = CASE
            WHEN excluded.last_error_at >= coalesce(metrics.last_error_at, '-infinity')
                THEN excluded.last_error_message
            ELSE metrics.last_error_message
        END,
        last_error_at = greatest(metrics.last_error_at, excluded.last_error_at),
        updated_at = greatest(metrics.updated_at, statement_timestamp());

    IF NOT FOUND THEN
        IF NOT EXISTS (
            SELECT FROM public.rollout_configuration AS configuration
            WHERE configuration.feature_name = record_rollout_job.feature_name
        ) THEN
            RAISE EXCEPTION 'no feature is called %', coalesce(quote_literal(feature_name), 'null')
                USING ERRCODE = 'no_data_found',
                    HINT = 'Apply a rollout file that has it, or report the job under its name.';
        END IF;
        RAISE EXCEPTION 'no repository has the id %', coalesce(repo_id::text, 'null')
            USING ERRCODE = 'no_data_found',
                HINT = 'Report the job with the id that public.repositories has.';
    END IF;
END
$$;

-- If the notification queue is full (a listener is idle in a transaction), each commit that notifies fails.
-- So the triggers stop to notify when the queue is half full: clients also poll, and a stop must not fail.

CREATE OR REPLACE FUNCTION public.notify_configuration_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_notification_queue_usage() > 0.5 THEN
        RETURN NULL;
    END IF;
    PERFORM pg_notify(
        'rollout_changed',
        json_build_object('table', TG_TABLE_NAME, 'feature', feature_name)::text
    )
    FROM (
        SELECT NEW.feature_name WHERE TG_OP <> 'DELETE'
        UNION
        SELECT OLD.feature_name WHERE TG_OP <> 'INSERT'
    ) AS changed (feature_name);
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION public.notify_rows_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_notification_queue_usage() <= 0.5 AND EXISTS (SELECT FROM changed) THEN
        PERFORM pg_notify('rollout_changed', json_build_object('table', TG_TABLE_NAME)::text);
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION public.notify_table_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_notification_queue_usage() <= 0.5 THEN
        PERFORM pg_notify('rollout_changed', json_build_object('table', TG_TABLE_NAME)::text);
    END IF;
    RETURN NULL;
END
$$;
