-- name: last_file
-- The desired state of the newest apply; null before the first.
SELECT generation.desired
FROM public.rollout_state AS state
INNER JOIN public.rollout_generation AS generation
    ON state.generation = generation.generation;

-- name: named
-- The repositories with these ids, and all others with one of these names or with the names of these ids.
WITH called AS (
    SELECT lower(repository.full_name) AS key
    FROM public.repositories AS repository
    INNER JOIN unnest(CAST(:ids AS uuid [])) AS wanted (id) ON repository.id = wanted.id
    UNION
    SELECT wanted.key
    FROM unnest(CAST(:names AS text [])) AS wanted (key)
)

SELECT
    repository.id::text AS id,
    repository.full_name,
    called.key
FROM called
INNER JOIN public.repositories AS repository ON called.key = lower(repository.full_name)
ORDER BY repository.id;
