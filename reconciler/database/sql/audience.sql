-- name: size
-- The number of all repositories by the table's statistics, which is negative before the first one, and the
-- number of its pages.
SELECT
    CAST(sum(class.reltuples) FILTER (WHERE class.relkind = 'r') AS bigint) AS repositories,
    CAST(sum(pg_relation_size(class.oid)) / current_setting('block_size')::integer AS bigint)
    AS pages
FROM pg_class AS class
WHERE
    class.oid = CAST('public.repositories' AS regclass)
    OR class.oid IN (SELECT parts.relid FROM pg_partition_tree('public.repositories') AS parts);

-- name: sample
-- The repositories of some of the table's pages by category, and how many of them are eligible. The same pages are
-- read each time, so that a number does not change between two reads.
SELECT
    looked_at.category,
    count(*) AS total,
    count(*) FILTER (WHERE looked_at.eligible) AS eligible
FROM (
    SELECT
        coalesce(
            recorded.category,
            public.category_within(
                limits, activity.stars, activity.contributors, activity.pull_requests
            )
        ) AS category,
        explained.eligible
    FROM (
        SELECT repositories.id
        FROM public.repositories TABLESAMPLE SYSTEM (:percent) REPEATABLE (1) -- noqa: PRS
        LIMIT :most
    ) AS sampled
    CROSS JOIN public.category_limits AS limits
    LEFT JOIN public.repository_categories AS recorded
        ON sampled.id = recorded.repository_id
    LEFT JOIN LATERAL (
        SELECT
            metrics.stars,
            metrics.contributors,
            metrics.pull_requests
        FROM public.repository_activity AS metrics
        WHERE recorded.category IS null AND metrics.repository_id = sampled.id
    ) AS activity ON true
    CROSS JOIN LATERAL public.explain_repository_eligibility(sampled.id, :feature) AS explained
) AS looked_at
GROUP BY looked_at.category;
