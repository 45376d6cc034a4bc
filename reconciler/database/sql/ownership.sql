-- name: is_table
-- Whether a name is that of a table. A policy of the rollout's is `true`; another one can call any function.
SELECT EXISTS (
    SELECT FROM pg_class AS class
    WHERE
        class.oid = to_regclass(:name)
        AND class.relkind IN ('r', 'p')
        AND NOT EXISTS (
            SELECT FROM pg_policy AS policy
            WHERE
                policy.polrelid = class.oid
                AND pg_get_expr(policy.polqual, policy.polrelid) <> 'true'
        )
);

-- name: foreign
-- Objects that have names of the rollout and belong to an account which this database does not trust. An
-- account that may create objects in `public` can make them before the first upgrade; their owner could replace them
-- at any time, and the new code would run with the rights of the account that applies. These accounts are trusted:
-- superusers, the owners of the database and of the schema, this account and, unless it is a superuser, its roles.
WITH trusted AS (
    SELECT role.oid
    FROM pg_roles AS role
    WHERE
        role.rolsuper
        OR role.rolname = current_user
        OR role.oid IN (
            SELECT db.datdba FROM pg_database AS db
            WHERE db.datname = current_database()
        )
        OR role.oid IN (
            SELECT schema.nspowner FROM pg_namespace AS schema
            WHERE schema.nspname = 'public'
        )
        OR (
            pg_has_role(role.oid, 'USAGE')
            AND NOT EXISTS (
                SELECT FROM pg_roles AS own
                WHERE own.rolname = current_user AND own.rolsuper
            )
        )
        -- The service's own, once its tables are adopted: its functions stay its own.
        OR (
            :adopted
            AND role.oid IN (
                SELECT class.relowner FROM pg_class AS class
                WHERE class.oid = to_regclass('public.rollout_configuration')
            )
        )
),

named AS (
    SELECT
        'table or view' AS kind,
        'public.' || quote_ident(class.relname) AS name,
        class.relowner AS owner
    FROM pg_class AS class
    WHERE
        class.relnamespace = to_regnamespace('public')
        AND (
            class.relname IN (
                'rollout_generation', 'rollout_state', 'rollout_override', 'rollout_membership',
                'rollout_lease', 'rollout_lock', 'rollout_schema_version', 'rollout_schema_object',
                'rollout_adopted_object', 'rollout_adopted_row', 'rollout_duration_bucket',
                'rollout_metrics_rollup', 'rollout_metrics_turn', 'rollout_evidence', 'rollout_evidence_state',
                'rollout_processor', 'rollout_processor_name', 'rollout_notification', 'rollout_notification_target',
                'rollout_running_job', 'rollout_write', 'rollout_eligible_count',
                'category_threshold', 'category_limits'
            )
            OR (
                NOT :adopted
                AND class.relname IN (
                    'repositories', 'pull_requests', 'repository_activity', 'repository_categories',
                    'rollout_configuration', 'rollout_metrics', 'rollout_history'
                )
            )
        )
    UNION ALL
    SELECT
        'function' AS kind,
        CAST(CAST(proc.oid AS regprocedure) AS text) AS name,
        proc.proowner AS owner
    FROM pg_proc AS proc
    WHERE proc.pronamespace = to_regnamespace('public') AND proc.proname = any(:functions)
)

SELECT
    named.kind,
    named.name,
    pg_get_userbyid(named.owner) AS owner
FROM named
WHERE named.owner NOT IN (SELECT trusted.oid FROM trusted)
ORDER BY named.kind ASC, named.name ASC;
