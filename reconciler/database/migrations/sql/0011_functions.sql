-- The limit of processor names.

-- Refuses a processor's name if the feature has reported 32 other names today. The names that the feature compares
-- always pass, so that no worker can keep the judged jobs out.
CREATE OR REPLACE FUNCTION public.check_rollout_processor(configuration_id uuid, reported_name text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    most_names CONSTANT integer := 32;
    today CONSTANT date := statement_timestamp()::date;
    names integer;
BEGIN
    IF EXISTS (
        SELECT FROM public.rollout_processor_name AS known
        WHERE known.rollout_config_id = configuration_id AND known.reported_on = today
            AND known.name = reported_name
    ) OR EXISTS (
        SELECT FROM public.rollout_configuration AS configuration
        WHERE configuration.id = configuration_id
            AND reported_name IN (configuration.processor, configuration.fallback)
    ) THEN
        RETURN;
    END IF;
    SELECT count(DISTINCT known.name) INTO names
    FROM public.rollout_processor_name AS known
    WHERE known.rollout_config_id = configuration_id AND known.reported_on = today;
    IF names >= most_names THEN
        RAISE EXCEPTION 'this feature has jobs of % other processors today', most_names
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Report the kind of worker as processor_type, not one name for each worker.';
    END IF;
    INSERT INTO public.rollout_processor_name (rollout_config_id, reported_on, name)
    VALUES (configuration_id, today, reported_name);
    -- Names of earlier days go; what another transaction is deleting is left to it.
    DELETE FROM public.rollout_processor_name AS old
    WHERE old.ctid IN (
        SELECT found.ctid FROM public.rollout_processor_name AS found
        WHERE found.rollout_config_id = configuration_id AND found.reported_on < today - 1
        FOR UPDATE SKIP LOCKED
    );
END
$$;

-- Checks the processor of each new row of recorded jobs; rows that another program writes have no slot.
CREATE OR REPLACE FUNCTION public.check_metrics_processor() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM public.check_rollout_processor(NEW.rollout_config_id, NEW.processor_type);
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER check_metrics_processor
BEFORE INSERT ON public.rollout_metrics
FOR EACH ROW WHEN (NEW.slot IS NOT null)
EXECUTE FUNCTION public.check_metrics_processor();

-- Only the function that records jobs calls them, whatever the default privileges are.
DO $$
DECLARE
    made regprocedure;
    grantee text;
BEGIN
    FOREACH made IN ARRAY ARRAY[
        'public.check_rollout_processor(uuid, text)', 'public.check_metrics_processor()'
    ]::regprocedure [] LOOP
        FOR grantee IN
            SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
            FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS entry
            WHERE pg_proc.oid = made AND entry.grantee <> proowner
        LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', made, grantee);
        END LOOP;
    END LOOP;
END
$$;
