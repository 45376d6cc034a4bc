-- name: found
-- The id of a feature, if it exists, and the thresholds, which always exist.
SELECT
    configuration.id,
    CAST(
        string_to_array(btrim(CAST(limits AS text), '()'), ',', '') AS integer []
    ) AS limits
FROM public.category_limits AS limits
LEFT JOIN public.rollout_configuration AS configuration
    ON configuration.feature_name = :feature;

-- name: measure
-- The repositories that gain and that lose one feature: every repository under the live and the planned
-- configuration, in one row. Strategies, percentages, salts and thresholds are parameters on both sides, so
-- that the planner sees constants and leaves out a digest, a category or a join that they do not need. Of
-- the planned lists only the difference to the live ones is given. Thresholds are composed from their
-- numbers: a row given as text is not a constant for the planner, and would be parsed for each repository.
WITH added_ids AS NOT MATERIALIZED (
    SELECT
        4 AS lists,
        unnest(CAST(:added_whitelist_ids AS uuid [])) AS repository_id
    UNION ALL
    SELECT
        8 AS lists,
        unnest(CAST(:added_exclusions_ids AS uuid [])) AS repository_id
),

added_names AS NOT MATERIALIZED (
    SELECT
        4 AS lists,
        unnest(CAST(:added_whitelist_names AS text [])) AS key
    UNION ALL
    SELECT
        8 AS lists,
        unnest(CAST(:added_exclusions_names AS text [])) AS key
),

removed AS NOT MATERIALIZED (
    SELECT
        'whitelist' AS list,
        unnest(CAST(:removed_whitelist_names AS text [])) AS key
    UNION ALL
    SELECT
        'exclusions' AS list,
        unnest(CAST(:removed_exclusions_names AS text [])) AS key
    UNION ALL
    -- The names of excluded ids.
    SELECT
        'exclusions' AS list,
        named.key
    FROM public.rollout_membership AS named
    WHERE
        named.rollout_config_id = CAST(:configuration AS uuid)
        AND named.list = 'exclusions'
        AND named.named_for = ANY(CAST(:removed_exclusions_ids AS uuid []))
),

-- The entries of the lists, one row for each repository, as one number. The ids of the live whitelist are
-- missing here; they are joined directly. 1 and 2 are the live whitelist and exclusions, 4 and 8 the planned
-- ones. 64 is the repository's own id in the live exclusions. 16 and 32 remove that id from the planned
-- lists.
listed AS NOT MATERIALIZED (
    SELECT
        entries.repository_id,
        bit_or(entries.lists)
        | CASE
            WHEN bit_or(entries.lists) & 64 = 0 THEN 0
            WHEN bit_or(entries.lists) & 32 > 0 THEN 2
            ELSE 10
        END AS lists
    FROM (
        SELECT
            live.repository_id,
            CASE live.list WHEN 'whitelist' THEN 1 ELSE 2 END
            * CASE WHEN removed.key IS null THEN 5 ELSE 1 END AS lists
        FROM public.rollout_listed_repositories(:feature) AS live
        LEFT JOIN removed ON live.list = removed.list AND live.key = removed.key
        WHERE NOT live.by_id
        UNION ALL
        SELECT
            excluded.repository_id,
            64 AS lists
        FROM public.rollout_membership AS excluded
        WHERE
            excluded.rollout_config_id = CAST(:configuration AS uuid)
            AND excluded.list = 'exclusions'
            AND excluded.repository_id IS NOT null
        UNION ALL
        SELECT
            unnest(CAST(:removed_whitelist_ids AS uuid [])) AS repository_id,
            16 AS lists
        UNION ALL
        SELECT
            unnest(CAST(:removed_exclusions_ids AS uuid [])) AS repository_id,
            32 AS lists
        UNION ALL
        SELECT
            added_ids.repository_id,
            added_ids.lists
        FROM added_ids
        UNION ALL
        -- An exclusion stores its id and its name.
        SELECT
            repository.id AS repository_id,
            added_ids.lists
        FROM added_ids
        INNER JOIN public.repositories AS excluded ON added_ids.repository_id = excluded.id
        INNER JOIN public.repositories AS repository
            ON lower(excluded.full_name) = lower(repository.full_name)
        WHERE added_ids.lists = 8
        UNION ALL
        SELECT
            repository.id AS repository_id,
            added_names.lists
        FROM added_names
        INNER JOIN public.repositories AS repository
            ON added_names.key = lower(repository.full_name)
        UNION ALL
        SELECT
            repository.id AS repository_id,
            added_names.lists
        FROM added_names
        INNER JOIN public.repositories AS repository
            ON added_names.key = lower(split_part(repository.full_name, '/', 1)) || '/*'
    ) AS entries
    GROUP BY entries.repository_id
),

