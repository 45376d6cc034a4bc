-- Drops the objects of the service that depend on columns and functions that change. Reads the temporary
-- tables `adopted`, `retyped` and `replaced_function`. The caller of this file must run the statements of the
-- stage `put_back` at the end.

-- Statements for the service's objects that depend on a change: `take_down` drops them, `put_back` creates
-- them again unchanged.
CREATE TEMPORARY TABLE host_statement (
    stage text, position bigint GENERATED ALWAYS AS IDENTITY, statement text
) ON COMMIT DROP;

-- Revokes every grant on a relation except its owner's, also those of default privileges.
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

-- The statements that restore a view's grants, including those on its columns.
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

-- Views that read a changing column or call a changing function, and views that depend on these views.
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
        -- Any object, except a view or a policy, that needs a replaced function.
        SELECT pg_describe_object(pg_depend.classid, pg_depend.objid, pg_depend.objsubid)
        FROM pg_depend
        WHERE
            pg_depend.refclassid = 'pg_proc'::regclass
            AND pg_depend.refobjid IN (SELECT function FROM pg_temp.replaced_function)
            AND pg_depend.deptype IN ('n', 'a')
            AND pg_depend.classid NOT IN ('pg_rewrite'::regclass, 'pg_policy'::regclass)
            -- One replaced function may need another.
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

-- Disables the service's triggers meanwhile: adoption changes no feature, so no updated_at may change.
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

-- The successor of a function can be called by the same roles as the function, and by no others.
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
    -- CASCADE reaches objects that are dropped already, and other functions of this list.
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
