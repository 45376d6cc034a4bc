"""The suites use their own tags: none of them selects a test here."""

import pytest

EXAMPLE_TAGS = ("booleans", "hooks", "numbers", "objects", "strings", "transaction")


def pytest_configure(config: pytest.Config) -> None:
    for tag in EXAMPLE_TAGS:
        config.addinivalue_line("markers", f"{tag}: a tag of OpenFeature's suites")


def pytest_bdd_apply_tag(tag: str) -> bool:
    return True
