-- Functions and triggers for adopted services. They replace those of `0001_*.sql`.

-- Marks

-- A statement that sets `is_test_repository` sets or removes the mark, whatever else it changes. Services and
-- people write such statements. Only they fire this trigger; categorising does not set the column.
CREATE OR REPLACE FUNCTION public.follow_test_column() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.marked_as_test = NEW.marked_as_test OR NEW.is_test_repository;
    ELSIF NEW.marked_as_test = OLD.marked_as_test THEN
        NEW.marked_as_test = NEW.is_test_repository;
    END IF;
    RETURN NEW;
END
$$;

-- Triggers of one event run in the order of their names: this one before `keep_test_mark`.
CREATE OR REPLACE TRIGGER follow_test_column
BEFORE INSERT OR UPDATE OF is_test_repository ON public.repository_categories
FOR EACH ROW EXECUTE FUNCTION public.follow_test_column();

CREATE OR REPLACE FUNCTION public.keep_test_mark() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.is_test_repository = NEW.marked_as_test OR NEW.category = 'test';
    RETURN NEW;
END
$$;

-- Rows of metrics

-- A service that could write null before still can: a row without an end gets the current time.
CREATE OR REPLACE FUNCTION public.fill_metrics() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.success_count = coalesce(NEW.success_count, 0);
    NEW.error_count = coalesce(NEW.error_count, 0);
    NEW.total_jobs = coalesce(NEW.total_jobs, NEW.success_count + NEW.error_count);
    NEW.timed_jobs = coalesce(NEW.timed_jobs, 0);
    NEW.metrics_window_start = coalesce(NEW.metrics_window_start, now());
    NEW.metrics_window_end = coalesce(
        NEW.metrics_window_end,
        greatest(
            NEW.metrics_window_start, least(now(), NEW.metrics_window_start + interval '1 day')
        )
    );
    NEW.created_at = coalesce(NEW.created_at, now());
    NEW.updated_at = coalesce(NEW.updated_at, now());
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER fill_metrics
BEFORE INSERT OR UPDATE ON public.rollout_metrics
FOR EACH ROW WHEN (
    (
        NEW.success_count IS null OR NEW.error_count IS null OR NEW.total_jobs IS null
        OR NEW.timed_jobs IS null OR NEW.metrics_window_start IS null
        OR NEW.metrics_window_end IS null OR NEW.created_at IS null OR NEW.updated_at IS null
    )
)
EXECUTE FUNCTION public.fill_metrics();

-- The rows of a feature with jobs since a time. A window of five minutes counts from its start. A window that
-- contains the time counts completely. A longer window, as services write it, counts from the time at which
-- its row was written. `cut_at` is the last rollback or resume, or null: rows that began or were first
-- written before it do not count.
CREATE OR REPLACE FUNCTION public.rollout_metrics_since(
    configuration_id uuid, since timestamptz, cut_at timestamptz DEFAULT null
) RETURNS SETOF public.rollout_metrics
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT metrics.*
    FROM public.rollout_metrics AS metrics
    WHERE
        metrics.rollout_config_id = rollout_metrics_since.configuration_id
        AND metrics.metrics_window_start > rollout_metrics_since.since - interval '5 minutes'
        AND metrics.metrics_window_end > rollout_metrics_since.since
        AND CASE
            WHEN isfinite(metrics.metrics_window_start) AND isfinite(metrics.metrics_window_end)
                THEN metrics.metrics_window_end - metrics.metrics_window_start <= interval '5 minutes'
        END
        AND (
            rollout_metrics_since.cut_at IS null
            OR metrics.metrics_window_start >= rollout_metrics_since.cut_at
        )
    UNION ALL
    SELECT metrics.*
    FROM public.rollout_metrics AS metrics
    WHERE
        metrics.rollout_config_id = rollout_metrics_since.configuration_id
        AND CASE
            WHEN isfinite(metrics.metrics_window_start) AND isfinite(metrics.metrics_window_end)
                THEN metrics.metrics_window_end - metrics.metrics_window_start > interval '5 minutes'
        END
        AND greatest(metrics.created_at, metrics.updated_at) > rollout_metrics_since.since
        AND (
            rollout_metrics_since.cut_at IS null
            OR metrics.created_at >= rollout_metrics_since.cut_at
        );
END;

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
        greatest(bin.start, configuration.metrics_cut_at),
        bin.start + interval '5 minutes',
        true
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
