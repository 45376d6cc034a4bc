-- name: applied
-- The freezes of the newest apply, and the time: not that of the transaction, which can have waited for a lock.
SELECT
    generation.desired -> 'freezes' AS freezes,
    clock_timestamp() AS now
FROM public.rollout_state AS state
LEFT JOIN public.rollout_generation AS generation
    ON state.generation = generation.generation;
