-- name: live
-- What is live of one feature but its lists, or no row.
SELECT
    is_active AND NOT emergency_stop AS is_on,
    rollout_strategy AS strategy,
    rollout_percentage AS percentage,
    CAST(rollout_percentage * 100 AS integer) AS bucket_limit,
    coalesce(salt, feature_name) AS salt
FROM public.rollout_configuration
WHERE feature_name = :feature;

-- name: measure
-- Who gains and who loses one feature: every repository under the live and the planned configuration, in
-- one row. Strategies, percentages and salts are parameters on both sides, so that the planner sees
-- constants and leaves out whatever they don't ask for: a digest, a category, a join. `limits` is null
-- where the thresholds stay; where they move, every repository is categorised again by its figures.
WITH planned_keys AS NOT MATERIALIZED (
    SELECT
        'whitelist' AS list,
        unnest(CAST(:whitelist_names AS text [])) AS key
    UNION ALL
    SELECT
        'exclusions' AS list,
        unnest(CAST(:exclusions_names AS text [])) AS key
),

planned_listed AS NOT MATERIALIZED (
    SELECT
        'whitelist' AS list,
        unnest(CAST(:whitelist_ids AS uuid [])) AS repository_id
    UNION ALL
    SELECT
        'exclusions' AS list,
        unnest(CAST(:exclusions_ids AS uuid [])) AS repository_id
    UNION ALL
    SELECT
        planned_keys.list,
        repository.id AS repository_id
    FROM planned_keys
    INNER JOIN public.repositories AS repository
        ON planned_keys.key = lower(repository.full_name)
    UNION ALL
    SELECT
        planned_keys.list,
        repository.id AS repository_id
    FROM planned_keys
    INNER JOIN public.repositories AS repository
        ON planned_keys.key = lower(split_part(repository.full_name, '/', 1)) || '/*'
),

-- `OFFSET '0'` keeps a digest from being computed for every byte taken of it; it is quoted since only a
-- constant of type bigint leaves the scan below it to parallel workers.
facts AS NOT MATERIALIZED (
    SELECT
        activity.repository_id,
        coalesce(live_lists.excluded, false) AS live_excluded,
        coalesce(live_lists.whitelisted, false) AS live_whitelisted,
        coalesce(planned_lists.excluded, false) AS planned_excluded,
        coalesce(planned_lists.whitelisted, false) AS planned_whitelisted,
        sha256(
            convert_to(CAST(:live_salt AS text) || ':' || activity.repository_id::text, 'UTF8')
        ) AS live_digest,
        sha256(
            convert_to(CAST(:planned_salt AS text) || ':' || activity.repository_id::text, 'UTF8')
        ) AS planned_digest,
        coalesce(
            recorded.category,
            public.category_within(
                limits, activity.stars, activity.contributors, activity.pull_requests
            )
        ) AS live_category,
        CASE
            WHEN CAST(:limits AS text) IS NULL
                THEN coalesce(
                    recorded.category,
                    public.category_within(
                        limits, activity.stars, activity.contributors, activity.pull_requests
                    )
                )
            ELSE public.category_within(
                CAST(CAST(:limits AS text) AS public.category_limits),
                activity.stars, activity.contributors, activity.pull_requests
            )
        END AS planned_category,
        coalesce(recorded.marked_as_test, false) AS live_marked,
        coalesce(planned_marks.marked, recorded.marked_as_test, false) AS planned_marked
    FROM public.repository_activity AS activity
    CROSS JOIN public.category_limits AS limits
    LEFT JOIN public.repository_categories AS recorded
        ON activity.repository_id = recorded.repository_id
    LEFT JOIN (
        SELECT
            listed.repository_id,
            bool_or(listed.list = 'exclusions') AS excluded,
            bool_or(listed.list = 'whitelist') AS whitelisted
        FROM public.rollout_listed_repositories(:feature) AS listed
        GROUP BY listed.repository_id
    ) AS live_lists ON activity.repository_id = live_lists.repository_id
    LEFT JOIN (
        SELECT
            planned_listed.repository_id,
            bool_or(planned_listed.list = 'exclusions') AS excluded,
            bool_or(planned_listed.list = 'whitelist') AS whitelisted
        FROM planned_listed
        GROUP BY planned_listed.repository_id
    ) AS planned_lists ON activity.repository_id = planned_lists.repository_id
    LEFT JOIN (
        SELECT
            marks.repository_id,
            bool_or(marks.marked) AS marked
        FROM (
            SELECT
                unnest(CAST(:marked AS uuid [])) AS repository_id,
                true AS marked
            UNION ALL
            SELECT
                unnest(CAST(:unmarked AS uuid [])) AS repository_id,
                false AS marked
        ) AS marks
        GROUP BY marks.repository_id
    ) AS planned_marks ON activity.repository_id = planned_marks.repository_id
    OFFSET '0'
),

