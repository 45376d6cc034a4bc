-- An override belongs to its feature. People can move or copy a block with its id to another feature of the
-- file; that is a row of its own.
ALTER TABLE public.rollout_override
DROP CONSTRAINT rollout_override_superseded_by_fkey,
DROP CONSTRAINT rollout_override_pkey,
ADD CONSTRAINT rollout_override_pkey PRIMARY KEY (rollout_config_id, id);

-- Rows are written before the one that takes their place, since only one may be on.
ALTER TABLE public.rollout_override
ADD CONSTRAINT rollout_override_superseded_by_fkey
FOREIGN KEY (rollout_config_id, superseded_by)
REFERENCES public.rollout_override (rollout_config_id, id)
DEFERRABLE INITIALLY DEFERRED;
