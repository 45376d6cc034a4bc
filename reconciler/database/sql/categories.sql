-- name: changes
-- The moves between categories that categorising would make, from null for an uncategorised repository.
SELECT
    change.previous_category,
    change.category,
    count(*) AS repositories
FROM public.category_limits AS limits
CROSS JOIN LATERAL public.category_changes(limits) AS change
WHERE
    change.previous_category IS DISTINCT FROM change.category
    AND (CAST(:id AS uuid) IS null OR change.repository_id = :id)
GROUP BY change.previous_category, change.category;

-- name: changed_names
-- The first moved repositories by name.
SELECT
    coalesce(repository.full_name, repository.id::text) AS full_name,
    change.previous_category,
    change.category
FROM public.category_limits AS limits
CROSS JOIN LATERAL public.category_changes(limits) AS change
INNER JOIN public.repositories AS repository ON change.repository_id = repository.id
WHERE
    change.previous_category IS DISTINCT FROM change.category
    AND (CAST(:id AS uuid) IS null OR change.repository_id = :id)
ORDER BY lower(coalesce(repository.full_name, repository.id::text)), repository.id
LIMIT :names;

-- name: categorize_all
-- Categorises every repository; the number of rows written.
SELECT public.categorize_all_repositories();

-- name: categorize_one
-- Categorises one repository; the number of rows written.
SELECT public.categorize_repositories(ARRAY[CAST(:id AS uuid)]);

-- name: table
-- The repositories by recorded category, without uncategorised ones.
SELECT
    threshold.category,
    count(recorded.repository_id) AS repositories,
    coalesce(sum(recorded.star_count), 0) AS stars,
    coalesce(sum(recorded.contributor_count), 0) AS contributors,
    coalesce(sum(recorded.pr_count), 0) AS pull_requests,
    coalesce(avg(recorded.monthly_activity_score), 0) AS mean_activity
FROM public.category_threshold AS threshold
LEFT JOIN public.repository_categories AS recorded ON threshold.category = recorded.category
GROUP BY threshold.category;
