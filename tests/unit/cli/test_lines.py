"""Lines of a terminal: a label, and text beside it."""

from reconciler.cli.render.text import line


def test_a_label_stands_apart_from_its_text_however_long_it_is() -> None:
    assert line("percentage", "10 → 25") == "    percentage   10 → 25"
    assert line("auto_rollback", "false") == "    auto_rollback false"
    assert line("max_error_rate", "5 → 25") == "    max_error_rate 5 → 25"
