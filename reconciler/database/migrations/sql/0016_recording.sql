-- The index on impossible times gets an order. A search for the first one in this order reads the index, however many
-- rows the planner expects; without the order it expects so many that it reads the whole table.

DROP INDEX public.rollout_metrics_odd_time_index;

CREATE INDEX rollout_metrics_odd_time_index ON public.rollout_metrics (rollout_config_id, created_at)
WHERE NOT (
    metrics_window_start BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
    AND metrics_window_end BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
    AND created_at BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
    AND updated_at BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
    AND coalesce(last_error_at, updated_at)
    BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
);
