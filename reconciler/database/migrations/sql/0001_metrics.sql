-- What jobs came to: recording one job's outcome, and letting go of what is too old to be asked for.

-- The jobs that told how long they took, which the mean is over: with it and the mean in one row, the next
-- mean is right whoever else writes. Of rows found here, all jobs did.
ALTER TABLE public.rollout_metrics
ADD COLUMN timed_jobs integer NOT NULL DEFAULT 0 CHECK (timed_jobs >= 0);

UPDATE public.rollout_metrics
SET timed_jobs = total_jobs
WHERE average_processing_time IS NOT null;

-- When a rollback or a resume last cut this feature's windows in two. Without it jobs before a resume could
-- be told from those after it only five minutes later.
ALTER TABLE public.rollout_configuration ADD COLUMN metrics_cut_at timestamptz;