marks AS NOT MATERIALIZED (
    SELECT
        entries.repository_id,
        bool_or(entries.marked) AS marked
    FROM (
        SELECT
            unnest(CAST(:marked AS uuid [])) AS repository_id,
            true AS marked
        UNION ALL
        SELECT
            unnest(CAST(:unmarked AS uuid [])) AS repository_id,
            false AS marked
    ) AS entries
    GROUP BY entries.repository_id
),

-- `OFFSET '0'` prevents that a digest is computed once for each of its bytes. It is quoted because only a
-- constant of type bigint lets parallel workers run the scan below it.
facts AS NOT MATERIALIZED (
    SELECT
        repository.id AS repository_id,
        coalesce(repository.full_name, CAST(repository.id AS text)) AS name,
        activity.stars,
        activity.contributors,
        activity.pull_requests,
        coalesce(listed.lists, 0)
        | CASE
            WHEN whitelisted.repository_id IS null THEN 0
            WHEN coalesce(listed.lists, 0) & 16 > 0 THEN 1
            ELSE 5
        END AS lists,
        sha256(
            convert_to(
                CAST(:live_salt AS text) || ':' || CAST(repository.id AS text), 'UTF8'
            )
        ) AS live_digest,
        sha256(
            convert_to(
                CAST(:planned_salt AS text) || ':' || CAST(repository.id AS text), 'UTF8'
            )
        ) AS planned_digest,
        public.rollout_hashtext_bucket(repository.id) AS hashtext_bucket,
        coalesce(
            recorded.category,
            public.category_within(
                CAST(
                    ROW(
                        (CAST(:live_limits AS integer []))[1],
                        (CAST(:live_limits AS integer []))[2],
                        (CAST(:live_limits AS integer []))[3],
                        (CAST(:live_limits AS integer []))[4],
                        (CAST(:live_limits AS integer []))[5],
                        (CAST(:live_limits AS integer []))[6],
                        (CAST(:live_limits AS integer []))[7],
                        (CAST(:live_limits AS integer []))[8],
                        (CAST(:live_limits AS integer []))[9],
                        (CAST(:live_limits AS integer []))[10],
                        (CAST(:live_limits AS integer []))[11],
                        (CAST(:live_limits AS integer []))[12],
                        (CAST(:live_limits AS integer []))[13],
                        (CAST(:live_limits AS integer []))[14],
                        (CAST(:live_limits AS integer []))[15],
                        (CAST(:live_limits AS integer []))[16],
                        (CAST(:live_limits AS integer []))[17]
                    ) AS public.category_limits
                ),
                activity.stars, activity.contributors, activity.pull_requests
            )
        ) AS live_category,
        -- If thresholds change, an apply categorises every repository again.
        coalesce(
            CASE WHEN NOT CAST(:recategorises AS boolean) THEN recorded.category END,
            public.category_within(
                CAST(
                    ROW(
                        (CAST(:planned_limits AS integer []))[1],
                        (CAST(:planned_limits AS integer []))[2],
                        (CAST(:planned_limits AS integer []))[3],
                        (CAST(:planned_limits AS integer []))[4],
                        (CAST(:planned_limits AS integer []))[5],
                        (CAST(:planned_limits AS integer []))[6],
                        (CAST(:planned_limits AS integer []))[7],
                        (CAST(:planned_limits AS integer []))[8],
                        (CAST(:planned_limits AS integer []))[9],
                        (CAST(:planned_limits AS integer []))[10],
                        (CAST(:planned_limits AS integer []))[11],
                        (CAST(:planned_limits AS integer []))[12],
                        (CAST(:planned_limits AS integer []))[13],
                        (CAST(:planned_limits AS integer []))[14],
                        (CAST(:planned_limits AS integer []))[15],
                        (CAST(:planned_limits AS integer []))[16],
                        (CAST(:planned_limits AS integer []))[17]
                    ) AS public.category_limits
                ),
                activity.stars, activity.contributors, activity.pull_requests
            )
        ) AS planned_category,
        coalesce(recorded.marked_as_test, false) AS live_marked,
        coalesce(marks.marked, recorded.marked_as_test, false) AS planned_marked
    FROM public.repositories AS repository
    INNER JOIN public.repository_activity AS activity ON repository.id = activity.repository_id
    LEFT JOIN public.repository_categories AS recorded ON repository.id = recorded.repository_id
    LEFT JOIN public.rollout_membership AS whitelisted
        ON
            repository.id = whitelisted.repository_id
            AND whitelisted.list = 'whitelist'
            AND whitelisted.rollout_config_id = CAST(:configuration AS uuid)
    LEFT JOIN listed ON repository.id = listed.repository_id
    LEFT JOIN marks ON repository.id = marks.repository_id
    OFFSET '0'
),

