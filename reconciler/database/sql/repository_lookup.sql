-- name: by_id
-- The repository with this id.
SELECT
    id::text AS id,
    full_name
FROM public.repositories
WHERE id = CAST(:id AS uuid);

-- name: by_name
-- The repository of this name; a service may know one that is gone beside it.
SELECT
    id::text AS id,
    full_name
FROM public.repositories
WHERE lower(full_name) = lower(:name)
ORDER BY id;

-- name: candidates
-- What somebody may have meant: the same owner's, those that begin alike, and, by a scan, those of the
-- same name under another owner.
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
