"""`reconcile health`: the verdict of each feature, by the errors of its jobs, and its indicators."""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.context import choose_features, open_database
from reconciler.cli.limit_command import acted_lines
from reconciler.cli.metrics_source import choose_metrics_source, metrics_source_options
from reconciler.cli.options import Format, Settings, exact_option, settings_of
from reconciler.cli.output import print_json, print_result, show_result
from reconciler.cli.render.text import beside, for_line, wrapped
from reconciler.cli.write_back_report import report_text, write_back_and_warn, write_back_option
from reconciler.errors import ReconcilerError
from reconciler.planning.health import NO_JOBS, Reason, Tally, Verdict, shown_evidence
from reconciler.planning.indicators import Indicator, Indicators, IndicatorStatus
from reconciler.wording import count, counted, when_counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.database.transactions import Database
    from reconciler.operations.health import Checked
    from reconciler.planning.evidence_value import Evidence
    from reconciler.planning.health import MetricsSource, Processors

EXIT_FAILING: Final = 2
EXIT_INCONCLUSIVE: Final = 3

_COLORS: Final = {
    Verdict.PASS: "green",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "red",
    Verdict.INCONCLUSIVE: "yellow",
}


@click.command(epilog="Example: reconcile health --detailed-exitcode")
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit 2 if a feature fails, else 3 if one is inconclusive or warns.",
)
@click.option("--rollback", is_flag=True, help="Roll back a failing feature if the file allows it.")
@click.option(
    "--explain",
    "explains",
    is_flag=True,
    help="Show the windows, factors and lines behind the evidence of each feature.",
)
@exact_option
@write_back_option("With --rollback: write")
@metrics_source_options
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    detailed_exitcode: bool,
    rollback: bool,
    explains: bool,
    is_exact: bool,
    writes_back: bool | None,
    **metrics: str | None,
) -> int:
    """Judge each feature by the errors of its jobs, and show its indicators."""
    if writes_back is not None and not rollback:
        option = "--write-back" if writes_back else "--no-write-back"
        raise click.UsageError(f"{option} needs --rollback")
    settings = settings_of(context)
    if explains:
        if rollback:
            raise click.UsageError("--explain does not go with --rollback")
        explain(settings)
        return 0
    source = choose_metrics_source(**metrics)
    if rollback:
        checked = check_and_roll_back(settings, source, writes_back=writes_back)
    else:
        checked = check(settings, source, is_exact=is_exact)
    return _exit_code(checked) if detailed_exitcode else 0


def explain(settings: Settings) -> dict[str, Any]:
    """Print the blocks behind the evidence of each feature, and return them."""
    from reconciler.cli.render.evidence_table import evidence_as_json, evidence_text
    from reconciler.operations.health import explain_health

    settings.choose_format(Format.TEXT, Format.JSON)
    database = open_database(settings)
    explained = explain_health(database, choose_features(settings, database))
    found = {"features": [evidence_as_json(each) for each in explained]}
    text = "\n\n".join(map(evidence_text, explained)) or "there is no feature yet"
    return show_result(settings, found, lambda: text)


def check(
    settings: Settings, source: "MetricsSource | None" = None, *, is_exact: bool = False
) -> "Sequence[Checked]":
    """Judge features, print the verdicts and return them."""
    from reconciler.operations.health import check_health

    settings.choose_format(Format.TEXT, Format.JSON, Format.GITHUB)
    database = open_database(settings)
    checked = check_health(database, choose_features(settings, database), source, is_exact=is_exact)
    _show(settings, checked)
    _report_an_absent_watch(database)
    return checked


