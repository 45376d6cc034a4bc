-- Recorded jobs are rows of the sums at first, with what `rollout_metrics` needs of them. A merge puts them there.

ALTER TABLE public.rollout_metrics_rollup
-- The repository of recorded jobs that `rollout_metrics` does not have yet; null in all other rows, as the next ones.
ADD COLUMN recorded_repository_id uuid,
ADD COLUMN job_kind varchar(50),
ADD COLUMN size_class smallint,
ADD COLUMN timed_jobs integer,
ADD COLUMN seconds numeric,
ADD COLUMN error_message text;

-- Sessions take a turn by a lock of its row, so that none waits for another one. 0: it updates its row of
-- `rollout_metrics` at once. 1: it found 0 taken, and begins the second in which jobs are only inserted. 2: it merges
-- them within that second. From 16 on: any merge, which adds to the rows of `rollout_metrics` with this slot.
CREATE TABLE public.rollout_metrics_turn (
    number smallint PRIMARY KEY,
    -- Of 1: the beginning of the second; '-infinity' when its jobs have been merged. Of 2: the second that was merged.
    taken_at timestamptz NOT NULL DEFAULT '-infinity'
);

INSERT INTO public.rollout_metrics_turn (number)
SELECT turns.number FROM generate_series(0, 31) AS turns (number)
WHERE turns.number < 3 OR turns.number >= 16;

-- The default privileges of a platform can give rights on each new table to accounts of its own.
DO $$
DECLARE
    account text;
BEGIN
    FOR account IN
        SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = 'public.rollout_metrics_turn'::regclass
            AND entry.grantee <> pg_class.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON public.rollout_metrics_turn FROM %s', account);
    END LOOP;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = 'public.rollout_configuration'::regclass)
    THEN
        ALTER TABLE public.rollout_metrics_turn ENABLE ROW LEVEL SECURITY;
    END IF;
END
$$;
