-- An override belongs to its feature. People can move or copy a block with its id to another feature of the
-- file; that copy is a separate row.
ALTER TABLE public.rollout_override
DROP CONSTRAINT rollout_override_superseded_by_fkey,
DROP CONSTRAINT rollout_override_pkey,
ADD CONSTRAINT rollout_override_pkey PRIMARY KEY (rollout_config_id, id);

-- An override is written before the one that replaces it, because only one may be on.
ALTER TABLE public.rollout_override
ADD CONSTRAINT rollout_override_superseded_by_fkey
FOREIGN KEY (rollout_config_id, superseded_by)
REFERENCES public.rollout_override (rollout_config_id, id)
DEFERRABLE INITIALLY DEFERRED;
