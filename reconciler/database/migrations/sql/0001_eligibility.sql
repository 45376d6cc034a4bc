-- Eligibility: categories, buckets and the order of the rules. `reconciler.targeting` decides the same in
-- Python. A test compares both, including the rule and its sentence.
--
-- Bodies are SQL-standard (BEGIN ATOMIC, RETURN). Names in them are bound when the function is created, so no
-- search_path of a caller matters. The planner can also inline them; a SET clause would prevent that. `OFFSET
-- '0'` prevents that a digest is computed once for each of its bytes. It is quoted because only a constant of
-- type bigint lets parallel workers run the scan below it.

-- Categories

-- All thresholds in one row. Without a limit, the number is the largest integer.
CREATE OR REPLACE VIEW public.category_limits AS
SELECT
    max(coalesce(stars, 2147483647)) FILTER (WHERE category = 'test') AS test_stars,
    max(coalesce(contributors, 2147483647)) FILTER (WHERE category = 'test') AS test_contributors,
    max(coalesce(pull_requests, 2147483647)) FILTER (WHERE category = 'test') AS test_pull_requests,
    max(coalesce(stars, 2147483647)) FILTER (WHERE category = 'small') AS small_stars,
    max(coalesce(contributors, 2147483647))
    FILTER (WHERE category = 'small') AS small_contributors,
    max(coalesce(pull_requests, 2147483647))
    FILTER (WHERE category = 'small') AS small_pull_requests,
    max(coalesce(stars, 2147483647)) FILTER (WHERE category = 'medium') AS medium_stars,
    max(coalesce(contributors, 2147483647))
    FILTER (WHERE category = 'medium') AS medium_contributors,
    max(coalesce(pull_requests, 2147483647))
    FILTER (WHERE category = 'medium') AS medium_pull_requests,
    max(coalesce(stars, 2147483647)) FILTER (WHERE category = 'large') AS large_stars,
    max(coalesce(contributors, 2147483647))
    FILTER (WHERE category = 'large') AS large_contributors,
    max(coalesce(pull_requests, 2147483647))
    FILTER (WHERE category = 'large') AS large_pull_requests,
    max(priority) FILTER (WHERE category = 'test') AS test_priority,
    max(priority) FILTER (WHERE category = 'small') AS small_priority,
    max(priority) FILTER (WHERE category = 'medium') AS medium_priority,
    max(priority) FILTER (WHERE category = 'large') AS large_priority,
    max(priority) FILTER (WHERE category = 'enterprise') AS enterprise_priority
FROM public.category_threshold;

