-- Derived data that the database maintains after every write: of an apply, of a service, of a person with
-- psql.

-- Membership follows the two arrays. The function runs with the rights of its owner, so a role that edits the
-- arrays needs no right on the keys; its search_path is fixed.
CREATE OR REPLACE FUNCTION public.keep_rollout_membership() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT entries.list, lower(btrim(entries.entry)) AS key
        FROM (
            SELECT 'whitelist' AS list, unnest(NEW.target_repositories) AS entry
            UNION ALL
            SELECT 'exclusions' AS list, unnest(NEW.excluded_repositories) AS entry
        ) AS entries
        WHERE entries.entry IS NOT NULL
    ),

    removed AS (
        DELETE FROM public.rollout_membership AS membership
        WHERE membership.rollout_config_id = NEW.id
            AND NOT EXISTS (
                SELECT FROM wanted
                WHERE wanted.list = membership.list AND wanted.key = membership.key
            )
    )

    INSERT INTO public.rollout_membership (rollout_config_id, list, key, repository_id)
    SELECT
        NEW.id,
        wanted.list,
        wanted.key,
        CASE
            WHEN wanted.key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN wanted.key::uuid
        END
    FROM wanted
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

-- Otherwise a role could create a trigger with it on a table of its own and write keys with the owner's
-- rights.
REVOKE EXECUTE ON FUNCTION public.keep_rollout_membership() FROM public;

CREATE OR REPLACE TRIGGER keep_rollout_membership
AFTER INSERT OR UPDATE OF target_repositories, excluded_repositories
ON public.rollout_configuration
FOR EACH ROW EXECUTE FUNCTION public.keep_rollout_membership();

-- Keeps the exact window and its hours equal, whichever of them was written.
CREATE OR REPLACE FUNCTION public.keep_monitoring_window() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.monitoring_window_hours <> ceil(extract(epoch FROM NEW.monitoring_window) / 3600) THEN
        IF TG_OP = 'UPDATE' AND NEW.monitoring_window IS DISTINCT FROM OLD.monitoring_window
            OR TG_OP = 'INSERT' AND NEW.monitoring_window <> interval '24 hours'
        THEN
            NEW.monitoring_window_hours = ceil(extract(epoch FROM NEW.monitoring_window) / 3600);
        ELSE
            NEW.monitoring_window = make_interval(hours => NEW.monitoring_window_hours);
        END IF;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER keep_monitoring_window
BEFORE INSERT OR UPDATE OF monitoring_window, monitoring_window_hours
ON public.rollout_configuration
FOR EACH ROW EXECUTE FUNCTION public.keep_monitoring_window();

-- A repository is a test repository if it is marked or its category is `test`. A write of
-- `is_test_repository` sets the mark, because people set this column before there was a mark.
CREATE OR REPLACE FUNCTION public.keep_test_mark() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.is_test_repository AND NEW.category <> 'test' THEN
            NEW.marked_as_test = true;
        END IF;
    ELSIF NEW.is_test_repository <> OLD.is_test_repository
        AND NEW.marked_as_test = OLD.marked_as_test
        AND NEW.category = OLD.category
    THEN
        NEW.marked_as_test = NEW.is_test_repository;
    END IF;
    NEW.is_test_repository = NEW.marked_as_test OR NEW.category = 'test';
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER keep_test_mark
BEFORE INSERT OR UPDATE ON public.repository_categories
FOR EACH ROW EXECUTE FUNCTION public.keep_test_mark();

-- A service that could write null before still can: the list is empty, the count is 0.
CREATE OR REPLACE FUNCTION public.fill_configuration() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.target_repositories = coalesce(NEW.target_repositories, '{}');
    NEW.excluded_repositories = coalesce(NEW.excluded_repositories, '{}');
    NEW.metadata = coalesce(NEW.metadata, '{}');
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER fill_configuration
BEFORE INSERT OR UPDATE ON public.rollout_configuration
FOR EACH ROW WHEN (
    (NEW.target_repositories IS null OR NEW.excluded_repositories IS null OR NEW.metadata IS null)
)
EXECUTE FUNCTION public.fill_configuration();

