-- name: service
-- The tables of a service that exist, and its function that decides eligibility: the one with two arguments
-- if there is one.
WITH found AS (
    SELECT
        pg_proc.pronargs,
        pg_proc.prosrc
    FROM pg_proc
    WHERE
        pg_proc.pronamespace = to_regnamespace('public')
        AND pg_proc.proname = 'is_repository_eligible_for_rollout'
        AND pg_proc.prorettype = CAST('boolean' AS regtype)
        AND pg_proc.proargtypes[0] = CAST('uuid' AS regtype)
        AND (
            pg_proc.pronargs = 1
            OR (
                pg_proc.pronargs = 2
                AND pg_proc.proargtypes[1]
                IN (CAST('text' AS regtype), CAST('character varying' AS regtype))
            )
        )
    ORDER BY pg_proc.pronargs DESC
    LIMIT 1
)

SELECT
    to_regclass('public.rollout_configuration') IS NOT null
    AND to_regclass('public.repositories') IS NOT null AS has_tables,
    to_regclass('public.rollout_configuration') IS NOT null
    OR to_regclass('public.repository_categories') IS NOT null
    OR to_regclass('public.rollout_metrics') IS NOT null
    OR to_regclass('public.rollout_history') IS NOT null AS is_adopted,
    (SELECT found.pronargs FROM found) AS arguments,
    (SELECT found.prosrc ~* 'hashtext' FROM found) AS uses_hashtext;

-- name: missing_metrics
-- The metrics of repositories that the service does not have.
SELECT wanted.name
FROM unnest(ARRAY['stargazers_count', 'contributors_count']) AS wanted (name)
WHERE NOT EXISTS (
    SELECT
    FROM pg_attribute
    WHERE
        pg_attribute.attrelid = to_regclass('public.repositories')
        AND pg_attribute.attname = wanted.name
        AND NOT pg_attribute.attisdropped
);

-- name: triggers
-- The service's triggers that run, with the words that let them run again.
SELECT
    pg_trigger.tgname AS name,
    CAST(CAST(pg_trigger.tgrelid AS regclass) AS text) AS relation,
    CASE pg_trigger.tgenabled
        WHEN 'R' THEN 'ENABLE REPLICA'
        WHEN 'A' THEN 'ENABLE ALWAYS'
        ELSE 'ENABLE'
    END AS enabling
FROM pg_trigger
WHERE
    pg_trigger.tgrelid IN (
        to_regclass('public.rollout_configuration'),
        to_regclass('public.repository_categories'),
        to_regclass('public.rollout_metrics'),
        to_regclass('public.rollout_history')
    )
    AND NOT pg_trigger.tgisinternal
    AND pg_trigger.tgenabled <> 'D'
ORDER BY relation, name;

-- name: own_search_path
-- The search_path at the start of a session of this account.
SELECT set_config('search_path', pg_settings.reset_val, true)
FROM pg_settings
WHERE pg_settings.name = 'search_path';

-- name: configuration
-- A digest of the configuration but for the times of its changes. The migration compares it after it locks the table, because a service may
-- write in between.
SELECT
    coalesce(
        md5(
            string_agg(
                CAST(to_jsonb(configuration) - 'updated_at' AS text),
                ',' ORDER BY CAST(to_jsonb(configuration) - 'updated_at' AS text) COLLATE "C"
            )
        ),
        ''
    )
FROM public.rollout_configuration AS configuration;

-- name: features
-- Each feature with its strategy; a row may have any value or none.
SELECT
    configuration.feature_name AS name,
    to_jsonb(configuration) ->> 'rollout_strategy' AS strategy,
    CAST(configuration.rollout_percentage AS text) AS percentage
FROM public.rollout_configuration AS configuration
WHERE configuration.feature_name IS NOT null
ORDER BY configuration.feature_name;

-- name: repositories
-- Every repository by id.
SELECT
    CAST(id AS text) AS id,
    coalesce(full_name, CAST(id AS text)) AS full_name
FROM public.repositories;

-- name: ask_service
-- The repositories that the service's function makes eligible for one feature.
SELECT CAST(repositories.id AS text) AS id
FROM public.repositories
WHERE public.is_repository_eligible_for_rollout(repositories.id, :feature);

-- name: ask_service_of_one
-- The same for a function that knows one feature only.
SELECT CAST(repositories.id AS text) AS id
FROM public.repositories
WHERE public.is_repository_eligible_for_rollout(repositories.id);

-- name: answers_one_by_one
-- The same for a function that fails for some repository: a call that fails counts as a no.
SELECT
    CAST(repositories.id AS text) AS id,
    pg_temp.service_answer(repositories.id, :feature) AS answer
FROM public.repositories;

-- name: eligible
-- The repositories that are eligible by the rollout's own function.
SELECT CAST(eligible.id AS text) AS id
FROM public.eligible_repositories(:feature) AS eligible (id);

-- name: set
-- A setting of this transaction, for the files of the migration.
SELECT set_config(:name, :value, true);
