-- Rows of the service: 400 repositories of which some are private, marks, lists, three features, two rows of one
-- window, and a history.

INSERT INTO public.repositories (id, github_id, full_name, owner, name, stargazers_count, is_private)
SELECT
    md5('service repository ' || n)::uuid,
    n,
    format('%s/repository-%s', (ARRAY['acme', 'Globex', 'northwind', 'initech'])[1 + n % 4], n),
    (ARRAY['acme', 'Globex', 'northwind', 'initech'])[1 + n % 4],
    format('repository-%s', n),
    CASE WHEN n % 10 = 0 THEN 0 ELSE n * n END,
    n % 25 = 0
FROM generate_series(1, 400) AS n;

INSERT INTO public.pull_requests (github_id, number, repository_id, title)
SELECT repositories.github_id * 1000 + n, n, repositories.id, 'A change'
FROM public.repositories, generate_series(1, 12) AS n
WHERE repositories.github_id % 20 = 0;

-- By hand, since the service's own function fails; the small ones first.
INSERT INTO public.repository_categories (repository_id, category, priority_level, star_count)
SELECT
    id,
    CASE
        WHEN stargazers_count <= 50 THEN 'small'
        WHEN stargazers_count <= 500 THEN 'medium'
        WHEN stargazers_count <= 5000 THEN 'large'
        ELSE 'enterprise'
    END,
    50,
    stargazers_count
FROM public.repositories WHERE github_id % 3 <> 0 OR stargazers_count <= 50;

-- Marked by an operator in one statement; the second of them is large.
INSERT INTO public.repository_categories (repository_id, category, priority_level, is_test_repository)
SELECT id, 'test', 100, true FROM public.repositories WHERE github_id IN (3, 60)
ON CONFLICT (repository_id) DO UPDATE SET
    category = 'test', priority_level = 100, is_test_repository = true;

INSERT INTO public.rollout_configuration (
    id, feature_name, rollout_percentage, rollout_strategy, target_repositories,
    excluded_repositories, metadata, created_at, updated_at
)
VALUES
(
    '00000000-0000-4000-8000-0000000000c1', 'hybrid_progressive_capture', 10, 'percentage',
    ARRAY(SELECT id::text FROM public.repositories WHERE github_id IN (1, 2, 3)),
    ARRAY(SELECT id::text FROM public.repositories WHERE github_id IN (4, 5)),
    '{"description": "Capture in two ways", "github_issue": 120}', '2025-01-02Z', '2025-03-04Z'
),
(
    '00000000-0000-4000-8000-0000000000c2', 'dark_launch', 0, 'percentage', '{}', '{}', '{}',
    '2025-01-02Z', '2025-03-04Z'
),
(
    '00000000-0000-4000-8000-0000000000c3', 'by_size', 25, 'repository_size', '{}', '{}', '{}',
    '2025-01-02Z', '2025-03-04Z'
);

INSERT INTO public.rollout_metrics (
    id, rollout_config_id, repository_id, processor_type, success_count, error_count, total_jobs,
    average_processing_time, metrics_window_start, metrics_window_end, created_at, updated_at
)
SELECT
    format('00000000-0000-4000-8000-0000000001%s', number)::uuid,
    '00000000-0000-4000-8000-0000000000c1', id, 'inngest', 9, 1, 10, 1.25,
    now() - interval '2 hours', now() - interval '1 hour', now() - interval '90 minutes',
    now() - interval '90 minutes'
FROM public.repositories, unnest(ARRAY['a1', 'a2']) AS number
WHERE github_id = 1;

INSERT INTO public.rollout_history (
    id, rollout_config_id, action, previous_percentage, new_percentage, reason, triggered_by, created_at
)
VALUES
(
    '00000000-0000-4000-8000-0000000000d1', '00000000-0000-4000-8000-0000000000c1', 'created',
    null, 0, 'First rollout', 'migration', '2025-01-02Z'
),
(
    '00000000-0000-4000-8000-0000000000d2', '00000000-0000-4000-8000-0000000000c1',
    'percentage_changed', 0, 10, 'Ten percent', 'console', '2025-03-04Z'
);
