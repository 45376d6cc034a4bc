-- The processor of a job under the limits of processors. The rules are those of the client's `Routing.route`.

-- Whether a job spills: the chosen processor is at its limit, and the other one is not.
CREATE OR REPLACE FUNCTION public.rollout_is_over(
    chosen_limit integer, chosen_running bigint, other_limit integer, other_running bigint
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        coalesce(chosen_running >= chosen_limit, false)
        AND NOT coalesce(other_running >= other_limit, false);
END;

-- The processor to which a job of a rule spills from the chosen one; null without `spill`.
CREATE OR REPLACE FUNCTION public.rollout_other_of(
    rules jsonb, rule integer, chosen text, processor text, fallback text
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        CASE
            WHEN rules -> (rule - 1) -> 'spill' = 'true'
                THEN CASE chosen WHEN fallback THEN processor ELSE fallback END
        END;
END;

-- Whether a job goes from the chosen processor to the other one, by the jobs that run now.
CREATE OR REPLACE FUNCTION public.rollout_spills(chosen text, other text) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT
        public.rollout_is_over(
            max(load.concurrency) FILTER (WHERE load.processor = chosen),
            max(load.running) FILTER (WHERE load.processor = chosen),
            max(load.concurrency) FILTER (WHERE load.processor = other),
            max(load.running) FILTER (WHERE load.processor = other)
        )
    FROM public.rollout_load(ARRAY[chosen, other]) AS load;
END;

-- The processor of a job by the rules alone; `other` is the processor to which it may spill, null without `spill`.
CREATE OR REPLACE FUNCTION public.rollout_route_of(
    feature_name text, repo_id uuid, job_kind text, job_size bigint
) RETURNS TABLE (processor text, eligible boolean, rule integer, because text, other text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT
        CASE
            WHEN explained.eligible THEN coalesce(fitting.processor, configuration.processor)
            ELSE coalesce(configuration.fallback, 'inngest')
        END AS processor,
        explained.eligible,
        fitting.rule,
        coalesce(fitting.because, '') AS because,
        public.rollout_other_of(
            configuration.routing,
            fitting.rule,
            coalesce(fitting.processor, configuration.processor),
            configuration.processor,
            configuration.fallback
        ) AS other
    FROM public.explain_repository_eligibility(
        rollout_route_of.repo_id, rollout_route_of.feature_name
    ) AS explained
    LEFT JOIN public.rollout_configuration AS configuration
        ON configuration.feature_name = rollout_route_of.feature_name
    LEFT JOIN LATERAL public.rollout_rule_of(
        configuration.routing,
        configuration.routing_choices,
        rollout_route_of.job_kind,
        rollout_route_of.job_size,
        coalesce(explained.category, 'enterprise')
    ) AS fitting ON explained.eligible;
END;

-- The processor that takes a job, and the number of the rule that decides, from 1; null if no rule does. A job
-- without a size counts as one of size 0. Jobs of a repository that is not eligible, or of an unknown feature, go
-- to the fallback. Over a processor's limit, the other one takes the jobs of a rule with `spill`; two calls at the
-- same time see the same number of running jobs, and `start_rollout_job` counts them one after another. A database
-- does not see the environment of a process.
CREATE OR REPLACE FUNCTION public.route_rollout_job(
    feature_name text, repo_id uuid, job_kind text DEFAULT null, job_size bigint DEFAULT null
) RETURNS TABLE (processor text, eligible boolean, rule integer, because text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT
        CASE
            WHEN
                found.other IS NOT null
                AND public.rollout_spills(found.processor, found.other)
                THEN found.other
            ELSE found.processor
        END AS processor,
        found.eligible,
        found.rule,
        found.because
    FROM public.rollout_route_of(
        route_rollout_job.feature_name,
        route_rollout_job.repo_id,
        route_rollout_job.job_kind,
        route_rollout_job.job_size
    ) AS found;
END;

CREATE OR REPLACE FUNCTION public.rollout_notification_severity(event text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN event IN ('rolled_back', 'stopped', 'shared_outage', 'watch_absent') THEN 'page'
        WHEN event IN ('resumed', 'promotion_ready', 'promoted', 'applied', 'rerouted') THEN 'info'
        ELSE 'ticket'
    END
$$;

-- Reports that another processor was chosen for a rule to the cheapest one.
CREATE OR REPLACE FUNCTION public.notify_of_choice() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    feature text;
BEGIN
    SELECT configuration.feature_name INTO feature
    FROM public.rollout_configuration AS configuration
    WHERE configuration.id = NEW.rollout_config_id;
    PERFORM public.rollout_notify(
        'rerouted', feature, NEW.position::text,
        jsonb_build_object(
            'rule', NEW.metadata #> '{routing_choice,rule}',
            'category', NEW.metadata #> '{routing_choice,category}',
            'before', NEW.metadata #> '{routing_choice,before}',
            'after', NEW.metadata #> '{routing_choice,after}',
            'by', NEW.triggered_by,
            'reason', NEW.reason,
            'generation', NEW.metadata -> 'generation'
        )
    );
    RETURN NULL;
EXCEPTION
    WHEN others THEN
        RAISE WARNING 'a notification of a chosen processor was not written: %', SQLERRM;
        RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER notify_of_choice
AFTER INSERT ON public.rollout_history
FOR EACH ROW WHEN (jsonb_typeof(NEW.metadata -> 'routing_choice') = 'object')
EXECUTE FUNCTION public.notify_of_choice();
