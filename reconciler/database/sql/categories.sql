-- name: categorize
-- Categorises every repository, or one, in one scan. It writes what `categorize_repositories` writes, and returns the
-- number of rows, the moves between categories (from null for an uncategorised repository), and the first moved
-- repositories by name.
WITH changed AS MATERIALIZED (
    SELECT
        change.repository_id,
        change.previous_category,
        change.category,
        change.stars,
        change.contributors,
        change.pull_requests,
        public.category_priority(limits, change.category) AS priority,
        public.monthly_activity_score(
            change.stars, change.contributors, change.pull_requests
        ) AS score
    FROM public.category_limits AS limits
    CROSS JOIN LATERAL public.category_changes(limits) AS change
    WHERE CAST(:id AS uuid) IS null OR change.repository_id = :id
),

written AS (
    INSERT INTO public.repository_categories (
        repository_id,
        category,
        priority_level,
        star_count,
        contributor_count,
        pr_count,
        monthly_activity_score
    )
    SELECT
        changed.repository_id,
        changed.category,
        changed.priority,
        changed.stars,
        changed.contributors,
        changed.pull_requests,
        changed.score
    FROM changed
    ON CONFLICT (repository_id) DO UPDATE
    SET
        category = excluded.category,
        priority_level = excluded.priority_level,
        star_count = excluded.star_count,
        contributor_count = excluded.contributor_count,
        pr_count = excluded.pr_count,
        monthly_activity_score = excluded.monthly_activity_score,
        last_categorized_at = now(),
        updated_at = now()
    RETURNING repository_id
),

moved AS (
    SELECT
        changed.previous_category,
        changed.category,
        count(*) AS repositories
    FROM changed
    WHERE changed.previous_category IS DISTINCT FROM changed.category
    GROUP BY changed.previous_category, changed.category
),

named AS (
    SELECT
        coalesce(repository.full_name, repository.id::text) AS full_name,
        changed.previous_category,
        changed.category,
        repository.id
    FROM changed
    INNER JOIN public.repositories AS repository ON changed.repository_id = repository.id
    WHERE changed.previous_category IS DISTINCT FROM changed.category
    ORDER BY lower(coalesce(repository.full_name, repository.id::text)), repository.id
    LIMIT :names
)

SELECT
    (SELECT count(*) FROM written) AS written,
    (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_array(moved.previous_category, moved.category, moved.repositories)
                ), '[]'
            )
        FROM moved
    ) AS moves,
    (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_array(named.full_name, named.previous_category, named.category)
                    ORDER BY lower(named.full_name), named.id
                ), '[]'
            )
        FROM named
    ) AS names;

-- name: table
-- The repositories by recorded category, without uncategorised ones. They are summed before the join, so that
-- parallel workers can sum.
WITH summed AS NOT MATERIALIZED (
    SELECT
        recorded.category,
        count(*) AS repositories,
        sum(recorded.star_count) AS stars,
        sum(recorded.contributor_count) AS contributors,
        sum(recorded.pr_count) AS pull_requests,
        avg(recorded.monthly_activity_score) AS mean_activity
    FROM public.repository_categories AS recorded
    GROUP BY recorded.category
)

SELECT
    threshold.category,
    coalesce(summed.repositories, 0) AS repositories,
    coalesce(summed.stars, 0) AS stars,
    coalesce(summed.contributors, 0) AS contributors,
    coalesce(summed.pull_requests, 0) AS pull_requests,
    coalesce(summed.mean_activity, 0) AS mean_activity
FROM public.category_threshold AS threshold
LEFT JOIN summed ON threshold.category = summed.category;
