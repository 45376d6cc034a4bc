-- name: features
-- The targeting and the processors of the followed features (null: of all). A feature's lists come only if its
-- row differs from the known version (the trigger that keeps them runs when the row is written), and not while the
-- feature is stopped, so that a stop reaches clients fast. The version also differs between servers. A null in a
-- service's older columns counts as not on.
SELECT
    configuration.feature_name AS feature,
    configuration.is_active IS true AS active,
    configuration.emergency_stop IS NOT false AS emergency_stop,
    configuration.rollout_strategy AS strategy,
    CASE
        WHEN configuration.rollout_percentage BETWEEN 0 AND 100
            THEN configuration.rollout_percentage
        ELSE 0
    END AS percentage,
    coalesce(configuration.salt, configuration.feature_name) AS salt,
    configuration.bucketing,
    configuration.processor,
    configuration.fallback,
    configuration.routing,
    configuration.routing_choices,
    versioned.version,
    -- A time written by hand can be in the future, after all later changes.
    CAST(
        extract(EPOCH FROM greatest('1970-01-01', least(configuration.updated_at, now())))
        AS double precision
    ) AS updated_at,
    CASE
        WHEN known.version = versioned.version THEN null
        WHEN configuration.emergency_stop THEN '{}'
        ELSE ARRAY(
            SELECT membership.key
            FROM public.rollout_membership AS membership
            WHERE
                membership.rollout_config_id = configuration.id
                AND membership.list = 'whitelist'
        )
    END AS whitelist,
    CASE
        WHEN known.version = versioned.version THEN null
        WHEN configuration.emergency_stop THEN '{}'
        ELSE ARRAY(
            SELECT membership.key
            FROM public.rollout_membership AS membership
            WHERE
                membership.rollout_config_id = configuration.id
                AND membership.list = 'exclusions'
        )
    END AS exclusions
FROM public.rollout_configuration AS configuration
CROSS JOIN LATERAL concat_ws(
    ':', configuration.xmin, configuration.ctid, extract(EPOCH FROM configuration.updated_at)
) AS versioned (version)
LEFT JOIN unnest(
    CAST(:known_features AS text []), CAST(:known_versions AS text [])
) AS known (feature, version) ON configuration.feature_name = known.feature
WHERE
    CAST(:followed AS text []) IS null
    OR configuration.feature_name = ANY(CAST(:followed AS text []));

-- name: without_compiling
-- Compiling the long statements that follow costs more time than it saves.
SET LOCAL jit = off;

-- name: fingerprint
-- A hash of everything that `repositories` would send, in a twentieth of its time: if every column is the
-- same, so is every page. Each row is hashed with its id under a seed that people who name repositories do
-- not know. Counts are included where no category is recorded, that is, where the ids of both tables differ.
WITH
repository AS MATERIALIZED (
    SELECT
        count(*) AS number,
        bit_xor(uuid_hash_extended(id, CAST(:seed AS bigint))) AS ids,
        bit_xor(
            hashtextextended(
                coalesce(full_name, '') COLLATE "C", uuid_hash_extended(id, CAST(:seed AS bigint))
            )
        ) AS names
    FROM public.repositories
),

recorded AS MATERIALIZED (
    SELECT
        bit_xor(uuid_hash_extended(repository_id, CAST(:seed AS bigint))) AS ids,
        bit_xor(
            hashtextextended(
                concat(category, marked_as_test) COLLATE "C",
                uuid_hash_extended(repository_id, CAST(:seed AS bigint))
            )
        ) AS categories
    FROM public.repository_categories
    WHERE CAST(:categories AS boolean)
)

SELECT
    repository.number,
    repository.ids,
    repository.names,
    recorded.categories,
    (
        SELECT
            bit_xor(
                hashtextextended(
                    concat_ws(
                        ':', activity.stars, activity.contributors, activity.pull_requests
                    ),
                    uuid_hash_extended(activity.repository_id, CAST(:seed AS bigint))
                )
            )
        FROM public.repository_activity AS activity
        WHERE
            CAST(:categories AS boolean)
            AND repository.ids IS DISTINCT FROM recorded.ids
            AND NOT EXISTS (
                SELECT
                FROM public.repository_categories AS listed
                WHERE listed.repository_id = activity.repository_id
            )
    ) AS figures,
    (
        SELECT CAST(limits AS text)
        FROM public.category_limits AS limits
        WHERE CAST(:categories AS boolean)
    ) AS limits
FROM repository
CROSS JOIN recorded;

-- name: repositories
-- Every repository, in pages of some thousands by the last byte of its id: ids, names and a byte of facts
-- each, in the order of the ids. A page that the client has comes without its content. The byte is the
-- category's position, with 8 added for a mark as test; without `categories` it is the last category.
SELECT
    page.pages,
    page.number,
    page.digest,
    CASE WHEN page.digest = known.digest THEN null ELSE page.ids END AS ids,
    CASE WHEN page.digest = known.digest THEN null ELSE page.facts END AS facts,
    CASE WHEN page.digest = known.digest THEN null ELSE page.names END AS names
