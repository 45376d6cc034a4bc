-- name: ask_with_one_argument
SELECT is_repository_eligible_for_rollout(md5('service repository 1')::uuid);
-- name: ask_with_two_arguments
SELECT is_repository_eligible_for_rollout(md5('service repository 4')::uuid, 'hybrid_progressive_capture');
-- name: ask_with_typed_arguments
SELECT is_repository_eligible_for_rollout(
    md5('service repository 7')::uuid, 'hybrid_progressive_capture'::varchar
);
-- name: ask_with_text_arguments
SELECT is_repository_eligible_for_rollout(md5('service repository 7')::uuid, 'by_size'::text);
-- name: ask_with_named_arguments
SELECT is_repository_eligible_for_rollout(
    repo_id => md5('service repository 1')::uuid, feature_name => 'hybrid_progressive_capture'
);
-- name: ask_with_named_arguments_in_another_order
SELECT is_repository_eligible_for_rollout(
    feature_name => 'by_size', repo_id => md5('service repository 20')::uuid
);
-- name: ask_with_arguments_named_in_the_older_way
SELECT is_repository_eligible_for_rollout(repo_id := md5('service repository 2')::uuid);
-- name: ask_by_a_remote_call
SELECT * FROM is_repository_eligible_for_rollout(
    repo_id => md5('service repository 3')::uuid, feature_name => 'hybrid_progressive_capture'
);
-- name: ask_by_a_remote_call_of_json
WITH arguments AS (
    SELECT * FROM json_to_record(
        json_build_object('repo_id', md5('service repository 5'), 'feature_name', 'by_size')
    ) AS record (repo_id uuid, feature_name varchar)
)
SELECT to_json(called.called) AS answer
FROM arguments, LATERAL is_repository_eligible_for_rollout(
    repo_id => arguments.repo_id, feature_name => arguments.feature_name
) AS called;
-- name: ask_for_an_unknown_feature
SELECT is_repository_eligible_for_rollout(md5('service repository 1')::uuid, 'nothing');
-- name: ask_for_an_unknown_repository
SELECT is_repository_eligible_for_rollout(md5('nothing')::uuid);
-- name: ask_for_those_in_the_lists
SELECT full_name FROM repositories
WHERE github_id <= 5 AND is_repository_eligible_for_rollout(id) ORDER BY full_name;
-- name: anon_ask
SELECT is_repository_eligible_for_rollout(md5('service repository 1')::uuid);
-- name: read_the_configuration
SELECT feature_name, rollout_percentage, is_active, target_repositories, excluded_repositories,
    rollout_strategy, max_error_rate, monitoring_window_hours, auto_rollback_enabled, emergency_stop
FROM rollout_configuration WHERE feature_name = 'hybrid_progressive_capture' AND is_active = true;
-- name: read_as_json
SELECT json_build_object('percentage', rollout_percentage, 'limit', max_error_rate)
FROM rollout_configuration ORDER BY feature_name;
-- name: read_the_number_in_each_category
SELECT category, count(*) FROM repository_categories GROUP BY category ORDER BY category;
-- name: read_test_repositories
SELECT repositories.full_name, category, priority_level FROM repository_categories
INNER JOIN repositories ON repositories.id = repository_id
WHERE is_test_repository = true ORDER BY priority_level DESC, full_name;
-- name: read_repositories_of_a_category
SELECT repositories.full_name, monthly_activity_score FROM repositories
INNER JOIN repository_categories ON repository_id = repositories.id
WHERE category = ANY (ARRAY['small', 'test']) ORDER BY priority_level DESC, full_name LIMIT 20;
-- name: read_repositories_without_a_category
SELECT full_name FROM repositories
LEFT JOIN repository_categories ON repository_id = repositories.id
WHERE repository_categories.id IS NULL ORDER BY full_name LIMIT 10;
-- name: read_metrics_of_a_day
SELECT sum(success_count), sum(error_count), sum(total_jobs), avg(average_processing_time)
FROM rollout_metrics
WHERE rollout_config_id = '00000000-0000-4000-8000-0000000000c1'
    AND metrics_window_start >= now() - interval '24 hours';
-- name: read_the_error_rate
SELECT
    CASE WHEN sum(total_jobs) > 0 THEN round(sum(error_count)::numeric / sum(total_jobs) * 100, 2) END
