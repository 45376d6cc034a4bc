"""The page of a repository, from the address that git has."""

import pytest

from reconciler.git.web_address import repository_url


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://github.com/acme/rollout.git", "https://github.com/acme/rollout"),
        ("https://user:secret@git.example.com:8443/a/b/c", "https://git.example.com:8443/a/b/c"),
        ("git@github.com:acme/rollout.git", "https://github.com/acme/rollout"),
        (
            "ssh://git@git.example.com:2222/acme/rollout.git/",
            "https://git.example.com/acme/rollout",
        ),
        ("/srv/git/rollout.git", None),
        ("file:///srv/git/rollout.git", None),
        ("../origin.git", None),
        ('https://github.com/"><script>', None),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_a_page_has_no_password_and_a_path_has_no_page(remote: str, url: str | None) -> None:
    assert repository_url(remote) == url
