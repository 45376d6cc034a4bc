"""`reconcile promote`: write the next stage of a progression into the file."""

import re
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.context import actor, choose_feature, open_database
from reconciler.cli.metrics_source import choose_metrics_source, metrics_source_options
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_json, print_result
from reconciler.cli.render.text import for_line
from reconciler.errors import ReconcilerError, Refused
from reconciler.wording import show_time

if TYPE_CHECKING:
    from reconciler.database.transactions import Database
    from reconciler.operations.promote import Promotion
    from reconciler.rollout_file.reader import Document

MAX_HEAD_CHARACTERS: Final = 4_000

EXIT_NOT_YET: Final = Refused.exit_code
"""The exit code that an apply of the promoted file would have now."""


@click.command(epilog="Example: reconcile promote --format markdown > pull-request.md")
@metrics_source_options
@click.pass_context
def command(context: click.Context, /, **metrics: str | None) -> int:
    """Write the next stage of the progression into the file, if all conditions are met.

    The present stage must have soaked, the verdict must be pass, and no override may limit the
    feature. Otherwise the command prints the missing conditions and when they will be met, writes
    nothing and exits with 3. It never applies the file.
    """
    from reconciler.operations import promote
    from reconciler.rollout_file import read_rollout_file

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON, Format.MARKDOWN)
    source = choose_metrics_source(**metrics)
    document = read_rollout_file(settings.path)
    feature = choose_feature(settings, sorted(document.rollout.features))
    database = open_database(settings)
    promotion = promote.promote(
        database, document, feature, by=actor(settings), metrics_source=source
    )
    if promotion is not None:
        record_ready(database, feature, promotion)
    match chosen:
        case Format.JSON:
            print_json(settings, _as_json(document, feature, promotion))
        case Format.MARKDOWN:
            print_result(settings, _as_markdown(document, feature, promotion))
        case _:
            print_result(settings, _as_text(document, feature, promotion))
    return EXIT_NOT_YET if promotion is not None and promotion.missing else 0


def record_ready(database: "Database", feature: str, promotion: "Promotion") -> None:
    """Report a promotion that is ready to the receivers of notifications.

    A promotion needs only a reader's rights: an account that cannot write reports nothing.
    """
    from reconciler.notifications.recorder import Recorder
    from reconciler.operations.events import PromotionReady

    if promotion.missing:
        return
    with suppress(ReconcilerError):
        Recorder(database).record(
            PromotionReady(feature, promotion.step.stage.percentage, promotion.plan.generation)
        )


def _as_text(document: "Document", feature: str, promotion: "Promotion | None") -> str:
    from reconciler.cli.render.plan_text import Outcome, plan_text
    from reconciler.cli.render.text import paragraph

    heading = _heading(document, feature, promotion)
    if promotion is None:
        return heading
    if promotion.missing:
        lines = [heading]
        for each in promotion.missing:
            lines += paragraph("missing", for_line(each.message))
        if (earliest := _earliest(promotion)) is not None:
            lines += paragraph("earliest", show_time(earliest))
        return "\n".join(lines)
    return "\n\n".join(
        (
            heading,
            _diff(document, promotion),
            plan_text(promotion.plan, promotion.source, Outcome.PROPOSED),
            "Next: commit the file and open a pull request; its merge applies it.",
        )
    )


def _as_markdown(document: "Document", feature: str, promotion: "Promotion | None") -> str:
    from reconciler.cli.render.plan_markdown import joined, plan_markdown
    from reconciler.cli.render.plan_text import Outcome
    from reconciler.cli.render.text import for_markdown

    heading = f"## {_heading(document, feature, promotion)}"
    if promotion is None:
        return heading
    if promotion.missing:
        return "\n".join(
            (heading, "", *(f"- {for_markdown(each.message)}" for each in promotion.missing))
        )
    diff = click.unstyle(_diff(document, promotion))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", diff)), default=0))
    # GitHub limits the whole; a long line of the file must not cut the plan.
    head = joined([heading, f"{fence}diff\n{diff}\n{fence}"], MAX_HEAD_CHARACTERS)
    plan = plan_markdown(promotion.plan, promotion.source, Outcome.PROPOSED)
    return f"{head}\n\n{plan}"


def _as_json(document: "Document", feature: str, promotion: "Promotion | None") -> dict[str, Any]:
    declared = document.rollout.features[feature]
    if promotion is None:
        return {
            "feature": feature,
            "promoted": False,
            "percentage": declared.percentage,
            "next_stage": None,
            "reason": _heading(document, feature, promotion),
            "missing": [],
            "holds_at": None,
            "diff": None,
            "plan": None,
        }
    from reconciler.planning.report import make_report

    report = make_report(promotion.plan, promotion.source, applied=False)
    return {
        "feature": feature,
        "promoted": not promotion.missing,
        "percentage": declared.percentage,
        "next_stage": promotion.step.stage.percentage,
        "reason": _heading(document, feature, promotion),
        "missing": promotion.missing,
        "holds_at": _earliest(promotion),
        "diff": None if promotion.missing else click.unstyle(_diff(document, promotion)),
        "plan": report.model_dump(mode="json"),
    }


def _heading(document: "Document", feature: str, promotion: "Promotion | None") -> str:
    from reconciler.planning.promotion import why_no_step
    from reconciler.wording import show_number

    declared = document.rollout.features[feature]
    if promotion is None:
        return f"{feature}: nothing to promote: {why_no_step(declared)}"
    step = promotion.step
    rise = f"{show_number(step.before)} → {show_number(step.stage.percentage)}"
    stage = f"stage {step.number} of {step.stages}"
    if promotion.missing:
        return f"{feature}: {rise}, {stage}: not yet; nothing was written"
    return f"{feature}: {rise}, {stage}; written to {for_line(document.path)}"


def _diff(document: "Document", promotion: "Promotion") -> str:
    from reconciler.cli.render.file_diff import file_diff

    return file_diff(document.path, document.content, promotion.content)


def _earliest(promotion: "Promotion") -> datetime | None:
    """Return the time at which the last condition that needs only time is met; None without one."""
    times = [each.holds_at for each in promotion.missing]
    known = [each for each in times if each is not None]
    return max(known) if known else None
