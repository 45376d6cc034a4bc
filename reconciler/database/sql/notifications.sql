-- name: queue_usage
-- How full the server's queue of notifications is, in percent. The queue belongs to all databases of the server.
SELECT round(CAST(100 * pg_notification_queue_usage() AS numeric), 1);
