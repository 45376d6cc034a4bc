-- name: by_id
-- The repository with this id.
SELECT
    id::text AS id,
    full_name
FROM public.repositories
WHERE id = CAST(:id AS uuid);

-- name: by_name
-- The repositories with this name; a service may keep a deleted one beside the present one.
SELECT
    id::text AS id,
    full_name
FROM public.repositories
WHERE lower(full_name) = lower(:name)
ORDER BY id;

-- name: candidates
-- Suggestions for a wrong name: the same owner's repositories, names with the same beginning, and, by a
-- scan, the same name under another owner.
(
    SELECT full_name
    FROM public.repositories
    WHERE lower(split_part(full_name, '/', 1)) || '/*' = lower(:owner) || '/*'
    ORDER BY full_name
    LIMIT :most
)
UNION
(
    SELECT full_name
    FROM public.repositories
    WHERE lower(full_name) >= lower(:beginning)
    ORDER BY lower(full_name)
    LIMIT :most
)
UNION
(
    SELECT full_name
    FROM public.repositories
    WHERE lower(full_name) < lower(:beginning)
    ORDER BY lower(full_name) DESC
    LIMIT :most
)
UNION
(
    SELECT full_name
    FROM public.repositories
    WHERE lower(split_part(full_name, '/', 2)) = lower(:name)
    ORDER BY full_name
    LIMIT :most
);

-- name: is_stand_alone
-- Whether `repositories` is the reconciler's own: a service's table has no such column.
SELECT EXISTS (
    SELECT
    FROM pg_catalog.pg_attribute
    WHERE attrelid = 'public.repositories'::regclass
        AND attname = 'pull_requests_count'
        AND NOT attisdropped
);

-- name: make_loaded
-- The rows of a file, until the transaction ends.
CREATE TEMPORARY TABLE loaded (
    line integer,
    id uuid,
    github_id bigint,
    full_name text,
    stars integer,
    contributors integer,
    pull_requests integer
) ON COMMIT DROP;

-- name: analyze_loaded
-- The planner has no statistics of a new table.
ANALYZE pg_temp.loaded;

-- name: match_loaded
-- The repository of each row: by its id, else by its GitHub id, else by its name.
CREATE TEMPORARY TABLE matched ON COMMIT DROP AS
SELECT
    loaded.*,
    coalesce(by_id.id, by_github_id.id, by_name.id) AS known_id
FROM pg_temp.loaded AS loaded
LEFT JOIN public.repositories AS by_id ON loaded.id = by_id.id
LEFT JOIN public.repositories AS by_github_id ON loaded.github_id = by_github_id.github_id
LEFT JOIN public.repositories AS by_name
    ON lower(loaded.full_name) = lower(by_name.full_name)
        -- Another GitHub id under the same name is another repository.
        AND (
            loaded.github_id IS null
            OR by_name.github_id IS null
            OR loaded.github_id = by_name.github_id
        )
        AND (loaded.id IS null OR loaded.id = by_name.id);

-- name: conflicts
-- Rows with the name of another repository that keeps this name.
SELECT
    matched.line,
    matched.full_name,
    other.id::text AS id,
    other.github_id
FROM pg_temp.matched AS matched
INNER JOIN public.repositories AS other ON lower(matched.full_name) = lower(other.full_name)
WHERE other.id IS DISTINCT FROM matched.known_id
    AND NOT EXISTS (
        SELECT
        FROM pg_temp.matched AS renamed
        WHERE renamed.known_id = other.id AND lower(renamed.full_name) <> lower(other.full_name)
    )
ORDER BY matched.line;

-- name: ambiguous
-- Rows of the same repository.
SELECT max(line) AS line, min(line) AS first_line
FROM pg_temp.matched
WHERE known_id IS NOT null
GROUP BY known_id
HAVING count(*) > 1
ORDER BY line;

-- name: free_names
-- Frees the old names, so that the order of renames does not matter.
UPDATE public.repositories
SET full_name = repositories.id::text
FROM pg_temp.matched AS matched
WHERE repositories.id = matched.known_id
    AND lower(repositories.full_name) <> lower(matched.full_name);

-- name: update_known
-- Updates known repositories; a column that the file lacks stays as it is.
UPDATE public.repositories
SET
    github_id = coalesce(matched.github_id, repositories.github_id),
    owner = split_part(matched.full_name, '/', 1),
    name = split_part(matched.full_name, '/', 2),
    full_name = matched.full_name,
    stargazers_count = coalesce(matched.stars, repositories.stargazers_count),
    contributors_count = coalesce(matched.contributors, repositories.contributors_count),
    pull_requests_count = coalesce(matched.pull_requests, repositories.pull_requests_count),
    updated_at = now()
FROM pg_temp.matched AS matched
WHERE repositories.id = matched.known_id
    AND (
        repositories.full_name,
        repositories.github_id,
        repositories.stargazers_count,
        repositories.contributors_count,
        repositories.pull_requests_count
    ) IS DISTINCT FROM (
        matched.full_name,
        coalesce(matched.github_id, repositories.github_id),
        coalesce(matched.stars, repositories.stargazers_count),
        coalesce(matched.contributors, repositories.contributors_count),
        coalesce(matched.pull_requests, repositories.pull_requests_count)
    );

-- name: insert_new
-- Inserts new repositories.
INSERT INTO public.repositories (
    id,
    github_id,
    owner,
    name,
    full_name,
    stargazers_count,
    contributors_count,
    pull_requests_count
)
SELECT
    coalesce(id, gen_random_uuid()),
    github_id,
    split_part(full_name, '/', 1),
    split_part(full_name, '/', 2),
    full_name,
    coalesce(stars, 0),
    coalesce(contributors, 0),
    coalesce(pull_requests, 0)
FROM pg_temp.matched
WHERE known_id IS null
ORDER BY line;

-- name: list
-- Repositories with their counts, ordered by name; each filter is off where its parameter is null.
SELECT
    repositories.id::text AS id,
    coalesce(repositories.full_name, repositories.id::text) AS full_name,
    coalesce(
        categories.category, public.category_of_repository(repositories.id)
    ) AS category,
    coalesce(categories.is_test_repository, false)
    OR coalesce(
        categories.category, public.category_of_repository(repositories.id)
    ) = 'test' AS test,
    activity.stars,
    activity.contributors,
    activity.pull_requests
FROM public.repositories
INNER JOIN public.repository_activity AS activity
    ON repositories.id = activity.repository_id
LEFT JOIN public.repository_categories AS categories
    ON repositories.id = categories.repository_id
WHERE (CAST(:owner AS text) IS null OR lower(repositories.owner) = lower(:owner))
    AND (
        CAST(:category AS text) IS null
        OR coalesce(
            categories.category, public.category_of_repository(repositories.id)
        ) = :category
    )
    AND (
        NOT CAST(:test AS boolean)
        OR categories.is_test_repository
        OR coalesce(
            categories.category, public.category_of_repository(repositories.id)
        ) = 'test'
    )
    AND (
        CAST(:feature AS text) IS null
        OR repositories.id IN (
            SELECT eligible.id
            FROM public.eligible_repositories(:feature) AS eligible (id)
        )
    )
ORDER BY lower(coalesce(repositories.full_name, repositories.id::text))
LIMIT :limit;