def check_and_roll_back(
    settings: Settings, source: "MetricsSource | None" = None, *, writes_back: bool | None = None
) -> "Sequence[Checked]":
    """Judge features and roll back those that fail, print all of it and return it.

    Raises:
        ReconcilerError: a feature could not be rolled back; the others were.
    """
    from reconciler.operations.health import check_and_roll_back as roll_back

    settings.choose_format(Format.TEXT, Format.JSON, Format.GITHUB)
    database = open_database(settings, to_write=True)
    checked = roll_back(database, choose_features(settings, database), source)
    _show(settings, checked)
    report = write_back_and_warn(settings, database, requested=writes_back)
    if report is not None and report.overrides:
        settings.inform(report_text(report))
    if any(each.found.rollback and each.found.rollback.act for each in checked):
        settings.inform(f"Next: {settings.program} verify")
    _report_an_absent_watch(database)
    _raise_failure(settings, checked)
    return checked


def _report_an_absent_watch(database: "Database") -> None:
    """Report to the receivers of notifications that no watch is running, where one did before.

    An account that cannot write reports nothing.
    """
    from reconciler.notifications.recorder import Recorder

    with suppress(ReconcilerError):
        Recorder(database).look_for_an_absent_watch()


def as_json(checked: "Sequence[Checked]") -> dict[str, Any]:
    """Return the verdicts for JSON."""
    return {"features": [_as_json(each) for each in checked]}


def _show(settings: Settings, checked: "Sequence[Checked]") -> None:
    text = "\n\n".join(map(_as_text, checked)) or "there is no feature yet"
    match settings.format:
        case Format.JSON:
            for each in checked:
                if each.found.health.judgement.reason is Reason.SOURCE_FAILED:
                    settings.warn(f"{each.found.feature}: {each.found.health.sentence}")
            print_json(settings, as_json(checked))
        case Format.GITHUB:
            from reconciler.cli.render.health_github import failing, health_markdown
            from reconciler.cli.workflow_output import annotate, print_plainly, summarize

            print_plainly(settings, text)
            annotate(settings, failing(each.found for each in checked))
            summarize(health_markdown(text))
        case _:
            print_result(settings, text)


def _raise_failure(settings: Settings, checked: "Iterable[Checked]") -> None:
    """Name the features that could not be rolled back, and raise the first reason."""
    found = [each.found for each in checked]
    failed = {each.feature: each.failure for each in found if each.failure is not None}
    for feature in failed:
        settings.warn(f"{feature}: not rolled back")
    for failure in failed.values():
        raise failure


def _exit_code(checked: "Iterable[Checked]") -> int:
    verdicts = {each.found.health.judgement.verdict for each in checked}
    if Verdict.FAIL in verdicts:
        return EXIT_FAILING
    return EXIT_INCONCLUSIVE if verdicts & {Verdict.INCONCLUSIVE, Verdict.WARN} else 0


def _as_json(checked: "Checked") -> dict[str, Any]:
    health = checked.found.health
    judgement, metrics = health.judgement, health.metrics
    total = None if metrics is None else metrics.total
    baseline = NO_JOBS if metrics is None else metrics.baseline
    return {
        "name": checked.found.feature,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "error_rate": None if total is None else total.error_rate,
        "jobs": None if total is None else total.jobs,
        "errors": None if total is None else total.errors,
        "by_category": {} if metrics is None else _tallies(metrics.by_category),
        "by_processor": {} if metrics is None else _tallies(metrics.by_processor),
        "processor": health.period.processors.processor,
        "fallback": health.period.processors.fallback,
        "baseline": {
            "error_rate": baseline.error_rate,
            "jobs": baseline.jobs,
            "errors": baseline.errors,
            "by_category": {} if metrics is None else _tallies(metrics.baseline_by_category),
        },
        "method": health.limits.method,
        "evidence": None if health.evidence is None else _evidence_as_json(health.evidence),
        "indicators": checked.indicators,
        "counted_at": checked.counted_at,
        "counted_before_change": checked.counted_before_change,
        "rolled_back": checked.found.rollback is not None,
    }


def _evidence_as_json(evidence: "Evidence") -> dict[str, Any]:
    start = evidence.start
    return {
        "value": evidence.value,
        "warns_at": evidence.warn_line,
        "fails_at": evidence.fail_line,
        "test": evidence.test,
        "since": start.at,
        "processor_slow": start.new.slow_share,
        "fallback_slow": start.baseline.slow_share,
        "tests": {test.value: value for test, value in evidence.by_test.items()},
    }


