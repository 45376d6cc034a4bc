-- Recording of jobs in several slots, and the sums that triggers keep. They replace functions of
-- `0001_recording.sql`, `0003_functions.sql` and `0005_functions.sql`.

-- Buckets and classes

-- The bucket of a duration: the first one whose edge it does not exceed. The edges are those of
-- `rollout_duration_bucket`, as negative numbers, since `width_bucket` puts a number at an edge above it.
CREATE OR REPLACE FUNCTION public.rollout_duration_bucket_of(seconds double precision) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 48 - width_bucket(
    -rollout_duration_bucket_of.seconds,
    CAST(
        ARRAY[
            -1259499.259682, -839666.173121, -559777.448748, -373184.965832, -248789.977221,
            -165859.984814, -110573.323209, -73715.548806, -49143.699204, -32762.466136,
            -21841.644091, -14561.09606, -9707.397374, -6471.598249, -4314.398833, -2876.265888,
            -1917.510592, -1278.340395, -852.22693, -568.151287, -378.767524, -252.511683,
            -168.341122, -112.227415, -74.818276, -49.878851, -33.252567, -22.168378,
            -14.778919, -9.852613, -6.568408, -4.378939, -2.919293, -1.946195, -1.297463,
            -0.864976, -0.57665, -0.384434, -0.256289, -0.170859, -0.113906, -0.075938,
            -0.050625, -0.03375, -0.0225, -0.015, -0.01
        ] AS double precision []
    )
);

-- Adds counts by bucket, times a factor; a count that is missing is 0.
CREATE OR REPLACE FUNCTION public.rollout_add_counts(
    total bigint [], counts bigint [], factor integer
) RETURNS bigint []
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    FOR bucket IN 1 .. coalesce(array_length(counts, 1), 0) LOOP
        total[bucket] = coalesce(total[bucket], 0) + coalesce(counts[bucket], 0) * factor;
    END LOOP;
    RETURN total;
END
$$;

DO $$
BEGIN
    CREATE OR REPLACE AGGREGATE public.rollout_sum_counts(bigint [], integer) (
        SFUNC = public.rollout_add_counts, STYPE = bigint [], PARALLEL = SAFE
    );
END
$$;

