-- name: open_rights
-- What roles may write or execute besides the owner, superusers, the rollout's four roles and the trusted ones.
-- A service's own `repositories` is not the rollout's.
WITH relations AS (
    SELECT
        pg_class.oid,
        pg_class.relkind,
        pg_class.relowner,
        pg_class.relacl
    FROM pg_class
    WHERE
        pg_class.relnamespace = CAST('public' AS regnamespace)
        AND (
            pg_class.relname IN (
                'category_limits', 'category_threshold', 'repository_activity',
                'repository_categories', 'rollout_adopted_object', 'rollout_adopted_row',
                'rollout_configuration', 'rollout_duration_bucket', 'rollout_eligible_count', 'rollout_evidence',
                'rollout_evidence_state', 'rollout_generation', 'rollout_history', 'rollout_lease',
                'rollout_lock', 'rollout_membership', 'rollout_metrics', 'rollout_metrics_rollup', 'rollout_metrics_turn', 'rollout_notification',
                'rollout_notification_target', 'rollout_processor', 'rollout_processor_name',
                'rollout_override', 'rollout_running_job', 'rollout_schema_object', 'rollout_schema_version',
                'rollout_state', 'rollout_write'
            )
            OR pg_class.relname = 'rollout_notification_position_seq'
            OR CAST(pg_class.oid AS regclass) = to_regclass(
                pg_get_serial_sequence('public.rollout_history', 'position')
            )
            OR (
                pg_class.relname = 'repositories'
                -- The table that the migration makes has this index; names in a service's may repeat.
                AND EXISTS (
                    SELECT
                    FROM pg_index
                    WHERE
                        pg_index.indrelid = pg_class.oid
                        AND pg_index.indexrelid = to_regclass('public.repositories_full_name_key')
                        AND pg_index.indexprs IS NOT null
                )
            )
        )
),

granted AS (
    SELECT
        CASE relations.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END
            AS kind,
        CAST(CAST(relations.oid AS regclass) AS text) AS name,
        relations.relowner AS owner,
        entry.grantee,
        entry.privilege_type AS privilege
    FROM relations
    CROSS JOIN LATERAL aclexplode(relations.relacl) AS entry
    WHERE
        entry.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
        OR (entry.privilege_type = 'USAGE' AND relations.relkind = 'S')
    UNION
    SELECT
        CASE relations.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
        CAST(CAST(relations.oid AS regclass) AS text) AS name,
        relations.relowner AS owner,
        entry.grantee,
        format('%s (%I)', entry.privilege_type, pg_attribute.attname) AS privilege
    FROM relations
    INNER JOIN pg_attribute ON relations.oid = pg_attribute.attrelid
    CROSS JOIN LATERAL aclexplode(pg_attribute.attacl) AS entry
    WHERE NOT pg_attribute.attisdropped AND entry.privilege_type IN ('INSERT', 'UPDATE')
    UNION
    SELECT
        'function' AS kind,
        CAST(CAST(pg_proc.oid AS regprocedure) AS text) AS name,
        pg_proc.proowner AS owner,
        entry.grantee,
        entry.privilege_type AS privilege
    FROM pg_proc
    CROSS JOIN LATERAL aclexplode(
        coalesce(pg_proc.proacl, acldefault('f', pg_proc.proowner))
    ) AS entry
    WHERE
        pg_proc.pronamespace = CAST('public' AS regnamespace)
        AND (
            starts_with(CAST(pg_proc.proname AS text), 'rollout_')
            OR EXISTS (
                SELECT
                FROM public.rollout_schema_objects() AS own
                WHERE
                    own.kind = 'function'
                    AND own.name = CAST(CAST(pg_proc.oid AS regprocedure) AS text)
            )
        )
        -- Others read what their caller may read itself. The function of a trigger cannot be called.
        AND (pg_proc.provolatile = 'v' OR pg_proc.prosecdef)
        AND pg_proc.prorettype <> CAST('trigger' AS regtype)
    UNION
    SELECT
        'schema' AS kind,
        CAST(pg_namespace.nspname AS text) AS name,
        pg_namespace.nspowner AS owner,
        entry.grantee,
        entry.privilege_type AS privilege
    FROM pg_namespace
    CROSS JOIN LATERAL aclexplode(pg_namespace.nspacl) AS entry
    WHERE pg_namespace.nspname = 'public' AND entry.privilege_type = 'CREATE'
)

SELECT
    granted.kind,
    granted.name,
    coalesce(CAST(pg_roles.rolname AS text), 'PUBLIC') AS role,
    array_agg(granted.privilege ORDER BY granted.privilege) AS rights
FROM granted
LEFT JOIN pg_roles ON granted.grantee = pg_roles.oid
WHERE
    granted.grantee <> granted.owner
    AND pg_roles.rolsuper IS NOT true
    AND coalesce(pg_roles.rolname, 'PUBLIC') <> ALL (
        ARRAY[
            'rollout_reader', 'rollout_worker', 'rollout_safeguard', 'rollout_reconciler',
            'pg_database_owner'
        ] || CAST(:trusted AS text [])
    )
GROUP BY granted.kind, granted.name, role
ORDER BY role, granted.kind, granted.name;