FROM rollout_metrics AS metrics
INNER JOIN rollout_configuration AS configuration ON configuration.id = metrics.rollout_config_id
WHERE configuration.feature_name = 'hybrid_progressive_capture'
    AND metrics.created_at >= now() - configuration.monitoring_window_hours * interval '1 hour';
-- name: read_the_history
SELECT action, previous_percentage, new_percentage, reason, triggered_by, created_at
FROM rollout_history WHERE rollout_config_id = '00000000-0000-4000-8000-0000000000c1'
    AND action <> 'adopted'
ORDER BY created_at DESC LIMIT 10;
-- name: read_the_view
SELECT * FROM rollout_overview ORDER BY feature_name;
-- name: anon_read_the_view
SELECT * FROM rollout_overview ORDER BY feature_name;
-- name: anon_read_public_repositories
SELECT count(*) FROM repositories;
-- name: set_the_percentage
UPDATE rollout_configuration SET rollout_percentage = 25, updated_at = now()
WHERE feature_name = 'hybrid_progressive_capture' RETURNING feature_name, rollout_percentage;
-- name: set_the_percentage_without_its_time
UPDATE rollout_configuration SET rollout_percentage = 30
WHERE feature_name = 'hybrid_progressive_capture';
-- name: set_the_percentage_with_a_time_of_the_client
UPDATE rollout_configuration SET rollout_percentage = 30, updated_at = '2025-06-01T12:00:00.123Z'
WHERE feature_name = 'hybrid_progressive_capture';
-- name: set_the_percentage_as_text
UPDATE rollout_configuration SET rollout_percentage = '40'
WHERE feature_name = 'hybrid_progressive_capture';
-- name: set_by_a_remote_call
UPDATE rollout_configuration SET rollout_percentage = body.rollout_percentage, updated_at = body.updated_at
FROM (
    SELECT * FROM json_populate_record(
        null::rollout_configuration, '{"rollout_percentage": 15, "updated_at": "2025-06-01T12:00:00Z"}'
    )
) AS body
WHERE rollout_configuration.feature_name = 'hybrid_progressive_capture';
-- name: refuse_a_percentage_above_one_hundred
UPDATE rollout_configuration SET rollout_percentage = 101 WHERE feature_name = 'by_size';
-- name: set_the_strategy
UPDATE rollout_configuration SET rollout_strategy = 'whitelist', updated_at = now()
WHERE feature_name = 'hybrid_progressive_capture';
-- name: stop_in_an_emergency
UPDATE rollout_configuration SET emergency_stop = true, updated_at = now()
WHERE feature_name = 'hybrid_progressive_capture';
-- name: break_the_glass
UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true, updated_at = now()
WHERE feature_name = 'hybrid_progressive_capture';
-- name: break_the_glass_for_all_without_their_times
UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true;
-- name: record_the_broken_glass
INSERT INTO rollout_history (rollout_config_id, action, previous_percentage, new_percentage, reason, triggered_by)
VALUES (
    (SELECT id FROM rollout_configuration WHERE feature_name = 'hybrid_progressive_capture'),
    'emergency_rollback', 50, 0, 'Manual emergency rollback', 'manual'
);
-- name: resume
UPDATE rollout_configuration SET emergency_stop = false, is_active = true, updated_at = now()
WHERE feature_name = 'hybrid_progressive_capture';
-- name: deactivate
UPDATE rollout_configuration SET is_active = false WHERE feature_name = 'by_size';
-- name: roll_back_automatically
WITH stopped AS (
    UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true, updated_at = now()
    WHERE feature_name = 'hybrid_progressive_capture' AND auto_rollback_enabled RETURNING id
)
INSERT INTO rollout_history (
    rollout_config_id, action, previous_percentage, new_percentage, reason, triggered_by, metadata
)
SELECT id, 'rollback', 10, 0, 'Error rate 12.5%', 'auto_rollback', '{"error_rate": 12.5}' FROM stopped;
-- name: turn_automatic_rollback_off
UPDATE rollout_configuration SET auto_rollback_enabled = false, max_error_rate = 7.5,
    monitoring_window_hours = 12 WHERE feature_name = 'hybrid_progressive_capture';
