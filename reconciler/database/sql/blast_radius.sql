-- name: found
-- The ids of the features that exist, and the thresholds, which always exist.
SELECT
    coalesce(
        jsonb_object_agg(configuration.feature_name, configuration.id)
        FILTER (WHERE configuration.id IS NOT null),
        '{}'
    ) AS configurations,
    CAST(
        string_to_array(btrim(CAST(limits AS text), '()'), ',', '') AS integer []
    ) AS limits
FROM public.category_limits AS limits
LEFT JOIN public.rollout_configuration AS configuration
    ON configuration.feature_name = ANY(CAST(:features AS text []))
GROUP BY limits;

-- name: listed
-- The repositories in the lists of the features, and for each feature one number. The lines between `each feature`
-- and `end` are written for feature 0, and are repeated for each other one; a line marked `several features` is left
-- out for one feature (`blast_radius_statement.py`).
WITH features AS NOT MATERIALIZED (
    SELECT
        given.number,
        given.name,
        given.configuration
    FROM unnest(
        CAST(:numbers AS integer []), CAST(:names AS text []), CAST(:configurations AS uuid [])
    ) AS given (number, name, configuration)
),

added_ids AS NOT MATERIALIZED (
    SELECT
        given.number,
        given.lists,
        given.repository_id
    FROM unnest(
        CAST(:added_id_numbers AS integer []),
        CAST(:added_id_lists AS integer []),
        CAST(:added_ids AS uuid [])
    ) AS given (number, lists, repository_id)
),

added_names AS NOT MATERIALIZED (
    SELECT
        given.number,
        given.lists,
        given.key
    FROM unnest(
        CAST(:added_name_numbers AS integer []),
        CAST(:added_name_lists AS integer []),
        CAST(:added_names AS text [])
    ) AS given (number, lists, key)
),

removed_ids AS NOT MATERIALIZED (
    SELECT
        given.number,
        given.lists,
        given.repository_id
    FROM unnest(
        CAST(:removed_id_numbers AS integer []),
        CAST(:removed_id_lists AS integer []),
        CAST(:removed_ids AS uuid [])
    ) AS given (number, lists, repository_id)
),

removed AS NOT MATERIALIZED (
    SELECT
        given.number,
        CASE given.lists WHEN 16 THEN 'whitelist' ELSE 'exclusions' END AS list,
        given.key
    FROM unnest(
        CAST(:removed_name_numbers AS integer []),
        CAST(:removed_name_lists AS integer []),
        CAST(:removed_names AS text [])
    ) AS given (number, lists, key)
    UNION ALL
    -- The names of excluded ids.
    SELECT
        removed_ids.number,
        'exclusions' AS list,
        named.key
    FROM removed_ids
    INNER JOIN features ON removed_ids.number = features.number
    INNER JOIN public.rollout_membership AS named
        ON
            features.configuration = named.rollout_config_id
            AND removed_ids.repository_id = named.named_for
    WHERE removed_ids.lists = 32 AND named.list = 'exclusions'
),

-- The entries of the lists, one row for each repository, as one number for each feature. 1 and 2 are the live
-- whitelist and exclusions, 4 and 8 the planned ones. 128 and 64 are the repository's own id in the live whitelist
-- and exclusions; 16 and 32 remove that id from the planned lists.
entries AS NOT MATERIALIZED (
    SELECT
        features.number,
        live.repository_id,
        CASE live.list WHEN 'whitelist' THEN 1 ELSE 2 END
        * CASE WHEN removed.key IS null THEN 5 ELSE 1 END AS lists
    FROM features
    CROSS JOIN LATERAL public.rollout_listed_repositories(features.name) AS live
    LEFT JOIN removed
        ON
            features.number = removed.number
            AND live.list = removed.list
            AND live.key = removed.key
    WHERE NOT live.by_id
    UNION ALL
    SELECT
        features.number,
        own.repository_id,
        CASE own.list WHEN 'whitelist' THEN 128 ELSE 64 END AS lists
    FROM features
    INNER JOIN public.rollout_membership AS own ON features.configuration = own.rollout_config_id
    WHERE own.repository_id IS NOT null
    UNION ALL
    SELECT
        removed_ids.number,
        removed_ids.repository_id,
        removed_ids.lists
    FROM removed_ids
    UNION ALL
    SELECT
        added_ids.number,
        added_ids.repository_id,
        added_ids.lists
    FROM added_ids
    UNION ALL
    -- An exclusion stores its id and its name.
    SELECT
        added_ids.number,
        repository.id AS repository_id,
        added_ids.lists
    FROM added_ids
    INNER JOIN public.repositories AS excluded ON added_ids.repository_id = excluded.id
    INNER JOIN public.repositories AS repository
        ON lower(excluded.full_name) = lower(repository.full_name)
    WHERE added_ids.lists = 8
    UNION ALL
    SELECT
        added_names.number,
        repository.id AS repository_id,
        added_names.lists
    FROM added_names
    INNER JOIN public.repositories AS repository
        ON added_names.key = lower(repository.full_name)
    UNION ALL
    SELECT
        added_names.number,
        repository.id AS repository_id,
        added_names.lists
    FROM added_names
    INNER JOIN public.repositories AS repository
        ON added_names.key = lower(split_part(repository.full_name, '/', 1)) || '/*'
),

