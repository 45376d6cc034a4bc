-- Records the tables of a service before adoption, so that `reconcile db remove` can restore them. If there
-- are no such tables, these records are empty.

-- Waits for all locks at once, before this transaction holds any lock: a service never waits longer than
-- this.
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN
        SELECT string_agg(format('public.%I', names.name), ', ' ORDER BY names.name) AS relations, names.mode
        FROM (
            VALUES
            ('rollout_configuration', 'ACCESS EXCLUSIVE'),
            ('repository_categories', 'ACCESS EXCLUSIVE'),
            ('rollout_metrics', 'ACCESS EXCLUSIVE'),
            ('rollout_history', 'ACCESS EXCLUSIVE'),
            ('repositories', 'SHARE ROW EXCLUSIVE')
        ) AS names (name, mode)
        WHERE to_regclass('public.' || names.name) IS NOT NULL
        GROUP BY names.mode
        ORDER BY names.mode
    LOOP
        EXECUTE format('LOCK TABLE %s IN %s MODE', each.relations, each.mode);
    END LOOP;
    -- The audience was read before the tables were locked.
    IF coalesce(current_setting('rollout.configuration_read', true), '') = '' THEN
        RETURN;
    END IF;
    IF current_setting('rollout.configuration_read') <> (
        SELECT
            md5(
                string_agg(
                    (to_jsonb(configuration) - 'updated_at')::text, ','
                    ORDER BY (to_jsonb(configuration) - 'updated_at')::text COLLATE "C"
                )
            )
        FROM public.rollout_configuration AS configuration
    ) THEN
        RAISE EXCEPTION 'the configuration changed meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;

CREATE TEMPORARY TABLE host_object (
    kind text, relation text, name text, definition jsonb, PRIMARY KEY (kind, relation, name)
) ON COMMIT DROP;

-- Rows that adoption changes or deletes. They are copied before the first change and compared after the last.
CREATE TEMPORARY TABLE host_row (
    relation text, id uuid, before jsonb, after jsonb, PRIMARY KEY (relation, id)
) ON COMMIT DROP;

INSERT INTO host_object (kind, relation, name, definition)
SELECT
    'table',
    pg_class.relname,
    pg_class.relname,
    jsonb_build_object('row_security', pg_class.relrowsecurity)
FROM pg_class
WHERE pg_class.relnamespace = 'public'::regnamespace
    AND pg_class.relkind IN ('r', 'p')
    AND pg_class.relname IN (
        'repositories', 'pull_requests', 'rollout_configuration', 'repository_categories',
        'rollout_metrics', 'rollout_history'
    );

INSERT INTO host_object (kind, relation, name, definition)
SELECT
    'column',
    host_object.name,
    pg_attribute.attname,
    jsonb_build_object(
        'type', format_type(pg_attribute.atttypid, pg_attribute.atttypmod),
        'not_null', pg_attribute.attnotnull,
        'identity', pg_attribute.attidentity,
        'default', pg_get_expr(pg_attrdef.adbin, pg_attrdef.adrelid)
    )
FROM host_object
INNER JOIN pg_attribute ON pg_attribute.attrelid = to_regclass('public.' || host_object.name)
LEFT JOIN pg_attrdef
    ON pg_attribute.attrelid = pg_attrdef.adrelid AND pg_attribute.attnum = pg_attrdef.adnum
WHERE host_object.kind = 'table' AND pg_attribute.attnum > 0 AND NOT pg_attribute.attisdropped;

INSERT INTO host_object (kind, relation, name, definition)
SELECT
    'constraint',
    host_object.name,
    pg_constraint.conname,
    jsonb_build_object(
        'definition', pg_get_constraintdef(pg_constraint.oid), 'type', pg_constraint.contype
    )
FROM host_object
INNER JOIN pg_constraint ON pg_constraint.conrelid = to_regclass('public.' || host_object.name)
WHERE host_object.kind = 'table' AND pg_constraint.contype IN ('c', 'f', 'p', 'u', 'x');

INSERT INTO host_object (kind, relation, name, definition)
SELECT
    'index',
    host_object.name,
    pg_class.relname,
    jsonb_build_object('definition', pg_get_indexdef(pg_class.oid))
FROM host_object
INNER JOIN pg_index ON pg_index.indrelid = to_regclass('public.' || host_object.name)
INNER JOIN pg_class ON pg_index.indexrelid = pg_class.oid
WHERE host_object.kind = 'table';

INSERT INTO host_object (kind, relation, name, definition)
SELECT
    'grant',
    granted.relation,
    concat_ws(' ', granted.privilege, granted.attname, granted.grantee),
    jsonb_build_object(
        'privilege', granted.privilege, 'column', granted.attname, 'grantee', granted.grantee
    )
