-- Columns and tables for sums of jobs that cost the same however many rows of metrics there are. The functions and
-- triggers that keep them are in `0007_functions.sql`.

-- The edges of the counts of durations, each half as long again as the one before. A duration belongs to the first
-- bucket whose edge it does not exceed.
CREATE TABLE public.rollout_duration_bucket (
    bucket integer PRIMARY KEY CHECK (bucket > 0),
    -- In seconds, inclusive; null in the last bucket.
    up_to double precision UNIQUE
);

INSERT INTO public.rollout_duration_bucket (bucket, up_to)
SELECT
    steps.step,
    CASE WHEN steps.step < 48 THEN round(0.01 * power(1.5, steps.step - 1), 6) END
FROM generate_series(1, 48) AS steps (step);

-- `record_rollout_job` keeps several rows of a window where several sessions report at once, and one for each kind
-- and size of job. Rows of other programs have no slot.
ALTER TABLE public.rollout_metrics
ADD COLUMN slot smallint,
-- What identifies the window among those of `record_rollout_job`. A search by it cannot use another index, however
-- old the statistics of the table are.
ADD COLUMN window_key bytea,
-- Empty where it was not reported.
ADD COLUMN job_kind varchar(50) NOT NULL DEFAULT '',
-- 1 is a size of at most 10, 2 at most 100, and so on; 0 where it was not reported.
ADD COLUMN size_class smallint NOT NULL DEFAULT 0,
-- The number of jobs in each bucket of `rollout_duration_bucket`, up to the last one with a job.
ADD COLUMN duration_counts integer [],
-- The category of the repository when the row was written.
ADD COLUMN category text;

CREATE UNIQUE INDEX rollout_metrics_slot_key ON public.rollout_metrics (window_key, slot)
WHERE slot IS NOT null;

-- The sums of all jobs, by feature, processor, category and window. Triggers add a row for each change of
-- `rollout_metrics`, so that no writer waits for another one; `merge_rollout_rollup` puts rows of one key together.
-- The sum over the rows is right at any time.
CREATE TABLE public.rollout_metrics_rollup (
    rollout_config_id uuid NOT NULL,
    processor_type varchar(50) NOT NULL,
    category text NOT NULL,
    -- The jobs count in a period that begins before `counts_until`, and after a rollback or a resume that is not
    -- later than `counts_from`.
    counts_from timestamptz NOT NULL,
    counts_until timestamptz NOT NULL,
    jobs bigint NOT NULL,
    errors bigint NOT NULL,
    -- The errors beyond five of one repository in one window; 0 until the window is merged.
    repeated_errors bigint NOT NULL DEFAULT 0,
    duration_counts bigint [],
    newest_at timestamptz,
    -- The repository of errors, until the window is merged.
    repository_id uuid,
    -- Whether the evidence has these jobs already.
    is_judged boolean NOT NULL DEFAULT false,
    -- 0: as it was written; 1: merged while its window was open; 2: merged afterwards.
    level smallint NOT NULL DEFAULT 0
);

CREATE INDEX rollout_metrics_rollup_window_index
ON public.rollout_metrics_rollup (rollout_config_id, counts_until);
CREATE INDEX rollout_metrics_rollup_level_index
ON public.rollout_metrics_rollup (level, counts_until) WHERE level < 2;

-- The evidence of a feature, up to the last closed window that was counted.
CREATE TABLE public.rollout_evidence (
    rollout_config_id uuid PRIMARY KEY
    REFERENCES public.rollout_configuration (id) ON DELETE CASCADE,
    began_at timestamptz NOT NULL,
    closed_until timestamptz NOT NULL,
    -- A job in a higher bucket of `rollout_duration_bucket` is slow; null until the baseline has enough jobs.
    slow_above integer
);

-- One category since one start: the logarithm of each test, and the jobs so far.
CREATE TABLE public.rollout_evidence_state (
    rollout_config_id uuid NOT NULL
    REFERENCES public.rollout_evidence (rollout_config_id) ON DELETE CASCADE,
    number integer NOT NULL CHECK (number > 0),
    category text NOT NULL,
    regression double precision NOT NULL,
    slowdown double precision NOT NULL,
    baseline_jobs bigint NOT NULL,
    baseline_errors bigint NOT NULL,
    baseline_timed bigint NOT NULL,
    baseline_slow bigint NOT NULL,
    new_jobs bigint NOT NULL,
    new_errors bigint NOT NULL,
    new_timed bigint NOT NULL,
    new_slow bigint NOT NULL,
    PRIMARY KEY (rollout_config_id, number, category)
);

-- Who may call the functions that `0007_functions.sql` replaces by others; `0007_closing.sql` grants the same.
CREATE TEMPORARY TABLE function_grant ON COMMIT DROP AS
SELECT
    pg_proc.proname AS name,
    CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE CAST(CAST(entry.grantee AS regrole) AS text) END AS grantee
FROM pg_proc
CROSS JOIN LATERAL aclexplode(coalesce(pg_proc.proacl, acldefault('f', pg_proc.proowner))) AS entry
WHERE
    pg_proc.oid IN (
        CAST(
            'public.record_rollout_job(text, uuid, text, boolean, double precision, text)' AS regprocedure
        ),
        CAST('public.prune_rollout_metrics(interval)' AS regprocedure)
    )
    AND entry.grantee <> pg_proc.proowner;