def _tallies(tallies: Mapping[Any, Tally]) -> dict[str, dict[str, Any]]:
    return {
        str(name): {"error_rate": each.error_rate, "jobs": each.jobs, "errors": each.errors}
        for name, each in tallies.items()
    }


def _as_text(checked: "Checked") -> str:
    judgement, metrics = checked.found.health.judgement, checked.found.health.metrics
    verdict = click.style(judgement.verdict, fg=_COLORS[judgement.verdict], bold=True)
    lines = [
        f"{click.style(for_line(checked.found.feature), bold=True)}: {verdict}",
        *wrapped(for_line(checked.found.health.sentence), indent="    "),
    ]
    if metrics is not None:
        lines += _shown("by category", metrics.by_category)
        lines += _shown("by processor", metrics.by_processor)
        lines += _shown("fallback", metrics.baseline_by_category)
    evidence = checked.found.health.evidence
    if evidence is not None:
        lines += _evidence_lines(evidence, checked.found.health.period.processors)
    if checked.found.rollback is not None:
        lines += acted_lines(checked.found.rollback)
    for each in _indicators(checked.indicators):
        lines += each
    if checked.counted_at is not None:
        when = when_counted(checked.counted_at, is_before_change=checked.counted_before_change)
        lines.append(f"    {'':<15}{when.removeprefix(', ')}")
    return "\n".join(lines)


def _shown(label: str, tallies: Mapping[Any, Tally]) -> Iterable[str]:
    for name, tally in tallies.items():
        shown = for_line(str(name))
        rate = f"{tally.error_rate or 0:.2f} %"
        yield f"    {label:<15}{shown:<16}{rate:>9} of {counted(tally.jobs, 'job')}"
        label = ""


def _evidence_lines(evidence: "Evidence", processors: "Processors") -> Iterable[str]:
    label = "evidence"
    line = math.ceil(evidence.fail_line)
    for test, value in evidence.by_test.items():
        yield f"    {label:<15}{test.value:<16}{shown_evidence(value):>9} of {line:,}"
        label = ""
    start = evidence.start
    arms = ((processors.processor, start.new), (processors.fallback, start.baseline))
    label = "slow jobs"
    for name, counts in arms:
        if counts.slow_share is not None:
            rate = f"{counts.slow_share:.2f} %"
            yield f"    {label:<15}{for_line(name):<16}{rate:>9} of {counted(counts.timed, 'job')}"
            label = ""


def _indicators(indicators: Indicators) -> Iterable[list[str]]:
    participation, concentration = indicators.participation, indicators.concentration
    tests = indicators.test_repositories
    is_below = (participation.value or 0) <= participation.limit
    is_lowered = is_below and participation.status is IndicatorStatus.OK
    target = "no target under a limit" if is_lowered else f"target: over {participation.limit} %"
    yield _indicator(
        "participation",
        participation,
        f"{_percent(participation)} of the repositories are eligible; {target}",
    )
    share = (
        "no repository is eligible"
        if concentration.value is None
        else f"{_percent(concentration)} of the eligible ones are in one category"
    )
    yield _indicator(
        "concentration", concentration, f"{share}; target: at most {concentration.limit} %"
    )
    yield _indicator(
        "test",
        tests,
        f"{counted(int(tests.value or 0), 'test repository')}; "
        f"target: {count(tests.limit)} or more",
    )


def _percent(indicator: Indicator) -> str:
    return f"{Decimal(indicator.value or 0):.1f} %"


def _indicator(label: str, indicator: Indicator, text: str) -> list[str]:
    color = "green" if indicator.status is IndicatorStatus.OK else "yellow"
    status = click.style(f"{indicator.status:<8}", fg=color)
    return beside(f"    {label:<15}{status}", text)
