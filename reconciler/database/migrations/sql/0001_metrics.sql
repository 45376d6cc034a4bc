-- Columns for the results of jobs.

-- The number of jobs with a duration. The mean is over these jobs. With the number and the mean in one row,
-- the next mean is exact, also with concurrent writers. In existing rows, all jobs have a duration.
ALTER TABLE public.rollout_metrics
ADD COLUMN timed_jobs integer NOT NULL DEFAULT 0 CHECK (timed_jobs >= 0);

UPDATE public.rollout_metrics
SET timed_jobs = total_jobs
WHERE average_processing_time IS NOT null;

-- The time of the last rollback or resume: it splits the current window of this feature. Otherwise jobs
-- before and after a resume would be in the same five-minute window.
ALTER TABLE public.rollout_configuration ADD COLUMN metrics_cut_at timestamptz;
