"""Errors as Markdown: within GitHub's limit, without active formatting."""

from reconciler.cli.render.plan_markdown import MAX_CHARACTERS, code_block, errors_markdown
from reconciler.errors import FileInvalid, Finding, Refused, Stale


def test_many_long_errors_stay_within_the_limit_and_count_the_rest() -> None:
    findings = tuple(Finding(line, 1, "`|\u202e" * 500) for line in range(1, 1000))

    text = errors_markdown([FileInvalid("rollout.yaml", findings)])

    assert len(text) < MAX_CHARACTERS
    assert text.startswith("### Rollout: `rollout.yaml` has 999 errors")
    assert text.endswith("… and 949 more.")


def test_many_files_stay_within_the_limit() -> None:
    invalid = FileInvalid("rollout.yaml", tuple(Finding(n, 1, "x" * 400) for n in range(100)))

    text = errors_markdown([invalid] * 100)

    assert len(text) <= MAX_CHARACTERS
    assert "The rest does not fit here" in text


def test_text_of_others_in_an_error_is_shown_as_code() -> None:
    text = errors_markdown([Refused("@everyone </details>"), Stale("#1 closes")])

    assert "`@everyone </details>`" in text
    assert "`#1 closes`" in text


def test_nothing_ends_a_block_of_code() -> None:
    assert code_block("a\n```\n# title").count("```") == 2
