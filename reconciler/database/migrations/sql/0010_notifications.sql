-- The outbox of notifications: the targets of the last applied file, and one row for each event and target.

CREATE TABLE public.rollout_notification_target (
    name text PRIMARY KEY,
    kind text NOT NULL,
    -- An empty list selects everything; of events all but `applied`.
    events text [] NOT NULL DEFAULT '{}',
    severities text [] NOT NULL DEFAULT '{}',
    features text [] NOT NULL DEFAULT '{}'
);

CREATE TABLE public.rollout_notification (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- The order of events; rows of one dedup key are delivered in this order.
    position bigint GENERATED ALWAYS AS IDENTITY,
    target text NOT NULL,
    event text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('page', 'ticket', 'info')),
    feature_name text,
    -- The incident: a limit and its end have the same key, so that a receiver can resolve what it opened.
    dedup_key text NOT NULL,
    -- Names what happened, with its feature: it has one row for each target, however often it is recorded.
    occurrence text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_answer text,
    -- The message that the row is part of: rows of one event that are due together are one message, and each
    -- try of a message has the same id.
    message_id uuid,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A message is tried for a day from here; `notify retry` begins another day.
    tried_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at timestamptz,
    -- When what the row reports ended: a limit, or the absence of a watcher. Null before, and for other events.
    resolved_at timestamptz,
    UNIQUE (target, event, occurrence)
);

CREATE INDEX rollout_notification_pending_index
ON public.rollout_notification (target, position) WHERE state = 'pending';

CREATE INDEX rollout_notification_unresolved_index
ON public.rollout_notification (feature_name, target)
WHERE event IN ('rolled_back', 'stopped', 'watch_absent') AND resolved_at IS null;

CREATE INDEX rollout_notification_created_at_index ON public.rollout_notification (created_at);

-- Default privileges of the database may give rights on new tables; and where rows are secured, so are these.
DO $$
DECLARE
    made regclass;
    grantee text;
BEGIN
    FOREACH made IN ARRAY ARRAY[
        'public.rollout_notification_target', 'public.rollout_notification',
        pg_get_serial_sequence('public.rollout_notification', 'position')
    ]::regclass [] LOOP
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM pg_class, aclexplode(relacl) AS entry
            WHERE pg_class.oid = made AND entry.grantee <> relowner
        LOOP
            EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', made, grantee);
        END LOOP;
        IF made <> pg_get_serial_sequence('public.rollout_notification', 'position')::regclass AND EXISTS (
            SELECT FROM pg_class
            WHERE oid = 'public.rollout_configuration'::regclass AND relrowsecurity
        ) THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made);
        END IF;
    END LOOP;
END
$$;
