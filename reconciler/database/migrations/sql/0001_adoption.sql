-- Makes the tables that a service may have like their models: a new table is the model, a table that is
-- there keeps its rows, names, policies and grants and gets what it lacks. What stands in a table and can
-- mean two things gets the meaning under which no repository is eligible that was not before.

-- What is there already, and so is adopted.
CREATE TEMPORARY TABLE adopted ON COMMIT DROP AS
SELECT
    name,
    to_regclass('public.' || name) AS relation,
    to_regclass('pg_temp.' || name) AS model
FROM unnest(ARRAY[
    'rollout_configuration', 'repository_categories', 'rollout_metrics', 'rollout_history'
]) AS tables (name)
WHERE to_regclass('public.' || name) IS NOT null;

-- The rows as they were, for the history.
CREATE TEMPORARY TABLE adopted_feature (id uuid, row_values jsonb) ON COMMIT DROP;
DO $$
BEGIN
    IF to_regclass('public.rollout_configuration') IS NOT NULL THEN
        INSERT INTO pg_temp.adopted_feature
        SELECT id, to_jsonb(configuration) FROM public.rollout_configuration AS configuration;
    END IF;
END
$$;

-- Columns whose type the contract has wider, or otherwise. Wider ones of the service's own stay.
CREATE TEMPORARY TABLE retyped ON COMMIT DROP AS
SELECT
    adopted.relation,
    host.attnum,
    host.attname,
    format_type(host.atttypid, host.atttypmod) AS found,
    format_type(model.atttypid, model.atttypmod) AS wanted
FROM adopted
INNER JOIN pg_attribute AS model ON adopted.model = model.attrelid
INNER JOIN pg_attribute AS host ON adopted.relation = host.attrelid AND model.attname = host.attname
WHERE
    model.attnum > 0
    AND NOT host.attisdropped
    AND (host.atttypid, host.atttypmod) <> (model.atttypid, model.atttypmod)
    AND NOT CASE format_type(model.atttypid, null)
        WHEN 'character varying'
            THEN
                host.atttypid = 'text'::regtype
                OR (
                    host.atttypid = model.atttypid
                    AND (host.atttypmod = -1 OR host.atttypmod > model.atttypmod)
                )
        WHEN 'integer' THEN host.atttypid = 'bigint'::regtype
        -- A mean that is rounded each time that a job comes is wrong after many.
        WHEN 'numeric'
            THEN model.atttypmod = -1
            AND host.atttypid IN ('real'::regtype, 'double precision'::regtype)
        ELSE false
    END;

-- What the service has made of the tables and functions that change, as statements: `take_down` clears
-- the way, `put_back` makes it again as it was.
CREATE TEMPORARY TABLE host_statement (
    stage text, position bigint GENERATED ALWAYS AS IDENTITY, statement text
) ON COMMIT DROP;

-- The service's functions that the reconciler's take the place of, whatever they look like inside.
CREATE TEMPORARY TABLE replaced_function ON COMMIT DROP AS
SELECT
    pg_proc.oid AS function,
    -- The two that services call keep their arguments (`0001_service_functions.sql`).
    CASE
        WHEN coalesce((host_object.definition ->> 'kept')::boolean, false) THEN host_object.name
        ELSE successors.signature
    END AS successor,
    pg_proc.proacl AS grants,
    pg_proc.proowner AS owner
FROM (
    VALUES
    ('categorize_repository', 'public.categorize_repository(uuid)', true),
    (
        'is_repository_eligible_for_rollout',
        'public.is_repository_eligible_for_rollout(uuid, text)',
        true
    ),
    (
        'explain_repository_eligibility',
        'public.explain_repository_eligibility(uuid, text)',
        false
    ),
    ('eligible_repositories', 'public.eligible_repositories(text)', false),
    ('rollout_bucket', 'public.rollout_bucket(text, uuid)', false),
    ('categorize_all_repositories', 'public.categorize_all_repositories()', false),
    (
        'record_rollout_job',
        'public.record_rollout_job(text, uuid, text, boolean, double precision, text)',
        false
    )
) AS successors (name, signature, with_every_overload)
INNER JOIN pg_proc
    ON successors.name = pg_proc.proname
        AND (
            pg_proc.oid = to_regprocedure(successors.signature)
            -- An overload with a default of its own would make a call ambiguous.
            OR (successors.with_every_overload AND pg_proc.proargtypes[0] = 'uuid'::regtype)
        )
