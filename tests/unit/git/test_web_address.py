"""The page of a repository, from the address that git has."""

import pytest

from reconciler.git.web_address import editor_url, repository_url


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


@pytest.mark.parametrize(
    ("repository", "url"),
    [
        ("https://github.com/a/b", "https://github.com/a/b/edit/main/deploy/rollout%20%231.yaml"),
        ("https://github.example.com/a/b", "/a/b/edit/main/"),
        ("https://gitlab.example.com/a/b/c", "/a/b/c/-/edit/main/"),
        ("https://codeberg.org/a/b", "/a/b/_edit/main/"),
    ],
)
def test_the_editor_of_a_file_is_where_its_host_has_it(repository: str, url: str) -> None:
    assert url in str(editor_url(repository, "main", "deploy/rollout #1.yaml"))


def test_a_host_whose_pages_are_not_known_has_no_editor() -> None:
    assert editor_url("https://git.example.com/github/b", "main", "rollout.yaml") is None
