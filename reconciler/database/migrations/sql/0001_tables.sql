-- What the reconciler has for itself, and what makes the tables' rows quick to find. Everything is
-- schema-qualified: nothing here depends on whose search_path is in force.

CREATE INDEX IF NOT EXISTS repositories_owner_index ON public.repositories (lower(owner));
-- What `owner/*` in a list is looked up by.
CREATE INDEX IF NOT EXISTS repositories_owner_pattern_index
ON public.repositories ((lower(split_part(full_name, '/', 1)) || '/*'));
CREATE INDEX IF NOT EXISTS repository_categories_category_index
ON public.repository_categories (category);
CREATE INDEX IF NOT EXISTS rollout_metrics_window_index
ON public.rollout_metrics (rollout_config_id, metrics_window_start);
CREATE INDEX IF NOT EXISTS rollout_history_created_at_index
ON public.rollout_history (created_at);

-- The one place that knows where a repository's figures come from: pull requests are counted where there
-- is a table of them, else they are a column. One repository asked for is one group counted, since its id
-- reaches the groups; all of them are one pass.
DO $$
DECLARE
    pull_requests regclass := (
        SELECT attrelid FROM pg_attribute
        WHERE attrelid = to_regclass('public.pull_requests')
            AND attname = 'repository_id' AND atttypid = 'uuid'::regtype AND NOT attisdropped
    );
    columns CONSTANT name [] := ARRAY(
        SELECT attname FROM pg_attribute
        WHERE attrelid = 'public.repositories'::regclass AND attnum > 0 AND NOT attisdropped
    );
BEGIN
    -- The bounds are those of a count that is an integer: what a service writes may be wider, and below 0
    -- where it knows no number.
    EXECUTE format(
        $view$
        CREATE VIEW public.repository_activity AS
        SELECT
            repositories.id AS repository_id,
            least(greatest(%s, 0), 2147483647)::integer AS stars,
            least(greatest(%s, 0), 2147483647)::integer AS contributors,
            least(greatest(%s, 0), 2147483647)::integer AS pull_requests
        FROM public.repositories
        %s
        $view$,
        -- A metric that the service does not have counts as 0.
        CASE
            WHEN 'stargazers_count' = ANY (columns) THEN 'repositories.stargazers_count' ELSE '0'
        END,
        CASE
            WHEN 'contributors_count' = ANY (columns)
                THEN 'repositories.contributors_count'
            ELSE '0'
        END,
        CASE
            WHEN pull_requests IS NOT NULL THEN 'counted.pull_requests'
            WHEN 'pull_requests_count' = ANY (columns)
                THEN 'repositories.pull_requests_count'
            ELSE '0'
        END,
        CASE WHEN pull_requests IS NOT NULL THEN
            'LEFT JOIN (
                SELECT repository_id, count(*) AS pull_requests
                FROM public.pull_requests
                GROUP BY repository_id
            ) AS counted ON counted.repository_id = repositories.id'
        END
    );
    -- Without an index one repository's would be found by reading all.
    IF pg_has_role((SELECT relowner FROM pg_class WHERE oid = pull_requests), 'USAGE')
        AND NOT EXISTS (
            SELECT FROM pg_index
            INNER JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
            WHERE indrelid = pull_requests AND attname = 'repository_id' AND indpred IS NULL
        )
    THEN
        CREATE INDEX pull_requests_repository_index ON public.pull_requests (repository_id);
    END IF;
END
$$;

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
    -- It is written after those that it takes the place of, since only one may be on.
    superseded_by uuid REFERENCES public.rollout_override (id) DEFERRABLE INITIALLY DEFERRED,
    -- How often its block had been removed when it was last seen in the file; without git, how often it
    -- was seen to come.
    removals integer NOT NULL DEFAULT 0,
    -- When git was seen to say the same: the block there of one that is on, gone of one that is off.
    written_back_at timestamptz,
    -- The branch that was pushed for it, where the rollout's own takes no pushes.
    proposed_branch text,
    CHECK (emergency_stop <> (percentage IS NOT null))
);

CREATE UNIQUE INDEX rollout_override_on_key
ON public.rollout_override (rollout_config_id) WHERE state = 'on';

-- Who is the one to do something that outlasts a transaction, and until when if nothing renews it.
CREATE TABLE public.rollout_lease (
    name text PRIMARY KEY,
    holder text NOT NULL,
    until timestamptz NOT NULL
);
