-- Notifications are written by trigger, in the transaction of the event itself: also what a person types into
-- psql is reported, and an event that is rolled back leaves no row.

CREATE OR REPLACE FUNCTION public.rollout_notification_severity(event text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN event IN ('rolled_back', 'stopped', 'shared_outage', 'watch_absent') THEN 'page'
        WHEN event IN ('resumed', 'promotion_ready', 'promoted', 'applied') THEN 'info'
        ELSE 'ticket'
    END
$$;

-- Writes one row for each target that receives an event; returns their number. An event that was recorded
-- before writes no row. `feature` is null for an event that concerns all features.
CREATE OR REPLACE FUNCTION public.rollout_notify(
    event text, feature text, occurrence text, details jsonb
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    written integer;
    opens CONSTANT boolean := event IN ('rolled_back', 'stopped', 'watch_absent');
    closes CONSTANT boolean := event = 'resumed';
BEGIN
    WITH unresolved AS (
        -- The incident that each target knows of.
        SELECT DISTINCT ON (sent.target) sent.target, sent.dedup_key
        FROM public.rollout_notification AS sent
        WHERE (opens OR closes)
            AND sent.feature_name IS NOT DISTINCT FROM rollout_notify.feature
            AND sent.event IN ('rolled_back', 'stopped', 'watch_absent')
            AND sent.resolved_at IS NULL
        ORDER BY sent.target, sent.position
    )

    INSERT INTO public.rollout_notification (
        target, event, severity, feature_name, dedup_key, occurrence, details
    )
    SELECT
        receiver.name,
        rollout_notify.event,
        public.rollout_notification_severity(rollout_notify.event),
        rollout_notify.feature,
        coalesce(
            unresolved.dedup_key,
            CASE
                WHEN rollout_notify.feature IS NOT NULL AND (opens OR closes)
                    THEN rollout_notify.feature || '/' || rollout_notify.occurrence
                ELSE concat_ws('/', rollout_notify.event, rollout_notify.feature, rollout_notify.occurrence)
            END
        ),
        concat_ws('/', rollout_notify.feature, rollout_notify.occurrence),
        rollout_notify.details
    FROM public.rollout_notification_target AS receiver
    LEFT JOIN unresolved ON unresolved.target = receiver.name
    WHERE
        (
            -- The end of an event of all features is for the targets that received its begin.
            NOT (closes AND rollout_notify.feature IS NULL)
            AND CASE
                WHEN receiver.events = '{}' THEN rollout_notify.event <> 'applied'
                ELSE rollout_notify.event = ANY (receiver.events)
            END
            AND (
                receiver.severities = '{}'
                OR public.rollout_notification_severity(rollout_notify.event) = ANY (receiver.severities)
            )
            AND (
                receiver.features = '{}'
                OR rollout_notify.feature IS NULL
                OR rollout_notify.feature = ANY (receiver.features)
            )
        )
        -- A target that was paged hears of the end, whatever else it receives.
        OR (closes AND unresolved.target IS NOT NULL)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS written = ROW_COUNT;

    IF closes THEN
        UPDATE public.rollout_notification AS sent
        SET resolved_at = clock_timestamp()
        WHERE sent.feature_name IS NOT DISTINCT FROM rollout_notify.feature
            AND sent.event IN ('rolled_back', 'stopped', 'watch_absent')
            AND sent.resolved_at IS NULL;
    END IF;
    RETURN written;
END
$$;

-- Returns who changed a feature in this transaction, and why, as far as the transaction says so.
CREATE OR REPLACE FUNCTION public.rollout_notification_cause(
    configuration uuid, in_force uuid
) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'by', coalesce(limiting.triggered_by, recorded.triggered_by, session_user),
        'reason', coalesce(limiting.reason, recorded.reason),
        'override', limiting.id,
        'generation', recorded.metadata -> 'generation',
        'commit', recorded.metadata -> 'commit'
    )
    FROM (VALUES (1)) AS one (row)
    LEFT JOIN public.rollout_override AS limiting ON limiting.id = in_force
    LEFT JOIN LATERAL (
        SELECT history.triggered_by, history.reason, history.metadata
        FROM public.rollout_history AS history
        WHERE history.rollout_config_id = configuration
            AND history.created_at = transaction_timestamp()
        ORDER BY history.position DESC
        LIMIT 1
    ) AS recorded ON true
$$;

-- Reports that a feature was limited, or that its limit ended. Runs at the end of the transaction, when the
-- override, the history and the generation of an act are written.
CREATE OR REPLACE FUNCTION public.notify_of_limit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_force uuid;
    is_of_override boolean;
    is_by_hand boolean;
    transaction CONSTANT text := pg_current_xact_id()::text;
    details jsonb;
BEGIN
    IF to_regclass('public.rollout_notification_target') IS NULL
        OR NOT EXISTS (SELECT FROM public.rollout_notification_target)
    THEN
        RETURN NULL;
    END IF;

    SELECT override.id, transaction_timestamp() IN (override.created_at, override.updated_at)
    INTO in_force, is_of_override
    FROM public.rollout_override AS override
    WHERE override.rollout_config_id = NEW.id AND override.state = 'on';

    -- Statements of people write no generation; their row of history, if there is one, has none either.
    is_by_hand := NOT EXISTS (
        SELECT FROM public.rollout_generation WHERE applied_at = transaction_timestamp()
    ) AND NOT EXISTS (
        SELECT FROM public.rollout_history
        WHERE rollout_config_id = NEW.id
            AND created_at = transaction_timestamp()
            AND metadata ? 'generation'
    );
    details := public.rollout_notification_cause(NEW.id, in_force) || jsonb_build_object(
        'before', trim_scale(OLD.rollout_percentage),
        'after', trim_scale(NEW.rollout_percentage),
        'was_stopped', OLD.emergency_stop,
        'is_stopped', NEW.emergency_stop
    );

    IF NEW.emergency_stop AND NOT OLD.emergency_stop THEN
        PERFORM public.rollout_notify(
            'stopped', NEW.feature_name,
            CASE WHEN is_of_override THEN in_force::text ELSE 'sql-' || transaction END, details
        );
    ELSIF NOT NEW.emergency_stop AND NOT OLD.emergency_stop
        AND NEW.rollout_percentage < OLD.rollout_percentage
        AND (coalesce(is_of_override, false) OR is_by_hand)
    THEN
        PERFORM public.rollout_notify(
            'rolled_back', NEW.feature_name,
            CASE WHEN is_of_override THEN in_force::text ELSE 'sql-' || transaction END, details
        );
    ELSIF in_force IS NULL AND NOT NEW.emergency_stop
        AND (OLD.emergency_stop OR NEW.rollout_percentage > OLD.rollout_percentage)
        AND (
            OLD.emergency_stop
            OR EXISTS (
                SELECT FROM public.rollout_override AS ended
                WHERE ended.rollout_config_id = NEW.id AND ended.state <> 'on'
                    AND ended.updated_at = transaction_timestamp()
            )
            OR EXISTS (
                SELECT FROM public.rollout_notification AS sent
                WHERE sent.feature_name = NEW.feature_name
                    AND sent.event IN ('rolled_back', 'stopped')
                    AND sent.resolved_at IS NULL
            )
        )
    THEN
        PERFORM public.rollout_notify('resumed', NEW.feature_name, transaction, details);
    END IF;
    RETURN NULL;
EXCEPTION
    -- A stop succeeds although its notification cannot be written.
    WHEN others THEN
        RAISE WARNING 'a notification of % was not written: %', NEW.feature_name, SQLERRM;
        RETURN NULL;
END
$$;

DROP TRIGGER IF EXISTS notify_of_limit ON public.rollout_configuration;
CREATE CONSTRAINT TRIGGER notify_of_limit
AFTER UPDATE ON public.rollout_configuration
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (
    OLD.emergency_stop IS DISTINCT FROM NEW.emergency_stop
    OR OLD.rollout_percentage IS DISTINCT FROM NEW.rollout_percentage
)
EXECUTE FUNCTION public.notify_of_limit();

-- Reports the end of an override that changed no percentage, such as one above the feature's own.
CREATE OR REPLACE FUNCTION public.notify_of_override_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    feature public.rollout_configuration;
BEGIN
    IF to_regclass('public.rollout_notification_target') IS NULL
        OR NOT EXISTS (SELECT FROM public.rollout_notification_target)
    THEN
        RETURN NULL;
    END IF;
    SELECT * INTO feature FROM public.rollout_configuration WHERE id = NEW.rollout_config_id;
    IF NOT feature.emergency_stop AND NOT EXISTS (
        SELECT FROM public.rollout_override
        WHERE rollout_config_id = NEW.rollout_config_id AND state = 'on'
    ) THEN
        PERFORM public.rollout_notify(
            'resumed', feature.feature_name, pg_current_xact_id()::text,
            public.rollout_notification_cause(feature.id, null)
            || jsonb_build_object('after', trim_scale(feature.rollout_percentage), 'is_stopped', false)
        );
    END IF;
    RETURN NULL;
EXCEPTION
    WHEN others THEN
        RAISE WARNING 'a notification was not written: %', SQLERRM;
        RETURN NULL;
END
$$;

DROP TRIGGER IF EXISTS notify_of_override_end ON public.rollout_override;
CREATE CONSTRAINT TRIGGER notify_of_override_end
AFTER UPDATE ON public.rollout_override
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.state = 'on' AND NEW.state <> 'on')
EXECUTE FUNCTION public.notify_of_override_end();

