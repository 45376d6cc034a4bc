-- Completes `0001_adoption.sql`: it restores the objects of the service, adds keys and history to the rows,
-- and lets each role that could read the rollout also read what eligibility needs now.

-- Fires the trigger that maintains the keys of the lists.
UPDATE public.rollout_configuration
SET target_repositories = target_repositories;

-- A feature that is stopped at adoption gets an override, as any stopped feature. `reconcile import` writes
-- it into the file; removing it there resumes the feature.
INSERT INTO public.rollout_override (
    id, rollout_config_id, emergency_stop, reason, triggered_by, created_at
)
SELECT
    gen_random_uuid(),
    id,
    true,
    'stopped when the database was adopted',
    'database',
    updated_at
FROM public.rollout_configuration
WHERE emergency_stop;

INSERT INTO public.rollout_history (
    rollout_config_id,
    action,
    previous_percentage,
    new_percentage,
    reason,
    triggered_by,
    metadata
)
SELECT
    configuration.id,
    'adopted',
    configuration.rollout_percentage AS previous_percentage,
    configuration.rollout_percentage AS new_percentage,
    'the tables were there before the reconciler',
    left(current_user, 100),
    jsonb_build_object(
        'by', current_user,
        -- The state before adoption of what adoption changed.
        'before', (
            SELECT coalesce(jsonb_object_agg(was.key, was.value), '{}')
            FROM jsonb_each(adopted_feature.row_values) AS was
            WHERE adopted_feature.row_values_now -> was.key IS DISTINCT FROM was.value
        ),
        'after', jsonb_build_object(
            'active', configuration.is_active,
            'emergency_stop', configuration.emergency_stop,
            'strategy', configuration.rollout_strategy,
            'percentage', trim_scale(configuration.rollout_percentage),
            'salt', coalesce(configuration.salt, configuration.feature_name),
            'bucketing', coalesce(nullif(current_setting('rollout.bucketing', true), ''), 'sha256'),
            'max_error_rate', trim_scale(configuration.max_error_rate),
            'min_jobs', configuration.min_jobs,
            'window', trim_scale(extract(EPOCH FROM configuration.monitoring_window)) || 's',
            'auto_rollback', configuration.auto_rollback_enabled,
            'rollback_to', trim_scale(configuration.rollback_to),
            'description', configuration.metadata ->> 'description',
            'whitelist', (
                SELECT coalesce(jsonb_agg(membership.key ORDER BY membership.key), '[]')
                FROM public.rollout_membership AS membership
                WHERE membership.rollout_config_id = configuration.id
                    AND membership.list = 'whitelist'
            ),
            'exclusions', (
                SELECT coalesce(jsonb_agg(membership.key ORDER BY membership.key), '[]')
                FROM public.rollout_membership AS membership
                WHERE membership.rollout_config_id = configuration.id
                    AND membership.list = 'exclusions'
            )
        )
    )
FROM public.rollout_configuration AS configuration
INNER JOIN (
    SELECT
        adopted_feature.id,
        adopted_feature.row_values,
        to_jsonb(now_there) AS row_values_now
    FROM adopted_feature
    INNER JOIN public.rollout_configuration AS now_there ON adopted_feature.id = now_there.id
) AS adopted_feature ON configuration.id = adopted_feature.id
ORDER BY configuration.feature_name;

-- Revokes the grants that default privileges gave on the new tables. A view runs with the rights of its
-- owner, and no other role may write the tables of the reconciler.
SELECT pg_temp.take_grants(relation)
FROM unnest(CAST(ARRAY[
    'public.rollout_membership',
    'public.category_threshold',
    'public.rollout_generation',
    'public.rollout_state',
    'public.rollout_override',
    'public.rollout_lease',
    'public.repository_activity',
    'public.category_limits',
    'public.rollout_schema_version',
    pg_get_serial_sequence('public.rollout_history', 'position')
] AS regclass [])) AS relations (relation);

-- Revokes the grants on the tables that the service did not have.
SELECT pg_temp.take_grants(to_regclass('public.' || tables.name))
FROM unnest(ARRAY[
    'repositories', 'rollout_configuration', 'repository_categories', 'rollout_metrics',
    'rollout_history'
]) AS tables (name)
LEFT JOIN host_object ON host_object.kind = 'table' AND tables.name = host_object.name
WHERE host_object.name IS null;

