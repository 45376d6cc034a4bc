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
ORDER BY kind, name;