-- The first category with all its limits met; otherwise `enterprise`.
CREATE OR REPLACE FUNCTION public.category_within(
    limits public.category_limits, stars integer, contributors integer, pull_requests integer
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN
        stars <= (limits).test_stars
        AND contributors <= (limits).test_contributors
        AND pull_requests <= (limits).test_pull_requests
        THEN 'test'
    WHEN
        stars <= (limits).small_stars
        AND contributors <= (limits).small_contributors
        AND pull_requests <= (limits).small_pull_requests
        THEN 'small'
    WHEN
        stars <= (limits).medium_stars
        AND contributors <= (limits).medium_contributors
        AND pull_requests <= (limits).medium_pull_requests
        THEN 'medium'
    WHEN
        stars <= (limits).large_stars
        AND contributors <= (limits).large_contributors
        AND pull_requests <= (limits).large_pull_requests
        THEN 'large'
    ELSE 'enterprise'
END;

CREATE OR REPLACE FUNCTION public.category_priority(
    limits public.category_limits, category text
) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE category
    WHEN 'test' THEN (limits).test_priority
    WHEN 'small' THEN (limits).small_priority
    WHEN 'medium' THEN (limits).medium_priority
    WHEN 'large' THEN (limits).large_priority
    WHEN 'enterprise' THEN (limits).enterprise_priority
END;

-- Activity as a number from 0 to 100. The most active repositories come first.
CREATE OR REPLACE FUNCTION public.monthly_activity_score(
    stars integer, contributors integer, pull_requests integer
) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Each part is limited to 100 first, so no sum overflows.
RETURN least(100, least(stars, 100) + least(contributors, 100) + pull_requests / 10);

-- The category by the current metrics; null for an unknown repository. Services use `categorize_repository`
-- (`0001_service_functions.sql`).
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

-- The rows that categorising would write: repositories without a category, and those with a different
-- category, priority or metrics now. The mark as a test repository is set by people and never written here.
CREATE OR REPLACE FUNCTION public.category_changes(limits public.category_limits) RETURNS TABLE (
    repository_id uuid,
    previous_category text,
    category text,
    stars integer,
    contributors integer,
    pull_requests integer
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        activity.repository_id,
        recorded.category,
        public.category_within(
            category_changes.limits,
            activity.stars, activity.contributors, activity.pull_requests
        ),
        activity.stars,
        activity.contributors,
        activity.pull_requests
    FROM public.repository_activity AS activity
    LEFT JOIN public.repository_categories AS recorded
        ON activity.repository_id = recorded.repository_id
    WHERE
        (
            recorded.star_count = activity.stars
            AND recorded.contributor_count = activity.contributors
            AND recorded.pr_count = activity.pull_requests
            AND recorded.category = public.category_within(
                category_changes.limits,
                activity.stars, activity.contributors, activity.pull_requests
            )
            AND recorded.priority_level
            = public.category_priority(category_changes.limits, recorded.category)
            AND recorded.monthly_activity_score = public.monthly_activity_score(
                activity.stars, activity.contributors, activity.pull_requests
            )
        ) IS NOT true;
END;

-- Categorises the given repositories and returns the number of rows written. Correct rows stay unchanged.
CREATE OR REPLACE FUNCTION public.categorize_repositories(repo_ids uuid []) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    limits public.category_limits := (
        SELECT category_limits FROM public.category_limits
    );
    written bigint;
BEGIN
    INSERT INTO public.repository_categories (
        repository_id, category, priority_level, star_count, contributor_count, pr_count,
        monthly_activity_score
    )
    SELECT
        change.repository_id,
        change.category,
        public.category_priority(limits, change.category),
        change.stars,
        change.contributors,
        change.pull_requests,
        public.monthly_activity_score(change.stars, change.contributors, change.pull_requests)
    FROM public.category_changes(limits) AS change
    WHERE change.repository_id IN (SELECT unnest(repo_ids))
    ON CONFLICT (repository_id) DO UPDATE
    SET category = excluded.category,
        priority_level = excluded.priority_level,
        star_count = excluded.star_count,
        contributor_count = excluded.contributor_count,
        pr_count = excluded.pr_count,
        monthly_activity_score = excluded.monthly_activity_score,
        last_categorized_at = now(),
        updated_at = now();
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;

-- The search is a statement of its own, because a statement that writes gets no parallel workers and mostly
-- nothing has to be written. EXECUTE makes a plan with the current limits as constants.
CREATE OR REPLACE FUNCTION public.categorize_all_repositories() RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    limits public.category_limits := (
        SELECT category_limits FROM public.category_limits
    );
    changed uuid [];
BEGIN
    EXECUTE 'SELECT array_agg(repository_id) FROM public.category_changes($1)'
    INTO changed USING limits;
    IF changed IS null THEN
        RETURN 0;
    END IF;
    RETURN public.categorize_repositories(changed);
END
$$;

-- Buckets

-- The first four bytes as an unsigned number, modulo 10000. 2^24 and 2^16 modulo 10000 are 7216 and 5536, so
-- every sum fits into an integer.
CREATE OR REPLACE FUNCTION public.rollout_bucket_of_digest(digest bytea) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    get_byte(digest, 0) * 7216 + get_byte(digest, 1) * 5536
    + get_byte(digest, 2) * 256 + get_byte(digest, 3)
) % 10000;

CREATE OR REPLACE FUNCTION public.rollout_bucket(salt text, repo_id uuid) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT public.rollout_bucket_of_digest(hashed.digest)
    FROM (
        SELECT
            sha256(
                convert_to(rollout_bucket.salt || ':' || rollout_bucket.repo_id::text, 'UTF8')
            ) AS digest
        OFFSET '0'
    ) AS hashed;
END;

-- Eligibility

-- The step of `repository_size` from which a repository is eligible, in percent.
CREATE OR REPLACE FUNCTION public.rollout_step(category text, marked_as_test boolean) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN marked_as_test THEN 10
    WHEN category = 'test' THEN 10
    WHEN category = 'small' THEN 25
    WHEN category = 'medium' THEN 50
    WHEN category = 'large' THEN 75
    ELSE 100
END;

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
                    '%s are in from %s %%, the percentage is %s %%',
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
                public.rollout_bucket(
                    coalesce(configuration.salt, configuration.feature_name), repository.id
                ) AS bucket,
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

-- The repositories in the two lists of a feature, by id, by name and by owner pattern. A repository comes
-- once for each key that matches. An id comes also if no repository has it.
CREATE OR REPLACE FUNCTION public.rollout_listed_repositories(feature_name text)
RETURNS TABLE (list text, key text, repository_id uuid, by_id boolean)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        membership.list,
        membership.key,
        membership.repository_id,
        true
    FROM public.rollout_configuration AS configuration
    INNER JOIN public.rollout_membership AS membership
        ON configuration.id = membership.rollout_config_id
    WHERE
        configuration.feature_name = rollout_listed_repositories.feature_name
        AND membership.repository_id IS NOT null
    UNION ALL
    SELECT
        membership.list,
        membership.key,
        repository.id,
        false
    FROM public.rollout_configuration AS configuration
    INNER JOIN public.rollout_membership AS membership
        ON configuration.id = membership.rollout_config_id
    INNER JOIN public.repositories AS repository
        ON membership.key = lower(repository.full_name)
    WHERE
        configuration.feature_name = rollout_listed_repositories.feature_name
        AND membership.repository_id IS null
    UNION ALL
    SELECT
        membership.list,
        membership.key,
        repository.id,
        false
    FROM public.rollout_configuration AS configuration
    INNER JOIN public.rollout_membership AS membership
        ON configuration.id = membership.rollout_config_id
    INNER JOIN public.repositories AS repository
        ON membership.key = lower(split_part(repository.full_name, '/', 1)) || '/*'
    WHERE
        configuration.feature_name = rollout_listed_repositories.feature_name
        AND membership.repository_id IS null
        AND membership.key LIKE '%/*';
END;

-- All eligible repositories. There is one arm for each rule that can make a repository eligible. Only the
-- arms that the configuration needs are run. Each is a scan that parallel workers share; no repository comes
-- twice.
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
        -- percentage_strategy
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
                SELECT configuration.rollout_strategy = 'percentage'
                FROM public.rollout_configuration AS configuration
                WHERE configuration.feature_name = eligible_repositories.feature_name
            )
            AND public.rollout_bucket_of_digest(hashed.digest) < (
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