LEFT JOIN host_object
    ON host_object.kind = 'function' AND pg_proc.oid::regprocedure::text = host_object.name
WHERE pg_proc.pronamespace = 'public'::regnamespace;

-- Takes every grant on a relation away, those by default privileges too; its owner's stay.
CREATE FUNCTION pg_temp.take_grants(relation regclass) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(pg_class.relacl) AS entry
        WHERE pg_class.oid = relation AND entry.grantee <> pg_class.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', relation, grantee);
    END LOOP;
END
$$;

-- What makes a view's grants, those on its columns too.
CREATE FUNCTION pg_temp.view_grants(view regclass) RETURNS SETOF text
LANGUAGE sql AS $$
    SELECT
        format(
            'GRANT %s%s ON TABLE %s TO %s%s',
            entry.privilege_type,
            ' (' || quote_ident(entry.attname) || ')',
            view,
            CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END,
            CASE WHEN entry.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        )
    FROM (
        SELECT NULL::name AS attname, pg_class.relowner, granted.*
        FROM pg_class, aclexplode(pg_class.relacl) AS granted
        WHERE pg_class.oid = view
        UNION ALL
        SELECT pg_attribute.attname, pg_class.relowner, granted.*
        FROM pg_class, pg_attribute, aclexplode(pg_attribute.attacl) AS granted
        WHERE pg_class.oid = view AND pg_attribute.attrelid = pg_class.oid
    ) AS entry
    WHERE entry.grantee <> entry.relowner
$$;

-- Views that read a changing column or call a changing function, and the views upon those.
DO $$
DECLARE
    each record;
    refused text;