sides AS NOT MATERIALIZED (
    SELECT
        facts.repository_id,
        CAST(:live_is_on AS boolean) AND NOT facts.live_excluded AND (
            facts.live_whitelisted
            OR CASE CAST(:live_strategy AS text)
                WHEN 'percentage'
                    THEN
                        public.rollout_bucket_of_digest(facts.live_digest)
                        < CAST(:live_bucket_limit AS integer)
                WHEN 'repository_size'
                    THEN
                        public.rollout_step(facts.live_category, facts.live_marked)
                        <= CAST(:live_percentage AS numeric)
                ELSE false
            END
        ) AS before,
        CAST(:planned_is_on AS boolean) AND NOT facts.planned_excluded AND (
            facts.planned_whitelisted
            OR CASE CAST(:planned_strategy AS text)
                WHEN 'percentage'
                    THEN
                        CASE
                            WHEN
                                CAST(:live_strategy AS text) = 'percentage'
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

-- One pass over all; only the ids of those that move come out of it.
totals AS MATERIALIZED (
    SELECT
        count(*) AS repositories,
        count(*) FILTER (WHERE before) AS before,
        count(*) FILTER (WHERE after) AS after,
        array_agg(repository_id) FILTER (WHERE after AND NOT before) AS gained,
        array_agg(repository_id) FILTER (WHERE before AND NOT after) AS lost
    FROM sides
),

moved AS MATERIALIZED (
    SELECT
        changed.gains,
        coalesce(repository.full_name, repository.id::text) AS name,
        CASE
            WHEN CAST(:limits AS text) IS NULL
                THEN coalesce(
                    recorded.category,
                    public.category_within(
                        limits, activity.stars, activity.contributors, activity.pull_requests
                    )
                )
            ELSE public.category_within(
                CAST(CAST(:limits AS text) AS public.category_limits),
                activity.stars, activity.contributors, activity.pull_requests
            )
        END AS category,
        public.monthly_activity_score(
            activity.stars, activity.contributors, activity.pull_requests
        ) AS score
    FROM (
        SELECT
            unnest(totals.gained) AS repository_id,
            true AS gains
        FROM totals
        UNION ALL
        SELECT
            unnest(totals.lost) AS repository_id,
            false AS gains
        FROM totals
    ) AS changed
    INNER JOIN public.repositories AS repository ON changed.repository_id = repository.id
    INNER JOIN public.repository_activity AS activity ON repository.id = activity.repository_id
    CROSS JOIN public.category_limits AS limits
    LEFT JOIN public.repository_categories AS recorded
        ON repository.id = recorded.repository_id
)

SELECT
    totals.repositories,
    totals.before,
    totals.after,
    coalesce(cardinality(totals.gained), 0) AS gained,
    coalesce(cardinality(totals.lost), 0) AS lost,
    (
        SELECT coalesce(jsonb_agg(jsonb_build_array(category, gained, lost)), '[]')
        FROM (
            SELECT
                category,
                count(*) FILTER (WHERE gains) AS gained,
                count(*) FILTER (WHERE NOT gains) AS lost
            FROM moved
            GROUP BY category
        ) AS groups
    ) AS by_category,
    (
        SELECT coalesce(jsonb_agg(jsonb_build_array(owner, gained, lost)), '[]')
        FROM (
            SELECT
                split_part(name, '/', 1) AS owner,
                count(*) FILTER (WHERE gains) AS gained,
                count(*) FILTER (WHERE NOT gains) AS lost
            FROM moved
            GROUP BY owner
            ORDER BY count(*) DESC, owner
            LIMIT :owners
        ) AS groups
    ) AS by_owner,
    ARRAY(
        SELECT name
        FROM moved
        WHERE gains
        ORDER BY score DESC, name
        LIMIT :samples
    ) AS sample_gained,
    ARRAY(
        SELECT name
        FROM moved
        WHERE NOT gains
        ORDER BY score DESC, name
        LIMIT :samples
    ) AS sample_lost
FROM totals;