numbers AS NOT MATERIALIZED (
    SELECT
        -- each feature
        coalesce(
            bit_or(entries.lists) FILTER (WHERE entries.number = CAST(:number_0 AS integer)), 0
        ) AS lists_0,
        -- end
        entries.repository_id
    FROM entries
    GROUP BY entries.repository_id
)

SELECT
    -- each feature
    numbers.lists_0
    | CASE WHEN numbers.lists_0 & 64 = 0 THEN 0 WHEN numbers.lists_0 & 32 > 0 THEN 2 ELSE 10 END
    | CASE WHEN numbers.lists_0 & 128 = 0 THEN 0 WHEN numbers.lists_0 & 16 > 0 THEN 1 ELSE 5 END
    AS lists_0,
    -- end
    numbers.repository_id
FROM numbers;

-- name: arrays
-- The listed repositories as the texts of arrays, which `given` takes.
SELECT
    -- each feature
    CAST(array_agg(listed.lists_0) AS text) AS lists_0,
    -- end
    CAST(array_agg(listed.repository_id) AS text) AS ids
FROM listed;

-- name: given
-- The listed repositories, found by a statement before: the planner would search for them in parallel, and then no
-- longer scan all repositories in parallel.
SELECT
    -- each feature
    max(given.lists_0) AS lists_0,
    -- end
    given.repository_id
FROM unnest(
    -- each feature
    CAST(:lists_0 AS integer []),
    -- end
    CAST(:listed_ids AS uuid [])
) AS given (
    -- each feature
    lists_0,
    -- end
    repository_id
)
-- Each comes once. Without the group, the planner does not know it, and sorts all repositories.
GROUP BY given.repository_id;

-- name: sides
-- Every repository under the live and the planned configuration of each feature. Strategies, percentages, salts and
-- thresholds are parameters on both sides, so that the planner sees constants and leaves out a digest, a category
-- or a join that it does not need. `limits_of` becomes a row of the thresholds' numbers
-- (`blast_radius_statement.py`): a row given as text is not a constant for the planner, and would be parsed for each
-- repository.
WITH marks AS NOT MATERIALIZED (
    SELECT
        given.repository_id,
        bool_or(given.marked) AS marked
    FROM (
        SELECT
            unnest(CAST(:marked AS uuid [])) AS repository_id,
            true AS marked
        UNION ALL
        SELECT
            unnest(CAST(:unmarked AS uuid [])) AS repository_id,
            false AS marked
    ) AS given
    GROUP BY given.repository_id
),

-- `OFFSET '0'` prevents that the text of an id is computed for each feature; one feature is faster without it. It is
-- quoted because only a constant of type bigint lets parallel workers run the scan below it.
facts AS NOT MATERIALIZED (
    SELECT
        repository.id AS repository_id,
        ':' || CAST(repository.id AS text) AS after_salt,
        -- each feature
        coalesce(listed.lists_0, 0) AS lists_0,
        -- end
        coalesce(repository.full_name, CAST(repository.id AS text)) AS name,
        activity.stars,
        activity.contributors,
        activity.pull_requests,
        public.rollout_hashtext_bucket(repository.id) AS hashtext_bucket,
        recorded.repository_id IS NOT null AS is_categorized,
        coalesce(
            recorded.category,
            public.category_within(
                limits_of(:live_limits),
                activity.stars, activity.contributors, activity.pull_requests
            )
        ) AS live_category,
        -- If thresholds change, an apply categorises every repository again.
        coalesce(
            CASE WHEN NOT CAST(:recategorises AS boolean) THEN recorded.category END,
            public.category_within(
                limits_of(:planned_limits),
                activity.stars, activity.contributors, activity.pull_requests
            )
        ) AS planned_category,
        coalesce(recorded.marked_as_test, false) AS live_marked,
        coalesce(marks.marked, recorded.marked_as_test, false) AS planned_marked
    FROM public.repositories AS repository
    INNER JOIN public.repository_activity AS activity ON repository.id = activity.repository_id
    LEFT JOIN public.repository_categories AS recorded ON repository.id = recorded.repository_id
    LEFT JOIN listed ON repository.id = listed.repository_id
    LEFT JOIN marks ON repository.id = marks.repository_id
    WHERE NOT CAST(:of_lists_alone AS boolean) OR listed.repository_id IS NOT null
    OFFSET '0' -- several features
),