BEGIN
    CREATE TEMPORARY TABLE dependent_view ON COMMIT DROP AS
    WITH RECURSIVE dependent AS (
        SELECT pg_rewrite.ev_class AS view, 1 AS depth
        FROM pg_depend
        INNER JOIN pg_rewrite
            ON pg_depend.classid = 'pg_rewrite'::regclass AND pg_depend.objid = pg_rewrite.oid
        WHERE
            (
                pg_depend.refclassid = 'pg_class'::regclass
                AND (pg_depend.refobjid, pg_depend.refobjsubid)
                IN (SELECT relation, attnum FROM pg_temp.retyped)
            )
            OR (
                pg_depend.refclassid = 'pg_proc'::regclass
                AND pg_depend.refobjid IN (SELECT function FROM pg_temp.replaced_function)
            )
        UNION
        SELECT pg_rewrite.ev_class, dependent.depth + 1
        FROM dependent
        INNER JOIN pg_depend
            ON pg_depend.refclassid = 'pg_class'::regclass AND pg_depend.refobjid = dependent.view
        INNER JOIN pg_rewrite
            ON pg_depend.classid = 'pg_rewrite'::regclass AND pg_depend.objid = pg_rewrite.oid
        WHERE pg_rewrite.ev_class <> dependent.view
    )
    SELECT view::regclass AS view, max(depth) AS depth FROM dependent GROUP BY view;

    SELECT string_agg(described, ', ' ORDER BY described) INTO refused
    FROM (
        SELECT
            CASE pg_class.relkind
                WHEN 'm' THEN 'materialized view ' ELSE 'a rule on '
            END || dependent_view.view AS described
        FROM pg_temp.dependent_view
        INNER JOIN pg_class ON pg_class.oid = dependent_view.view
        WHERE pg_class.relkind <> 'v'
        UNION ALL
        -- Anything but a view or a policy that needs a function which is replaced.
        SELECT pg_describe_object(pg_depend.classid, pg_depend.objid, pg_depend.objsubid)
        FROM pg_depend
        WHERE
            pg_depend.refclassid = 'pg_proc'::regclass
            AND pg_depend.refobjid IN (SELECT function FROM pg_temp.replaced_function)
            AND pg_depend.deptype IN ('n', 'a')
            AND pg_depend.classid NOT IN ('pg_rewrite'::regclass, 'pg_policy'::regclass)
            -- Of two that are replaced one may need the other.
            AND NOT (
                pg_depend.classid = 'pg_proc'::regclass
                AND pg_depend.objid IN (SELECT function FROM pg_temp.replaced_function)
            )
    ) AS dependents;
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION 'a column or function that changes is used by %', refused
            USING ERRCODE = 'RR001', HINT = 'drop it, upgrade, and make it again';
    END IF;

    FOR each IN
        SELECT dependent_view.view, pg_class.* FROM pg_temp.dependent_view
        INNER JOIN pg_class ON pg_class.oid = dependent_view.view
        ORDER BY dependent_view.depth, dependent_view.view
    LOOP
        INSERT INTO pg_temp.host_statement (stage, statement)
        SELECT 'put_back', statement FROM (
            SELECT format(
                'CREATE VIEW %s%s AS %s',
                each.view,
                ' WITH (' || array_to_string(each.reloptions, ', ') || ')',
                pg_get_viewdef(each.view)
            ) AS statement
            UNION ALL
            SELECT format('ALTER VIEW %s OWNER TO %s', each.view, each.relowner::regrole)
            UNION ALL
            SELECT format('SELECT pg_temp.take_grants(%L)', each.view)
            UNION ALL
            SELECT * FROM pg_temp.view_grants(each.view)
            UNION ALL
            SELECT format('COMMENT ON VIEW %s IS %L', each.view, comment)
            FROM obj_description(each.oid, 'pg_class') AS comment WHERE comment IS NOT NULL
            UNION ALL
            SELECT pg_get_ruledef(oid) FROM pg_rewrite
            WHERE ev_class = each.oid AND rulename <> '_RETURN'
            UNION ALL
            SELECT pg_get_triggerdef(oid) FROM pg_trigger
            WHERE tgrelid = each.oid AND NOT tgisinternal
        ) AS statements;
    END LOOP;
    INSERT INTO pg_temp.host_statement (stage, statement)
    SELECT 'take_down', format('DROP VIEW %s', view)
    FROM pg_temp.dependent_view ORDER BY depth DESC, view;
END
$$;

-- Policies and triggers that read a changing column, and policies that call a changing function.
WITH needed AS (
    SELECT
        pg_depend.classid,
        pg_depend.objid
    FROM pg_depend
    INNER JOIN retyped
        ON pg_depend.refclassid = 'pg_class'::regclass
            AND pg_depend.refobjid = retyped.relation
            AND pg_depend.refobjsubid = retyped.attnum
    UNION
    SELECT
        pg_depend.classid,
        pg_depend.objid
    FROM pg_depend
    INNER JOIN replaced_function
        ON pg_depend.refclassid = 'pg_proc'::regclass
            AND pg_depend.refobjid = replaced_function.function
),

objects AS (
    SELECT
        format(
            'DROP POLICY %I ON %s', pg_policy.polname, pg_policy.polrelid::regclass
        ) AS take_down,
        format(
            'CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s',
            pg_policy.polname,
            pg_policy.polrelid::regclass,
            CASE WHEN pg_policy.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
            CASE pg_policy.polcmd
                WHEN 'r' THEN 'SELECT'
                WHEN 'a' THEN 'INSERT'
                WHEN 'w' THEN 'UPDATE'
                WHEN 'd' THEN 'DELETE'
                ELSE 'ALL'
            END,
            (
                SELECT
                    string_agg(
                        CASE role WHEN 0 THEN 'PUBLIC' ELSE CAST(role::regrole AS text) END, ', '
                    )
                FROM unnest(pg_policy.polroles) AS roles (role)
            ),
            ' USING (' || pg_get_expr(pg_policy.polqual, pg_policy.polrelid) || ')',
            ' WITH CHECK (' || pg_get_expr(pg_policy.polwithcheck, pg_policy.polrelid) || ')'
        ) AS put_back
    FROM needed
    INNER JOIN pg_policy
        ON needed.classid = 'pg_policy'::regclass AND needed.objid = pg_policy.oid
    UNION ALL
    SELECT
        format('DROP TRIGGER %I ON %s', pg_trigger.tgname, pg_trigger.tgrelid::regclass),
        pg_get_triggerdef(pg_trigger.oid)
    FROM needed
    INNER JOIN pg_trigger
        ON needed.classid = 'pg_trigger'::regclass AND needed.objid = pg_trigger.oid
    WHERE NOT pg_trigger.tgisinternal
)

