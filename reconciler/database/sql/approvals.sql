-- name: applied
-- Who approved the last widening of each feature, as the newest apply stored it.
SELECT generation.effective -> 'approved' AS approved
FROM public.rollout_state AS state
LEFT JOIN public.rollout_generation AS generation
    ON state.generation = generation.generation;