FROM (
    SELECT
        host_object.name AS relation,
        entry.privilege_type AS privilege,
        null::name AS attname,
        CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END AS grantee
    FROM host_object
    INNER JOIN pg_class ON pg_class.oid = to_regclass('public.' || host_object.name)
    CROSS JOIN LATERAL aclexplode(pg_class.relacl) AS entry
    WHERE host_object.kind = 'table' AND entry.grantee <> pg_class.relowner
    UNION
    SELECT
        host_object.name,
        entry.privilege_type,
        pg_attribute.attname,
        CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
    FROM host_object
    INNER JOIN pg_attribute ON pg_attribute.attrelid = to_regclass('public.' || host_object.name)
    CROSS JOIN LATERAL aclexplode(pg_attribute.attacl) AS entry
    WHERE host_object.kind = 'table' AND NOT pg_attribute.attisdropped
) AS granted;

-- `kept` functions get a successor with the same arguments and result. The others are only replaced.
INSERT INTO host_object (kind, relation, name, definition)
SELECT
    'function',
    pg_proc.proname,
    pg_proc.oid::regprocedure::text,
    jsonb_build_object(
        'statement', pg_get_functiondef(pg_proc.oid),
        'arguments', pg_get_function_arguments(pg_proc.oid),
        'count', pg_proc.pronargs,
        'result', pg_get_function_result(pg_proc.oid),
        'definer', pg_proc.prosecdef,
        'owner', pg_proc.proowner::regrole::text,
        'comment', obj_description(pg_proc.oid, 'pg_proc'),
        'grants', (
            SELECT
                jsonb_agg(
                    CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
                )
            FROM aclexplode(coalesce(pg_proc.proacl, acldefault('f', pg_proc.proowner))) AS entry
            WHERE entry.grantee <> pg_proc.proowner
        ),
        'writes', pg_proc.provolatile = 'v'
        AND pg_proc.prosrc ~* '(insert\s+into|update)\s+(public\.)?repository_categories',
        'sets_marks', pg_proc.prosrc ~* 'is_test_repository',
        'uses_hashtext', pg_proc.prosrc ~* 'hashtext',
        'kept', CASE pg_proc.proname
            WHEN 'categorize_repository'
                THEN pg_proc.pronargs = 1 AND pg_proc.proargtypes [0] = 'uuid'::regtype
                AND pg_proc.prorettype IN (
                    'text'::regtype, 'character varying'::regtype, 'void'::regtype
                )
            WHEN 'is_repository_eligible_for_rollout'
                THEN pg_proc.prorettype = 'boolean'::regtype
                AND pg_proc.proargtypes [0] = 'uuid'::regtype
                AND (
                    pg_proc.pronargs = 1
                    OR (
                        pg_proc.pronargs = 2
                        AND pg_proc.proargtypes [1] IN (
                            'text'::regtype, 'character varying'::regtype
                        )
                    )
                )
            ELSE false
        END
    )
FROM pg_proc
WHERE pg_proc.pronamespace = 'public'::regnamespace
    AND pg_proc.prokind = 'f'
    AND pg_proc.proname IN (
        'categorize_repository', 'is_repository_eligible_for_rollout',
        'explain_repository_eligibility', 'eligible_repositories', 'rollout_bucket',
        'categorize_all_repositories', 'record_rollout_job'
    );

-- Functions of the service's triggers that use the search_path of the session.
INSERT INTO host_object (kind, relation, name, definition)
SELECT DISTINCT
    'own_search_path',
    '',
    pg_proc.oid::regprocedure::text,
    '{}'::jsonb
FROM host_object
INNER JOIN pg_trigger ON pg_trigger.tgrelid = to_regclass('public.' || host_object.name)
INNER JOIN pg_proc ON pg_trigger.tgfoid = pg_proc.oid
WHERE host_object.kind = 'table' AND NOT pg_trigger.tgisinternal
    AND NOT EXISTS (
        SELECT FROM unnest(pg_proc.proconfig) AS settings (setting)
        WHERE starts_with(settings.setting, 'search_path=')
    );

-- The marks that people set by hand.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_temp.host_object
        WHERE kind = 'column' AND relation = 'repository_categories' AND name = 'is_test_repository'
    ) THEN
        INSERT INTO pg_temp.host_object (kind, relation, name, definition)
        SELECT DISTINCT 'mark', 'repository_categories', repository_id::text, '{}'::jsonb
        FROM public.repository_categories
        WHERE is_test_repository AND repository_id IS NOT NULL;
    END IF;
END
$$;
