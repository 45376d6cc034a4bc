-- A service's database on a hosted platform: the rollout's tables as its own migration made them, row security
-- with policies, grants and default privileges for the platform's roles `anon` and `service_role`, and a function
-- that decides by a hash with a sign. The test replaces the names of the two roles; `uuid_generate_v4()` is there.

ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, service_role;
GRANT USAGE ON SCHEMA public TO anon, service_role;

CREATE TABLE public.repositories (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    github_id bigint NOT NULL UNIQUE,
    full_name text NOT NULL UNIQUE,
    owner text NOT NULL,
    name text NOT NULL,
    description text,
    stargazers_count integer DEFAULT 0,
    forks_count integer DEFAULT 0,
    is_private boolean DEFAULT false,
    is_active boolean DEFAULT true,
    first_tracked_at timestamptz DEFAULT now(),
    last_updated_at timestamptz DEFAULT now()
);

CREATE TABLE public.pull_requests (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    github_id bigint NOT NULL UNIQUE,
    number integer NOT NULL,
    repository_id uuid NOT NULL REFERENCES public.repositories (id) ON DELETE CASCADE,
    title text NOT NULL,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE public.rollout_configuration (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    feature_name varchar(100) NOT NULL UNIQUE,
    rollout_percentage integer DEFAULT 0
    CHECK (rollout_percentage >= 0 AND rollout_percentage <= 100),
    is_active boolean DEFAULT true,
    target_repositories text [] DEFAULT ARRAY[]::text [],
    excluded_repositories text [] DEFAULT ARRAY[]::text [],
    rollout_strategy varchar(50) DEFAULT 'percentage'
    CHECK (rollout_strategy IN ('percentage', 'whitelist', 'repository_size')),
    max_error_rate numeric(5, 2) DEFAULT 5.0,
    monitoring_window_hours integer DEFAULT 24,
    auto_rollback_enabled boolean DEFAULT true,
    emergency_stop boolean DEFAULT false,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE public.repository_categories (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    repository_id uuid NOT NULL REFERENCES public.repositories (id) ON DELETE CASCADE,
    category varchar(50) NOT NULL
    CHECK (category IN ('test', 'small', 'medium', 'large', 'enterprise')),
    priority_level integer DEFAULT 0,
    is_test_repository boolean DEFAULT false,
    star_count integer DEFAULT 0,
    contributor_count integer DEFAULT 0,
    pr_count integer DEFAULT 0,
    monthly_activity_score integer DEFAULT 0,
    last_categorized_at timestamptz DEFAULT now(),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    UNIQUE (repository_id)
);

CREATE TABLE public.rollout_metrics (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    rollout_config_id uuid NOT NULL REFERENCES public.rollout_configuration (id) ON DELETE CASCADE,
    repository_id uuid REFERENCES public.repositories (id) ON DELETE CASCADE,
    processor_type varchar(50) NOT NULL,
    success_count integer DEFAULT 0,
    error_count integer DEFAULT 0,
    total_jobs integer DEFAULT 0,
    average_processing_time numeric(10, 2),
    last_error_message text,
    last_error_at timestamptz,
    metrics_window_start timestamptz DEFAULT now(),
    metrics_window_end timestamptz DEFAULT (now() + interval '1 hour'),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE public.rollout_history (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    rollout_config_id uuid NOT NULL REFERENCES public.rollout_configuration (id) ON DELETE CASCADE,
    action varchar(50) NOT NULL,
    previous_percentage integer,
    new_percentage integer,
    reason text,
    triggered_by varchar(100),
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamptz DEFAULT now()
);

CREATE INDEX idx_rollout_configuration_active ON public.rollout_configuration (is_active, feature_name);
CREATE INDEX idx_repository_categories_category ON public.repository_categories (category);
CREATE INDEX idx_repository_categories_test ON public.repository_categories (is_test_repository)
WHERE is_test_repository;
CREATE INDEX idx_rollout_metrics_window ON public.rollout_metrics (
    rollout_config_id, metrics_window_start, metrics_window_end
);
CREATE INDEX idx_rollout_history_created ON public.rollout_history (created_at DESC);

CREATE FUNCTION public.update_updated_at_column() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;

CREATE TRIGGER update_rollout_configuration_updated_at
BEFORE UPDATE ON public.rollout_configuration
FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
CREATE TRIGGER update_repository_categories_updated_at
BEFORE UPDATE ON public.repository_categories
FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
CREATE TRIGGER update_rollout_metrics_updated_at
BEFORE UPDATE ON public.rollout_metrics
FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

-- Reads a column that the table does not have, and so fails at each call.
CREATE FUNCTION public.categorize_repository(repo_id uuid) RETURNS varchar
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    repo record;
    prs integer;
    found_category varchar;
    found_priority integer;
BEGIN
    SELECT stargazers_count, contributors_count INTO repo FROM repositories WHERE id = repo_id;
    SELECT count(*) INTO prs FROM pull_requests WHERE repository_id = repo_id;
    IF repo.stargazers_count = 0 AND prs <= 10 THEN
        found_category := 'test';
        found_priority := 100;
    ELSIF repo.stargazers_count <= 50 THEN
        found_category := 'small';
        found_priority := 80;
    ELSIF repo.stargazers_count <= 500 THEN
        found_category := 'medium';
        found_priority := 60;
    ELSIF repo.stargazers_count <= 5000 THEN
        found_category := 'large';
        found_priority := 40;
    ELSE
        found_category := 'enterprise';
        found_priority := 20;
    END IF;
    INSERT INTO repository_categories (
        repository_id, category, priority_level, star_count, contributor_count, pr_count, last_categorized_at
    )
    VALUES (
        repo_id, found_category, found_priority, repo.stargazers_count,
        coalesce(repo.contributors_count, 0), prs, now()
    )
    ON CONFLICT (repository_id) DO UPDATE SET
        category = excluded.category,
        priority_level = excluded.priority_level,
        star_count = excluded.star_count,
        contributor_count = excluded.contributor_count,
        pr_count = excluded.pr_count,
        last_categorized_at = excluded.last_categorized_at;
    RETURN found_category;
END
$$;

-- The hash has a sign: half of all repositories are below every percentage, also below 0.
CREATE FUNCTION public.is_repository_eligible_for_rollout(
    repo_id uuid, feature_name varchar DEFAULT 'hybrid_progressive_capture'
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    config record;
    known record;
BEGIN
    SELECT * INTO config FROM rollout_configuration AS rc
    WHERE rc.feature_name = is_repository_eligible_for_rollout.feature_name AND rc.is_active = true;
    IF NOT FOUND OR config.emergency_stop THEN
        RETURN false;
    END IF;
    IF repo_id::text = ANY (config.excluded_repositories) THEN
        RETURN false;
    END IF;
    IF repo_id::text = ANY (config.target_repositories) THEN
        RETURN true;
    END IF;
    IF config.rollout_strategy = 'whitelist' THEN
        RETURN false;
    END IF;
    IF config.rollout_strategy = 'repository_size' THEN
        SELECT * INTO known FROM repository_categories WHERE repository_id = repo_id;
        RETURN (config.rollout_percentage >= 10 AND known.category = 'test')
            OR (config.rollout_percentage >= 25 AND known.category = 'small')
            OR (config.rollout_percentage >= 50 AND known.category = 'medium')
            OR (config.rollout_percentage >= 75 AND known.category = 'large')
            OR config.rollout_percentage >= 100;
    END IF;
    RETURN (hashtext(repo_id::text) % 100) < config.rollout_percentage;
END
$$;

CREATE VIEW public.rollout_overview AS
SELECT
    configuration.feature_name,
    configuration.rollout_percentage,
    configuration.emergency_stop,
    (
        SELECT count(*) FROM public.repository_categories WHERE is_test_repository
    ) AS test_repositories
FROM public.rollout_configuration AS configuration;

ALTER TABLE public.repositories ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.pull_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.rollout_configuration ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.repository_categories ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.rollout_metrics ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.rollout_history ENABLE ROW LEVEL SECURITY;

CREATE POLICY "Public repositories are visible" ON public.repositories
FOR SELECT USING (NOT is_private);
CREATE POLICY "Pull requests of public repositories are visible" ON public.pull_requests
FOR SELECT USING (
    EXISTS (SELECT FROM public.repositories WHERE id = repository_id AND NOT is_private)
);
CREATE POLICY "Read configuration" ON public.rollout_configuration FOR SELECT USING (true);
CREATE POLICY "Read categories" ON public.repository_categories FOR SELECT USING (true);
CREATE POLICY "Read metrics" ON public.rollout_metrics FOR SELECT USING (true);
CREATE POLICY "Read history" ON public.rollout_history FOR SELECT USING (true);
CREATE POLICY "Service repositories" ON public.repositories TO service_role USING (true) WITH CHECK (true);
CREATE POLICY "Service pull requests" ON public.pull_requests TO service_role
USING (true) WITH CHECK (true);
CREATE POLICY "Service configuration" ON public.rollout_configuration TO service_role
USING (true) WITH CHECK (true);
CREATE POLICY "Service categories" ON public.repository_categories TO service_role
USING (true) WITH CHECK (true);
CREATE POLICY "Service metrics" ON public.rollout_metrics TO service_role USING (true) WITH CHECK (true);
CREATE POLICY "Service history" ON public.rollout_history TO service_role USING (true) WITH CHECK (true);
