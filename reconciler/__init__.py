"""A declarative GitOps reconciler for rollouts.

`rollout.yaml` declares which repositories get a feature; `reconcile` makes Postgres say the same.
"""

__version__ = "0.1.0"
