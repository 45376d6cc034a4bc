-- name: known
-- The GitHub ids of an owner's repositories and of the repositories with one of these names, if known.
SELECT github_id
FROM public.repositories
WHERE github_id IS NOT null
    AND (
        lower(owner) = lower(:owner)
        OR lower(full_name) = ANY(CAST(:names AS text []))
    )
ORDER BY github_id;

-- name: give_up_names
-- Renames repositories whose names belong to other repositories on GitHub now; each keeps its row. GitHub
-- allows no repository with the new name.
WITH listed AS (
    SELECT
        named.github_id,
        lower(named.full_name) AS key,
        known.id IS NOT null AS is_known
    FROM unnest(
        CAST(:github_ids AS bigint []), CAST(:names AS text [])
    ) AS named (github_id, full_name)
    LEFT JOIN public.repositories AS known ON named.github_id = known.github_id
)

UPDATE public.repositories
SET
    full_name = concat(
        repositories.full_name, '~', coalesce(repositories.github_id::text, repositories.id::text)
    ),
    name = concat(
        repositories.name, '~', coalesce(repositories.github_id::text, repositories.id::text)
    ),
    updated_at = now()
FROM listed
WHERE lower(repositories.full_name) = listed.key
    AND (
        (repositories.github_id IS null AND listed.is_known)
        OR (
            repositories.github_id <> listed.github_id
            AND repositories.github_id <> ALL(CAST(:github_ids AS bigint []))
        )
    );

-- name: uncounted
-- The repositories with a push since their contributors were counted, or never counted.
SELECT repositories.github_id
FROM public.repositories
INNER JOIN unnest(
    CAST(:github_ids AS bigint []), CAST(:pushed_at AS timestamptz [])
) AS listed (github_id, pushed_at) ON repositories.github_id = listed.github_id
WHERE repositories.contributors_counted_at IS null
    OR listed.pushed_at > repositories.contributors_counted_at
ORDER BY repositories.github_id;

-- name: store_counts
-- Stores counted contributors; if GitHub does not report a number, the old one stays.
UPDATE public.repositories
SET
    contributors_count = coalesce(counted.contributors, repositories.contributors_count),
    contributors_counted_at = counted.asked_at
FROM unnest(
    CAST(:github_ids AS bigint []), CAST(:contributors AS integer []),
    CAST(:asked_at AS timestamptz [])
) AS counted (github_id, contributors, asked_at)
WHERE repositories.github_id = counted.github_id;