-- name: role_rights
-- Each right of the rollout's four roles in this database.
SELECT
    CASE pg_class.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
    CAST(CAST(pg_class.oid AS regclass) AS text) AS name,
    CAST(pg_roles.rolname AS text) AS role,
    entry.privilege_type AS privilege
FROM pg_class
CROSS JOIN LATERAL aclexplode(pg_class.relacl) AS entry
INNER JOIN pg_roles ON entry.grantee = pg_roles.oid
WHERE
    pg_class.relnamespace = CAST('public' AS regnamespace)
    AND pg_roles.rolname IN (
        'rollout_reader', 'rollout_worker', 'rollout_safeguard', 'rollout_reconciler'
    )
UNION ALL
SELECT
    CASE pg_class.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
    CAST(CAST(pg_class.oid AS regclass) AS text) AS name,
    CAST(pg_roles.rolname AS text) AS role,
    format('%s (%I)', entry.privilege_type, pg_attribute.attname) AS privilege
FROM pg_class
INNER JOIN pg_attribute ON pg_class.oid = pg_attribute.attrelid
CROSS JOIN LATERAL aclexplode(pg_attribute.attacl) AS entry
INNER JOIN pg_roles ON entry.grantee = pg_roles.oid
WHERE
    pg_class.relnamespace = CAST('public' AS regnamespace)
    AND NOT pg_attribute.attisdropped
    AND pg_roles.rolname IN (
        'rollout_reader', 'rollout_worker', 'rollout_safeguard', 'rollout_reconciler'
    )
UNION ALL
SELECT
    'function' AS kind,
    CAST(CAST(pg_proc.oid AS regprocedure) AS text) AS name,
    CAST(pg_roles.rolname AS text) AS role,
    entry.privilege_type AS privilege
FROM pg_proc
CROSS JOIN LATERAL aclexplode(pg_proc.proacl) AS entry
INNER JOIN pg_roles ON entry.grantee = pg_roles.oid
WHERE
    pg_proc.pronamespace = CAST('public' AS regnamespace)
    AND pg_roles.rolname IN (
        'rollout_reader', 'rollout_worker', 'rollout_safeguard', 'rollout_reconciler'
    );

-- name: missing_policies
-- Where the service hides rows, a role with a right needs a policy for it.
SELECT DISTINCT
    CAST(CAST(pg_class.oid AS regclass) AS text) AS name,
    CAST(pg_roles.rolname AS text) AS role,
    entry.privilege_type AS command
FROM pg_class
CROSS JOIN LATERAL (
    SELECT
        granted.grantee,
        granted.privilege_type
    FROM aclexplode(pg_class.relacl) AS granted
    UNION ALL
    SELECT
        granted.grantee,
        granted.privilege_type
    FROM pg_attribute
    CROSS JOIN LATERAL aclexplode(pg_attribute.attacl) AS granted
    WHERE pg_attribute.attrelid = pg_class.oid
) AS entry
INNER JOIN pg_roles ON entry.grantee = pg_roles.oid
WHERE
    pg_class.relnamespace = CAST('public' AS regnamespace)
    AND pg_class.relrowsecurity
    AND entry.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    AND pg_roles.rolname IN (
        'rollout_reader', 'rollout_worker', 'rollout_safeguard', 'rollout_reconciler'
    )
    AND NOT EXISTS (
        SELECT
        FROM pg_policy
        WHERE
            pg_policy.polrelid = pg_class.oid
            AND pg_policy.polname = 'rollout_roles_' || lower(entry.privilege_type)
            AND pg_roles.oid = ANY(pg_policy.polroles)
    )
ORDER BY name, role, command;

-- name: unsecured
-- If the service hides rows of its own tables: the rollout's tables that show every row, and views that read with
-- their owner's rights, so that they show hidden rows.
SELECT
    CASE pg_class.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
    CAST(CAST(pg_class.oid AS regclass) AS text) AS name
FROM pg_class
WHERE
    pg_class.relnamespace = CAST('public' AS regnamespace)
    AND EXISTS (
        SELECT
        FROM pg_class AS secured
        WHERE
            secured.relnamespace = CAST('public' AS regnamespace)
            AND secured.relname IN ('repositories', 'rollout_configuration')
            AND secured.relrowsecurity
    )
    AND (
        (
            NOT pg_class.relrowsecurity
            AND pg_class.relname IN (
                'category_threshold', 'repository_categories', 'rollout_adopted_object',
                'rollout_adopted_row', 'rollout_configuration', 'rollout_duration_bucket',
                'rollout_evidence', 'rollout_evidence_state', 'rollout_generation',
                'rollout_history', 'rollout_lease', 'rollout_membership', 'rollout_metrics',
                'rollout_metrics_rollup', 'rollout_override', 'rollout_schema_object',
                'rollout_schema_version', 'rollout_state'
            )
        )
        OR (
            pg_class.relname = 'repository_activity'
            AND NOT coalesce(pg_class.reloptions && ARRAY['security_invoker=true', 'security_invoker=on'], false)
            AND EXISTS (
                SELECT
                FROM aclexplode(pg_class.relacl) AS entry
                WHERE entry.grantee <> pg_class.relowner AND entry.privilege_type = 'SELECT'
            )
        )
    )
ORDER BY kind, name;