-- name: change_the_metadata
UPDATE rollout_configuration SET metadata = metadata || '{"phase": 2}'
WHERE feature_name = 'hybrid_progressive_capture';
-- name: add_to_the_whitelist
UPDATE rollout_configuration
SET target_repositories = array_append(target_repositories, md5('service repository 9')::uuid::text)
WHERE feature_name = 'hybrid_progressive_capture';
-- name: replace_the_whitelist
UPDATE rollout_configuration SET
    target_repositories = ARRAY[md5('service repository 9')::uuid::text, md5('service repository 9')::uuid::text],
    updated_at = now()
WHERE feature_name = 'hybrid_progressive_capture';
-- name: remove_from_the_whitelist
UPDATE rollout_configuration
SET target_repositories = array_remove(target_repositories, md5('service repository 1')::uuid::text)
WHERE feature_name = 'hybrid_progressive_capture';
-- name: empty_the_whitelist
UPDATE rollout_configuration SET target_repositories = '{}' WHERE feature_name = 'hybrid_progressive_capture';
-- name: set_the_whitelist_to_null
UPDATE rollout_configuration SET target_repositories = ARRAY[]::text [] || null::text []
WHERE feature_name = 'by_size';
-- name: exclude
UPDATE rollout_configuration
SET excluded_repositories = excluded_repositories || ARRAY[md5('service repository 1')::uuid::text]
WHERE feature_name = 'hybrid_progressive_capture';
-- name: add_a_feature
INSERT INTO rollout_configuration (feature_name, rollout_percentage, is_active, rollout_strategy)
VALUES ('another', 0, true, 'whitelist') ON CONFLICT (feature_name) DO NOTHING;
-- name: add_a_feature_that_is_there
INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('by_size', 5)
ON CONFLICT (feature_name) DO UPDATE SET rollout_percentage = excluded.rollout_percentage;
-- name: categorize_by_hand
INSERT INTO repository_categories (
    repository_id, category, priority_level, star_count, contributor_count, pr_count,
    monthly_activity_score, last_categorized_at
)
VALUES (md5('service repository 8')::uuid, 'large', 40, 900, 12, 300, 100, now())
ON CONFLICT (repository_id) DO UPDATE SET
    category = excluded.category, priority_level = excluded.priority_level,
    star_count = excluded.star_count, contributor_count = excluded.contributor_count,
    pr_count = excluded.pr_count, monthly_activity_score = excluded.monthly_activity_score,
    last_categorized_at = excluded.last_categorized_at;
-- name: mark_a_test_repository
INSERT INTO repository_categories (repository_id, category, priority_level, is_test_repository)
VALUES (md5('service repository 11')::uuid, 'test', 100, true)
ON CONFLICT (repository_id) DO UPDATE SET
    category = excluded.category, priority_level = excluded.priority_level,
    is_test_repository = excluded.is_test_repository;
-- name: mark_by_an_update
UPDATE repository_categories SET is_test_repository = true, category = 'test', priority_level = 100
WHERE repository_id = md5('service repository 13')::uuid;
-- name: unmark_by_an_update
UPDATE repository_categories SET is_test_repository = false, category = 'small', priority_level = 80
WHERE repository_id = md5('service repository 3')::uuid;
-- name: metrics_a_job
INSERT INTO rollout_metrics (
    rollout_config_id, repository_id, processor_type, success_count, error_count, total_jobs,
    average_processing_time
)
VALUES (
    '00000000-0000-4000-8000-0000000000c1', md5('service repository 1')::uuid, 'github_actions', 1, 0, 1, 0.75
);
-- name: metrics_two_jobs_of_one_moment
INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, error_count, total_jobs,
    last_error_message, last_error_at)
