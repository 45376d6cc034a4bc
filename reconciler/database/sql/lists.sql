-- name: read_list
-- The entries of one list of a feature, by name.
SELECT
    membership.key,
    coalesce(repositories.full_name, membership.key) AS name,
    repositories.id IS NOT null OR membership.key LIKE '%/*' AS known
FROM public.rollout_membership AS membership
INNER JOIN public.rollout_configuration AS configuration
    ON membership.rollout_config_id = configuration.id
LEFT JOIN public.repositories ON membership.repository_id = repositories.id
WHERE
    configuration.feature_name = :feature
    AND membership.list = :list
    AND membership.named_for IS null
ORDER BY lower(coalesce(repositories.full_name, membership.key));

-- name: read_marked
-- The repositories marked as test, by name.
SELECT
    repositories.id::text AS key,
    coalesce(repositories.full_name, repositories.id::text) AS name,
    true AS known
FROM public.repository_categories AS categories
INNER JOIN public.repositories ON categories.repository_id = repositories.id
WHERE categories.marked_as_test
ORDER BY lower(coalesce(repositories.full_name, repositories.id::text));