sides AS NOT MATERIALIZED (
    SELECT
        facts.repository_id,
        facts.name,
        facts.stars,
        facts.contributors,
        facts.pull_requests,
        facts.planned_category AS category,
        CAST(:live_is_on AS boolean) AND facts.lists & 2 = 0 AND (
            facts.lists & 1 > 0
            OR CASE CAST(:live_strategy AS text)
                WHEN 'percentage'
                    THEN
                        CASE
                            WHEN CAST(:live_bucketing AS text) = 'hashtext' THEN facts.hashtext_bucket
                            ELSE public.rollout_bucket_of_digest(facts.live_digest)
                        END < CAST(:live_bucket_limit AS integer)
                WHEN 'repository_size'
                    THEN
                        public.rollout_step(facts.live_category, facts.live_marked)
                        <= CAST(:live_percentage AS numeric)
                ELSE false
            END
        ) AS before,
        CAST(:planned_is_on AS boolean) AND facts.lists & 8 = 0 AND (
            facts.lists & 4 > 0
            OR CASE CAST(:planned_strategy AS text)
                WHEN 'percentage'
                    THEN
                        CASE
                            WHEN CAST(:planned_bucketing AS text) = 'hashtext'
                                THEN facts.hashtext_bucket
                            WHEN
                                CAST(:live_strategy AS text) = 'percentage'
                                AND CAST(:live_bucketing AS text) = 'sha256'
                                AND CAST(:live_salt AS text) = CAST(:planned_salt AS text)
                                THEN public.rollout_bucket_of_digest(facts.live_digest)
                            ELSE public.rollout_bucket_of_digest(facts.planned_digest)
                        END < CAST(:planned_bucket_limit AS integer)
                WHEN 'repository_size'
                    THEN
                        public.rollout_step(facts.planned_category, facts.planned_marked)
                        <= CAST(:planned_percentage AS numeric)
                ELSE false
            END
        ) AS after
    FROM facts
    OFFSET '0'
),

-- The output for repositories that move, in one text: a character for the score, the category's first, the
-- name.
described AS NOT MATERIALIZED (
    SELECT
        sides.before,
        sides.after,
        CASE
            WHEN sides.before <> sides.after
                THEN
                    chr(
                        32
                        + public.monthly_activity_score(
                            sides.stars, sides.contributors, sides.pull_requests
                        )
                    )
                    || left(sides.category, 1)
                    || sides.name
        END AS summary
    FROM sides
),

-- One pass over all repositories. Parallel workers can compute aggregates, but cannot return rows.
totals AS MATERIALIZED (
    SELECT
        count(*) AS repositories,
        count(*) FILTER (WHERE before) AS before,
        count(*) FILTER (WHERE after) AS after,
        array_agg(summary) FILTER (WHERE after AND NOT before) AS gained,
        array_agg(summary) FILTER (WHERE before AND NOT after) AS lost
    FROM described
),

-- Counted by category and by owner in one pass.
groups AS MATERIALIZED (
    SELECT
        moved.initial,
        moved.owner,
        count(*) AS moved,
        count(*) FILTER (WHERE moved.gains) AS gained
    FROM (
        SELECT
            summaries.gains,
            substr(summaries.summary, 2, 1) AS initial,
            split_part(substr(summaries.summary, 3), '/', 1) AS owner
        FROM (
            SELECT
                true AS gains,
                unnest(totals.gained) AS summary
            FROM totals
            UNION ALL
            SELECT
                false AS gains,
                unnest(totals.lost) AS summary
            FROM totals
        ) AS summaries
    ) AS moved
    GROUP BY GROUPING SETS ((moved.initial), (moved.owner))
)

SELECT
    totals.repositories,
    totals.before,
    totals.after,
    coalesce(cardinality(totals.gained), 0) AS gained,
    coalesce(cardinality(totals.lost), 0) AS lost,
    (
        SELECT coalesce(jsonb_agg(jsonb_build_array(threshold.category, gained, moved - gained)), '[]')
        FROM groups
        INNER JOIN public.category_threshold AS threshold
            ON groups.initial = left(threshold.category, 1)
    ) AS by_category,
    (
        SELECT coalesce(jsonb_agg(jsonb_build_array(owner, gained, moved - gained)), '[]')
        FROM (
            SELECT
                owner,
                gained,
                moved
            FROM groups
            WHERE owner IS NOT null
            ORDER BY moved DESC, owner ASC
            LIMIT :owners
        ) AS owners
    ) AS by_owner,
    (
        SELECT coalesce(array_agg(name ORDER BY score DESC, name ASC), '{}')
        FROM (
            SELECT
                ascii(summary) AS score,
                substr(summary, 3) AS name
            FROM unnest(totals.gained) AS gained (summary)
            ORDER BY score DESC, name ASC
            LIMIT :samples
        ) AS sample
    ) AS sample_gained,
    (
        SELECT coalesce(array_agg(name ORDER BY score DESC, name ASC), '{}')
        FROM (
            SELECT
                ascii(summary) AS score,
                substr(summary, 3) AS name
            FROM unnest(totals.lost) AS lost (summary)
            ORDER BY score DESC, name ASC
            LIMIT :samples
        ) AS sample
    ) AS sample_lost
FROM totals;
