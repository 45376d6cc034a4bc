-- When the last tick of the watch succeeded, and the server whose overrides were last compared with git: a failover or
-- a restore of a backup changes its timeline or its identifier.
ALTER TABLE public.rollout_lease
ADD COLUMN last_tick timestamptz,
ADD COLUMN system_identifier bigint,
ADD COLUMN timeline bigint;