INSERT INTO host_statement (stage, statement)
SELECT
    'take_down',
    take_down
FROM objects
UNION ALL
SELECT
    'put_back',
    put_back
FROM objects;

-- The service's triggers sleep meanwhile: nobody changed a feature, and no updated_at moves.
INSERT INTO host_statement (stage, statement)
SELECT
    'put_back',
    format(
        'ALTER TABLE %s %s TRIGGER %I',
        adopted.relation,
        CASE pg_trigger.tgenabled
            WHEN 'O' THEN 'ENABLE'
            WHEN 'R' THEN 'ENABLE REPLICA'
            WHEN 'A' THEN 'ENABLE ALWAYS'
            ELSE 'DISABLE'
        END,
        pg_trigger.tgname
    )
FROM adopted
INNER JOIN pg_trigger ON adopted.relation = pg_trigger.tgrelid
WHERE NOT pg_trigger.tgisinternal;

INSERT INTO host_statement (stage, statement)
SELECT
    'take_down',
    format('ALTER TABLE %s DISABLE TRIGGER USER', relation)
FROM adopted;

-- Whoever could call a function can call what takes its place, and nobody else.
INSERT INTO host_statement (stage, statement)
SELECT
    'put_back',
    format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', replaced_function.successor)
FROM replaced_function
GROUP BY replaced_function.successor
HAVING
    NOT bool_or(
        replaced_function.grants IS null
        OR EXISTS (
            SELECT FROM aclexplode(replaced_function.grants) AS entry
            WHERE entry.grantee = 0
        )
    );

INSERT INTO host_statement (stage, statement)
SELECT DISTINCT
    'put_back',
    format(
        'GRANT EXECUTE ON FUNCTION %s TO %s%s',
        replaced_function.successor,
        CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE CAST(entry.grantee::regrole AS text) END,
        CASE WHEN entry.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    )
FROM replaced_function
CROSS JOIN LATERAL aclexplode(replaced_function.grants) AS entry
WHERE entry.grantee <> replaced_function.owner;

INSERT INTO host_statement (stage, statement)
SELECT
    'take_down',
    -- CASCADE reaches what was taken down already, and other functions on this list.
    format('DROP FUNCTION IF EXISTS %s CASCADE', function::regprocedure)
FROM replaced_function;

DO $$
DECLARE
    step record;
BEGIN
    FOR step IN
        SELECT statement FROM pg_temp.host_statement WHERE stage = 'take_down' ORDER BY position
    LOOP
        EXECUTE step.statement;
    END LOOP;
END
$$;

-- Columns

CREATE FUNCTION pg_temp.as_text_array(list jsonb) RETURNS text []
LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(entry) FROM jsonb_array_elements_text(list) AS entries (entry)
$$;

