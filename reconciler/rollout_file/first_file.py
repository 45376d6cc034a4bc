"""The first `rollout.yaml`, which `reconcile init` writes: commented, valid, and nobody is in."""

from importlib.resources import files


def first_rollout_file() -> str:
    """Return the text of a first rollout file."""
    return files(__package__).joinpath("first_rollout.yaml").read_text(encoding="utf-8")
