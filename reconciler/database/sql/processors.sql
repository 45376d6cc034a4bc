-- name: processors
-- The prices of processors as the last applied file has them.
SELECT
    name,
    cost,
    concurrency,
    as_of
FROM public.rollout_processor
ORDER BY name;

-- name: remove_processors
-- Processors that the file no longer has.
DELETE FROM public.rollout_processor
WHERE name <> ALL (CAST(:names AS text []));

-- name: write_processor
-- The price of one processor as the file has it.
INSERT INTO public.rollout_processor (name, cost, concurrency, as_of)
VALUES (:name, CAST(:cost AS jsonb), :concurrency, :as_of)
ON CONFLICT (name) DO UPDATE
SET
    cost = excluded.cost,
    concurrency = excluded.concurrency,
    as_of = excluded.as_of;
