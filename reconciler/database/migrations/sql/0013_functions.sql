-- Each write takes place once.

-- Records a write in the caller's transaction; returns whether it is new. False: a transaction with this id
-- and this number, or a later one, has committed. It waits for one that has not ended yet. A writer numbers its
-- writes from 1, so that it needs one row. Rows that nothing asks for any more go, some at each call.
CREATE OR REPLACE FUNCTION public.claim_rollout_write(
    write_id uuid, write_number bigint, keep_for interval
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s'
AS $$
BEGIN
    DELETE FROM public.rollout_write AS old
    WHERE old.id IN (
        SELECT found.id FROM public.rollout_write AS found
        WHERE found.keep_until < statement_timestamp()
        ORDER BY found.keep_until
        LIMIT 100
        FOR UPDATE SKIP LOCKED
    );
    INSERT INTO public.rollout_write AS written (id, number, keep_until)
    VALUES (write_id, write_number, statement_timestamp() + least(keep_for, interval '7 days'))
    ON CONFLICT (id) DO UPDATE SET
        number = excluded.number,
        -- Seldom changed, so that the index seldom is.
        keep_until = CASE
            WHEN written.keep_until < excluded.keep_until - interval '1 hour' THEN excluded.keep_until
            ELSE written.keep_until
        END
    WHERE written.number < excluded.number;
    RETURN FOUND;
END
$$;
