-- Who is in: categories, buckets and the order of eligibility. `reconciler.targeting` decides the same in
-- Python; a test compares both, rule and sentence included.
--
-- Bodies are SQL-standard (BEGIN ATOMIC, RETURN): every name in them is bound when the function is made,
-- so no caller's search_path matters, and yet the planner inlines them, which a SET clause would forbid.
-- `OFFSET '0'` keeps a digest from being computed once per byte taken of it. It is quoted, since only a
-- constant of type bigint leaves the scan below it to parallel workers.

-- Categories

-- Every threshold in one row. No limit is the largest figure there is.
CREATE VIEW public.category_limits AS
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
    FILTER (WHERE category = 'large') AS large_pull_requests
FROM public.category_threshold;

-- The first category whose every limit holds; everything else is `enterprise`.
CREATE FUNCTION public.category_within(
    limits public.category_limits, stars bigint, contributors bigint, pull_requests bigint
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

-- The category that each repository's figures give it now, whatever was written down before.
CREATE VIEW public.repository_current_category AS
SELECT
    activity.repository_id,
    public.category_within(
        limits, activity.stars, activity.contributors, activity.pull_requests
    ) AS category,
    activity.stars,
    activity.contributors,
    activity.pull_requests
FROM public.repository_activity AS activity
CROSS JOIN public.category_limits AS limits;

-- Activity as one figure from 0 to 100, by which the most active are taken first.
CREATE FUNCTION public.monthly_activity_score(
    stars bigint, contributors bigint, pull_requests bigint
) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(100, stars + contributors + pull_requests / 10)::integer;

CREATE FUNCTION public.categorize_repository(repo_id uuid) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT current.category
    FROM public.repository_current_category AS current
    WHERE current.repository_id = categorize_repository.repo_id;
END;

-- What categorising would write: repositories without a category, and those whose category or figures
-- are no longer what was written down. The mark as test is people's, and not among it.
CREATE VIEW public.repository_category_change AS
SELECT
    current.repository_id,
    recorded.category AS previous_category,
    current.category,
    threshold.priority,
    current.stars,
    current.contributors,
    current.pull_requests,
    public.monthly_activity_score(
        current.stars, current.contributors, current.pull_requests
    ) AS score
FROM public.repository_current_category AS current
INNER JOIN public.category_threshold AS threshold ON current.category = threshold.category
LEFT JOIN public.repository_categories AS recorded
    ON current.repository_id = recorded.repository_id
WHERE
    (
        recorded.category = current.category
        AND recorded.star_count = current.stars
        AND recorded.contributor_count = current.contributors
        AND recorded.pr_count = current.pull_requests
        AND recorded.priority_level = threshold.priority
        AND recorded.monthly_activity_score
        = public.monthly_activity_score(
            current.stars, current.contributors, current.pull_requests
        )
    ) IS NOT TRUE;
