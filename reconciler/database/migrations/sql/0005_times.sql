-- Odd times: a time that a program cannot represent (`infinity`, the year 200000) makes one feature
-- inconclusive and affects no other. The indexes contain only the odd rows, so the search for one is cheap.

CREATE INDEX rollout_metrics_odd_time_index ON public.rollout_metrics (rollout_config_id)
WHERE NOT (
    metrics_window_start BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
    AND metrics_window_end BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
    AND created_at BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
    AND updated_at BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
    AND coalesce(last_error_at, updated_at)
    BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
);

CREATE INDEX rollout_history_odd_time_index ON public.rollout_history (rollout_config_id)
WHERE NOT (
    created_at BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9998-12-31 00:00:00+00'
);
