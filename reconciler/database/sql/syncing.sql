-- name: owned
-- An owner's repositories that GitHub's id is known of.
SELECT
    github_id,
    full_name
FROM public.repositories
WHERE lower(owner) = lower(:owner) AND github_id IS NOT null
ORDER BY github_id;

-- name: uncounted
-- Which of these repositories were pushed to since their contributors were counted, or never counted.
SELECT repositories.github_id
FROM public.repositories
INNER JOIN unnest(
    CAST(:github_ids AS bigint []), CAST(:pushed_at AS timestamptz [])
) AS listed (github_id, pushed_at) ON repositories.github_id = listed.github_id
WHERE repositories.contributors_counted_at IS null
    OR listed.pushed_at > repositories.contributors_counted_at
ORDER BY repositories.github_id;

-- name: store_counts
-- Contributors as they were counted just now; where GitHub does not say, the figure stays as it is.
UPDATE public.repositories
SET
    contributors_count = coalesce(counted.contributors, repositories.contributors_count),
    contributors_counted_at = counted.asked_at
FROM unnest(
    CAST(:github_ids AS bigint []), CAST(:contributors AS integer []),
    CAST(:asked_at AS timestamptz [])
) AS counted (github_id, contributors, asked_at)
WHERE repositories.github_id = counted.github_id;