-- Revokes the right to create triggers with functions that run with the rights of their owner.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT
            pg_proc.oid::regprocedure AS function,
            CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END AS grantee
        FROM pg_proc, aclexplode(pg_proc.proacl) AS entry
        WHERE pg_proc.oid IN (
            'public.keep_rollout_membership()'::regprocedure,
            'public.cut_metric_windows()'::regprocedure
        ) AND entry.grantee <> pg_proc.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', given.function, given.grantee);
    END LOOP;
END
$$;

DO $$
DECLARE
    reader text;
    by_column boolean;
BEGIN
    FOR reader, by_column IN
        SELECT
            CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END,
            bool_and(entry.by_column)
        FROM (
            SELECT granted.*, false AS by_column
            FROM pg_class, aclexplode(relacl) AS granted
            WHERE pg_class.oid = 'public.rollout_configuration'::regclass
            UNION ALL
            SELECT granted.*, true
            FROM pg_attribute, aclexplode(attacl) AS granted
            WHERE attrelid = 'public.rollout_configuration'::regclass
        ) AS entry
        INNER JOIN pg_class ON pg_class.oid = 'public.rollout_configuration'::regclass
        WHERE entry.privilege_type = 'SELECT' AND entry.grantee <> pg_class.relowner
        GROUP BY 1
        ORDER BY 1
    LOOP
        EXECUTE format(
            'GRANT SELECT ON public.rollout_membership, public.category_threshold,'
            ' public.category_limits, public.repository_activity TO %s', reader
        );
        -- A role with grants on single columns also gets the columns that eligibility reads.
        IF by_column THEN
            EXECUTE format('GRANT SELECT (salt) ON public.rollout_configuration TO %s', reader);
            EXECUTE format(
                'GRANT SELECT (repository_id, category, marked_as_test)'
                ' ON public.repository_categories TO %s', reader
            );
        END IF;
    END LOOP;

    -- If the service uses row security, these tables use it too: a role sees the keys of the features that it
    -- sees, and the thresholds; only the owner sees the other tables.
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = 'public.rollout_configuration'::regclass)
    THEN
        ALTER TABLE public.rollout_membership ENABLE ROW LEVEL SECURITY;
        ALTER TABLE public.category_threshold ENABLE ROW LEVEL SECURITY;
        ALTER TABLE public.rollout_generation ENABLE ROW LEVEL SECURITY;
        ALTER TABLE public.rollout_state ENABLE ROW LEVEL SECURITY;
        ALTER TABLE public.rollout_override ENABLE ROW LEVEL SECURITY;
        ALTER TABLE public.rollout_lease ENABLE ROW LEVEL SECURITY;
        ALTER TABLE public.rollout_schema_version ENABLE ROW LEVEL SECURITY;
        CREATE POLICY rollout_read ON public.rollout_membership FOR SELECT
        USING (EXISTS (
            SELECT FROM public.rollout_configuration WHERE id = rollout_config_id
        ));
        CREATE POLICY rollout_read ON public.category_threshold FOR SELECT USING (true);
    END IF;
END
$$;

-- Restores the objects of the service unchanged.
DO $$
DECLARE
    step record;
BEGIN
    FOR step IN
        SELECT statement FROM pg_temp.host_statement WHERE stage = 'put_back' ORDER BY position
    LOOP
        BEGIN
            EXECUTE step.statement;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE;
            -- It compares an enum that is text now, or calls something that no longer exists.
            WHEN syntax_error_or_access_rule_violation OR feature_not_supported THEN
                RAISE EXCEPTION E'what the service made does not work with the wider columns: %\n  %',
                    SQLERRM, step.statement
                    USING ERRCODE = 'RR001', HINT = 'drop it, upgrade, and make it again';
        END;
    END LOOP;
END
$$;

DROP FUNCTION pg_temp.take_grants(regclass);
DROP FUNCTION pg_temp.view_grants(regclass);
DROP FUNCTION pg_temp.as_text_array(jsonb);
DROP FUNCTION pg_temp.adopt_columns(text);
DROP FUNCTION pg_temp.adopt_values(text);
DROP FUNCTION pg_temp.adopt_rules(text);
DROP FUNCTION pg_temp.adopt_reference(regclass, text, regclass, text);