-- The class of a size: 1 up to 10, 2 up to 100, and so on; 0 without a size.
CREATE OR REPLACE FUNCTION public.rollout_size_class(size bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN rollout_size_class.size IS null THEN 0
    WHEN rollout_size_class.size <= 10 THEN 1
    ELSE length((rollout_size_class.size - 1)::text)
END;

-- Sums

-- When the jobs of a row of metrics count. Those of a window of `record_rollout_job` count from its beginning to
-- its end. Those of another program's window do too, to the minute, and to the moment at a rollback or a resume.
-- A longer window counts from when its row was first written until it was last written.
CREATE OR REPLACE FUNCTION public.rollout_counted_period(
    window_start timestamptz,
    window_end timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    is_recorded boolean,
    cut_at timestamptz
) RETURNS TABLE (counts_from timestamptz, counts_until timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        CASE
            WHEN rollout_counted_period.is_recorded THEN period.begins_at
            WHEN rollout_counted_period.cut_at <= period.begins_at
                THEN greatest(
                    date_bin('1 minute', period.begins_at, '2000-01-01 00:00:00+00'),
                    rollout_counted_period.cut_at
                )
            ELSE date_bin('1 minute', period.begins_at, '2000-01-01 00:00:00+00')
        END AS counts_from,
        CASE
            WHEN rollout_counted_period.is_recorded THEN period.ends_at
            ELSE
                date_bin(
                    '1 minute', period.ends_at - interval '1 microsecond', '2000-01-01 00:00:00+00'
                ) + interval '1 minute'
        END AS counts_until
    FROM (
        SELECT
            CASE
                WHEN long.is_long THEN rollout_counted_period.created_at
                ELSE rollout_counted_period.window_start
            END AS begins_at,
            CASE
                WHEN long.is_long
                    THEN greatest(
                        rollout_counted_period.created_at, rollout_counted_period.updated_at
                    )
                ELSE rollout_counted_period.window_end
            END AS ends_at
        FROM (
            SELECT
                rollout_counted_period.window_end - rollout_counted_period.window_start
                > interval '5 minutes' AS is_long
        ) AS long
    ) AS period;
END;

-- Whether a row's times are those of a calendar. One that is not makes its feature inconclusive, and its jobs do not
-- count. The condition is that of the index on odd times.
CREATE OR REPLACE FUNCTION public.rollout_is_of_calendar(
    window_start timestamptz, window_end timestamptz, created_at timestamptz, updated_at timestamptz
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN
rollout_is_of_calendar.window_start
BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
AND rollout_is_of_calendar.window_end
BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
AND rollout_is_of_calendar.created_at
BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
AND rollout_is_of_calendar.updated_at
BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00';

-- The category that a repository's jobs count for.
CREATE OR REPLACE FUNCTION public.rollout_category_of(repo_id uuid) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    (
        SELECT recorded.category
        FROM public.repository_categories AS recorded
        WHERE recorded.repository_id = rollout_category_of.repo_id
    ),
    public.category_of_repository(rollout_category_of.repo_id),
    'enterprise'
);

-- The category of a row that another program writes. `add_rollout_jobs` writes it itself.
CREATE OR REPLACE FUNCTION public.fill_metrics_category() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.category = public.rollout_category_of(NEW.repository_id);
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER fill_metrics_category
BEFORE INSERT ON public.rollout_metrics
FOR EACH ROW WHEN (NEW.category IS null)
EXECUTE FUNCTION public.fill_metrics_category();

-- Adds to the sums what a statement changed. It only inserts rows, so that no statement waits for another one's
-- transaction. It runs with its owner's rights: services need no right on the sums.
CREATE OR REPLACE FUNCTION public.keep_metrics_rollup() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM public.rollout_metrics_rollup;
        RETURN NULL;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO public.rollout_metrics_rollup (
            rollout_config_id, processor_type, category, counts_from, counts_until, jobs, errors,
            duration_counts, newest_at, repository_id
        )
        SELECT
            changed.rollout_config_id,
            changed.processor_type,
            changed.counted_category,
            period.counts_from,
            period.counts_until,
            sum(changed.total_jobs * changed.factor),
            sum(changed.error_count * changed.factor),
            public.rollout_sum_counts(changed.duration_counts, changed.factor),
            max(least(changed.updated_at, changed.metrics_window_end)) FILTER (WHERE changed.factor = 1),
            CASE
                WHEN sum(changed.error_count * changed.factor) <> 0 THEN changed.repository_id
            END
        FROM (
            SELECT
                both_rows.*,
                coalesce(
                    both_rows.category, public.rollout_category_of(both_rows.repository_id)
                ) AS counted_category
            FROM (
                SELECT 1 AS factor, new_rows.* FROM new_rows
                UNION ALL
                SELECT -1 AS factor, old_rows.* FROM old_rows
            ) AS both_rows
        ) AS changed
        LEFT JOIN public.rollout_configuration AS configuration
            ON configuration.id = changed.rollout_config_id
        CROSS JOIN LATERAL public.rollout_counted_period(
            changed.metrics_window_start, changed.metrics_window_end, changed.created_at,
            changed.updated_at, changed.slot IS NOT null OR changed.is_window,
            configuration.metrics_cut_at
        ) AS period
        WHERE changed.rollout_config_id IS NOT null
            AND public.rollout_is_of_calendar(
                changed.metrics_window_start, changed.metrics_window_end, changed.created_at,
                changed.updated_at
            )
        GROUP BY
            changed.rollout_config_id, changed.processor_type, changed.counted_category,
            period.counts_from, period.counts_until, changed.repository_id
        HAVING sum(changed.total_jobs * changed.factor) <> 0
            OR sum(changed.error_count * changed.factor) <> 0;
    ELSE
        INSERT INTO public.rollout_metrics_rollup (
            rollout_config_id, processor_type, category, counts_from, counts_until, jobs, errors,
            duration_counts, newest_at, repository_id, is_judged
        )
        SELECT
            changed.rollout_config_id,
            changed.processor_type,
            changed.counted_category,
            period.counts_from,
            period.counts_until,
            sum(changed.total_jobs * changed.factor),
            sum(changed.error_count * changed.factor),
            public.rollout_sum_counts(changed.duration_counts, changed.factor),
            max(least(changed.updated_at, changed.metrics_window_end)) FILTER (WHERE changed.factor = 1),
            changed.failed_repository,
            changed.factor = -1
            AND coalesce(bool_and(
                period.counts_from >= evidence.began_at AND period.counts_from < evidence.closed_until
            ), false)
        FROM (
            SELECT
                changed_rows.*,
                CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END AS factor,
                CASE WHEN changed_rows.error_count <> 0 THEN changed_rows.repository_id END
                AS failed_repository,
                coalesce(
                    changed_rows.category, public.rollout_category_of(changed_rows.repository_id)
                ) AS counted_category
            FROM changed_rows
        ) AS changed
        LEFT JOIN public.rollout_configuration AS configuration
            ON configuration.id = changed.rollout_config_id
        LEFT JOIN public.rollout_evidence AS evidence
            ON evidence.rollout_config_id = changed.rollout_config_id
        CROSS JOIN LATERAL public.rollout_counted_period(
            changed.metrics_window_start, changed.metrics_window_end, changed.created_at,
            changed.updated_at, changed.slot IS NOT null OR changed.is_window,
            configuration.metrics_cut_at
        ) AS period
        WHERE changed.rollout_config_id IS NOT null
            AND public.rollout_is_of_calendar(
                changed.metrics_window_start, changed.metrics_window_end, changed.created_at,
                changed.updated_at
            )
            AND changed.total_jobs + changed.error_count > 0
        GROUP BY
            changed.rollout_config_id, changed.processor_type, changed.counted_category,
            period.counts_from, period.counts_until, changed.failed_repository, changed.factor;
    END IF;
    IF random() < 0.002 THEN
        PERFORM public.merge_some_rollout_rollup();
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER keep_rollup_of_inserted
AFTER INSERT ON public.rollout_metrics REFERENCING NEW TABLE AS changed_rows
FOR EACH STATEMENT WHEN (current_setting('rollout.recording', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION public.keep_metrics_rollup();

CREATE OR REPLACE TRIGGER keep_rollup_of_updated
AFTER UPDATE ON public.rollout_metrics REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('rollout.recording', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION public.keep_metrics_rollup();

CREATE OR REPLACE TRIGGER keep_rollup_of_deleted
AFTER DELETE ON public.rollout_metrics REFERENCING OLD TABLE AS changed_rows
FOR EACH STATEMENT WHEN (current_setting('rollout.recording', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION public.keep_metrics_rollup();

CREATE OR REPLACE TRIGGER keep_rollup_of_truncated
AFTER TRUNCATE ON public.rollout_metrics
FOR EACH STATEMENT WHEN (current_setting('rollout.recording', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION public.keep_metrics_rollup();

-- Merges rows of the sums that have one key, at most so many at once, and returns the number of rows that it took.
-- It waits for no other transaction. In a window that has closed the repositories of errors go, and each one's
-- errors beyond five are kept as a number. Sums that came to nothing go.
CREATE OR REPLACE FUNCTION public.merge_rollout_rollup(most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    merged bigint;
    closed_before CONSTANT timestamptz := statement_timestamp() - interval '1 minute';
BEGIN
    WITH taken AS MATERIALIZED (
        SELECT rollup.ctid AS place
        FROM public.rollout_metrics_rollup AS rollup
        WHERE rollup.level = 0
            OR (rollup.level = 1 AND rollup.counts_until <= closed_before)
        LIMIT merge_rollout_rollup.most
        FOR UPDATE SKIP LOCKED
    ),

    fresh AS (
        DELETE FROM public.rollout_metrics_rollup AS rollup
        USING taken
        WHERE rollup.ctid = taken.place
        RETURNING rollup.*
    ),

    -- The merged row of a closed window, where a late job came after it.
    merged_before AS MATERIALIZED (
        SELECT rollup.ctid AS place
        FROM public.rollout_metrics_rollup AS rollup
        WHERE rollup.level = 2
            AND (
                rollup.rollout_config_id, rollup.counts_until, rollup.counts_from,
                rollup.processor_type, rollup.category
            ) IN (
                SELECT DISTINCT
                    fresh.rollout_config_id,
                    fresh.counts_until,
                    fresh.counts_from,
                    fresh.processor_type,
                    fresh.category
                FROM fresh
                WHERE fresh.counts_until <= closed_before
            )
        FOR UPDATE SKIP LOCKED
    ),

    stale AS (
        DELETE FROM public.rollout_metrics_rollup AS rollup
        USING merged_before
        WHERE rollup.ctid = merged_before.place
        RETURNING rollup.*
    ),

    by_repository AS (
        SELECT
            removed.rollout_config_id,
            removed.processor_type,
            removed.category,
            removed.counts_from,
            removed.counts_until,
            removed.repository_id,
            -- Jobs that are no part of the present evidence have one key, judged or not.
            removed.is_judged AND coalesce(removed.counts_from >= evidence.began_at, false)
            AS is_judged,
            sum(removed.jobs) AS jobs,
            sum(removed.errors) AS errors,
            sum(removed.repeated_errors)
            + CASE
                WHEN removed.repository_id IS NOT null AND removed.counts_until <= closed_before
                    THEN sign(sum(removed.errors)) * greatest(abs(sum(removed.errors)) - 5, 0)
                ELSE 0
            END AS repeated_errors,
            public.rollout_sum_counts(removed.duration_counts, 1) AS duration_counts,
            max(removed.newest_at) AS newest_at
        FROM (
            SELECT fresh.* FROM fresh
            UNION ALL
            SELECT stale.* FROM stale
        ) AS removed
        LEFT JOIN public.rollout_evidence AS evidence
            ON evidence.rollout_config_id = removed.rollout_config_id
        GROUP BY 1, 2, 3, 4, 5, 6, 7
    ),

    inserted AS (
        INSERT INTO public.rollout_metrics_rollup (
            rollout_config_id, processor_type, category, counts_from, counts_until, repository_id,
            is_judged, jobs, errors, repeated_errors, duration_counts, newest_at, level
        )
        SELECT
            by_repository.rollout_config_id,
            by_repository.processor_type,
            by_repository.category,
            by_repository.counts_from,
            by_repository.counts_until,
            CASE WHEN by_repository.counts_until > closed_before THEN by_repository.repository_id END,
            by_repository.is_judged,
            sum(by_repository.jobs),
            sum(by_repository.errors),
            sum(by_repository.repeated_errors),
            public.rollout_sum_counts(by_repository.duration_counts, 1),
            max(by_repository.newest_at),
            CASE WHEN by_repository.counts_until > closed_before THEN 1 ELSE 2 END
        FROM by_repository
        GROUP BY 1, 2, 3, 4, 5, 6, 7
        HAVING sum(by_repository.jobs) <> 0 OR sum(by_repository.errors) <> 0
    )

    SELECT count(*) INTO merged FROM taken;
    RETURN merged;
END
$$;

-- The same for some rows, now and then, by those who write: the number of rows stays small where no watch runs. The
-- sums are right without it, so that no write fails by it. A transaction that sees one snapshot would fail where
-- another one merged since.
CREATE OR REPLACE FUNCTION public.merge_some_rollout_rollup() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('transaction_isolation') = 'read committed' THEN
        PERFORM public.merge_rollout_rollup(2000);
    END IF;
EXCEPTION
    WHEN OTHERS THEN NULL;
END
$$;

-- Jobs

-- Adds jobs of one repository, processor, kind and size to a row of their window, and to the sums. Each session takes
-- a row that no other one holds, so that a busy repository does not let its workers wait; there are at most so many
-- rows. The triggers of the sums leave these rows out. Only functions with a fixed search_path call it.
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
LANGUAGE plpgsql SET rollout.recording = 'on'
AS $$
DECLARE
    slots CONSTANT integer := 16;
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
        last_error_at = greatest(metrics.last_error_at, failed_at),
        updated_at = greatest(metrics.updated_at, reported_at)
    -- By its slot, not by its place: another session may have moved the row since this statement began.
    WHERE metrics.window_key = key AND metrics.slot = (
        SELECT free.slot
        FROM public.rollout_metrics AS free
        WHERE free.window_key = key AND free.slot IS NOT null
        LIMIT 1
        FOR UPDATE SKIP LOCKED
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
            public.rollout_category_of(repo_id), key, pg_backend_pid() % slots
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

-- The window in which a job is reported. Windows begin on the clock's fives; one that a rollback or a resume falls
-- into is two, before and after it. A cut written by hand can be of any time: one of the future cuts nothing.
CREATE OR REPLACE FUNCTION public.rollout_window_at(moment timestamptz, cut_at timestamptz)
RETURNS TABLE (window_start timestamptz, window_end timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        greatest(bin.start, cut.at) AS window_start,
        bin.start + interval '5 minutes' AS window_end
    FROM (
        SELECT
            CASE
                WHEN rollout_window_at.cut_at <= rollout_window_at.moment + interval '1 minute'
                    THEN rollout_window_at.cut_at
            END AS at
    ) AS cut
    CROSS JOIN LATERAL (
        SELECT
            date_bin(
                '5 minutes',
                greatest(rollout_window_at.moment, cut.at),
                '2000-01-01 00:00:00+00'
            ) AS start
    ) AS bin;
END;

-- Refuses a job with an invalid value. `place` names the job where there are several.
CREATE OR REPLACE FUNCTION public.check_rollout_job(
    succeeded boolean,
    processor_type text,
    processing_seconds double precision,
    job_kind text,
    job_size bigint,
    place text
) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF succeeded IS NULL THEN
        RAISE EXCEPTION '%succeeded is null: say whether the job did', place
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF coalesce(length(processor_type) NOT BETWEEN 1 AND 50, true) THEN
        RAISE EXCEPTION '%processor_type has to have 1 to 50 characters', place
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- NaN is more than every number. A mean of longer times would take any precision.
    IF NOT coalesce(processing_seconds >= 0 AND processing_seconds <= 3155760000, true) THEN
        RAISE EXCEPTION '%processing_seconds is %: it has to be a time from 0', place, processing_seconds
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF length(job_kind) NOT BETWEEN 1 AND 50 THEN
        RAISE EXCEPTION '%job_kind has to have 1 to 50 characters', place
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF job_size < 0 THEN
        RAISE EXCEPTION '%job_size is %: it has to be a number from 0', place, job_size
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;

-- Adds one job's outcome to the window of five minutes that it is reported in: however many report at once, each is
-- counted. `processing_seconds` is how long the job took, where that is known; `job_kind` and `job_size` what kind
-- of job it was, and how large. Of an error message the first 1,000 characters are kept, without control characters
-- but line breaks and tabs; it is a failed job's alone. Workers need no right on a table: it runs with its owner's
-- rights, and checks its arguments.
CREATE OR REPLACE FUNCTION public.record_rollout_job(
    feature_name text,
    repo_id uuid,
    processor_type text,
    succeeded boolean,
    processing_seconds double precision DEFAULT null,
    error_message text DEFAULT null,
    job_kind text DEFAULT null,
    job_size bigint DEFAULT null
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    configuration_id uuid;
    found_id uuid;
    begins_at timestamptz;
    ends_at timestamptz;
    is_added boolean;
BEGIN
    IF NOT coalesce(
        succeeded IS NOT null AND length(processor_type) BETWEEN 1 AND 50
        AND coalesce(processing_seconds BETWEEN 0 AND 3155760000, true)
        AND coalesce(length(job_kind) BETWEEN 1 AND 50, true) AND coalesce(job_size >= 0, true),
        false
    ) THEN
        PERFORM public.check_rollout_job(
            succeeded, processor_type, processing_seconds, job_kind, job_size, ''
        );
    END IF;
    -- Not the transaction's time: a worker may have opened its own when the job began.
    SELECT configuration.id, repository.id, bounds.window_start, bounds.window_end
    INTO configuration_id, found_id, begins_at, ends_at
    FROM public.rollout_configuration AS configuration
    LEFT JOIN public.repositories AS repository ON repository.id = repo_id
    CROSS JOIN LATERAL public.rollout_window_at(
        statement_timestamp(), configuration.metrics_cut_at
    ) AS bounds
    WHERE configuration.feature_name = record_rollout_job.feature_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no feature is called %', coalesce(quote_literal(feature_name), 'null')
            USING ERRCODE = 'no_data_found',
                HINT = 'Apply a rollout file that has it, or report the job under its name.';
    END IF;
    IF found_id IS NULL THEN
        RAISE EXCEPTION 'no repository has the id %', coalesce(repo_id::text, 'null')
            USING ERRCODE = 'no_data_found',
                HINT = 'Report the job with the id that public.repositories has.';
    END IF;
    is_added = public.add_rollout_jobs(
        configuration_id,
        repo_id,
        processor_type,
        coalesce(job_kind, ''),
        public.rollout_size_class(job_size),
        begins_at,
        ends_at,
        succeeded::integer,
        (NOT succeeded)::integer,
        (processing_seconds IS NOT NULL)::integer,
        processing_seconds::numeric,
        CASE
            WHEN processing_seconds IS NOT NULL
                THEN array_fill(0::bigint, ARRAY[public.rollout_duration_bucket_of(processing_seconds) - 1])
                    || 1::bigint
        END,
        error_message
    );
END
$$;

-- Records the outcomes of several jobs of one feature, each as `record_rollout_job` does, and returns their number.
-- Each array has one element for each job; one that is null has no value for any of them. All jobs are recorded, or
-- none where one is refused. Rows are taken in one order, so that two batches do not wait for each other in a circle.
CREATE OR REPLACE FUNCTION public.record_rollout_jobs(
    feature_name text,
    repo_ids uuid [],
    processor_types text [],
    succeeded boolean [],
    processing_seconds double precision [] DEFAULT null,
    error_messages text [] DEFAULT null,
    job_kinds text [] DEFAULT null,
    job_sizes bigint [] DEFAULT null
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    jobs CONSTANT integer := coalesce(cardinality(repo_ids), 0);
    configuration_id uuid;
    begins_at timestamptz;
    ends_at timestamptz;
    unknown_id text;
BEGIN
    IF coalesce(cardinality(processor_types), 0) <> jobs
        OR coalesce(cardinality(succeeded), 0) <> jobs
        OR coalesce(cardinality(processing_seconds), jobs) <> jobs
        OR coalesce(cardinality(error_messages), jobs) <> jobs
        OR coalesce(cardinality(job_kinds), jobs) <> jobs
        OR coalesce(cardinality(job_sizes), jobs) <> jobs
    THEN
        RAISE EXCEPTION 'the arrays have different lengths: give each one element for each job'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT configuration.id, bounds.window_start, bounds.window_end
    INTO configuration_id, begins_at, ends_at
    FROM public.rollout_configuration AS configuration
    CROSS JOIN LATERAL public.rollout_window_at(
        statement_timestamp(), configuration.metrics_cut_at
    ) AS bounds
    WHERE configuration.feature_name = record_rollout_jobs.feature_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no feature is called %', coalesce(quote_literal(feature_name), 'null')
            USING ERRCODE = 'no_data_found',
                HINT = 'Apply a rollout file that has it, or report the job under its name.';
    END IF;
    PERFORM public.check_rollout_job(
        job.succeeded, job.processor_type, job.processing_seconds, job.job_kind, job.job_size,
        format('job %s: ', job.number)
    )
    FROM unnest(
        succeeded, processor_types, processing_seconds, job_kinds, job_sizes
    ) WITH ORDINALITY AS job (
        succeeded, processor_type, processing_seconds, job_kind, job_size, number
    );
    SELECT format('job %s: no repository has the id %s', job.number, coalesce(job.repo_id::text, 'null'))
    INTO unknown_id
    FROM unnest(repo_ids) WITH ORDINALITY AS job (repo_id, number)
    LEFT JOIN public.repositories AS repository ON repository.id = job.repo_id
    WHERE repository.id IS NULL
    ORDER BY job.number
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', unknown_id
            USING ERRCODE = 'no_data_found',
                HINT = 'Report the job with the id that public.repositories has.';
    END IF;
    PERFORM public.add_rollout_jobs(
        configuration_id,
        together.repo_id,
        together.processor_type,
        together.job_kind,
        together.size_class,
        begins_at,
        ends_at,
        together.successes,
        together.errors,
        together.timed,
        together.seconds,
        together.duration_counts,
        together.error_message
    )
    FROM (
        SELECT
            job.repo_id,
            job.processor_type,
            coalesce(job.job_kind, '') AS job_kind,
            public.rollout_size_class(job.job_size) AS size_class,
            (count(*) FILTER (WHERE job.succeeded))::integer AS successes,
            (count(*) FILTER (WHERE NOT job.succeeded))::integer AS errors,
            count(job.processing_seconds)::integer AS timed,
            sum(job.processing_seconds::numeric) AS seconds,
            public.rollout_sum_counts(
                CASE
                    WHEN job.processing_seconds IS NOT NULL
                        THEN array_fill(
                            0::bigint,
                            ARRAY[public.rollout_duration_bucket_of(job.processing_seconds) - 1]
                        ) || 1::bigint
                END, 1
            ) AS duration_counts,
            (array_agg(job.error_message ORDER BY job.number DESC) FILTER (WHERE NOT job.succeeded))[1]
            AS error_message
        FROM unnest(
            repo_ids, processor_types, succeeded, processing_seconds, error_messages, job_kinds,
            job_sizes
        ) WITH ORDINALITY AS job (
            repo_id, processor_type, succeeded, processing_seconds, error_message, job_kind,
            job_size, number
        )
        GROUP BY 1, 2, 3, 4
        ORDER BY 1, 2, 3, 4
        OFFSET 0
    ) AS together;
    RETURN jobs;
END
$$;

-- The signature of older releases. A call with its arguments finds the function above.
DROP FUNCTION IF EXISTS public.record_rollout_job(
    text, uuid, text, boolean, double precision, text
);

-- Deletes at most so many of the windows that ended longer ago than `keep`, and returns their number; otherwise as
-- `prune_rollout_metrics`. Rows that another transaction holds stay for the next time.
CREATE OR REPLACE FUNCTION public.prune_rollout_metrics_batch(keep interval, most integer)
RETURNS bigint
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
    WHERE metrics.ctid = ANY (ARRAY(
        SELECT old.ctid
        FROM public.rollout_configuration AS configuration
        INNER JOIN public.rollout_metrics AS old ON old.rollout_config_id = configuration.id
        CROSS JOIN LATERAL (
            SELECT now() - least(
                greatest(prune_rollout_metrics_batch.keep, configuration.monitoring_window),
                interval '36525 days'
            ) AS until
        ) AS kept
        -- The index has the beginnings.
        WHERE old.metrics_window_start < kept.until AND old.metrics_window_end < kept.until
        LIMIT prune_rollout_metrics_batch.most
        FOR UPDATE OF old SKIP LOCKED
    ));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;
