-- Finds what adoption cannot decide by itself. It reports this before anything is changed, and nothing is
-- changed then. On a database without these tables it finds nothing. Errors of class RR are sentences for
-- people: the caller of this file prints them unchanged.

-- Row security does not apply to an owner. Any other role gets an error here instead of a part of the rows.
SET LOCAL row_security = off;
-- All names from the catalogue are written with their schema, and constraints are checked immediately.
SET LOCAL search_path = pg_catalog;
SET CONSTRAINTS ALL IMMEDIATE;

DO $$
DECLARE
    ours CONSTANT text [] := ARRAY[
        'rollout_configuration', 'repository_categories', 'rollout_metrics', 'rollout_history'
    ];
    problem text;
BEGIN
    -- Tables exist that only this schema creates, but no upgrade is recorded.
    SELECT string_agg('public.' || relname, ', ' ORDER BY relname) INTO problem
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
        AND relname IN (
            'rollout_generation', 'rollout_state', 'rollout_override', 'rollout_membership',
            'rollout_lease', 'category_threshold', 'repository_activity', 'category_limits'
        );
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'the database has % already, and no record of an upgrade', problem
            USING ERRCODE = 'RR001',
                HINT = 'rename what is another program''s, or restore public.rollout_schema_version';
    END IF;

    SELECT format('public.%I is no table', relname) INTO problem
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
        AND relname = ANY (ours || ARRAY['repositories'])
        AND relkind NOT IN ('r', 'p')
    ORDER BY relname
    LIMIT 1;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem
            USING ERRCODE = 'RR001', HINT = 'rename it, and upgrade again';
    END IF;

    SELECT string_agg(
        format('public.%I belongs to %I', relname, pg_get_userbyid(relowner)), ', '
        ORDER BY relname
    ) INTO problem
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
        AND relname = ANY (ours || ARRAY['repositories'])
        AND NOT pg_has_role(relowner, 'USAGE');
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'only its owner can adopt a table, and %', problem
            USING ERRCODE = 'RR001', HINT = format('%I is not a member; upgrade as the owner', current_user);
    END IF;

    SELECT string_agg(format('public.%I', relname), ', ' ORDER BY relname) INTO problem
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
        AND relname = ANY (ours || ARRAY['repositories'])
        AND relrowsecurity
        AND relforcerowsecurity
        AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'row security is forced upon the owner of %', problem
            USING ERRCODE = 'RR001',
                HINT = 'lift that (ALTER TABLE … NO FORCE ROW LEVEL SECURITY), or upgrade as a role'
                ' with BYPASSRLS';
    END IF;

    -- Columns that identify a row cannot be invented.
    SELECT string_agg(
        CASE
            WHEN found.atttypid IS NULL
                THEN format('public.%s has no column %s', needed.relation, needed.name)
            ELSE format(
                'public.%s.%s is %s, not %s', needed.relation, needed.name,
                format_type(found.atttypid, found.atttypmod), needed.type
            )
        END,
        ', ' ORDER BY needed.relation, needed.name
    ) INTO problem
    FROM (
        VALUES
        ('repositories', 'id', 'uuid'),
        ('repositories', 'owner', NULL),
        ('repositories', 'name', NULL),
        ('repositories', 'full_name', NULL),
        ('rollout_configuration', 'id', 'uuid'),
        ('rollout_configuration', 'feature_name', NULL),
        ('rollout_configuration', 'rollout_percentage', NULL),
        ('repository_categories', 'repository_id', 'uuid'),
        ('repository_categories', 'category', NULL),
        ('rollout_metrics', 'rollout_config_id', 'uuid'),
        ('rollout_metrics', 'repository_id', 'uuid'),
        ('rollout_metrics', 'processor_type', NULL),
        ('rollout_metrics', 'metrics_window_start', NULL),
        ('rollout_history', 'rollout_config_id', 'uuid'),
        ('rollout_history', 'action', NULL)
    ) AS needed (relation, name, type)
    INNER JOIN pg_class ON pg_class.oid = to_regclass('public.' || needed.relation)
    LEFT JOIN pg_attribute AS found
        ON found.attrelid = pg_class.oid
            AND found.attname = needed.name
            AND found.attnum > 0
            AND NOT found.attisdropped
    WHERE found.atttypid IS NULL OR format_type(found.atttypid, NULL) <> needed.type;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem
            USING ERRCODE = 'RR001',
                HINT = 'rename what is not the rollout''s, or give it these columns, and upgrade again';
    END IF;
END
$$;

-- The existing features and their strategies.
DO $$
DECLARE
    problem text;
BEGIN
    IF to_regclass('public.rollout_configuration') IS NULL THEN
        RETURN;
    END IF;

    SELECT string_agg(
        format(
            E'\n  id %s, percentage %s, active %s, updated %s', described.id,
            described.row_values ->> 'rollout_percentage', described.row_values ->> 'is_active',
            described.row_values ->> 'updated_at'
        ),
        '' ORDER BY described.feature_name, described.row_values ->> 'updated_at' DESC, described.id
    ) INTO problem
    FROM (
        SELECT
            configuration.id,
            configuration.feature_name,
            to_jsonb(configuration) AS row_values,
            count(*) OVER (PARTITION BY configuration.feature_name) AS times
        FROM public.rollout_configuration AS configuration
    ) AS described
    WHERE described.feature_name IS NULL OR described.feature_name = '';
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'public.rollout_configuration has rows without a feature_name:%', problem
            USING ERRCODE = 'RR001',
                HINT = E'name or delete each, such as by\n'
                '  DELETE FROM public.rollout_configuration WHERE id = ''ID'';';
    END IF;

    SELECT string_agg(described.message, '' ORDER BY described.feature_name) INTO problem
    FROM (
        SELECT
            configuration.feature_name,
            format(E'\nfeature %s:', configuration.feature_name)
            || string_agg(
                format(
                    E'\n  id %s, percentage %s, active %s, updated %s',
                    configuration.id, configuration.rollout_percentage,
                    to_jsonb(configuration) ->> 'is_active',
                    to_jsonb(configuration) ->> 'updated_at'
                ),
                ''
                ORDER BY to_jsonb(configuration) ->> 'updated_at' DESC NULLS LAST, configuration.id
            ) AS message
        FROM public.rollout_configuration AS configuration
        GROUP BY configuration.feature_name
        HAVING count(*) > 1
    ) AS described;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'public.rollout_configuration has several rows of one feature:%', problem
            USING ERRCODE = 'RR001',
                HINT = E'keep the one that is meant and give every other another name, by its id:\n'
                '  UPDATE public.rollout_configuration'
                ' SET feature_name = left(feature_name, 91) || ''_'' || left(id::text, 8),'
                ' is_active = false WHERE id = ''ID'';';
    END IF;

    SELECT string_agg(
        format(
            E'\n  feature %s: %s', configuration.feature_name,
            to_jsonb(configuration) ->> 'rollout_strategy'
        ),
        '' ORDER BY configuration.feature_name
    ) INTO problem
    FROM public.rollout_configuration AS configuration
    WHERE to_jsonb(configuration) ->> 'rollout_strategy'
        NOT IN ('percentage', 'whitelist', 'repository_size');
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'public.rollout_configuration has strategies that are not known:%', problem
            USING ERRCODE = 'RR001',
                HINT = E'set percentage, whitelist or repository_size, such as by\n'
                '  UPDATE public.rollout_configuration SET rollout_strategy = ''whitelist'''
                ' WHERE feature_name = ''NAME'';';
    END IF;
END
$$;