-- Makes a table that is missing, and gives one that is there its missing columns and the types above.
CREATE FUNCTION pg_temp.adopt_columns(name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    host regclass := to_regclass('public.' || name);
    model regclass := to_regclass('pg_temp.' || name);
    offending text;
    each record;
    said text;
BEGIN
    IF host IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I (LIKE pg_temp.%I INCLUDING ALL)', name, name);
        RETURN;
    END IF;

    SELECT string_agg(format('%s.%I', host, attname), ', ') INTO offending
    FROM pg_attribute
    WHERE attrelid = host AND attgenerated <> ''
        AND attname IN (SELECT attname FROM pg_attribute WHERE attrelid = model);
    IF offending IS NOT NULL THEN
        RAISE EXCEPTION '% is generated, and the reconciler writes it', offending
            USING ERRCODE = 'RR001', HINT = 'make it a plain column (ALTER COLUMN … DROP EXPRESSION)';
    END IF;

    SELECT string_agg(format('%s.%I', host, attname), ', ') INTO offending
    FROM pg_attribute
    WHERE attrelid = host AND attnum > 0 AND NOT attisdropped
        AND attnotnull AND NOT atthasdef AND attidentity = ''
        AND attname NOT IN (SELECT attname FROM pg_attribute WHERE attrelid = model);
    IF offending IS NOT NULL THEN
        RAISE EXCEPTION '% needs a value, and the reconciler knows none for it', offending
            USING ERRCODE = 'RR001', HINT = 'give it a default, or let it be null';
    END IF;

    FOR each IN SELECT * FROM pg_temp.retyped WHERE relation = host ORDER BY attnum LOOP
        BEGIN
            -- Its default may not fit the type; the model's takes its place.
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', host, each.attname);
            EXECUTE format(
                'ALTER TABLE %s ALTER COLUMN %I TYPE %s USING %s',
                host, each.attname, each.wanted,
                CASE
                    -- Rounding up would let in more.
                    WHEN each.wanted LIKE 'numeric(%'
                        THEN format('trunc(%I::numeric, 2)', each.attname)
                    WHEN each.wanted = 'text[]' AND each.found IN ('json', 'jsonb')
                        THEN format('pg_temp.as_text_array(%I::jsonb)', each.attname)
                    ELSE format('%I::%s', each.attname, each.wanted)
                END
            );
        EXCEPTION
            -- The class of what a statement may not say has most of it: an index that compares an enum, a
            -- foreign key to another type, on older servers a generated column.
            WHEN syntax_error_or_access_rule_violation OR feature_not_supported OR data_exception
                OR dependent_objects_still_exist THEN
                GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
                RAISE EXCEPTION '%.% is % and can''t become %: %', host, each.attname, each.found,
                    each.wanted, concat_ws('; ', SQLERRM, NULLIF(said, ''))
                    USING ERRCODE = 'RR001', HINT = 'drop or change what is in the way';
        END;
    END LOOP;

    FOR each IN
        SELECT
            attname,
            format_type(atttypid, atttypmod) AS type,
            pg_get_expr(adbin, adrelid) AS value
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = model AND attnum > 0
            AND attname NOT IN (
                SELECT attname FROM pg_attribute WHERE attrelid = host AND NOT attisdropped
            )
        ORDER BY attnum
    LOOP
        EXECUTE format(
            'ALTER TABLE %s ADD COLUMN %I %s%s', host, each.attname, each.type,
            -- Its rows are told by another column what it is.
            CASE WHEN each.attname <> 'monitoring_window' THEN ' DEFAULT ' || each.value END
        );
    END LOOP;
END
$$;

-- Values

-- What stands for a null where the model has none, and its default would let in or mislead.
CREATE TEMPORARY TABLE safe_value (name text, attname name, expression text) ON COMMIT DROP;
INSERT INTO safe_value (name, attname, expression)
VALUES
-- Not known to be active, not known to go on: nobody is in until a person says so.
('rollout_configuration', 'is_active', 'false'),
('rollout_configuration', 'emergency_stop', 'true'),
('rollout_configuration', 'rollout_strategy', quote_literal('whitelist')),
(
    'rollout_configuration',
    'monitoring_window',
    'make_interval(hours => coalesce(monitoring_window_hours, 24))'
),
-- In from the last step on, until `reconcile categorize` finds what it is.
('repository_categories', 'category', quote_literal('enterprise')),
('rollout_metrics', 'processor_type', quote_literal('unknown')),
(
    'rollout_metrics',
    'metrics_window_end',
    'metrics_window_start + interval ' || quote_literal('5 minutes')
),
('rollout_history', 'action', quote_literal('updated'));

-- Fills nulls where there can be none.
CREATE FUNCTION pg_temp.adopt_values(name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    host regclass := to_regclass('public.' || name);
    model regclass := to_regclass('pg_temp.' || name);
    fill text;
    any_null text;
    each record;
    number bigint;
BEGIN
    CREATE TEMPORARY TABLE filled ON COMMIT DROP AS
    SELECT
        pg_attribute.attname,
        coalesce(safe_value.expression, pg_get_expr(adbin, adrelid)) AS value
    FROM pg_attribute
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    LEFT JOIN pg_temp.safe_value
        ON safe_value.name = adopt_values.name AND safe_value.attname = pg_attribute.attname
    WHERE attrelid = model AND attnum > 0 AND attnotnull AND attidentity = '';

    FOR each IN SELECT * FROM pg_temp.filled WHERE value IS NULL LOOP
        EXECUTE format('SELECT count(*) FROM %s WHERE %I IS NULL', host, each.attname) INTO number;
        IF number > 0 THEN
            RAISE EXCEPTION '% has rows without a %: %', host, each.attname, number
                USING ERRCODE = 'RR001', HINT = 'delete them or give them one';
        END IF;
    END LOOP;

    SELECT
        string_agg(format('%I = coalesce(%I, %s)', attname, attname, value), ', '),
        string_agg(format('%I IS NULL', attname), ' OR ')
    INTO fill, any_null
    FROM pg_temp.filled WHERE value IS NOT NULL;
    EXECUTE format('UPDATE %s SET %s WHERE %s', host, fill, any_null);
    DROP TABLE pg_temp.filled;
END
$$;

-- Rules

-- Gives a table the model's defaults where it has none, and the model's rules.
CREATE FUNCTION pg_temp.adopt_rules(name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    host regclass := to_regclass('public.' || name);
    model regclass := to_regclass('pg_temp.' || name);
    each record;
BEGIN
    FOR each IN
        SELECT
            wanted.attname,
            wanted.attnotnull AS is_wanted,
            wanted.attidentity AS identity,
            found.attnotnull AS is_found,
            CASE WHEN NOT found.atthasdef THEN pg_get_expr(adbin, adrelid) END AS value
        FROM pg_attribute AS wanted
        INNER JOIN pg_attribute AS found ON found.attrelid = host AND found.attname = wanted.attname
        LEFT JOIN pg_attrdef ON adrelid = wanted.attrelid AND adnum = wanted.attnum
        WHERE wanted.attrelid = model AND wanted.attnum > 0 AND found.attidentity = ''
        ORDER BY wanted.attnum
    LOOP
        IF each.is_wanted AND NOT each.is_found THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', host, each.attname);
        ELSIF each.is_found AND NOT each.is_wanted THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', host, each.attname);
        END IF;
        IF each.value IS NOT NULL THEN
            EXECUTE format(
                'ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', host, each.attname, each.value
            );
        END IF;
        IF each.identity <> '' THEN
            EXECUTE format(
                'ALTER TABLE %s ALTER COLUMN %I ADD GENERATED BY DEFAULT AS IDENTITY',
                host, each.attname
            );
            EXECUTE format(
                'SELECT setval(pg_get_serial_sequence(%L, %L), max(%I)) FROM %s',
                host, each.attname, each.attname, host
            );
        END IF;
    END LOOP;

    FOR each IN
        SELECT contype, pg_get_constraintdef(oid) AS definition, columns.names
        FROM pg_constraint
        CROSS JOIN LATERAL (
            SELECT array_agg(attname ORDER BY attname) AS names
            FROM pg_attribute WHERE attrelid = model AND attnum = ANY (conkey)
        ) AS columns
        WHERE conrelid = model AND contype IN ('p', 'u', 'c')
        ORDER BY contype DESC
    LOOP
        IF each.contype = 'c' THEN
            CONTINUE WHEN EXISTS (
                SELECT FROM pg_constraint
                WHERE conrelid = host AND contype = 'c' AND convalidated
                    AND pg_get_constraintdef(oid) = each.definition
            );
        ELSIF EXISTS (
            SELECT FROM pg_index
            WHERE indrelid = host AND indisunique AND indisvalid AND indimmediate
                AND indpred IS NULL AND indexprs IS NULL
                AND (
                    SELECT array_agg(attname ORDER BY attname) FROM pg_attribute
                    WHERE attrelid = host AND attnum = ANY (indkey[0:indnkeyatts - 1])
                ) = each.names
        ) THEN
            CONTINUE;
        ELSIF each.contype = 'p'
            AND EXISTS (SELECT FROM pg_constraint WHERE conrelid = host AND contype = 'p')
        THEN
            each.definition = replace(each.definition, 'PRIMARY KEY', 'UNIQUE');
        END IF;
        EXECUTE format('ALTER TABLE %s ADD %s', host, each.definition);
    END LOOP;
END
$$;

-- Refers from one table to another unless the column refers already, in whatever way. Rows that refer to
-- nothing any more stay, as the history must; the rule then holds for what comes.
CREATE FUNCTION pg_temp.adopt_reference(
    host regclass, name text, target regclass, on_delete text
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    lost boolean;
BEGIN
    IF EXISTS (
        SELECT FROM pg_constraint
        INNER JOIN pg_attribute ON attrelid = conrelid AND conkey = ARRAY[attnum]
        WHERE conrelid = host AND contype = 'f' AND attname = name
    ) THEN
        RETURN;
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %s AS referring WHERE referring.%I IS NOT NULL'
        ' AND NOT EXISTS (SELECT FROM %s AS target WHERE target.id = referring.%I))',
        host, name, target, name
    ) INTO lost;
    EXECUTE format(
        'ALTER TABLE %s ADD FOREIGN KEY (%I) REFERENCES %s (id) %s %s',
        host, name, target, on_delete, CASE WHEN lost THEN 'NOT VALID' ELSE '' END
    );
END
$$;

DO $$
BEGIN
    IF to_regclass('public.repositories') IS NULL THEN
        CREATE TABLE public.repositories (LIKE pg_temp.repositories INCLUDING ALL);
        -- GitHub's names differ in case alone for nobody.
        CREATE UNIQUE INDEX repositories_full_name_key ON public.repositories (lower(full_name));
    ELSE
        -- A service may know a name twice, of a repository that is gone and of one that came after.
        CREATE INDEX IF NOT EXISTS repositories_full_name_index
        ON public.repositories (lower(full_name));
    END IF;
END
$$;

SELECT pg_temp.adopt_columns(name)
FROM unnest(ARRAY[
    'rollout_configuration', 'repository_categories', 'rollout_metrics', 'rollout_history'
]) AS tables (name);

-- The rows that are changed below, as they were.
CREATE FUNCTION pg_temp.keep_row() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_temp.host_row (relation, id, before, after)
    VALUES (
        TG_TABLE_NAME, OLD.id, to_jsonb(OLD), CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(NEW) END
    )
    ON CONFLICT (relation, id) DO UPDATE SET after = excluded.after;
    RETURN CASE WHEN TG_OP = 'UPDATE' THEN NEW ELSE OLD END;
END
$$;

DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT * FROM pg_temp.adopted LOOP
        EXECUTE format(
            'CREATE TRIGGER keep_row BEFORE UPDATE OR DELETE ON %s'
            ' FOR EACH ROW EXECUTE FUNCTION pg_temp.keep_row()', each.relation
        );
    END LOOP;
END
$$;

-- The contract has more of these words than a service may have allowed; where it has but a few, its own rule
-- says so below.
DO $$
DECLARE
    narrow record;
BEGIN
    FOR narrow IN
        SELECT adopted.relation, conname AS name
        FROM pg_temp.adopted
        INNER JOIN pg_constraint ON conrelid = adopted.relation
        INNER JOIN pg_attribute ON attrelid = conrelid AND conkey = ARRAY[attnum]
        WHERE contype = 'c' AND (adopted.name, attname) IN (
            ('rollout_configuration', 'rollout_strategy'),
            ('repository_categories', 'category'),
            ('rollout_metrics', 'processor_type'),
            ('rollout_history', 'action'),
            ('rollout_history', 'triggered_by')
        )
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', narrow.relation, narrow.name);
    END LOOP;
END
$$;

SELECT pg_temp.adopt_values(name)
FROM unnest(ARRAY[
    'rollout_configuration', 'repository_categories', 'rollout_metrics', 'rollout_history'
]) AS tables (name);

-- What is out of range means the end of the range; what is no number, nobody.
UPDATE public.rollout_configuration
SET
    rollout_percentage = CASE
        WHEN rollout_percentage = 'NaN' THEN 0
        ELSE least(100, greatest(0, rollout_percentage))
    END,
    max_error_rate = CASE
        WHEN max_error_rate = 'NaN' THEN 0
        ELSE least(100, greatest(0, max_error_rate))
    END,
    monitoring_window_hours = CASE
        WHEN monitoring_window_hours > 0 THEN monitoring_window_hours ELSE 24
    END,
    monitoring_window = CASE
        WHEN monitoring_window > interval '0' THEN monitoring_window ELSE interval '24 hours'
    END
WHERE
    rollout_percentage NOT BETWEEN 0 AND 100
    OR max_error_rate NOT BETWEEN 0 AND 100
    OR monitoring_window_hours <= 0
    OR monitoring_window <= interval '0';

UPDATE public.rollout_metrics
SET
    success_count = greatest(0, success_count),
    error_count = greatest(0, error_count),
    total_jobs = greatest(0, total_jobs)
WHERE success_count < 0 OR error_count < 0 OR total_jobs < 0;

-- In from the last step on, until `reconcile categorize` finds what it is.
UPDATE public.repository_categories
SET category = 'enterprise'
WHERE category NOT IN ('test', 'small', 'medium', 'large', 'enterprise');

-- A repository that the service marked by hand stays marked, whatever its category becomes.
UPDATE public.repository_categories
SET marked_as_test = true
WHERE is_test_repository AND category <> 'test' AND NOT marked_as_test;
UPDATE public.repository_categories
SET is_test_repository = true
WHERE category = 'test' AND NOT is_test_repository;

-- Of several rows of one repository the newest stays, marked if any was.
WITH ranked AS (
    SELECT
        id,
        row_number() OVER (
            PARTITION BY repository_id ORDER BY last_categorized_at DESC, updated_at DESC, id ASC
        ) AS place,
        bool_or(marked_as_test) OVER (PARTITION BY repository_id) AS marked_as_test,
        count(*) OVER (PARTITION BY repository_id) AS times
    FROM public.repository_categories
),

removed AS (
    DELETE FROM public.repository_categories
    USING ranked
    WHERE repository_categories.id = ranked.id AND ranked.place > 1
)

UPDATE public.repository_categories
SET
    marked_as_test = ranked.marked_as_test,
    is_test_repository = ranked.marked_as_test OR repository_categories.category = 'test'
FROM ranked
WHERE repository_categories.id = ranked.id AND ranked.place = 1 AND ranked.times > 1;

DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT * FROM pg_temp.adopted LOOP
        EXECUTE format('DROP TRIGGER keep_row ON %s', each.relation);
    END LOOP;
END
$$;

DROP FUNCTION pg_temp.keep_row();

-- Rows of one transaction share a time; those from before have no other order.
UPDATE public.rollout_history
SET position = ordered.position
FROM (
    SELECT
        id,
        row_number() OVER (ORDER BY created_at, id) AS position
    FROM public.rollout_history
) AS ordered
WHERE rollout_history.id = ordered.id AND rollout_history.position IS null;

SELECT pg_temp.adopt_rules(name) FROM adopted;

SELECT
    pg_temp.adopt_reference(
        'public.repository_categories', 'repository_id', 'public.repositories', 'ON DELETE CASCADE'
    ),
    pg_temp.adopt_reference(
        'public.rollout_metrics', 'rollout_config_id', 'public.rollout_configuration', ''
    ),
    pg_temp.adopt_reference(
        'public.rollout_metrics', 'repository_id', 'public.repositories', 'ON DELETE CASCADE'
    ),
    pg_temp.adopt_reference(
        'public.rollout_history', 'rollout_config_id', 'public.rollout_configuration', ''
    );

-- The models have served; no name below means one of them.
DROP TABLE pg_temp.repositories, pg_temp.rollout_configuration, pg_temp.repository_categories,
pg_temp.rollout_metrics, pg_temp.rollout_history;