-- Here it prevents that a digest is computed once for each of its bytes.
digests AS NOT MATERIALIZED (
    SELECT
        facts.repository_id,
        -- each feature
        facts.lists_0,
        sha256(convert_to(CAST(:live_salt_0 AS text) || facts.after_salt, 'UTF8')) AS live_digest_0,
        sha256(
            convert_to(CAST(:planned_salt_0 AS text) || facts.after_salt, 'UTF8')
        ) AS planned_digest_0,
        -- end
        facts.name,
        facts.stars,
        facts.contributors,
        facts.pull_requests,
        facts.hashtext_bucket,
        facts.is_categorized,
        facts.live_category,
        facts.planned_category,
        facts.live_marked,
        facts.planned_marked
    FROM facts
    OFFSET '0'
),

-- Each bucket once, though both sides compare it.
buckets AS NOT MATERIALIZED (
    SELECT
        digests.repository_id,
        -- each feature
        digests.lists_0,
        public.rollout_bucket_of_digest(digests.live_digest_0) AS live_bucket_0,
        public.rollout_bucket_of_digest(digests.planned_digest_0) AS planned_bucket_0,
        -- end
        digests.name,
        digests.stars,
        digests.contributors,
        digests.pull_requests,
        digests.hashtext_bucket,
        digests.is_categorized,
        digests.live_category,
        digests.planned_category,
        digests.live_marked,
        digests.planned_marked
    FROM digests
    OFFSET '0'
)

SELECT
    -- each feature
    CAST(:live_is_on_0 AS boolean) AND buckets.lists_0 & 2 = 0 AND (
        buckets.lists_0 & 1 > 0
        OR CASE CAST(:live_strategy_0 AS text)
            WHEN 'percentage'
                THEN
                    CASE
                        WHEN CAST(:live_bucketing_0 AS text) = 'hashtext' THEN buckets.hashtext_bucket
                        ELSE buckets.live_bucket_0
                    END < CAST(:live_bucket_limit_0 AS integer)
            WHEN 'repository_size'
                THEN
                    public.rollout_step(buckets.live_category, buckets.live_marked)
                    <= CAST(:live_percentage_0 AS numeric)
            ELSE false
        END
    ) AS before_0,
    CAST(:planned_is_on_0 AS boolean) AND buckets.lists_0 & 8 = 0 AND (
        buckets.lists_0 & 4 > 0
        OR CASE CAST(:planned_strategy_0 AS text)
            WHEN 'percentage'
                THEN
                    CASE
                        WHEN CAST(:planned_bucketing_0 AS text) = 'hashtext'
                            THEN buckets.hashtext_bucket
                        WHEN
                            CAST(:live_is_on_0 AS boolean)
                            AND CAST(:live_strategy_0 AS text) = 'percentage'
                            AND CAST(:live_bucketing_0 AS text) = 'sha256'
                            AND CAST(:live_salt_0 AS text) = CAST(:planned_salt_0 AS text)
                            THEN buckets.live_bucket_0
                        ELSE buckets.planned_bucket_0
                    END < CAST(:planned_bucket_limit_0 AS integer)
            WHEN 'repository_size'
                THEN
                    public.rollout_step(buckets.planned_category, buckets.planned_marked)
                    <= CAST(:planned_percentage_0 AS numeric)
            ELSE false
        END
    ) AS after_0,
    -- end
    buckets.repository_id,
    buckets.name,
    buckets.stars,
    buckets.contributors,
    buckets.pull_requests,
    buckets.is_categorized,
    buckets.planned_category AS category,
    buckets.planned_marked OR buckets.planned_category = 'test' AS is_test
FROM buckets
OFFSET '0';

-- name: test_repositories
-- The number of test repositories: marked ones, and those of the category `test`, recorded or by their metrics.
SELECT
    count(*) FILTER (
        WHERE
        recorded.marked_as_test
        OR coalesce(
            recorded.category,
            public.category_within(
                limits, activity.stars, activity.contributors, activity.pull_requests
            )
        ) = 'test'
    ) AS test_repositories
