"""Celery: outcomes are written before a worker process ends, as after `--max-tasks-per-child` tasks.

from rollout_client.integrations import celery as rollout_celery

rollout_celery.install()
"""

from typing import Any

from celery import signals

from rollout_client.recorder import EXIT_TIMEOUT_SECONDS, flush_all

_ID = "rollout-outcomes"


def install() -> None:
    """Write outcomes when a process of the prefork pool ends; further calls change nothing."""
    signals.worker_process_shutdown.connect(_flush, weak=False, dispatch_uid=_ID)


def _flush(**_event: Any) -> None:
    flush_all(EXIT_TIMEOUT_SECONDS)
