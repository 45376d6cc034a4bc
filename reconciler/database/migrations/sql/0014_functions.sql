-- The processor of a job. The rules are those of the client's `Routing.route`.

-- The number of the first rule that takes a job, from 1, and its processor; no row if none takes it. The processor of
-- a rule to the cheapest one is the chosen one of the category; null without a choice: the feature's processor.
CREATE OR REPLACE FUNCTION public.rollout_rule_of(
    rules jsonb, choices jsonb, job_kind text, job_size bigint, category text
) RETURNS TABLE (rule integer, processor text, because text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT
        listed.number::integer AS rule,
        CASE listed.rule ->> 'to'
            WHEN 'cheapest'
                THEN (
                    SELECT made.choice ->> 'processor'
                    FROM
                        jsonb_array_elements(rollout_rule_of.choices)
                        WITH ORDINALITY AS made (choice, number)
                    WHERE
                        made.choice -> 'rule' = listed.rule - 'because'
                        AND made.choice ->> 'category' = rollout_rule_of.category
                    ORDER BY made.number
                    LIMIT 1
                )
            ELSE listed.rule ->> 'to'
        END AS processor,
        coalesce(listed.rule ->> 'because', '') AS because
    FROM
        jsonb_array_elements(rollout_rule_of.rules) WITH ORDINALITY AS listed (rule, number)
    CROSS JOIN LATERAL (
        SELECT
            coalesce(rollout_rule_of.job_size, 0) AS size,
            substring(listed.rule #>> '{when,size}' FROM '^[<>=]+') AS comparison,
            substring(listed.rule #>> '{when,size}' FROM '[0-9]+$')::bigint AS compared,
            nullif(listed.rule #> '{when,kind}', '[]') AS kinds,
            nullif(listed.rule #> '{when,category}', '[]') AS categories
    ) AS job
    WHERE
        job.size >= 0
        AND CASE job.comparison
            WHEN '<=' THEN job.size <= job.compared
            WHEN '<' THEN job.size < job.compared
            WHEN '>=' THEN job.size >= job.compared
            WHEN '>' THEN job.size > job.compared
            WHEN '=' THEN job.size = job.compared
            ELSE true
        END
        AND (job.kinds IS null OR job.kinds ? coalesce(rollout_rule_of.job_kind, ''))
        AND (job.categories IS null OR job.categories ? rollout_rule_of.category)
    ORDER BY listed.number
    LIMIT 1;
END;

-- The processor that takes a job, and the number of the rule that decides, from 1; null if no rule does. A job
-- without a size counts as one of size 0. Jobs of a repository that is not eligible, or of an unknown feature, go
-- to the fallback. A database does not see the environment of a process.
CREATE OR REPLACE FUNCTION public.route_rollout_job(
    feature_name text, repo_id uuid, job_kind text DEFAULT null, job_size bigint DEFAULT null
) RETURNS TABLE (processor text, eligible boolean, rule integer, because text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT
        CASE
            WHEN explained.eligible THEN coalesce(fitting.processor, configuration.processor)
            ELSE coalesce(configuration.fallback, 'inngest')
        END AS processor,
        explained.eligible,
        fitting.rule,
        coalesce(fitting.because, '') AS because
    FROM public.explain_repository_eligibility(
        route_rollout_job.repo_id, route_rollout_job.feature_name
    ) AS explained
    LEFT JOIN public.rollout_configuration AS configuration
        ON configuration.feature_name = route_rollout_job.feature_name
    LEFT JOIN LATERAL public.rollout_rule_of(
        configuration.routing,
        configuration.routing_choices,
        route_rollout_job.job_kind,
        route_rollout_job.job_size,
        coalesce(explained.category, 'enterprise')
    ) AS fitting ON explained.eligible;
END;

-- Evidence begins anew, and metric windows are split, with each row of history that changes the audience or what
-- is compared: jobs before and after it are in different rows. An apply can write many rows in one statement.
CREATE OR REPLACE FUNCTION public.cut_metric_windows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A row written by hand may have any time: no window begins in the future.
    UPDATE public.rollout_configuration AS configuration
    SET
        metrics_cut_at = greatest(configuration.metrics_cut_at, cut.at),
        evidence_began_at = greatest(configuration.evidence_began_at, cut.at)
    FROM (
        SELECT
            inserted.rollout_config_id,
            max(least(inserted.created_at, clock_timestamp())) AS at
        FROM inserted
        WHERE
            inserted.action IN (
                'created', 'adopted', 'percentage_changed', 'strategy_changed', 'whitelist_added',
                'whitelist_removed', 'exclusion_added', 'exclusion_removed', 'deactivated',
                'reactivated', 'drift_reverted', 'auto_rollback', 'rollback', 'emergency_stop',
                'emergency_rollback', 'resumed'
            )
            OR inserted.metadata ->> 'field' IN (
                'salt', 'bucketing', 'processor', 'fallback', 'routing', 'method',
                'max_regression', 'max_slowdown'
            )
            OR inserted.metadata ? 'routing_choice'
        GROUP BY inserted.rollout_config_id
    ) AS cut
    WHERE
        cut.rollout_config_id = configuration.id
        AND isfinite(cut.at)
        AND cut.at > least(configuration.metrics_cut_at, configuration.evidence_began_at);
    RETURN NULL;
END
$$;
