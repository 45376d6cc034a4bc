-- Eligibility with the bucketing of each feature. It replaces functions of `0001_eligibility.sql`.

-- The category by the current metrics. Services use `categorize_repository`; the rollout uses this function.
CREATE OR REPLACE FUNCTION public.category_of_repository(repo_id uuid) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        public.category_within(
            limits, activity.stars, activity.contributors, activity.pull_requests
        )
    FROM public.repository_activity AS activity
    CROSS JOIN public.category_limits AS limits
    WHERE activity.repository_id = category_of_repository.repo_id;
END;

-- In hundredths of a percent, like `rollout_bucket`: a multiple of 100, from 0 to 9900.
CREATE OR REPLACE FUNCTION public.rollout_hashtext_bucket(repo_id uuid) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN abs(hashtext(repo_id::text COLLATE "C") % 100) * 100;

-- The first rule that applies decides and gives the reason. Rule 1 is missing here, because a database does
-- not see the environment of a process. Every argument has a result: an unknown repository is not eligible.
CREATE OR REPLACE FUNCTION public.explain_repository_eligibility(repo_id uuid, feature_name text)
RETURNS TABLE (eligible boolean, rule text, reason text, bucket integer, category text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT
        CASE decided.rule
            WHEN 'whitelisted' THEN true
            WHEN 'percentage_strategy' THEN decided.bucket < decided.percentage * 100
            WHEN 'size_strategy' THEN decided.step <= decided.percentage
            ELSE false
        END AS eligible,
        decided.rule,
        CASE decided.rule
            WHEN 'unknown_feature' THEN 'no feature has this name'
            WHEN 'inactive' THEN 'the feature is inactive'
            WHEN 'emergency_stop' THEN 'the emergency stop is on'
            WHEN 'unknown_repository' THEN 'no repository has this id'
            WHEN 'excluded' THEN 'the exclusions have ' || decided.excluded_by
            WHEN 'whitelisted' THEN 'the whitelist has ' || decided.whitelisted_by
            WHEN 'whitelist_strategy'
                THEN 'the strategy is whitelist, and the whitelist does not have it'
            WHEN 'percentage_strategy'
                THEN format(
                    'bucket %s is %s %s (%s %%)',
                    decided.bucket,
                    CASE
                        WHEN decided.bucket < decided.percentage * 100 THEN 'under'
                        ELSE 'not under'
                    END,
                    trim_scale(decided.percentage * 100),
                    trim_scale(decided.percentage)
                )
            WHEN 'size_strategy'
                THEN format(
                    '%s are eligible from %s %%, the percentage is %s %%',
                    CASE
                        WHEN decided.marked_as_test THEN 'repositories marked as test'
                        ELSE decided.category || ' repositories'
                    END,
                    decided.step,
                    trim_scale(decided.percentage)
                )
        END AS reason,
        decided.bucket,
        decided.category
    FROM (
        SELECT
            CASE
                WHEN found.configuration_id IS null THEN 'unknown_feature'
                WHEN found.is_active IS NOT true THEN 'inactive'
                WHEN found.emergency_stop IS NOT false THEN 'emergency_stop'
                WHEN found.repository_id IS null THEN 'unknown_repository'
                WHEN found.excluded_by IS NOT null THEN 'excluded'
                WHEN found.whitelisted_by IS NOT null THEN 'whitelisted'
                WHEN found.strategy = 'percentage' THEN 'percentage_strategy'
                WHEN found.strategy = 'repository_size' THEN 'size_strategy'
                ELSE 'whitelist_strategy'
            END AS rule,
            found.percentage,
            found.excluded_by,
            found.whitelisted_by,
            found.bucket,
            found.category,
            found.marked_as_test,
            public.rollout_step(found.category, found.marked_as_test) AS step
        FROM (
            SELECT
                configuration.id AS configuration_id,
                configuration.is_active,
                configuration.emergency_stop,
                configuration.rollout_strategy AS strategy,
                coalesce(configuration.rollout_percentage, 0) AS percentage,
                repository.id AS repository_id,
                listed.excluded_by,
                listed.whitelisted_by,
                CASE configuration.bucketing
                    WHEN 'hashtext' THEN public.rollout_hashtext_bucket(repository.id)
                    ELSE
                        public.rollout_bucket(
                            coalesce(configuration.salt, configuration.feature_name), repository.id
                        )
                END AS bucket,
                -- Not categorised yet: uses the current metrics. Reading writes nothing.
                coalesce(
                    recorded.category,
                    CASE
                        WHEN repository.id IS NOT null
                            THEN public.category_of_repository(repository.id)
                    END
                ) AS category,
                coalesce(recorded.marked_as_test, false) AS marked_as_test
            FROM (SELECT) AS asked
            LEFT JOIN public.rollout_configuration AS configuration
                ON configuration.feature_name = explain_repository_eligibility.feature_name
            LEFT JOIN public.repositories AS repository
                ON repository.id = explain_repository_eligibility.repo_id
            LEFT JOIN public.repository_categories AS recorded
                ON repository.id = recorded.repository_id
            -- Six lookups for lists of any length. If several keys match, the narrowest is reported.
            LEFT JOIN LATERAL (
                SELECT
                    (
                        array_agg(
                            membership.key
                            ORDER BY membership.repository_id, membership.key LIKE '%/*'
                        ) FILTER (WHERE membership.list = 'exclusions')
                    )[1] AS excluded_by,
                    (
                        array_agg(
                            membership.key
                            ORDER BY membership.repository_id, membership.key LIKE '%/*'
                        ) FILTER (WHERE membership.list = 'whitelist')
                    )[1] AS whitelisted_by
                FROM public.rollout_membership AS membership
                WHERE
                    membership.rollout_config_id = configuration.id
                    AND membership.list IN ('exclusions', 'whitelist')
                    AND membership.key IN (
                        repository.id::text,
                        lower(repository.full_name),
                        lower(split_part(repository.full_name, '/', 1)) || '/*'
                    )
            ) AS listed ON true
            OFFSET '0'
        ) AS found
        OFFSET '0'
    ) AS decided;
END;

-- All eligible repositories. There is one arm for each rule that can make a repository eligible. Only the arms
-- that the configuration needs are run. Each is a scan that parallel workers share; no repository comes twice.
CREATE OR REPLACE FUNCTION public.eligible_repositories(feature_name text) RETURNS SETOF uuid
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100000
BEGIN ATOMIC
    -- whitelisted
    SELECT repository.id
    FROM (
        SELECT listed.repository_id
        FROM public.rollout_listed_repositories(eligible_repositories.feature_name) AS listed
        GROUP BY listed.repository_id
        HAVING bool_and(listed.list = 'whitelist')
    ) AS whitelisted
    INNER JOIN public.repositories AS repository ON whitelisted.repository_id = repository.id
    WHERE (
        SELECT configuration.is_active AND NOT configuration.emergency_stop
        FROM public.rollout_configuration AS configuration
        WHERE configuration.feature_name = eligible_repositories.feature_name
    )
    UNION ALL
    -- Repositories in neither list, by the strategy.
    SELECT candidate.id
    FROM (
        -- percentage_strategy, by sha256
        SELECT hashed.id
        FROM (
            SELECT
                repository.id,
                sha256(
                    convert_to(
                        coalesce(configuration.salt, configuration.feature_name)
                        || ':' || repository.id::text,
                        'UTF8'
                    )
                ) AS digest
            FROM public.rollout_configuration AS configuration
            CROSS JOIN public.repositories AS repository
            WHERE configuration.feature_name = eligible_repositories.feature_name
            OFFSET '0'
        ) AS hashed
        WHERE
            (
                SELECT
                    configuration.rollout_strategy = 'percentage'
                    AND configuration.bucketing = 'sha256'
                FROM public.rollout_configuration AS configuration
                WHERE configuration.feature_name = eligible_repositories.feature_name
            )
            AND public.rollout_bucket_of_digest(hashed.digest) < (
                SELECT (configuration.rollout_percentage * 100)::integer
                FROM public.rollout_configuration AS configuration
                WHERE configuration.feature_name = eligible_repositories.feature_name
            )
        UNION ALL
        -- percentage_strategy, by hashtext
        SELECT repository.id
        FROM public.repositories AS repository
        WHERE
            (
                SELECT
                    configuration.rollout_strategy = 'percentage'
                    AND configuration.bucketing = 'hashtext'
                FROM public.rollout_configuration AS configuration
                WHERE configuration.feature_name = eligible_repositories.feature_name
            )
            AND public.rollout_hashtext_bucket(repository.id) < (
                SELECT (configuration.rollout_percentage * 100)::integer
                FROM public.rollout_configuration AS configuration
                WHERE configuration.feature_name = eligible_repositories.feature_name
            )
        UNION ALL
        -- size_strategy
        SELECT recorded.repository_id
        FROM public.repository_categories AS recorded
        INNER JOIN public.repositories AS repository ON recorded.repository_id = repository.id
        WHERE
            (
                SELECT configuration.rollout_strategy = 'repository_size'
                FROM public.rollout_configuration AS configuration
                WHERE configuration.feature_name = eligible_repositories.feature_name
            )
            AND public.rollout_step(recorded.category, recorded.marked_as_test) <= (
                SELECT configuration.rollout_percentage
                FROM public.rollout_configuration AS configuration
                WHERE configuration.feature_name = eligible_repositories.feature_name
            )
        UNION ALL
        -- size_strategy, not categorised yet: by the current metrics
        SELECT uncategorised.repository_id
        FROM (
            SELECT
                activity.repository_id,
                public.category_within(
                    limits, activity.stars, activity.contributors, activity.pull_requests
                ) AS category
            FROM public.repository_activity AS activity
            CROSS JOIN public.category_limits AS limits
            WHERE NOT EXISTS (
                SELECT
                FROM public.repository_categories AS recorded
                WHERE recorded.repository_id = activity.repository_id
            )
            OFFSET '0'
        ) AS uncategorised
        WHERE
            (
                SELECT configuration.rollout_strategy = 'repository_size'
                FROM public.rollout_configuration AS configuration
                WHERE configuration.feature_name = eligible_repositories.feature_name
            )
            AND public.rollout_step(uncategorised.category, false) <= (
                SELECT configuration.rollout_percentage
                FROM public.rollout_configuration AS configuration
                WHERE configuration.feature_name = eligible_repositories.feature_name
            )
    ) AS candidate
    WHERE
        (
            SELECT
                configuration.is_active AND NOT configuration.emergency_stop
                AND configuration.rollout_percentage > 0
            FROM public.rollout_configuration AS configuration
            WHERE configuration.feature_name = eligible_repositories.feature_name
        )
        AND NOT EXISTS (
            SELECT
            FROM public.rollout_listed_repositories(eligible_repositories.feature_name) AS listed
            WHERE listed.repository_id = candidate.id
        );
END;