FROM (
    SELECT
        content.*,
        sha256(content.ids || content.facts || content.names) AS digest
    FROM (
        SELECT
            described.pages,
            get_byte(uuid_send(described.id), 15) % described.pages AS number,
            string_agg(uuid_send(described.id), ''::bytea ORDER BY described.id) AS ids,
            string_agg(
                set_byte('\x00'::bytea, 0, described.place + described.mark), ''::bytea
                ORDER BY described.id
            ) AS facts,
            string_agg(
                convert_to(coalesce(described.full_name, ''), 'UTF8'), '\x00'::bytea
                ORDER BY described.id
            ) AS names
        FROM (
            SELECT
                repository.id,
                repository.full_name,
                sized.pages,
                CASE coalesce(recorded.category, uncategorised.category, 'enterprise')
                    WHEN 'test' THEN 0
                    WHEN 'small' THEN 1
                    WHEN 'medium' THEN 2
                    WHEN 'large' THEN 3
                    ELSE 4
                END AS place,
                CASE WHEN recorded.marked_as_test THEN 8 ELSE 0 END AS mark
            FROM public.repositories AS repository
            CROSS JOIN (
                -- A power of two, so that a new repository seldom moves the others to other pages.
                SELECT
                    CAST(
                        least(256, power(2, ceil(log(2, greatest(1, count(*) / 8192.0)))))
                        AS integer
                    ) AS pages
                FROM public.repositories
            ) AS sized
            LEFT JOIN public.repository_categories AS recorded
                ON CAST(:categories AS boolean) AND repository.id = recorded.repository_id
            LEFT JOIN (
                SELECT
                    activity.repository_id,
                    public.category_within(
                        limits, activity.stars, activity.contributors, activity.pull_requests
                    ) AS category
                FROM public.repository_activity AS activity
                CROSS JOIN public.category_limits AS limits
                WHERE
                    CAST(:categories AS boolean)
                    AND NOT EXISTS (
                        SELECT
                        FROM public.repository_categories AS recorded
                        WHERE recorded.repository_id = activity.repository_id
                    )
            ) AS uncategorised ON repository.id = uncategorised.repository_id
        ) AS described
        GROUP BY described.pages, get_byte(uuid_send(described.id), 15) % described.pages
    ) AS content
) AS page
LEFT JOIN unnest(
    CAST(:known_numbers AS integer []), CAST(:known_digests AS bytea [])
) AS known (number, digest) ON page.number = known.number;

-- name: record
-- Records jobs' outcomes by the function that workers call, in one order, so that two batches cannot
-- deadlock. Jobs of deleted features or repositories are left out; the number of recorded jobs. If this write has
-- taken place, `is_new` is false and nothing is recorded.
SELECT
    write.is_new,
    count(calls.done) AS recorded
FROM (
    SELECT public.claim_rollout_write(:writer, :number, interval '1 day') AS is_new
) AS write
LEFT JOIN LATERAL (
    SELECT
        public.record_rollout_job(
            outcome.feature,
            outcome.repository,
            outcome.processor,
            outcome.succeeded,
            outcome.seconds,
            outcome.error
        ) IS NOT null AS done
    FROM unnest(
        CAST(:features AS text []),
        CAST(:repositories AS uuid []),
        CAST(:processors AS text []),
        CAST(:succeeded AS boolean []),
        CAST(:seconds AS double precision []),
        CAST(:errors AS text [])
    ) AS outcome (feature, repository, processor, succeeded, seconds, error)
    INNER JOIN public.rollout_configuration AS configuration
        ON outcome.feature = configuration.feature_name
    INNER JOIN public.repositories AS repository ON outcome.repository = repository.id
    WHERE write.is_new
    ORDER BY configuration.id, repository.id, outcome.processor
    OFFSET 0
) AS calls ON true
GROUP BY write.is_new;

-- name: record_jobs
-- Records outcomes as `record` does, with the kinds and the sizes of jobs: one call for each feature.
SELECT
    write.is_new,
    coalesce(sum(calls.done), 0) AS recorded
FROM (
    SELECT public.claim_rollout_write(:writer, :number, interval '1 day') AS is_new
) AS write
LEFT JOIN LATERAL (
    SELECT
        public.record_rollout_jobs(
            outcome.feature,
            array_agg(outcome.repository ORDER BY outcome.number),
            array_agg(outcome.processor ORDER BY outcome.number),
            array_agg(outcome.succeeded ORDER BY outcome.number),
            array_agg(outcome.seconds ORDER BY outcome.number),
            array_agg(outcome.error ORDER BY outcome.number),
            array_agg(outcome.kind ORDER BY outcome.number),
            array_agg(outcome.size ORDER BY outcome.number)
        ) AS done
    FROM unnest(
        CAST(:features AS text []),
        CAST(:repositories AS uuid []),
        CAST(:processors AS text []),
        CAST(:succeeded AS boolean []),
        CAST(:seconds AS double precision []),
        CAST(:errors AS text []),
        CAST(:kinds AS text []),
        CAST(:sizes AS bigint [])
    ) WITH ORDINALITY AS outcome (
        feature, repository, processor, succeeded, seconds, error, kind, size, number
    )
    INNER JOIN public.rollout_configuration AS configuration
        ON outcome.feature = configuration.feature_name
    INNER JOIN public.repositories AS repository ON outcome.repository = repository.id
    WHERE write.is_new
    GROUP BY configuration.id, outcome.feature
    ORDER BY configuration.id
    OFFSET 0
) AS calls ON true
GROUP BY write.is_new;

-- name: loads
-- The limits of processors, and how many jobs of other processes run there.
SELECT
    load.processor,
    load.concurrency,
    load.running
FROM public.rollout_load(CAST(:processors AS text []), CAST(:reporter AS uuid)) AS load;

-- name: running
-- Records the starts and the ends of jobs; a second time it changes nothing.
SELECT
    public.record_rollout_starts(
        CAST(:ids AS uuid []),
        CAST(:features AS text []),
        CAST(:processors AS text []),
        CAST(:ages AS double precision []),
        CAST(:reporter AS uuid)
    ) AS started,
    (
        SELECT count(*)
        FROM unnest(CAST(:ended AS uuid [])) AS job (id)
        WHERE public.end_rollout_job(job.id)
    ) AS ended;
