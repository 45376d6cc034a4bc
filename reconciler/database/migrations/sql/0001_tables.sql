-- The reconciler's own tables, and the indexes of all tables. Everything is schema-qualified: no search_path
-- matters.

CREATE INDEX IF NOT EXISTS repositories_owner_index ON public.repositories (lower(owner));
-- The index for `owner/*` in a list.
CREATE INDEX IF NOT EXISTS repositories_owner_pattern_index
ON public.repositories ((lower(split_part(full_name, '/', 1)) || '/*'));
CREATE INDEX IF NOT EXISTS repository_categories_category_index
ON public.repository_categories (category);
CREATE INDEX IF NOT EXISTS rollout_metrics_window_index
ON public.rollout_metrics (rollout_config_id, metrics_window_start);
CREATE INDEX IF NOT EXISTS rollout_history_created_at_index
ON public.rollout_history (created_at);

-- The only place that knows the source of a repository's metrics. Pull requests are counted if there is a
-- table of them; otherwise they are a column. A query for one repository counts one group, because its id
-- reaches the groups. A query for all repositories is one scan.
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
    -- The bounds of an integer count. A service may store a wider number, or a negative number for "unknown".
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
        -- A metric that the service does not have is 0.
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
    -- Without an index, a query for one repository would read all rows.
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

-- The keys of both lists. A trigger maintains them, so membership is a lookup and not a scan.
CREATE TABLE public.rollout_membership (
    rollout_config_id uuid NOT NULL
    REFERENCES public.rollout_configuration (id) ON DELETE CASCADE,
    list text NOT NULL CHECK (list IN ('whitelist', 'exclusions')),
    -- A repository id, `owner/name` or `owner/*`, lower case.
    key text NOT NULL,
    -- The key, if it is an id.
    repository_id uuid,
    PRIMARY KEY (rollout_config_id, list, key)
);

-- Most keys of a long list are ids. This index finds the names and patterns without reading the ids.
CREATE INDEX rollout_membership_names_index
ON public.rollout_membership (rollout_config_id) WHERE repository_id IS null;

CREATE TABLE public.category_threshold (
    category text PRIMARY KEY,
    -- The order in which thresholds are checked.
    position integer NOT NULL UNIQUE,
    -- The largest allowed number for this category, inclusive; null is no limit.
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

-- One row for each apply that changed something. Two writers cannot write the same generation.
CREATE TABLE public.rollout_generation (
    generation bigint PRIMARY KEY CHECK (generation > 0),
    commit text,
    uncommitted boolean NOT NULL DEFAULT false,
    file text NOT NULL,
    file_digest text NOT NULL,
    -- The content of the file, and its meaning with names resolved to ids and overrides in force.
    desired jsonb NOT NULL,
    effective jsonb NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by varchar(100) NOT NULL
);

-- The newest generation and the newest commit. An apply that changes nothing changes only the commit.
CREATE TABLE public.rollout_state (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    generation bigint NOT NULL DEFAULT 0,
    applied_commit text,
    applied_at timestamptz
);

INSERT INTO public.rollout_state DEFAULT VALUES;

-- A limit on one feature beside its desired state: `on` is in force, `off` is resumed and not yet removed
-- from git, `done` is removed. At most one override of a feature is on.
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
    -- The narrower override that replaced this one. It is written after those that it replaces, because only
    -- one may be on.
    superseded_by uuid REFERENCES public.rollout_override (id) DEFERRABLE INITIALLY DEFERRED,
    -- How often its block had been removed when the file was last read. Without git: how often its block was
    -- added.
    removals integer NOT NULL DEFAULT 0,
    -- When git was seen to agree: it contains the block of an override that is on, and no block of one that
    -- is off.
    written_back_at timestamptz,
    -- The branch pushed for it, if the rollout's own branch accepts no push.
    proposed_branch text,
    CHECK (emergency_stop <> (percentage IS NOT null))
);

CREATE UNIQUE INDEX rollout_override_on_key
ON public.rollout_override (rollout_config_id) WHERE state = 'on';

-- The holder of a lease for work longer than a transaction, and the time at which the lease expires.
CREATE TABLE public.rollout_lease (
    name text PRIMARY KEY,
    holder text NOT NULL,
    until timestamptz NOT NULL
);
