-- Where several sessions record jobs at once, jobs are only inserted, and a merge puts them into `rollout_metrics`. They
-- replace functions of `0003_functions.sql` and `0007_functions.sql`.

-- The functions that record jobs check the processor; a merge must not refuse a job.
DROP TRIGGER IF EXISTS check_metrics_processor ON public.rollout_metrics;
DROP FUNCTION IF EXISTS public.check_metrics_processor();

-- The rows of a feature with jobs since a time, and the recorded jobs that a merge has not put there yet. A window of
-- five minutes counts from its start. A window that contains the time counts completely. A longer window, as services
-- write it, counts from the time at which its row was written. `cut_at` is the last rollback or resume, or null: rows
-- that began or were first written before it do not count.
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
        )
    UNION ALL
    -- The columns of the table are those of the service, where one was adopted.
    SELECT recorded.*
    FROM public.rollout_metrics_rollup AS rollup
    CROSS JOIN LATERAL jsonb_populate_record(
        CAST(null AS public.rollout_metrics),
        jsonb_build_object(
            'rollout_config_id', rollup.rollout_config_id,
            'repository_id', rollup.recorded_repository_id,
            'processor_type', rollup.processor_type,
            'success_count', rollup.jobs - rollup.errors,
            'error_count', rollup.errors,
            'total_jobs', rollup.jobs,
            'timed_jobs', rollup.timed_jobs,
            'average_processing_time', rollup.seconds / nullif(rollup.timed_jobs, 0),
            'duration_counts', rollup.duration_counts,
            'last_error_message', rollup.error_message,
            'last_error_at', CASE WHEN rollup.errors > 0 THEN rollup.newest_at END,
            'metrics_window_start', rollup.counts_from,
            'metrics_window_end', rollup.counts_until,
            'created_at', rollup.newest_at,
            'updated_at', rollup.newest_at,
            'job_kind', rollup.job_kind,
            'size_class', rollup.size_class,
            'category', rollup.category
        )
    ) AS recorded
    WHERE
        rollup.level = 0
        AND rollup.recorded_repository_id IS NOT null
        AND rollup.rollout_config_id = rollout_metrics_since.configuration_id
        AND rollup.counts_from > rollout_metrics_since.since - interval '5 minutes'
        AND rollup.counts_until > rollout_metrics_since.since
        AND (
            rollout_metrics_since.cut_at IS null
            OR rollup.counts_from >= rollout_metrics_since.cut_at
        );
END;

-- What identifies a window among those of recorded jobs, as `add_rollout_jobs` computes it.
CREATE OR REPLACE FUNCTION public.rollout_window_key(
    configuration_id uuid, repo_id uuid, processor text, kind text, class integer, begins_at timestamptz
) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN substring(
    sha256(convert_to(
        concat_ws(
            chr(31), rollout_window_key.configuration_id, rollout_window_key.repo_id,
            rollout_window_key.processor, rollout_window_key.kind, rollout_window_key.class,
            extract(EPOCH FROM rollout_window_key.begins_at)
        ),
        'UTF8'
    )) FROM 1 FOR 16
);

