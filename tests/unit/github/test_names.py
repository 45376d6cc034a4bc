"""Names on GitHub contain the rollout file, in characters that GitHub and git accept."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.github.names import MAX_LABEL, Names

FILES = st.lists(
    st.text("abé.-~%: <>^[\\lock", min_size=1, max_size=12).filter(
        lambda part: part not in {".", ".."}
    ),
    min_size=1,
    max_size=4,
).map("/".join)


def test_the_default_file_keeps_its_short_names() -> None:
    names = Names()

    assert names.marker("preview") == "<!-- rollout-reconciler: preview -->"
    assert names.marker("health", "capture") == "<!-- rollout-reconciler: health capture -->"
    assert names.labels == ("rollout",)
    assert names.branch("promote-capture-25") == "rollout/promote-capture-25"
    assert names.artifact == "rollout-preview"


@given(FILES, FILES)
def test_two_files_share_no_name_that_finds_a_text(first: str, second: str) -> None:
    one, other = Names(first), Names(second)
    if first == second:
        return

    assert not other.marker("health", "f").startswith(one.marker_prefix("health"))
    assert one.marker("preview") != other.marker("preview")
    assert one.branch("promote-f-25") != other.branch("promote-f-25")
    assert one.artifact != other.artifact
    assert one.labels[-1] != other.labels[-1]


@given(FILES)
def test_names_are_valid_where_they_are_used(file: str) -> None:
    names = Names(file)

    assert all(len(label) <= MAX_LABEL and "," not in label for label in names.labels)
    assert not set(names.artifact) & set('":<>|*?\r\n\\/')
    comment = names.marker("health", "f").removeprefix("<!-- ").removesuffix(" -->")
    assert "--" not in comment
    assert ">" not in comment


@pytest.mark.parametrize(
    "file",
    [".github/rollout.yaml", "a..b/c.lock/r.yaml", "a b~c^d:e?f*[g\\h/r.yaml", "-x/@{y}/é.yaml"],
)
def test_git_accepts_the_branches_of_every_file(file: str) -> None:
    branch = Names(file).branch("promote-capture-25")

    subprocess.run(["git", "check-ref-format", "--branch", branch], check=True)
