"""Saved plans: written for a later apply; read as untrusted input."""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from reconciler.cli.render.text import for_json
from reconciler.errors import SetupInvalid
from reconciler.planning.report import PlanReport
from rollout_client.atomic_write import replace_file

MAX_BYTES: Final = 64 * 1024 * 1024


def write_plan(path: Path, report: PlanReport) -> None:
    """Save a plan as JSON; the file is complete or does not exist.

    Raises:
        SetupInvalid: it cannot be written.
    """
    replace_file(path, f"{for_json(report.model_dump_json(indent=2))}\n".encode())


def read_plan(path: Path) -> PlanReport:
    """Read a saved plan.

    Raises:
        SetupInvalid: it cannot be read, or is not a plan of this release.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SetupInvalid(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise SetupInvalid(
            f"{path} is over {MAX_BYTES // 1024 // 1024} MiB, which is too large for a plan"
        )
    try:
        return PlanReport.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise SetupInvalid(
            f"{path} is not a saved plan: {place}: {first['msg']}; make one with --plan-out"
        ) from error
