-- Earlier releases allowed an adopted service no metrics without a repository or a feature, where its table did.
DO $$
DECLARE
    adopted record;
BEGIN
    FOR adopted IN
        SELECT pg_attribute.attname FROM public.rollout_adopted_object AS kept
        INNER JOIN pg_attribute
            ON pg_attribute.attrelid = 'public.rollout_metrics'::regclass AND kept.name = pg_attribute.attname
        WHERE kept.kind = 'column' AND kept.relation = 'rollout_metrics'
            AND kept.name IN ('rollout_config_id', 'repository_id')
            AND NOT (kept.definition ->> 'not_null')::boolean AND pg_attribute.attnotnull
    LOOP
        EXECUTE format('ALTER TABLE public.rollout_metrics ALTER COLUMN %I DROP NOT NULL', adopted.attname);
    END LOOP;
END
$$;
