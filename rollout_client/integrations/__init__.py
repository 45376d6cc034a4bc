"""Integrations: writing outcomes if a framework ends a process without running exit handlers.

Each module is for one framework, and imports it. Each writes the outcomes of every client of the process; a
program of any other kind calls `flush_all` at its end.
"""

from rollout_client.recorder import flush_all

__all__ = ["flush_all"]
