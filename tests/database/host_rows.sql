-- What stands in a service's tables.

INSERT INTO public.repositories (id, github_id, owner, name, full_name, stargazers_count)
VALUES
('00000000-0000-4000-8000-000000000001', 1, 'acme', 'tools', 'acme/tools', 20),
('00000000-0000-4000-8000-000000000002', 2, 'acme', 'site', 'acme/site', 4000),
('00000000-0000-4000-8000-000000000003', 3, 'Globex', 'Core', 'Globex/Core', null);

INSERT INTO public.pull_requests (number, repository_id)
SELECT number, '00000000-0000-4000-8000-000000000002' FROM generate_series(1, 120) AS number;

INSERT INTO public.rollout_configuration (
    id, feature_name, rollout_percentage, is_active, target_repositories, excluded_repositories,
    rollout_strategy, monitoring_window_hours, emergency_stop, metadata, updated_at
)
VALUES
(
    '00000000-0000-4000-8000-00000000000a', 'hybrid_progressive_capture', 10, true,
    ARRAY['00000000-0000-4000-8000-000000000001'], ARRAY['Globex/Core'],
    'repository_size', 48, false, '{"description": "Capture", "team": "release"}', '2025-01-02Z'
),
(
    '00000000-0000-4000-8000-00000000000b', 'full_of_nulls', null, null, null, null,
    null, null, null, null, '2025-01-02Z'
),
(
    '00000000-0000-4000-8000-00000000000c', 'stopped', 50, true, '{}', '{}',
    'percentage', 24, true, '{}', '2025-01-02Z'
);

INSERT INTO public.repository_categories (repository_id, category, is_test_repository)
VALUES
('00000000-0000-4000-8000-000000000001', 'test', true),
('00000000-0000-4000-8000-000000000002', 'large', true),
('00000000-0000-4000-8000-000000000003', 'gigantic', null);

INSERT INTO public.rollout_metrics (
    rollout_config_id, repository_id, processor_type, success_count, error_count, total_jobs,
    average_processing_time, last_error_message, last_error_at, metrics_window_start,
    metrics_window_end
)
VALUES
(
    '00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001', 'inngest',
    8, 2, 10, 1.5, 'older', '2025-01-01T10:01Z', '2025-01-01T10:00Z', '2025-01-01T10:05Z'
),
(
    '00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001', 'inngest',
    29, 1, 30, 3.5, 'newer', '2025-01-01T10:04Z', '2025-01-01T10:00Z', '2025-01-01T10:06Z'
),
(
    '00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001', 'inngest',
    1, null, 1, null, null, null, '2025-01-01T10:05Z', null
);

INSERT INTO public.rollout_history (
    rollout_config_id, action, previous_percentage, new_percentage, reason, metadata, created_at
)
VALUES
(
    '00000000-0000-4000-8000-00000000000a', 'paused_by_release_team', 10, 10, 'holidays', null,
    '2024-12-24Z'
),
(
    '00000000-0000-4000-8000-00000000000a', 'created', null, 10, null, '{}', '2024-01-01Z'
);
