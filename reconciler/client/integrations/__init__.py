"""The integrations under their first names."""

from rollout_client.integrations import flush_all as flush_all
