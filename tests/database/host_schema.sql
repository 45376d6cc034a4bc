-- A service's database as such services have it: the rollout's tables in their older form, row security
-- with public read policies, functions of its own, a view, triggers, grants, and rows with nulls in them.

-- Stands in for the function of the extension uuid-ossp, which the embedded server does not have.
CREATE FUNCTION public.uuid_generate_v4() RETURNS uuid
LANGUAGE sql VOLATILE AS 'SELECT gen_random_uuid()';

CREATE TABLE public.repositories (
    id uuid PRIMARY KEY DEFAULT public.uuid_generate_v4(),
    github_id bigint NOT NULL UNIQUE,
    owner varchar(255) NOT NULL,
    name varchar(255) NOT NULL,
    full_name varchar(511) NOT NULL,
    description text,
    homepage text,
    language varchar(100),
    topics text [] DEFAULT '{}',
    is_fork boolean DEFAULT false,
    is_archived boolean DEFAULT false,
    is_private boolean DEFAULT false,
    has_issues boolean DEFAULT true,
    stargazers_count integer DEFAULT 0,
    watchers_count integer DEFAULT 0,
    forks_count integer DEFAULT 0,
    open_issues_count integer DEFAULT 0,
    contributors_count integer,
    size bigint DEFAULT 0,
    default_branch varchar(100) DEFAULT 'main',
    webhook_secret text,
    pushed_at timestamptz,
    first_tracked_at timestamptz DEFAULT now(),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE public.pull_requests (
    id uuid PRIMARY KEY DEFAULT public.uuid_generate_v4(),
    github_id bigint,
    number integer NOT NULL,
    repository_id uuid NOT NULL REFERENCES public.repositories (id) ON DELETE CASCADE,
    title text,
    state varchar(20),
    created_at timestamptz DEFAULT now()
);

CREATE TABLE public.rollout_configuration (
    id uuid PRIMARY KEY DEFAULT public.uuid_generate_v4(),
    feature_name varchar(100) NOT NULL,
    rollout_percentage integer DEFAULT 0
    CONSTRAINT percentage_in_range CHECK (rollout_percentage >= 0 AND rollout_percentage <= 100),
    is_active boolean DEFAULT true,
    target_repositories text [] DEFAULT '{}',
    excluded_repositories text [] DEFAULT '{}',
    rollout_strategy varchar(50) DEFAULT 'percentage'
    CONSTRAINT strategy_known
    CHECK (rollout_strategy IN ('percentage', 'whitelist', 'repository_size')),
    max_error_rate numeric(5, 2) DEFAULT 5.0,
    monitoring_window_hours integer DEFAULT 24,
    auto_rollback_enabled boolean DEFAULT true,
    emergency_stop boolean DEFAULT false,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE public.repository_categories (
    id uuid PRIMARY KEY DEFAULT public.uuid_generate_v4(),
    repository_id uuid UNIQUE REFERENCES public.repositories (id) ON DELETE CASCADE,
    category varchar(50) NOT NULL,
    priority_level integer DEFAULT 0,
    is_test_repository boolean DEFAULT false,
    star_count integer DEFAULT 0,
    contributor_count integer DEFAULT 0,
    pr_count integer DEFAULT 0,
    monthly_activity_score integer DEFAULT 0,
    last_categorized_at timestamptz DEFAULT now(),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE public.rollout_metrics (
    id uuid PRIMARY KEY DEFAULT public.uuid_generate_v4(),
    rollout_config_id uuid REFERENCES public.rollout_configuration (id) ON DELETE CASCADE,
    repository_id uuid REFERENCES public.repositories (id) ON DELETE CASCADE,
    processor_type varchar(50) NOT NULL,
    success_count integer DEFAULT 0,
    error_count integer DEFAULT 0,
    total_jobs integer DEFAULT 0,
    average_processing_time numeric(10, 2),
    last_error_message text,
    last_error_at timestamptz,
    metrics_window_start timestamptz DEFAULT now(),
    metrics_window_end timestamptz,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE public.rollout_history (
    id uuid PRIMARY KEY DEFAULT public.uuid_generate_v4(),
    rollout_config_id uuid REFERENCES public.rollout_configuration (id) ON DELETE SET NULL,
    action varchar(50) NOT NULL
    CONSTRAINT action_known CHECK (action IN (
        'created', 'percentage_changed', 'emergency_rollback', 'paused_by_release_team'
    )),
    previous_percentage integer,
    new_percentage integer,
    reason varchar(200),
    triggered_by varchar(100),
    metadata jsonb,
    created_at timestamptz DEFAULT now()
);

CREATE INDEX idx_rollout_metrics_config ON public.rollout_metrics (rollout_config_id);

-- Functions with bodies and defaults of their own.
CREATE FUNCTION public.categorize_repository(repo_id uuid) RETURNS varchar
LANGUAGE plpgsql AS $$
DECLARE
    stars integer;
BEGIN
    SELECT stargazers_count INTO stars FROM public.repositories WHERE id = repo_id;
    IF stars > 1000 THEN RETURN 'large'; END IF;
    RETURN 'small';
END
$$;

CREATE FUNCTION public.is_repository_eligible_for_rollout(
    repo_id uuid, feature_name varchar DEFAULT 'hybrid_progressive_capture'
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    config record;
    known record;
BEGIN
    SELECT * INTO config FROM public.rollout_configuration AS c
    WHERE c.feature_name = is_repository_eligible_for_rollout.feature_name AND c.is_active = true;
    IF NOT FOUND OR config.emergency_stop THEN RETURN false; END IF;
    IF repo_id::text = ANY (config.excluded_repositories) THEN RETURN false; END IF;
    IF repo_id::text = ANY (config.target_repositories) THEN RETURN true; END IF;
    IF config.rollout_strategy = 'whitelist' THEN RETURN false; END IF;
    IF config.rollout_strategy = 'repository_size' THEN
        SELECT * INTO known FROM public.repository_categories WHERE repository_id = repo_id;
        RETURN (config.rollout_percentage >= 10 AND (known.is_test_repository OR known.category = 'test'))
            OR (config.rollout_percentage >= 25 AND known.category = 'small')
            OR (config.rollout_percentage >= 50 AND known.category = 'medium')
            OR (config.rollout_percentage >= 75 AND known.category = 'large')
            OR config.rollout_percentage >= 100;
    END IF;
    RETURN abs(hashtext(repo_id::text)) % 100 < config.rollout_percentage;
END
$$;

CREATE FUNCTION public.touch_updated_at() RETURNS trigger
LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;

CREATE TRIGGER touch_rollout_configuration BEFORE UPDATE ON public.rollout_configuration
FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER touch_on_percentage BEFORE UPDATE OF rollout_percentage
ON public.rollout_configuration
FOR EACH ROW WHEN (OLD.rollout_percentage IS DISTINCT FROM NEW.rollout_percentage)
EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER asleep BEFORE UPDATE ON public.rollout_configuration
FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
ALTER TABLE public.rollout_configuration DISABLE TRIGGER asleep;

-- A dashboard reads the percentage, and another view reads the dashboard's.
CREATE VIEW public.rollout_dashboard WITH (security_barrier = true) AS
SELECT feature_name, rollout_percentage, is_active FROM public.rollout_configuration;
CREATE VIEW public.active_rollouts AS
SELECT feature_name, rollout_percentage FROM public.rollout_dashboard WHERE is_active;
CREATE VIEW public.repositories_taken_in AS
SELECT id, full_name FROM public.repositories
WHERE public.is_repository_eligible_for_rollout(id);
COMMENT ON VIEW public.rollout_dashboard IS 'What the release team looks at';

ALTER TABLE public.repositories ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.pull_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.rollout_configuration ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.repository_categories ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.rollout_metrics ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.rollout_history ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Public read repositories" ON public.repositories FOR SELECT USING (true);
CREATE POLICY "Public read pull requests" ON public.pull_requests FOR SELECT USING (true);
CREATE POLICY "Public read rollout" ON public.rollout_configuration FOR SELECT USING (true);
CREATE POLICY "Public read categories" ON public.repository_categories FOR SELECT USING (true);
CREATE POLICY "Public read metrics" ON public.rollout_metrics FOR SELECT USING (true);
CREATE POLICY "Public read history" ON public.rollout_history FOR SELECT USING (true);
