-- Functions that record the results of jobs and delete old results.

-- Runs with the rights of its owner, so a role that writes history needs no further right; its search_path is
-- fixed.
CREATE OR REPLACE FUNCTION public.cut_metric_windows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.action IN ('auto_rollback', 'rollback', 'emergency_stop', 'resumed') THEN
        -- A row written by hand may have any time: no window begins in the future.
        UPDATE public.rollout_configuration
        SET metrics_cut_at = greatest(metrics_cut_at, least(NEW.created_at, clock_timestamp()))
        WHERE id = NEW.rollout_config_id;
    END IF;
    RETURN NULL;
END
$$;

-- Otherwise a role could create a trigger with it on a table of its own and write with the owner's rights.
REVOKE EXECUTE ON FUNCTION public.cut_metric_windows() FROM public;

CREATE OR REPLACE TRIGGER cut_metric_windows
AFTER INSERT ON public.rollout_history
FOR EACH ROW EXECUTE FUNCTION public.cut_metric_windows();

-- Adds the result of one job to the five-minute window in which it is reported. It is one upsert: each of
-- many concurrent reports is counted. Windows start at multiples of five minutes. A rollback or a resume
-- splits its window into two. `processing_seconds` is the duration of the job, or null. An error message is
-- stored for failed jobs only: its first 1,000 characters, without control characters except line breaks and
-- tabs.
CREATE OR REPLACE FUNCTION public.record_rollout_job(
    feature_name text,
    repo_id uuid,
    processor_type text,
    succeeded boolean,
    processing_seconds double precision DEFAULT null,
    error_message text DEFAULT null
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
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
    -- NaN is more than every number.
    IF NOT coalesce(processing_seconds >= 0 AND processing_seconds < 'infinity', true) THEN
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
        metrics_window_start, metrics_window_end
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
        greatest(bin.start, configuration.metrics_cut_at),
        bin.start + interval '5 minutes'
    FROM public.rollout_configuration AS configuration
    INNER JOIN public.repositories AS repository ON repository.id = repo_id
    CROSS JOIN LATERAL (
        -- Not the transaction's time: a worker may have opened its own when the job began.
        SELECT greatest(statement_timestamp(), configuration.metrics_cut_at) AS at
    ) AS reported
    CROSS JOIN LATERAL (
        SELECT date_bin('5 minutes', reported.at, '2000-01-01 00:00:00+00') AS start
    ) AS bin
    WHERE configuration.feature_name = record_rollout_job.feature_name
    ON CONFLICT (rollout_config_id, repository_id, processor_type, metrics_window_start)
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

-- Deletes the windows that ended longer ago than `keep` and returns their number. Rows that a feature's own
-- monitoring window needs stay, for any `keep`.
CREATE OR REPLACE FUNCTION public.prune_rollout_metrics(keep interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pruned bigint;
BEGIN
    IF coalesce(keep < interval '0', true) THEN
        RAISE EXCEPTION 'keep has to be a time from 0' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM public.rollout_metrics AS metrics
    USING public.rollout_configuration AS configuration
    WHERE configuration.id = metrics.rollout_config_id
        AND metrics.metrics_window_end < now() - greatest(keep, configuration.monitoring_window);
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;