FROM public.repository_activity AS activity
CROSS JOIN public.category_limits AS limits
LEFT JOIN public.repository_categories AS recorded
    ON activity.repository_id = recorded.repository_id;

-- name: radius
-- The repositories that gain and that lose each feature, in one row. Where few are expected to move, and nothing else
-- needs the categories of all repositories, only those of the moved ones are read, one by one (`categorised_later`): so
-- the scan is without their join.
WITH moves AS NOT MATERIALIZED (
    SELECT
        -- each feature
        sides.before_0,
        sides.after_0,
        -- end
        0
        -- each feature
        | CASE
            WHEN sides.before_0 = sides.after_0 THEN 0
            WHEN sides.after_0 THEN CAST(:gain_0 AS bigint)
            ELSE CAST(:loss_0 AS bigint)
        END
        -- end
        AS moves,
        sides.repository_id,
        sides.stars,
        sides.contributors,
        sides.pull_requests,
        sides.category,
        sides.is_test,
        sides.name
    FROM sides
    OFFSET '0'
),

-- One pass over all repositories. Parallel workers can compute aggregates, but cannot return rows. The output for
-- a repository that moves is in one text: a character for the score, the category's first, the name.
totals AS MATERIALIZED (
    SELECT
        -- each feature
        count(*) FILTER (WHERE moves.before_0) AS before_0,
        count(*) FILTER (WHERE moves.after_0) AS after_0,
        CASE
            WHEN CAST(:counts AS boolean)
                THEN
                    ARRAY[
                        count(*) FILTER (WHERE moves.after_0 AND moves.category = 'test'),
                        count(*) FILTER (WHERE moves.after_0 AND moves.category = 'small'),
                        count(*) FILTER (WHERE moves.after_0 AND moves.category = 'medium'),
                        count(*) FILTER (WHERE moves.after_0 AND moves.category = 'large'),
                        count(*) FILTER (WHERE moves.after_0 AND moves.category = 'enterprise')
                    ]
        END AS eligible_0,
        -- end
        count(*) AS repositories,
        CASE
            WHEN CAST(:counts AS boolean) THEN count(*) FILTER (WHERE moves.is_test)
        END AS test_repositories,
        array_agg(moves.moves) FILTER (WHERE moves.moves <> 0) AS moves,
        CASE
            WHEN CAST(:categorised_later AS boolean)
                THEN array_agg(moves.repository_id) FILTER (WHERE moves.moves <> 0)
        END AS ids,
        array_agg(
            chr(
                32
                + public.monthly_activity_score(
                    moves.stars, moves.contributors, moves.pull_requests
                )
            )
            || left(
                CASE
                    WHEN CAST(:categorised_later AS boolean)
                        THEN
                            public.category_within(
                                limits_of(:live_limits),
                                moves.stars, moves.contributors, moves.pull_requests
                            )
                    ELSE moves.category
                END, 1
            )
            || moves.name
        ) FILTER (WHERE moves.moves <> 0) AS summaries
    FROM moves
),

moved AS MATERIALIZED (
    SELECT
        given.moves,
        ascii(given.summary) AS score,
        -- A repository without a recorded category has the one by its metrics.
        CASE
            WHEN NOT CAST(:categorised_later AS boolean) THEN substr(given.summary, 2, 1)
            ELSE
                coalesce(
                    (
                        SELECT left(own.category, 1)
                        FROM public.repository_categories AS own
                        WHERE own.repository_id = given.repository_id
                    ),
                    substr(given.summary, 2, 1)
                )
        END AS initial,
        substr(given.summary, 3) AS name
    FROM totals
    CROSS JOIN LATERAL unnest(totals.moves, totals.summaries, totals.ids)
        AS given (moves, summary, repository_id)
),

-- Counted by category and by owner in one pass.
sums AS MATERIALIZED (
    SELECT
        -- each feature
        count(*) FILTER (WHERE each.moves & CAST(:gain_0 AS bigint) <> 0) AS gained_0,
        count(*) FILTER (WHERE each.moves & CAST(:loss_0 AS bigint) <> 0) AS lost_0,
        -- end
        each.initial,
        each.owner
    FROM (
        SELECT
            moved.moves,
            moved.initial,
            split_part(moved.name, '/', 1) AS owner
        FROM moved
    ) AS each
    GROUP BY GROUPING SETS ((each.initial), (each.owner))
),

-- A copy of a few rows, so that no feature reads those of all owners for its categories.
categories AS MATERIALIZED (
    SELECT
        -- each feature
        sums.gained_0,
        sums.lost_0,
        -- end
        threshold.category
    FROM sums
    INNER JOIN public.category_threshold AS threshold
        ON sums.initial = left(threshold.category, 1)
),