-- Reports an apply, and each stage of a progression that it reaches.
CREATE OR REPLACE FUNCTION public.notify_of_apply() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed record;
    features jsonb;
    details CONSTANT jsonb := jsonb_build_object(
        'generation', NEW.generation, 'commit', NEW.commit, 'by', NEW.applied_by
    );
BEGIN
    IF to_regclass('public.rollout_notification_target') IS NULL
        OR NOT EXISTS (SELECT FROM public.rollout_notification_target)
    THEN
        RETURN NULL;
    END IF;
    SELECT jsonb_agg(DISTINCT configuration.feature_name) INTO features
    FROM public.rollout_history AS history
    INNER JOIN public.rollout_configuration AS configuration
        ON configuration.id = history.rollout_config_id
    WHERE history.created_at = transaction_timestamp()
        AND history.action NOT IN ('updated', 'health_changed');
    IF features IS NOT NULL THEN
        PERFORM public.rollout_notify(
            'applied', null, NEW.generation::text,
            details || jsonb_build_object('features', features)
        );
    END IF;
    FOR changed IN
        SELECT
            configuration.feature_name, history.previous_percentage, history.new_percentage, history.reason
        FROM public.rollout_history AS history
        INNER JOIN public.rollout_configuration AS configuration
            ON configuration.id = history.rollout_config_id
        WHERE history.created_at = transaction_timestamp()
            AND history.action = 'percentage_changed'
            AND history.new_percentage > history.previous_percentage
            AND EXISTS (
                SELECT
                FROM jsonb_array_elements(
                    NEW.desired -> 'features' -> configuration.feature_name -> 'progression'
                ) AS stage
                WHERE (stage ->> 'percentage')::numeric = history.new_percentage
            )
    LOOP
        PERFORM public.rollout_notify(
            'promoted', changed.feature_name, NEW.generation::text,
            details || jsonb_build_object(
                'before', trim_scale(changed.previous_percentage),
                'after', trim_scale(changed.new_percentage),
                'reason', changed.reason
            )
        );
    END LOOP;
    RETURN NULL;
EXCEPTION
    WHEN others THEN
        RAISE WARNING 'a notification of an apply was not written: %', SQLERRM;
        RETURN NULL;
END
$$;

DROP TRIGGER IF EXISTS notify_of_apply ON public.rollout_generation;
CREATE CONSTRAINT TRIGGER notify_of_apply
AFTER INSERT ON public.rollout_generation
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION public.notify_of_apply();

-- Only triggers and the roles that `db roles` names write notifications, whatever the default privileges are.
DO $$
DECLARE
    made regprocedure;
    grantee text;
BEGIN
    FOREACH made IN ARRAY ARRAY[
        'public.rollout_notification_severity(text)',
        'public.rollout_notify(text, text, text, jsonb)',
        'public.rollout_notification_cause(uuid, uuid)',
        'public.notify_of_limit()',
        'public.notify_of_override_end()',
        'public.notify_of_apply()'
    ]::regprocedure [] LOOP
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS entry
            WHERE pg_proc.oid = made AND entry.grantee <> proowner
        LOOP
            IF grantee NOT IN ('rollout_safeguard', 'rollout_reconciler') THEN
                EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', made, grantee);
            END IF;
        END LOOP;
    END LOOP;
END
$$;