-- Puts recorded jobs into `rollout_metrics`, and merges rows of the sums that have one key, at most so many at once.
-- Returns the number of rows that it looked at. It waits for no other merge, and leaves the jobs of a row that another
-- program holds for the next time. In a window that has closed the repositories of errors go, and each one's errors
-- beyond five are kept as a number. Sums that came to nothing go, and recorded jobs of a feature or repository that is
-- gone do too, as its rows of metrics did.
CREATE OR REPLACE FUNCTION public.merge_rollout_rollup(most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET plan_cache_mode = 'force_generic_plan'
AS $$
DECLARE
    merged bigint;
    own_slot smallint;
    closed_before CONSTANT timestamptz := statement_timestamp() - interval '1 minute';
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.rollout_metrics_rollup AS rollup
        WHERE rollup.level = 0
            OR (rollup.level = 1 AND rollup.counts_until <= closed_before)
    ) THEN
        RETURN 0;
    END IF;
    -- Before the next statement: that sees what an earlier merge with this slot has written.
    SELECT turn.number INTO own_slot
    FROM public.rollout_metrics_turn AS turn
    WHERE turn.number >= 16
    ORDER BY turn.number
    LIMIT 1
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;

    WITH taken AS MATERIALIZED (
        SELECT
            rollup.ctid AS place,
            CASE
                WHEN rollup.recorded_repository_id IS NOT null
                    THEN public.rollout_window_key(
                        rollup.rollout_config_id, rollup.recorded_repository_id, rollup.processor_type,
                        rollup.job_kind, rollup.size_class, rollup.counts_from
                    )
            END AS window_key
        FROM public.rollout_metrics_rollup AS rollup
        WHERE rollup.level = 0
            OR (rollup.level = 1 AND rollup.counts_until <= closed_before)
        LIMIT merge_rollout_rollup.most
        FOR UPDATE SKIP LOCKED
    ),

    -- The rows of these windows that are there. Those that are not free are held by another program.
    present AS MATERIALIZED (
        SELECT metrics.window_key
        FROM public.rollout_metrics AS metrics
        WHERE metrics.slot = own_slot
            AND metrics.window_key IN (SELECT taken.window_key FROM taken)
    ),

    free AS MATERIALIZED (
        SELECT metrics.window_key
        FROM public.rollout_metrics AS metrics
        WHERE metrics.slot = own_slot
            AND metrics.window_key IN (SELECT present.window_key FROM present)
        FOR NO KEY UPDATE SKIP LOCKED
    ),

    fresh AS (
        DELETE FROM public.rollout_metrics_rollup AS rollup
        USING taken
        WHERE rollup.ctid = taken.place
            AND (
                taken.window_key IS null
                OR taken.window_key NOT IN (SELECT present.window_key FROM present)
                OR taken.window_key IN (SELECT free.window_key FROM free)
            )
        RETURNING rollup.*, taken.window_key
    ),

    recorded AS (
        SELECT
            fresh.window_key,
            fresh.rollout_config_id,
            fresh.recorded_repository_id AS repository_id,
            fresh.processor_type,
            fresh.job_kind,
            fresh.size_class,
            fresh.counts_from,
            max(fresh.counts_until) AS counts_until,
            sum(fresh.jobs) AS jobs,
            sum(fresh.errors) AS errors,
            sum(fresh.timed_jobs) AS timed,
            sum(fresh.seconds) AS seconds,
            public.rollout_sum_counts(fresh.duration_counts, 1) AS duration_counts,
            (
                array_agg(fresh.error_message ORDER BY fresh.newest_at DESC)
                FILTER (WHERE fresh.errors > 0)
            )[1] AS error_message,
            max(fresh.newest_at) FILTER (WHERE fresh.errors > 0) AS failed_at,
            min(fresh.newest_at) AS began_at,
            max(fresh.newest_at) AS newest_at,
            (array_agg(fresh.category ORDER BY fresh.newest_at))[1] AS category
        FROM fresh
        WHERE fresh.window_key IS NOT null
        GROUP BY 1, 2, 3, 4, 5, 6, 7
    ),

    living AS MATERIALIZED (
        SELECT recorded.*
        FROM recorded
        WHERE EXISTS (
            SELECT FROM public.rollout_configuration AS configuration
            WHERE configuration.id = recorded.rollout_config_id
        ) AND EXISTS (
            SELECT FROM public.repositories AS repository
            WHERE repository.id = recorded.repository_id
        )
    ),

    kept AS (
        INSERT INTO public.rollout_metrics AS metrics (
            rollout_config_id, repository_id, processor_type, success_count, error_count,
            total_jobs, timed_jobs, average_processing_time, duration_counts, last_error_message,
            last_error_at, metrics_window_start, metrics_window_end, job_kind, size_class, category,
            window_key, slot, created_at, updated_at
        )
        SELECT
            living.rollout_config_id,
            living.repository_id,
            living.processor_type,
            living.jobs - living.errors,
            living.errors,
            living.jobs,
            living.timed,
            living.seconds / nullif(living.timed, 0),
            living.duration_counts,
            living.error_message,
            living.failed_at,
            living.counts_from,
            living.counts_until,
            living.job_kind,
            living.size_class,
            living.category,
            living.window_key,
            own_slot,
            living.began_at,
            living.newest_at
        FROM living
        ON CONFLICT (window_key, slot) WHERE slot IS NOT null
        DO UPDATE SET
            success_count = metrics.success_count + excluded.success_count,
            error_count = metrics.error_count + excluded.error_count,
            total_jobs = metrics.total_jobs + excluded.total_jobs,
            timed_jobs = metrics.timed_jobs + excluded.timed_jobs,
            average_processing_time = (
                coalesce(metrics.average_processing_time * metrics.timed_jobs, 0)
                + coalesce(excluded.average_processing_time * excluded.timed_jobs, 0)
            ) / nullif(metrics.timed_jobs + excluded.timed_jobs, 0),
            duration_counts = CASE
                WHEN excluded.timed_jobs = 0 THEN metrics.duration_counts
                ELSE public.rollout_add_counts(metrics.duration_counts, excluded.duration_counts, 1)
            END,
            last_error_message = CASE
                WHEN excluded.last_error_at >= coalesce(metrics.last_error_at, '-infinity')
                    THEN excluded.last_error_message
                ELSE metrics.last_error_message
            END,
            last_error_at = greatest(metrics.last_error_at, excluded.last_error_at),
            updated_at = greatest(metrics.updated_at, excluded.updated_at)
        RETURNING metrics.window_key, metrics.category
    ),

    counted AS (
        SELECT
            fresh.rollout_config_id,
            fresh.processor_type,
            -- That of the row of metrics: a change of the row takes its jobs from there.
            coalesce(kept.category, fresh.category) AS category,
            fresh.counts_from,
            fresh.counts_until,
            fresh.jobs,
            fresh.errors,
            fresh.repeated_errors,
            fresh.duration_counts,
            fresh.newest_at,
            fresh.repository_id,
            fresh.is_judged
        FROM fresh
        LEFT JOIN kept ON kept.window_key = fresh.window_key
        WHERE fresh.window_key IS null
            OR fresh.window_key IN (SELECT living.window_key FROM living)
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
                    counted.rollout_config_id,
                    counted.counts_until,
                    counted.counts_from,
                    counted.processor_type,
                    counted.category
                FROM counted
                WHERE counted.counts_until <= closed_before
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
            SELECT counted.* FROM counted
            UNION ALL
            SELECT
                stale.rollout_config_id,
                stale.processor_type,
                stale.category,
                stale.counts_from,
                stale.counts_until,
                stale.jobs,
                stale.errors,
                stale.repeated_errors,
                stale.duration_counts,
                stale.newest_at,
                stale.repository_id,
                stale.is_judged
            FROM stale
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

-- The same by those who write, for at most about 0.3 seconds: they find their jobs in `rollout_metrics` also where no
-- watch runs. The sums are right without it, so that no write fails by it. A transaction that sees one snapshot would
-- fail where another one merged since.
CREATE OR REPLACE FUNCTION public.merge_some_rollout_rollup() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
BEGIN
    IF current_setting('transaction_isolation') = 'read committed' THEN
        WHILE public.merge_rollout_rollup(2000) >= 2000
            AND clock_timestamp() < statement_timestamp() + interval '0.3 seconds'
        LOOP
        END LOOP;
    END IF;
EXCEPTION
    WHEN OTHERS THEN NULL;
END
$$;

-- Adds one job's outcome to the window of five minutes that it is reported in: however many report at once, each is
-- counted. One transaction at a time updates its row of `rollout_metrics`. While it does so, and for a second after a
-- session found that, jobs are only inserted as recorded jobs: that waits for nothing and costs half as much. Once in
-- that second, and by the first call after it, they are merged. `processing_seconds` is how long the job took, where that is known; `job_kind`
-- and `job_size` what kind of job it was, and how large. Of an error message the first 1,000 characters are kept, without
-- control characters but line breaks and tabs; it is a failed job's alone. Workers need no right on a table: it runs with
-- its owner's rights, and checks its arguments.
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
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one_second CONSTANT interval := interval '1 second';
    -- Not the transaction's time: a worker may have opened its own when the job began.
    reported_at CONSTANT timestamptz := statement_timestamp();
    configuration_id uuid;
    found_id uuid;
    found_category text;
    begins_at timestamptz;
    ends_at timestamptz;
    is_compared boolean;
    inserted_at timestamptz;
    is_busy boolean;
    sees_one_snapshot CONSTANT boolean := current_setting('transaction_isolation') <> 'read committed';
    duration_counts bigint [];
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
    SELECT
        configuration.id, categorized.repository_id, categorized.category, bounds.window_start, bounds.window_end,
        record_rollout_job.processor_type IN (configuration.processor, configuration.fallback),
        busy.taken_at
    INTO configuration_id, found_id, found_category, begins_at, ends_at, is_compared, inserted_at
    FROM public.rollout_configuration AS configuration
    LEFT JOIN public.repository_categories AS categorized ON categorized.repository_id = repo_id
    CROSS JOIN LATERAL public.rollout_window_at(reported_at, configuration.metrics_cut_at) AS bounds
    LEFT JOIN public.rollout_metrics_turn AS busy ON busy.number = 1
    WHERE configuration.feature_name = record_rollout_job.feature_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no feature is called %', coalesce(quote_literal(feature_name), 'null')
            USING ERRCODE = 'no_data_found',
                HINT = 'Apply a rollout file that has it, or report the job under its name.';
    END IF;
    IF found_id IS NULL THEN
        -- It has no row of its own among the categories, or does not exist.
        SELECT repository.id INTO found_id FROM public.repositories AS repository WHERE repository.id = repo_id;
    END IF;
    IF found_id IS NULL THEN
        RAISE EXCEPTION 'no repository has the id %', coalesce(repo_id::text, 'null')
            USING ERRCODE = 'no_data_found',
                HINT = 'Report the job with the id that public.repositories has.';
    END IF;
    IF NOT is_compared THEN
        PERFORM public.check_rollout_processor(configuration_id, processor_type);
    END IF;
    IF processing_seconds IS NOT null THEN
        duration_counts = array_fill(
            0::bigint, ARRAY[public.rollout_duration_bucket_of(processing_seconds) - 1]
        ) || 1::bigint;
    END IF;
    -- Also after a failover to a server with an earlier clock. A transaction that sees one snapshot only inserts: it
    -- would fail where another one updated a row since.
    is_busy = coalesce(inserted_at BETWEEN reported_at - one_second AND reported_at + one_second, false)
        OR sees_one_snapshot;
    IF NOT is_busy THEN
        PERFORM FROM public.rollout_metrics_turn AS turn WHERE turn.number = 0 FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            PERFORM public.add_rollout_jobs(
                configuration_id, repo_id, record_rollout_job.processor_type,
                coalesce(record_rollout_job.job_kind, ''), public.rollout_size_class(job_size),
                begins_at, ends_at, succeeded::integer, (NOT succeeded)::integer,
                (processing_seconds IS NOT NULL)::integer, processing_seconds::numeric,
                duration_counts, record_rollout_job.error_message
            );
            IF isfinite(inserted_at) THEN
                PERFORM public.merge_some_rollout_rollup();
                -- Transactions that inserted jobs have ended, but for long ones: a watch merges theirs.
                UPDATE public.rollout_metrics_turn AS done
                SET taken_at = '-infinity'
                WHERE inserted_at < reported_at - 10 * one_second AND done.number = (
                    SELECT turn.number FROM public.rollout_metrics_turn AS turn
                    WHERE turn.number = 1
                    FOR UPDATE SKIP LOCKED
                );
            END IF;
            RETURN;
        END IF;
    END IF;
    IF found_category IS NULL THEN
        -- Of a repository without a row of its own, as in the window so far: to compute it takes longer.
        SELECT counted.category INTO found_category
        FROM public.rollout_metrics AS counted
        WHERE counted.slot IS NOT null AND counted.window_key = public.rollout_window_key(
            configuration_id, repo_id, record_rollout_job.processor_type,
            coalesce(record_rollout_job.job_kind, ''), public.rollout_size_class(job_size), begins_at
        )
        LIMIT 1;
        found_category = coalesce(found_category, public.rollout_category_of(repo_id));
    END IF;
    INSERT INTO public.rollout_metrics_rollup (
        rollout_config_id, processor_type, category, counts_from, counts_until, jobs, errors,
        duration_counts, newest_at, repository_id,
        recorded_repository_id, job_kind, size_class, timed_jobs, seconds, error_message
    )
    VALUES (
        configuration_id, record_rollout_job.processor_type,
        found_category,
        begins_at, ends_at,
        1, (NOT succeeded)::integer,
        duration_counts,
        least(reported_at, ends_at), CASE WHEN NOT succeeded THEN repo_id END,
        repo_id, coalesce(record_rollout_job.job_kind, ''), public.rollout_size_class(job_size),
        (processing_seconds IS NOT NULL)::integer, processing_seconds::numeric,
        CASE
            WHEN NOT succeeded
                THEN regexp_replace(
                    left(record_rollout_job.error_message, 1000),
                    '[\u0001-\u0008\u000b-\u001f\u007f-\u009f]', ' ', 'g'
                )
        END
    );
    IF sees_one_snapshot THEN
        RETURN;
    ELSIF NOT is_busy THEN
        UPDATE public.rollout_metrics_turn AS busy
        SET taken_at = reported_at
        WHERE busy.number = (
            SELECT turn.number FROM public.rollout_metrics_turn AS turn
            WHERE turn.number = 1
            FOR UPDATE SKIP LOCKED
        );
        -- Others see the time after the end of this transaction, so that it merges only where few jobs can be there.
        IF FOUND AND coalesce(inserted_at < reported_at - 2 * one_second, true) THEN
            PERFORM public.merge_some_rollout_rollup();
        END IF;
    ELSIF reported_at > inserted_at + 0.5 * one_second AND EXISTS (
        SELECT FROM public.rollout_metrics_turn AS turn
        WHERE turn.number = 2 AND turn.taken_at < inserted_at
    ) THEN
        UPDATE public.rollout_metrics_turn AS merging
        SET taken_at = inserted_at
        WHERE merging.number = (
            SELECT turn.number FROM public.rollout_metrics_turn AS turn
            WHERE turn.number = 2
            FOR UPDATE SKIP LOCKED
        );
        IF FOUND THEN
            PERFORM public.merge_some_rollout_rollup();
        END IF;
    END IF;
END
$$;

-- Records the outcomes of several jobs of one feature, each as `record_rollout_job` does, and returns their number.
-- Each array has one element for each job; one that is null has no value for any of them. All jobs are recorded, or
-- none where one is refused.
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
    reported_at CONSTANT timestamptz := statement_timestamp();
    configuration_id uuid;
    begins_at timestamptz;
    ends_at timestamptz;
    compared text [];
    is_busy boolean;
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
    SELECT
        configuration.id, bounds.window_start, bounds.window_end,
        ARRAY[configuration.processor, configuration.fallback],
        EXISTS (
            SELECT FROM public.rollout_metrics_turn AS turn
            WHERE turn.number = 1
                AND turn.taken_at BETWEEN reported_at - interval '1 second' AND reported_at + interval '1 second'
        )
    INTO configuration_id, begins_at, ends_at, compared, is_busy
    FROM public.rollout_configuration AS configuration
    CROSS JOIN LATERAL public.rollout_window_at(reported_at, configuration.metrics_cut_at) AS bounds
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
    PERFORM public.check_rollout_processor(configuration_id, named.name)
    FROM (
        SELECT DISTINCT job.name FROM unnest(processor_types) AS job (name)
        WHERE job.name <> ALL (compared)
        OFFSET 0
    ) AS named;
    INSERT INTO public.rollout_metrics_rollup (
        rollout_config_id, processor_type, category, counts_from, counts_until, jobs, errors,
        duration_counts, newest_at, repository_id,
        recorded_repository_id, job_kind, size_class, timed_jobs, seconds, error_message
    )
    SELECT
        configuration_id,
        together.processor_type,
        coalesce(categorized.category, public.rollout_category_of(together.repo_id)),
        begins_at,
        ends_at,
        together.jobs,
        together.errors,
        together.duration_counts,
        least(reported_at, ends_at),
        CASE WHEN together.errors > 0 THEN together.repo_id END,
        together.repo_id,
        together.job_kind,
        together.size_class,
        together.timed,
        together.seconds,
        regexp_replace(
            left(together.error_message, 1000), '[\u0001-\u0008\u000b-\u001f\u007f-\u009f]', ' ', 'g'
        )
    FROM (
        SELECT
            job.repo_id,
            job.processor_type,
            coalesce(job.job_kind, '') AS job_kind,
            public.rollout_size_class(job.job_size) AS size_class,
            count(*) AS jobs,
            count(*) FILTER (WHERE NOT job.succeeded) AS errors,
            count(job.processing_seconds) AS timed,
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
    ) AS together
    LEFT JOIN public.repository_categories AS categorized ON categorized.repository_id = together.repo_id;
    IF jobs > 0 AND NOT is_busy THEN
        PERFORM public.merge_some_rollout_rollup();
    END IF;
    RETURN jobs;
END
$$;

-- The triggers of the sums leave out the rows that they write.
DO $$
BEGIN
    ALTER FUNCTION public.add_rollout_jobs(
        uuid, uuid, text, text, integer, timestamptz, timestamptz, integer, integer, integer, numeric,
        bigint [], text
    ) SET rollout.recording = 'on';
    ALTER FUNCTION public.merge_rollout_rollup(integer) SET rollout.recording = 'on';
END
$$;
