-- name: known
-- The size of the table of repositories, which may have partitions, and whether this account may read and write kept
-- counts: grants of older releases lack the rights.
SELECT
    coalesce(sum(pg_relation_size(class.oid)), 0) AS size,
    coalesce(
        has_table_privilege(to_regclass('public.rollout_eligible_count'), 'SELECT'), false
    ) AS may_read,
    coalesce(
        has_table_privilege(to_regclass('public.rollout_eligible_count'), 'INSERT'), false
    ) AS may_write
FROM pg_class AS class
WHERE
    class.oid = CAST('public.repositories' AS regclass)
    OR class.oid IN (SELECT parts.relid FROM pg_partition_tree('public.repositories') AS parts);

-- name: kept
-- The kept count of each of some features, or null, and its configuration: the version of its row, and a hash of what
-- decides about eligibility.
WITH audiences AS (
    SELECT
        configuration.id,
        configuration.feature_name,
        CAST(configuration.xmin AS text) AS version,
        configuration.is_active AND NOT configuration.emergency_stop AS is_on,
        hash_record_extended(
            ROW(
                configuration.is_active,
                configuration.emergency_stop,
                configuration.rollout_strategy,
                configuration.rollout_percentage,
                configuration.salt,
                configuration.bucketing,
                configuration.target_repositories,
                configuration.excluded_repositories
            ), 0
        ) AS hash
    FROM public.rollout_configuration AS configuration
    WHERE
        CAST(:features AS text []) IS null
        OR configuration.feature_name = any(CAST(:features AS text []))
)

SELECT
    audiences.feature_name AS feature,
    audiences.version,
    audiences.hash,
    statement_timestamp() AS read_at,
    audiences.is_on,
    coalesce(kept.audience_hash = audiences.hash, false) AS is_current,
    kept.counted_at,
    kept.repositories,
    kept.test_repositories,
    kept.test,
    kept.small,
    kept.medium,
    kept.large,
    kept.enterprise
FROM audiences
LEFT JOIN public.rollout_eligible_count AS kept ON audiences.id = kept.rollout_config_id
ORDER BY audiences.feature_name;

-- name: keep
-- Keeps the counts of features whose rows have not changed since they were counted. A newer count is not replaced,
-- unless its time is in the future. No row of a feature is locked against changes, so that no stop waits for a count.
WITH counted AS (
    SELECT *
    FROM unnest(
        CAST(:features AS text []),
        CAST(:versions AS text []),
        CAST(:audiences AS bigint []),
        CAST(:times AS timestamptz []),
        CAST(:repositories AS bigint []),
        CAST(:test_repositories AS bigint []),
        CAST(:test AS bigint []),
        CAST(:small AS bigint []),
        CAST(:medium AS bigint []),
        CAST(:large AS bigint []),
        CAST(:enterprise AS bigint [])
    ) AS given (
        feature,
        version,
        hash,
        read_at,
        repositories,
        test_repositories,
        test,
        small,
        medium,
        large,
        enterprise
    )
)

INSERT INTO public.rollout_eligible_count AS kept (
    rollout_config_id,
    audience_hash,
    counted_at,
    repositories,
    test_repositories,
    test,
    small,
    medium,
    large,
    enterprise
)
SELECT
    configuration.id,
    counted.hash,
    counted.read_at,
    counted.repositories,
    counted.test_repositories,
    counted.test,
    counted.small,
    counted.medium,
    counted.large,
    counted.enterprise
FROM counted
INNER JOIN public.rollout_configuration AS configuration
    ON
        counted.feature = configuration.feature_name
        AND counted.version = CAST(configuration.xmin AS text)
-- The same order in each session, so that two of them wait for each other in one direction alone.
ORDER BY configuration.id
ON CONFLICT (rollout_config_id) DO UPDATE
SET
    audience_hash = excluded.audience_hash,
    counted_at = excluded.counted_at,
    repositories = excluded.repositories,
    test_repositories = excluded.test_repositories,
    test = excluded.test,
    small = excluded.small,
    medium = excluded.medium,
    large = excluded.large,
    enterprise = excluded.enterprise
WHERE kept.counted_at <= excluded.counted_at OR kept.counted_at > clock_timestamp();

-- name: changes
-- A text that changes with the features' rows and the rows of the tables that decide about eligibility. The server
-- counts changed rows; their number is there some seconds after a commit.
SELECT
    concat_ws(
        ' ',
        (
            SELECT string_agg(CAST(configuration.xmin AS text), ' ' ORDER BY configuration.id)
            FROM public.rollout_configuration AS configuration
        ),
        (
            SELECT
                sum(
                    pg_stat_get_tuples_inserted(class.oid)
                    + pg_stat_get_tuples_updated(class.oid)
                    + pg_stat_get_tuples_deleted(class.oid)
                )
            FROM pg_class AS class
            WHERE
                class.oid IN (
                    to_regclass('public.repositories'),
                    to_regclass('public.pull_requests'),
                    to_regclass('public.repository_categories'),
                    to_regclass('public.category_threshold')
                )
                OR class.oid IN (
                    SELECT parts.relid FROM pg_partition_tree('public.repositories') AS parts
                )
        )
    ) AS changes;
