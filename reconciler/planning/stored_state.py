"""Stored generations that a newer release wrote: the error for a part that this release cannot read."""

from pydantic import ValidationError

from reconciler.errors import SetupInvalid


def unreadable(part: str) -> SetupInvalid:
    """Return the error for a part of the applied generation, named with its value or the reason."""
    return SetupInvalid(
        f"public.rollout_generation: this release cannot read {part}; "
        "install the release of rollout-reconciler that applied it, or a newer one"
    )


def unreadable_key(section: str, error: ValidationError) -> SetupInvalid:
    """Return the error for the first invalid key in a section of the applied file."""
    found = error.errors()[0]
    return unreadable(f"{'.'.join((section, *map(str, found['loc'])))}: {found['msg']}")
