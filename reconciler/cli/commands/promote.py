"""`reconcile promote`: the next stage of a progression, written into the file when all holds."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.context import choose_feature, open_database, who_acts
from reconciler.cli.metrics_source import choose_metrics_source, metrics_source_options
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_json, print_result
from reconciler.cli.render.escape import for_line
from reconciler.errors import Refused
from reconciler.wording import show_time

if TYPE_CHECKING:
    from reconciler.operations.promote import Promotion
    from reconciler.rollout_file.reader import Document

MAX_HEAD_CHARACTERS: Final = 4_000

EXIT_NOT_YET: Final = Refused.exit_code
"""As an apply of the promoted file would end now."""


@click.command(epilog="Example: reconcile promote --format markdown > pull-request.md")
@metrics_source_options
@click.pass_context
def promote(context: click.Context, /, **figures: str | None) -> int:
    """Write the next stage of the progression into the file, when all holds.

    All holds where the stage has soaked, the verdict is pass and nothing limits the feature. Else says
    what is missing and when it will hold, writes nothing and exits with 3. Nothing is applied.
    """
    from reconciler.operations import promote as promoting
    from reconciler.rollout_file import read_rollout_file

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON, Format.MARKDOWN)
    source = choose_metrics_source(**figures)
    document = read_rollout_file(settings.path)
    feature = choose_feature(settings, document.rollout.features)
    promotion = promoting.promote(
        open_database(settings), document, feature, by=who_acts(), metrics_source=source
    )
    match chosen:
        case Format.JSON:
            print_json(settings, _as_json(document, feature, promotion))
        case Format.MARKDOWN:
            print_result(settings, _as_markdown(document, feature, promotion))
        case _:
            print_result(settings, _as_text(document, feature, promotion))
    return EXIT_NOT_YET if promotion is not None and promotion.missing else 0


def _as_text(document: "Document", feature: str, promotion: "Promotion | None") -> str:
    from reconciler.cli.render.lines import line, paragraph
    from reconciler.cli.render.plan_text import Outcome, plan_text

    heading = _heading(document, feature, promotion)
    if promotion is None:
        return heading
    if promotion.missing:
        lines = [heading]
        for each in promotion.missing:
            lines += paragraph("missing", for_line(each.message))
        if (earliest := _earliest(promotion)) is not None:
            lines.append(line("earliest", show_time(earliest)))
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
    from reconciler.cli.render.escape import for_markdown
    from reconciler.cli.render.markdown import joined
    from reconciler.cli.render.plan_markdown import plan_markdown
    from reconciler.cli.render.plan_text import Outcome

    heading = f"## {_heading(document, feature, promotion)}"
    if promotion is None:
        return heading
    if promotion.missing:
        return "\n".join(
            (heading, "", *(f"- {for_markdown(each.message)}" for each in promotion.missing))
        )
    diff = click.unstyle(_diff(document, promotion))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", diff)), default=0))
    # GitHub takes no more than what the plan leaves; a long line of the file is not worth a cut plan.
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
        return f"{feature}: not yet {rise}, {stage}; nothing was written"
    return f"{feature}: {rise}, {stage}; written to {for_line(document.path)}"


def _diff(document: "Document", promotion: "Promotion") -> str:
    from reconciler.cli.render.file_diff import file_diff

    return file_diff(document.path, document.content, promotion.content)


def _earliest(promotion: "Promotion") -> datetime | None:
    """Return when all that time alone brings will hold; None where nothing of it is missing."""
    times = [each.holds_at for each in promotion.missing]
    known = [each for each in times if each is not None]
    return max(known) if known else None
