-- name: size
-- The size of the table of repositories, which may have partitions.
SELECT coalesce(sum(pg_relation_size(class.oid)), 0)
FROM pg_class AS class
WHERE
    class.oid = CAST('public.repositories' AS regclass)
    OR class.oid IN (SELECT parts.relid FROM pg_partition_tree('public.repositories') AS parts);

-- name: kept
-- The counts that the newest generation has of features that did not change since. A feature that is off needs no
-- count of its own: it has the newest numbers of all repositories.
SELECT
    configuration.feature_name AS feature,
    coalesce(kept.stored, newest.stored) AS stored,
    CAST(coalesce(kept.stored, newest.stored) ->> 'at' AS timestamptz) AS counted_at,
    configuration.is_active AND NOT configuration.emergency_stop AS is_on
FROM public.rollout_state AS state
INNER JOIN public.rollout_generation AS generation ON state.generation = generation.generation
INNER JOIN public.rollout_configuration AS configuration
    ON configuration.feature_name = ANY(CAST(:features AS text []))
INNER JOIN LATERAL (
    SELECT each.stored
    FROM jsonb_each(generation.effective -> 'eligible') AS each (name, stored)
    WHERE jsonb_typeof(each.stored) = 'object'
    ORDER BY CAST(each.stored ->> 'at' AS timestamptz) DESC
    LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL jsonb_each(generation.effective -> 'eligible') AS kept (name, stored)
    ON configuration.feature_name = kept.name AND jsonb_typeof(kept.stored) = 'object'
WHERE
    configuration.updated_at <= CAST(kept.stored ->> 'at' AS timestamptz)
    OR NOT configuration.is_active
    OR configuration.emergency_stop;