VALUES
('00000000-0000-4000-8000-0000000000c1', md5('service repository 1')::uuid, 'inngest', 1, 1, 'timeout', now()),
('00000000-0000-4000-8000-0000000000c1', md5('service repository 1')::uuid, 'inngest', 1, 1, 'timeout', now());
-- name: metrics_of_a_day_until_now
INSERT INTO rollout_metrics (
    rollout_config_id, repository_id, processor_type, success_count, error_count, total_jobs,
    metrics_window_start, metrics_window_end
)
VALUES (
    '00000000-0000-4000-8000-0000000000c1', md5('service repository 1')::uuid, 'inngest', 20, 2, 22,
    now() - interval '24 hours', now()
);
-- name: metrics_of_a_day_by_the_clock_of_the_client
INSERT INTO rollout_metrics (
    rollout_config_id, repository_id, processor_type, success_count, error_count, total_jobs,
    metrics_window_start, metrics_window_end
)
VALUES (
    '00000000-0000-4000-8000-0000000000c1', md5('service repository 1')::uuid, 'inngest', 20, 2, 22,
    now() - interval '24 hours 1.5 seconds', now()
);
-- name: metrics_of_a_day_with_the_end_that_the_service_has
INSERT INTO rollout_metrics (
    rollout_config_id, repository_id, processor_type, success_count, error_count, total_jobs, metrics_window_start
)
VALUES (
    '00000000-0000-4000-8000-0000000000c1', md5('service repository 1')::uuid, 'inngest', 20, 2, 22,
    now() - interval '24 hours'
);
-- name: metrics_of_a_week
INSERT INTO rollout_metrics (
    rollout_config_id, repository_id, processor_type, success_count, total_jobs, metrics_window_start,
    metrics_window_end
)
VALUES (
    '00000000-0000-4000-8000-0000000000c1', md5('service repository 1')::uuid, 'inngest', 20, 20,
    now() - interval '7 days', now()
);
-- name: metrics_of_an_hour
INSERT INTO rollout_metrics (
    rollout_config_id, repository_id, processor_type, success_count, error_count, total_jobs,
    metrics_window_start, metrics_window_end
)
VALUES (
    '00000000-0000-4000-8000-0000000000c1', md5('service repository 1')::uuid, 'inngest', 3, 1, 4,
    date_trunc('hour', now()), date_trunc('hour', now()) + interval '1 hour'
);
-- name: metrics_that_count_errors_and_no_jobs
INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, error_count)
VALUES ('00000000-0000-4000-8000-0000000000c1', md5('service repository 1')::uuid, 'inngest', 1);
-- name: metrics_by_a_remote_call
INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, success_count, total_jobs)
SELECT rollout_config_id, repository_id, processor_type, success_count, total_jobs
FROM json_populate_recordset(
    null::rollout_metrics,
    json_build_array(json_build_object(
        'rollout_config_id', '00000000-0000-4000-8000-0000000000c1',
        'repository_id', md5('service repository 1'), 'processor_type', 'inngest',
        'success_count', 1, 'total_jobs', 1
    ))
) RETURNING processor_type, success_count, error_count;
-- name: metrics_added_to_a_row
UPDATE rollout_metrics SET success_count = success_count + 1, total_jobs = total_jobs + 1, updated_at = now()
WHERE id = '00000000-0000-4000-8000-0000000001a1';
-- name: metrics_added_to_the_newest_row
UPDATE rollout_metrics SET error_count = error_count + 1, total_jobs = total_jobs + 1,
    last_error_message = 'timeout', last_error_at = now(), metrics_window_end = now()
WHERE id = (
    SELECT id FROM rollout_metrics WHERE rollout_config_id = '00000000-0000-4000-8000-0000000000c1'
    ORDER BY created_at DESC, id LIMIT 1
);
-- name: metrics_let_go
DELETE FROM rollout_metrics WHERE created_at < now() - interval '1 hour';
-- name: record_a_change
INSERT INTO rollout_history (
    rollout_config_id, action, previous_percentage, new_percentage, reason, triggered_by, metadata
)
VALUES (
    '00000000-0000-4000-8000-0000000000c1', 'percentage_changed', 10, 25, 'Going on', 'console', '{"by": "me"}'
) RETURNING action, previous_percentage, new_percentage;
-- name: record_an_action_of_the_service
INSERT INTO rollout_history (rollout_config_id, action) VALUES (
    '00000000-0000-4000-8000-0000000000c1', 'whitelist_updated'
);
-- name: delete_a_repository
DELETE FROM repositories WHERE github_id = 1;
-- name: add_a_repository
INSERT INTO repositories (github_id, full_name, owner, name) VALUES (9999, 'acme/new', 'acme', 'new');
-- name: rename_a_repository
UPDATE repositories SET full_name = 'acme/renamed', name = 'renamed' WHERE github_id = 8;
-- name: anon_write_the_configuration
UPDATE rollout_configuration SET rollout_percentage = 100;
-- name: anon_write_metrics
INSERT INTO rollout_metrics (rollout_config_id, processor_type) VALUES (
    '00000000-0000-4000-8000-0000000000c1', 'inngest'
);
