-- name: feature_names
-- The names of all features.
SELECT feature_name
FROM public.rollout_configuration
ORDER BY feature_name;

-- name: repository_names
-- Names that begin with a prefix, in any case, for the completion of a shell.
SELECT full_name
FROM public.repositories
WHERE starts_with(lower(full_name), lower(:prefix))
ORDER BY full_name
LIMIT :limit;
