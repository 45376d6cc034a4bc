"""Errors that the client shares with the command line; the others are in `reconciler.errors`."""

from typing import ClassVar


class ReconcilerError(Exception):
    """The reconciler could not go on."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class SetupInvalid(ReconcilerError):
    """Fix the setting: an address, a password, a permission, a missing program or an older schema."""
