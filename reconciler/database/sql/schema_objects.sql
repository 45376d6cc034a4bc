-- name: differences
-- Functions, triggers and views that are missing, changed, or not part of the schema. After an upgrade of the
-- server the printed definitions may differ, so only PL/pgSQL functions and missing objects count.
SELECT
    coalesce(recorded.kind, found.kind) AS kind,
    coalesce(recorded.name, found.name) AS name,
    CASE
        WHEN found.name IS null THEN 'is missing'
        WHEN recorded.name IS null THEN 'does not belong to the schema'
        ELSE 'is not the one of the schema'
    END AS problem
FROM public.rollout_schema_object AS recorded
FULL OUTER JOIN public.rollout_schema_objects() AS found
    ON recorded.kind = found.kind AND recorded.name = found.name
WHERE
    recorded.name IS null
    OR found.name IS null
    OR (
        recorded.fingerprint <> found.fingerprint
        AND (
            recorded.server_version
            = CAST(current_setting('server_version_num') AS integer) / 10000
            OR EXISTS (
                SELECT
                FROM pg_proc
                INNER JOIN pg_language ON pg_proc.prolang = pg_language.oid
                WHERE
                    recorded.kind = 'function'
                    AND CAST(CAST(pg_proc.oid AS regprocedure) AS text) = recorded.name
                    AND pg_language.lanname = 'plpgsql'
            )
        )
    )
UNION ALL
-- A service's deploy that makes its view again drops the option, if it does not name it.
SELECT
    'view' AS kind,
    'public.repository_activity' AS name,
    'shows rows that the service hides' AS problem
FROM pg_class AS activity
WHERE
    activity.oid = to_regclass('public.repository_activity')
    AND CAST(current_setting('server_version_num') AS integer) >= 150000
    AND NOT coalesce(activity.reloptions && ARRAY['security_invoker=true', 'security_invoker=on'], false)
    AND EXISTS (
        SELECT
        FROM pg_class AS secured
        WHERE
            secured.oid IN (to_regclass('public.repositories'), to_regclass('public.pull_requests'))
            AND secured.relrowsecurity
    )
    AND EXISTS (
        SELECT
        FROM aclexplode(activity.relacl) AS entry
        WHERE entry.grantee <> activity.relowner AND entry.privilege_type = 'SELECT'
    )
ORDER BY kind, name;

-- name: secure_view
-- Lets the view show a role the rows that it sees itself.
ALTER VIEW public.repository_activity SET (security_invoker = true);
