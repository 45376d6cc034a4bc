-- The starts and the ends of jobs. They run with their owner's rights: a worker has no right on the table.

-- The processors that have a limit, the limit, and the number of jobs that run there now. A start without an end
-- counts for at most an hour. The number stops at the limit: more of them change no decision. Without the jobs of
-- `except_reporter`, which knows its own.
CREATE OR REPLACE FUNCTION public.rollout_load(
    processors text [], except_reporter uuid DEFAULT null
) RETURNS TABLE (processor text, concurrency integer, running bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 2
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
    RETURN QUERY
    SELECT
        limited.name::text,
        limited.concurrency,
        (
            SELECT count(*)
            FROM (
                SELECT
                FROM public.rollout_running_job AS job
                WHERE
                    job.processor_type = limited.name
                    AND job.started_at > statement_timestamp() - interval '1 hour'
                    -- A start after a clock that was set back counts as one of now.
                    AND job.started_at < statement_timestamp() + interval '1 hour'
                    AND (
                        except_reporter IS null
                        OR job.reporter IS DISTINCT FROM except_reporter
                    )
                LIMIT limited.concurrency
            ) AS counted
        )
    FROM public.rollout_processor AS limited
    WHERE limited.name = ANY (processors) AND limited.concurrency IS NOT null;
END
$$;

-- Deletes some starts that count no more; each start calls it. What another transaction is deleting is left to it.
CREATE OR REPLACE FUNCTION public.forget_rollout_starts() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
    DELETE FROM public.rollout_running_job AS old
    WHERE old.id IN (
        SELECT found.id FROM public.rollout_running_job AS found
        WHERE found.started_at < statement_timestamp() - interval '1 hour'
        ORDER BY found.started_at
        LIMIT 100
        FOR UPDATE SKIP LOCKED
    );
END
$$;

-- Routes a job and records its start, in one step. The result is that of `route_rollout_job`, with the id that
-- `end_rollout_job` takes. The jobs of a rule with `spill` start one after another, so that all of them together
-- never exceed the processor's limit: call it in a short transaction of its own, in READ COMMITTED. Where the
-- number of running jobs cannot be known, the fallback takes the job. A second call with the same id is the same
-- start.
CREATE OR REPLACE FUNCTION public.start_rollout_job(
    feature_name text,
    repo_id uuid,
    job_kind text DEFAULT null,
    job_size bigint DEFAULT null,
    job_id uuid DEFAULT gen_random_uuid()
) RETURNS TABLE (id uuid, processor text, eligible boolean, rule integer, because text)
LANGUAGE plpgsql SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s'
AS $$
DECLARE
    starts_of_processors CONSTANT integer := 1870005324;
    route record;
    configuration record;
    recorded text;
    key integer;
    is_known boolean := true;
BEGIN
    id := coalesce(job_id, gen_random_uuid());
    SELECT found.* INTO route
    FROM public.rollout_route_of(feature_name, repo_id, job_kind, job_size) AS found;
    IF route.other IS NOT null THEN
        BEGIN
            -- In one order, so that two starts cannot deadlock.
            FOR key IN
                SELECT DISTINCT hashtext(named.name)
                FROM (VALUES (route.processor), (route.other)) AS named (name)
                ORDER BY 1
            LOOP
                PERFORM pg_advisory_xact_lock(starts_of_processors, key);
            END LOOP;
        EXCEPTION WHEN lock_not_available THEN
            is_known := false;
        END;
        -- With another isolation, starts that were recorded meanwhile are not visible.
        is_known := is_known AND current_setting('transaction_isolation') = 'read committed';
        -- The feature may have been stopped during the wait.
        SELECT found.* INTO route
        FROM public.rollout_route_of(feature_name, repo_id, job_kind, job_size) AS found;
    END IF;
    SELECT found.id, found.fallback INTO configuration
    FROM public.rollout_configuration AS found
    WHERE found.feature_name = start_rollout_job.feature_name;
    eligible := route.eligible;
    rule := route.rule;
    because := route.because;
    processor := route.processor;
    IF route.other IS NOT null THEN
        IF NOT is_known THEN
            processor := configuration.fallback;
        ELSIF public.rollout_spills(route.processor, route.other) THEN
            processor := route.other;
        END IF;
    END IF;
    IF configuration.id IS NOT null THEN
        PERFORM public.forget_rollout_starts();
        INSERT INTO public.rollout_running_job AS job (
            id, rollout_config_id, processor_type, started_at
        )
        VALUES (start_rollout_job.id, configuration.id, processor, statement_timestamp())
        ON CONFLICT ON CONSTRAINT rollout_running_job_pkey DO UPDATE
        -- The first call may have come before a stop.
        SET processor_type = CASE WHEN route.eligible THEN job.processor_type ELSE processor END
        RETURNING job.processor_type INTO processor;
    END IF;
    RETURN NEXT;
END
$$;

-- Records the start of jobs whose processor a client has decided, with the seconds since then; returns how many
-- were not recorded yet. Jobs of unknown features, or on processors that no feature and no price names, are left
-- out.
CREATE OR REPLACE FUNCTION public.record_rollout_starts(
    job_ids uuid [],
    feature_names text [],
    processor_types text [],
    seconds_ago double precision [],
    reporter uuid DEFAULT null
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s'
AS $$
DECLARE
    recorded integer;
BEGIN
    PERFORM public.forget_rollout_starts();
    INSERT INTO public.rollout_running_job (
        id, rollout_config_id, processor_type, reporter, started_at
    )
    SELECT
        started.id,
        configuration.id,
        started.processor,
        record_rollout_starts.reporter,
        statement_timestamp()
        - make_interval(secs => least(greatest(coalesce(started.seconds, 0), 0), 3600))
    FROM unnest(job_ids, feature_names, processor_types, seconds_ago)
        AS started (id, feature, processor, seconds)
    INNER JOIN public.rollout_configuration AS configuration
        ON configuration.feature_name = started.feature
    WHERE
        started.id IS NOT null
        AND (
            started.processor IN (configuration.processor, configuration.fallback)
            OR started.processor IN (SELECT known.name FROM public.rollout_processor AS known)
        )
    ON CONFLICT (id) DO NOTHING;
    GET DIAGNOSTICS recorded = ROW_COUNT;
    RETURN recorded;
END
$$;

-- Records the end of a job that `start_rollout_job` or `record_rollout_starts` recorded; false if no such job runs.
CREATE OR REPLACE FUNCTION public.end_rollout_job(job_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s'
AS $$
BEGIN
    DELETE FROM public.rollout_running_job AS job WHERE job.id = job_id;
    RETURN FOUND;
END
$$;
