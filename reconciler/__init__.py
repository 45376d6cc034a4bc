"""A declarative GitOps reconciler for rollouts.

`rollout.yaml` declares which repositories get a feature; `reconcile` makes Postgres agree with the
file.
"""

from typing import TYPE_CHECKING, Any

from reconciler._version import __version__ as __version__

if TYPE_CHECKING:
    from reconciler.cli.rollout_console import RolloutConsole as RolloutConsole


def __getattr__(name: str) -> Any:
    # Imported on first use, so that a worker's client does not wait for a command line.
    if name != "RolloutConsole":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from reconciler.cli.rollout_console import RolloutConsole

    return RolloutConsole
