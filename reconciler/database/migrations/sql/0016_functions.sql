-- Recording of jobs that costs less where many sessions report at once. It replaces a function of
-- `0007_functions.sql`.

-- Adds jobs of one repository, processor, kind and size to a row of their window, and to the sums. A session takes its
-- own row if that is free, else another free one, so that a busy repository does not let its workers wait; there are at
-- most so many rows. Its callers have a fixed search_path, and a setting by which the triggers of the sums leave these
-- rows out.
CREATE OR REPLACE FUNCTION public.add_rollout_jobs(
    configuration_id uuid,
    repo_id uuid,
    processor text,
    kind text,
    class integer,
    begins_at timestamptz,
    ends_at timestamptz,
    successes integer,
    errors integer,
    timed integer,
    seconds numeric,
    counts bigint [],
    message text
) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    slots CONSTANT integer := 16;
    own_slot CONSTANT integer := pg_backend_pid() % slots;
    -- Times move in steps. Between two steps no indexed column changes, and an update adds nothing to the indexes.
    step CONSTANT interval := interval '0.1 seconds';
    key CONSTANT bytea := substring(
        sha256(convert_to(
            concat_ws(
                chr(31), configuration_id, repo_id, processor, kind, class, extract(EPOCH FROM begins_at)
            ),
            'UTF8'
        )) FROM 1 FOR 16
    );
    reported_at CONSTANT timestamptz := statement_timestamp();
    failed_at timestamptz;
    kept_message text;
    counted_category text;
BEGIN
    IF errors > 0 THEN
        failed_at = reported_at;
        kept_message = regexp_replace(
            left(message, 1000), '[\u0001-\u0008\u000b-\u001f\u007f-\u009f]', ' ', 'g'
        );
    END IF;

    UPDATE public.rollout_metrics AS metrics
    SET
        success_count = metrics.success_count + successes,
        error_count = metrics.error_count + errors,
        total_jobs = metrics.total_jobs + successes + errors,
        timed_jobs = metrics.timed_jobs + timed,
        average_processing_time = CASE
            WHEN timed = 0 THEN metrics.average_processing_time
            ELSE (
                coalesce(metrics.average_processing_time, 0) * metrics.timed_jobs + seconds
            ) / (metrics.timed_jobs + timed)
        END,
        duration_counts = CASE
            WHEN timed = 0 THEN metrics.duration_counts
            ELSE public.rollout_add_counts(metrics.duration_counts, counts, 1)
        END,
        last_error_message = CASE
            WHEN failed_at >= coalesce(metrics.last_error_at, '-infinity') THEN kept_message
            ELSE metrics.last_error_message
        END,
        last_error_at = CASE
            WHEN failed_at < metrics.last_error_at + step THEN metrics.last_error_at
            ELSE greatest(metrics.last_error_at, failed_at)
        END,
        updated_at = CASE
            WHEN reported_at < metrics.updated_at + step THEN metrics.updated_at
            ELSE reported_at
        END
    -- By its slot, not by its place: another session may have moved the row since this statement began.
    WHERE metrics.window_key = key AND metrics.slot = coalesce(
        (
            SELECT free.slot
            FROM public.rollout_metrics AS free
            WHERE free.window_key = key AND free.slot >= own_slot
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        ),
        (
            SELECT free.slot
            FROM public.rollout_metrics AS free
            WHERE free.window_key = key AND free.slot < own_slot
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
    )
    RETURNING metrics.category INTO counted_category;

    IF NOT FOUND THEN
        INSERT INTO public.rollout_metrics AS metrics (
            rollout_config_id, repository_id, processor_type, success_count, error_count,
            total_jobs, timed_jobs, average_processing_time, duration_counts, last_error_message,
            last_error_at, metrics_window_start, metrics_window_end, job_kind, size_class, category,
            window_key, slot
        )
        VALUES (
            configuration_id, repo_id, processor, successes, errors,
            successes + errors, timed, CASE WHEN timed > 0 THEN seconds / timed END, counts,
            kept_message, failed_at, begins_at, ends_at, kind, class,
            public.rollout_category_of(repo_id), key,
            -- No other session has the row of a missing slot.
            coalesce(
                (
                    SELECT missing.slot
                    FROM generate_series(0, slots - 1) AS missing (slot)
                    WHERE NOT EXISTS (
                        SELECT FROM public.rollout_metrics AS taken
                        WHERE taken.window_key = key AND taken.slot = missing.slot
                    )
                    ORDER BY missing.slot < own_slot, missing.slot
                    LIMIT 1
                ),
                own_slot
            )
        )
        ON CONFLICT (window_key, slot) WHERE slot IS NOT null
        DO UPDATE SET
            success_count = metrics.success_count + excluded.success_count,
            error_count = metrics.error_count + excluded.error_count,
            total_jobs = metrics.total_jobs + excluded.total_jobs,
            timed_jobs = metrics.timed_jobs + excluded.timed_jobs,
            average_processing_time = CASE
                WHEN timed = 0 THEN metrics.average_processing_time
                ELSE (
                    coalesce(metrics.average_processing_time, 0) * metrics.timed_jobs + seconds
                ) / (metrics.timed_jobs + timed)
            END,
            duration_counts = CASE
                WHEN timed = 0 THEN metrics.duration_counts
                ELSE public.rollout_add_counts(metrics.duration_counts, counts, 1)
            END,
            last_error_message = CASE
                WHEN failed_at >= coalesce(metrics.last_error_at, '-infinity') THEN kept_message
                ELSE metrics.last_error_message
            END,
            last_error_at = greatest(metrics.last_error_at, failed_at),
            updated_at = greatest(metrics.updated_at, reported_at)
        RETURNING metrics.category INTO counted_category;
    END IF;

    INSERT INTO public.rollout_metrics_rollup (
        rollout_config_id, processor_type, category, counts_from, counts_until, jobs, errors,
        duration_counts, newest_at, repository_id
    )
    VALUES (
        configuration_id, processor, counted_category, begins_at, ends_at, successes + errors, errors,
        counts, least(reported_at, ends_at), CASE WHEN errors > 0 THEN repo_id END
    );
    IF random() < 0.002 THEN
        PERFORM public.merge_some_rollout_rollup();
    END IF;
    RETURN true;
END
$$;

DO $$
BEGIN
    ALTER FUNCTION public.record_rollout_job(
        text, uuid, text, boolean, double precision, text, text, bigint
    ) SET rollout.recording = 'on';
    ALTER FUNCTION public.record_rollout_jobs(
        text, uuid [], text [], boolean [], double precision [], text [], text [], bigint []
    ) SET rollout.recording = 'on';
END
$$;
