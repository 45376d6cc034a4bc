-- Evidence begins anew, and metric windows are split, with each row of history that changes the audience or what
-- is compared: jobs before and after it are in different rows. An apply can write many rows in one statement.
CREATE OR REPLACE FUNCTION public.cut_metric_windows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A row written by hand may have any time: no window begins in the future.
    UPDATE public.rollout_configuration AS configuration
    SET
        metrics_cut_at = greatest(configuration.metrics_cut_at, cut.at),
        evidence_began_at = greatest(configuration.evidence_began_at, cut.at)
    FROM (
        SELECT
            inserted.rollout_config_id,
            max(least(inserted.created_at, clock_timestamp())) AS at
        FROM inserted
        WHERE
            inserted.action IN (
                'created', 'adopted', 'percentage_changed', 'strategy_changed', 'whitelist_added',
                'whitelist_removed', 'exclusion_added', 'exclusion_removed', 'deactivated',
                'reactivated', 'drift_reverted', 'auto_rollback', 'rollback', 'emergency_stop',
                'emergency_rollback', 'resumed', 'restored'
            )
            OR inserted.metadata ->> 'field' IN (
                'salt', 'bucketing', 'processor', 'fallback', 'routing', 'method',
                'max_regression', 'max_slowdown'
            )
            OR inserted.metadata ? 'routing_choice'
        GROUP BY inserted.rollout_config_id
    ) AS cut
    WHERE
        cut.rollout_config_id = configuration.id
        AND isfinite(cut.at)
        AND cut.at > least(configuration.metrics_cut_at, configuration.evidence_began_at);
    RETURN NULL;
END
$$;