CREATE OR REPLACE FUNCTION public.fill_figures() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.star_count = coalesce(NEW.star_count, 0);
    NEW.contributor_count = coalesce(NEW.contributor_count, 0);
    NEW.pr_count = coalesce(NEW.pr_count, 0);
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER fill_figures
BEFORE INSERT OR UPDATE ON public.repository_categories
FOR EACH ROW WHEN (
    (NEW.star_count IS null OR NEW.contributor_count IS null OR NEW.pr_count IS null)
)
EXECUTE FUNCTION public.fill_figures();

-- History and generations are append-only.
CREATE OR REPLACE FUNCTION public.refuse_rewriting() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, lower(TG_OP)
        USING ERRCODE = 'insufficient_privilege',
            HINT = 'Add a row that tells what is to be said.';
END
$$;

CREATE OR REPLACE TRIGGER refuse_rewriting
BEFORE UPDATE OR DELETE OR TRUNCATE ON public.rollout_history
FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE OR REPLACE TRIGGER refuse_rewriting
BEFORE UPDATE OR DELETE OR TRUNCATE ON public.rollout_generation
FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

-- Sends `{"table": …}` on the channel `rollout_changed`, with `"feature": …` if one feature changed. Postgres
-- sends it at commit, once for equal payloads of a transaction.
CREATE OR REPLACE FUNCTION public.notify_configuration_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify(
        'rollout_changed',
        json_build_object('table', TG_TABLE_NAME, 'feature', feature_name)::text
    )
    FROM (
        SELECT NEW.feature_name WHERE TG_OP <> 'DELETE'
        UNION
        SELECT OLD.feature_name WHERE TG_OP <> 'INSERT'
    ) AS changed (feature_name);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER notify_configuration_inserted_or_deleted
AFTER INSERT OR DELETE ON public.rollout_configuration
FOR EACH ROW EXECUTE FUNCTION public.notify_configuration_changed();

CREATE OR REPLACE TRIGGER notify_configuration_updated
AFTER UPDATE ON public.rollout_configuration
FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW)
EXECUTE FUNCTION public.notify_configuration_changed();

CREATE OR REPLACE FUNCTION public.notify_rows_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        PERFORM pg_notify('rollout_changed', json_build_object('table', TG_TABLE_NAME)::text);
    END IF;
    RETURN NULL;
END
$$;

-- A trigger with transition tables allows one event only.
CREATE OR REPLACE TRIGGER notify_categories_inserted
AFTER INSERT ON public.repository_categories REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION public.notify_rows_changed();
CREATE OR REPLACE TRIGGER notify_categories_updated
AFTER UPDATE ON public.repository_categories REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION public.notify_rows_changed();
CREATE OR REPLACE TRIGGER notify_categories_deleted
AFTER DELETE ON public.repository_categories REFERENCING OLD TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION public.notify_rows_changed();
CREATE OR REPLACE TRIGGER notify_thresholds_inserted
AFTER INSERT ON public.category_threshold REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION public.notify_rows_changed();
CREATE OR REPLACE TRIGGER notify_thresholds_updated
AFTER UPDATE ON public.category_threshold REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION public.notify_rows_changed();
CREATE OR REPLACE TRIGGER notify_thresholds_deleted
AFTER DELETE ON public.category_threshold REFERENCING OLD TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION public.notify_rows_changed();

-- For events without rows, and for events that notify whatever the rows are.
CREATE OR REPLACE FUNCTION public.notify_table_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('rollout_changed', json_build_object('table', TG_TABLE_NAME)::text);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER notify_categories_emptied
AFTER TRUNCATE ON public.repository_categories
FOR EACH STATEMENT EXECUTE FUNCTION public.notify_table_changed();
CREATE OR REPLACE TRIGGER notify_thresholds_emptied
AFTER TRUNCATE ON public.category_threshold
FOR EACH STATEMENT EXECUTE FUNCTION public.notify_table_changed();
-- For keys that a person or a service writes. Keys that a trigger maintains are notified with their
-- configuration.
CREATE OR REPLACE TRIGGER notify_membership_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.rollout_membership
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0)
EXECUTE FUNCTION public.notify_table_changed();

-- When the state of an override changes, write-back has to check git again.
CREATE OR REPLACE FUNCTION public.forget_write_back() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.written_back_at := NULL;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER forget_write_back
BEFORE UPDATE ON public.rollout_override
FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
EXECUTE FUNCTION public.forget_write_back();
