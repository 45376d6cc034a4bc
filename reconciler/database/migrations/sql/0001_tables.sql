-- The tables of a service that rolls a feature out, and beside them what the reconciler needs.
-- Everything is schema-qualified: nothing here depends on whose search_path is in force.

-- The host application's repositories; stand-alone, the reconciler has a table of its own.
CREATE TABLE public.repositories (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    github_id bigint UNIQUE,
    owner text NOT NULL,
    name text NOT NULL,
    full_name text NOT NULL,
    stargazers_count integer NOT NULL DEFAULT 0,
    contributors_count integer NOT NULL DEFAULT 0,
    pull_requests_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- GitHub's names differ in case alone for nobody.
CREATE UNIQUE INDEX repositories_full_name_key ON public.repositories (lower(full_name));
CREATE INDEX repositories_owner_index ON public.repositories (lower(owner));
-- What `owner/*` in a list is looked up by.
CREATE INDEX repositories_owner_pattern_index
ON public.repositories ((lower(split_part(full_name, '/', 1)) || '/*'));

-- The one place that knows where a repository's figures come from.
CREATE VIEW public.repository_activity AS
SELECT
    repositories.id AS repository_id,
    coalesce(repositories.stargazers_count, 0) AS stars,
    coalesce(repositories.contributors_count, 0) AS contributors,
    coalesce(repositories.pull_requests_count, 0) AS pull_requests
FROM public.repositories;

-- One row a feature: its effective state, which every decision is made from.
CREATE TABLE public.rollout_configuration (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    feature_name varchar(100) NOT NULL UNIQUE,
    rollout_percentage numeric(5, 2) NOT NULL DEFAULT 0
    CHECK (rollout_percentage BETWEEN 0 AND 100),
    is_active boolean NOT NULL DEFAULT true,
    target_repositories text [] NOT NULL DEFAULT '{}',
    excluded_repositories text [] NOT NULL DEFAULT '{}',
    rollout_strategy varchar(50) NOT NULL DEFAULT 'percentage'
    CHECK (rollout_strategy IN ('percentage', 'whitelist', 'repository_size')),
    max_error_rate numeric(5, 2) NOT NULL DEFAULT 5
    CHECK (max_error_rate BETWEEN 0 AND 100),
    monitoring_window_hours integer NOT NULL DEFAULT 24
    CHECK (monitoring_window_hours > 0),
    auto_rollback_enabled boolean NOT NULL DEFAULT true,
    emergency_stop boolean NOT NULL DEFAULT false,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- A feature's buckets are its own: without a salt its name is the salt.
    salt text,
    min_jobs integer NOT NULL DEFAULT 10 CHECK (min_jobs >= 0),
    -- The exact window; the hours are it, rounded up (kept in step by a trigger).
    monitoring_window interval NOT NULL DEFAULT interval '24 hours'
    CHECK (monitoring_window > interval '0'),
    rollback_to numeric(5, 2) NOT NULL DEFAULT 0 CHECK (rollback_to BETWEEN 0 AND 100)
);

-- The keys of both lists, kept by trigger, so that membership is a lookup and not a scan.
CREATE TABLE public.rollout_membership (
    rollout_config_id uuid NOT NULL
    REFERENCES public.rollout_configuration (id) ON DELETE CASCADE,
    list text NOT NULL CHECK (list IN ('whitelist', 'exclusions')),
    -- A repository id, `owner/name` or `owner/*`, lower case.
    key text NOT NULL,
    -- The key, where it is an id.
    repository_id uuid,
    PRIMARY KEY (rollout_config_id, list, key)
);

-- Of a long list most keys are ids; the names and patterns are found without reading past them.
CREATE INDEX rollout_membership_names_index
ON public.rollout_membership (rollout_config_id) WHERE repository_id IS null;

CREATE TABLE public.category_threshold (
    category text PRIMARY KEY,
    -- The order in which thresholds are tried.
    position integer NOT NULL UNIQUE,
    -- The most that a repository of this category has, inclusive; null is no limit.
    stars integer CHECK (stars >= 0),
    contributors integer CHECK (contributors >= 0),
    pull_requests integer CHECK (pull_requests >= 0),
    priority integer NOT NULL
);

INSERT INTO public.category_threshold (
    category, position, stars, contributors, pull_requests, priority
)
VALUES
('test', 1, 0, 2, 10, 100),
('small', 2, 50, 10, 100, 80),
('medium', 3, 500, 50, 1000, 60),
('large', 4, 5000, 200, 10000, 40),
('enterprise', 5, null, null, null, 20);

CREATE TABLE public.repository_categories (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    repository_id uuid NOT NULL UNIQUE REFERENCES public.repositories (id) ON DELETE CASCADE,
    category varchar(50) NOT NULL
    CHECK (category IN ('test', 'small', 'medium', 'large', 'enterprise')),
    priority_level integer NOT NULL DEFAULT 0,
    -- Marked or of category `test`; kept in step by a trigger.
    is_test_repository boolean NOT NULL DEFAULT false,
    star_count integer NOT NULL DEFAULT 0,
    contributor_count integer NOT NULL DEFAULT 0,
    pr_count integer NOT NULL DEFAULT 0,
    monthly_activity_score integer NOT NULL DEFAULT 0,
    last_categorized_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Said by people, so no recategorisation takes it away.
    marked_as_test boolean NOT NULL DEFAULT false
);

CREATE INDEX repository_categories_category_index ON public.repository_categories (category);

-- One row per configuration, repository, processor and five-minute window.
CREATE TABLE public.rollout_metrics (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    rollout_config_id uuid NOT NULL REFERENCES public.rollout_configuration (id),
    repository_id uuid NOT NULL REFERENCES public.repositories (id) ON DELETE CASCADE,
    processor_type varchar(50) NOT NULL,
    success_count integer NOT NULL DEFAULT 0 CHECK (success_count >= 0),
    error_count integer NOT NULL DEFAULT 0 CHECK (error_count >= 0),
    total_jobs integer NOT NULL DEFAULT 0 CHECK (total_jobs >= 0),
    average_processing_time numeric,
    last_error_message text,
    last_error_at timestamptz,
    metrics_window_start timestamptz NOT NULL,
    metrics_window_end timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (rollout_config_id, repository_id, processor_type, metrics_window_start)
);

CREATE INDEX rollout_metrics_window_index
ON public.rollout_metrics (rollout_config_id, metrics_window_start);

-- What happened and why, append-only. No configuration means: it concerns no one feature.
CREATE TABLE public.rollout_history (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    rollout_config_id uuid REFERENCES public.rollout_configuration (id),
    action varchar(50) NOT NULL,
    previous_percentage numeric(5, 2),
    new_percentage numeric(5, 2),
    reason text,
    triggered_by varchar(100),
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Rows of one transaction share a time; this is their order.
    position bigint GENERATED BY DEFAULT AS IDENTITY UNIQUE
);

CREATE INDEX rollout_history_created_at_index ON public.rollout_history (created_at);

-- One row per apply that changed something. Two writers cannot make the same generation.
CREATE TABLE public.rollout_generation (
    generation bigint PRIMARY KEY CHECK (generation > 0),
    commit text,
    uncommitted boolean NOT NULL DEFAULT false,
    file text NOT NULL,
    file_digest text NOT NULL,
    -- What the file said, and what it meant once names were ids and overrides were in force.
    desired jsonb NOT NULL,
    effective jsonb NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by varchar(100) NOT NULL
);

-- The newest generation and the newest commit; an apply that changes nothing moves the commit alone.
CREATE TABLE public.rollout_state (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    generation bigint NOT NULL DEFAULT 0,
    applied_commit text,
    applied_at timestamptz
);

INSERT INTO public.rollout_state DEFAULT VALUES;

-- A limit on one feature beside its intent: `on` in force, `off` resumed and not yet removed from git,
-- `done`. At most one of a feature is on.
CREATE TABLE public.rollout_override (
    id uuid PRIMARY KEY,
    rollout_config_id uuid NOT NULL REFERENCES public.rollout_configuration (id),
    state text NOT NULL DEFAULT 'on' CHECK (state IN ('on', 'off', 'done')),
    percentage numeric(5, 2) CHECK (percentage BETWEEN 0 AND 100),
    emergency_stop boolean NOT NULL DEFAULT false,
    reason text NOT NULL,
    triggered_by varchar(100) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- The narrower override that took this one's place.
    superseded_by uuid REFERENCES public.rollout_override (id),
    -- How often git had removed its block when an apply last looked.
    removals integer NOT NULL DEFAULT 0,
    -- When the block was seen in git.
    written_back_at timestamptz,
    CHECK (emergency_stop <> (percentage IS NOT null))
);

CREATE UNIQUE INDEX rollout_override_on_key
ON public.rollout_override (rollout_config_id) WHERE state = 'on';