-- The moved repositories that come first in a sample. Two samples of each feature would else be two scans of all moved
-- repositories.
first_moved AS MATERIALIZED (
    SELECT
        moved.moves,
        moved.score,
        moved.name
    FROM moved
    ORDER BY moved.score DESC, moved.name ASC
    LIMIT 2000
)

SELECT
    -- each feature
    totals.before_0,
    totals.after_0,
    totals.eligible_0,
    (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_array(
                        categories.category, categories.gained_0, categories.lost_0
                    )
                ),
                '[]'
            )
        FROM categories
        WHERE categories.gained_0 + categories.lost_0 > 0
    ) AS by_category_0,
    (
        SELECT
            coalesce(
                jsonb_agg(jsonb_build_array(owners.owner, owners.gained_0, owners.lost_0)), '[]'
            )
        FROM (
            SELECT
                sums.owner,
                sums.gained_0,
                sums.lost_0
            FROM sums
            WHERE sums.owner IS NOT null AND sums.gained_0 + sums.lost_0 > 0
            ORDER BY sums.gained_0 + sums.lost_0 DESC, sums.owner ASC
            LIMIT :owners
        ) AS owners
    ) AS by_owner_0,
    -- The samples of those that gain and of those that lose the feature; each reads all moved repositories only if the
    -- first ones do not fill it.
    (
        SELECT jsonb_agg(coalesce(listed.names, '[]') ORDER BY side.bit)
        FROM (
            SELECT
                counted.bit,
                (
                    SELECT count(*) FROM first_moved
                    WHERE first_moved.moves & counted.bit <> 0
                ) < least(:samples, counted.repositories) AS is_unfilled
            FROM (
                SELECT
                    CAST(:gain_0 AS bigint) AS bit,
                    coalesce(sum(categories.gained_0), 0) AS repositories
                FROM categories
                UNION ALL
                SELECT
                    CAST(:loss_0 AS bigint) AS bit,
                    coalesce(sum(categories.lost_0), 0) AS repositories
                FROM categories
            ) AS counted
            OFFSET '0'
        ) AS side
        CROSS JOIN LATERAL (
            SELECT
                jsonb_agg(sample.name ORDER BY sample.score DESC, sample.name ASC) AS names
            FROM (
                SELECT
                    found.score,
                    found.name
                FROM (
                    SELECT
                        first_moved.moves,
                        first_moved.score,
                        first_moved.name
                    FROM first_moved
                    WHERE NOT side.is_unfilled
                    UNION ALL
                    SELECT
                        moved.moves,
                        moved.score,
                        moved.name
                    FROM moved
                    WHERE side.is_unfilled
                ) AS found
                WHERE found.moves & side.bit <> 0
                ORDER BY found.score DESC, found.name ASC
                LIMIT :samples
            ) AS sample
        ) AS listed
    ) AS samples_0,
    -- end
    CASE
        WHEN CAST(:of_lists_alone AS boolean) THEN (SELECT count(*) FROM public.repositories)
        ELSE totals.repositories
    END AS repositories,
    totals.test_repositories
FROM totals;

-- name: participation
-- The number of all, categorised and test repositories, and of those eligible for each feature by category, in
-- the order of the categories.
WITH counted AS NOT MATERIALIZED (
    SELECT
        sides.category,
        -- each feature
        count(*) FILTER (WHERE sides.after_0) AS eligible_0,
        -- end
        count(*) AS total,
        count(*) FILTER (WHERE sides.is_categorized) AS categorized,
        count(*) FILTER (WHERE sides.is_test) AS test_repositories
    FROM sides
    GROUP BY sides.category
)

SELECT
    -- each feature
    ARRAY[
        coalesce(max(counted.eligible_0) FILTER (WHERE counted.category = 'test'), 0),
        coalesce(max(counted.eligible_0) FILTER (WHERE counted.category = 'small'), 0),
        coalesce(max(counted.eligible_0) FILTER (WHERE counted.category = 'medium'), 0),
        coalesce(max(counted.eligible_0) FILTER (WHERE counted.category = 'large'), 0),
        coalesce(max(counted.eligible_0) FILTER (WHERE counted.category = 'enterprise'), 0)
    ] AS eligible_0,
    -- end
    CAST(coalesce(sum(counted.total), 0) AS bigint) AS total,
    CAST(coalesce(sum(counted.categorized), 0) AS bigint) AS categorized,
    CAST(coalesce(sum(counted.test_repositories), 0) AS bigint) AS test_repositories
FROM counted;
