"""Work on a remote's branches beside a checkout, which stays byte for byte unchanged."""

import hashlib
import tempfile
from pathlib import Path

import pytest

from reconciler.git.checkout import CannotWriteBack, find_checkout
from reconciler.git.quarantine import PushOutcome, Quarantine, quarantine
from reconciler.git.worktree import worktree_at
from reconciler.git.write_back import Change, commit_file, read_tip
from tests.site import FIRST_FILE
from tests.unit.git.conftest import run_git

EDITED = FIRST_FILE.replace("percentage: 10", "percentage: 5").encode()


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def commit_elsewhere(clone: Path, text: str) -> str:
    """Commit and push from another clone; return the commit."""
    other = clone.parent / "other"
    if not other.exists():
        run_git(clone.parent, "clone", "--quiet", str(clone.parent / "origin.git"), str(other))
    (other / "rollout.yaml").write_text(text)
    run_git(other, "commit", "--quiet", "--all", "--message=Elsewhere")
    run_git(other, "push", "--quiet")
    return run_git(other, "rev-parse", "HEAD")


def test_a_commit_reaches_the_remote_and_the_clone_stays_as_it_is(
    clone: Path, place: Quarantine
) -> None:
    newest = commit_elsewhere(clone, FIRST_FILE + "# elsewhere\n")
    before = contents(clone)

    tip = read_tip(place, "main")
    made = commit_file(place, [tip.commit], tip, Change(EDITED, "Hold to 5 percent"))
    pushed = place.push(made, "main")

    assert tip.commit == newest
    assert tip.document.content == (FIRST_FILE + "# elsewhere\n").encode()
    assert pushed.outcome is PushOutcome.UNCERTAIN
    assert place.look(["main", "gone"]) == {"main": made}
    assert place.is_on(newest, made)
    assert contents(clone) == before
    assert run_git(clone.parent / "origin.git", "show", "main:rollout.yaml") == (
        EDITED.decode().strip()
    )


def test_a_push_over_a_newer_commit_is_not_forced(clone: Path, place: Quarantine) -> None:
    tip = read_tip(place, "main")
    made = commit_file(place, [tip.commit], tip, Change(EDITED, "Hold to 5 percent"))
    newest = commit_elsewhere(clone, FIRST_FILE + "# first\n")

    place.push(made, "main")

    assert place.look(["main"]) == {"main": newest}


def test_a_branch_that_takes_no_pushes_is_not_taken_for_a_lost_race(
    clone: Path, place: Quarantine
) -> None:
    hook = clone.parent / "origin.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'GH013: sign your commits' >&2\nexit 1\n")
    hook.chmod(0o755)
    tip = read_tip(place, "main")

    pushed = place.push(commit_file(place, [tip.commit], tip, Change(EDITED, "Hold")), "main")

    assert pushed.outcome is PushOutcome.DECLINED
    assert "pre-receive hook declined" in pushed.answer


def test_the_folder_is_gone_afterwards_also_after_an_error(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    checkout = find_checkout(clone / "rollout.yaml")

    with (
        pytest.raises(CannotWriteBack, match="has no branch nowhere"),
        quarantine(checkout, checkout.choose_remote("origin")) as place,
    ):
        read_tip(place, "nowhere")

    assert list(temporary.iterdir()) == []


def test_a_remote_that_cannot_be_reached_is_one_line(clone: Path) -> None:
    run_git(clone, "remote", "set-url", "origin", (clone.parent / "gone").as_uri())
    checkout = find_checkout(clone / "rollout.yaml")

    with (
        pytest.raises(CannotWriteBack, match="the remote origin cannot be reached") as failed,
        quarantine(checkout, checkout.choose_remote("origin")) as place,
    ):
        place.look(["main"])

    assert "\n" not in str(failed.value)


def test_the_tip_is_laid_out_apart_with_all_of_its_history(clone: Path, place: Quarantine) -> None:
    newest = commit_elsewhere(clone, FIRST_FILE + "# elsewhere\n")
    before = contents(clone)

    with worktree_at(place, read_tip(place, "main")) as file:
        assert file.read_bytes() == (FIRST_FILE + "# elsewhere\n").encode()
        assert run_git(file.parent, "rev-parse", "HEAD") == newest
        assert run_git(file.parent, "status", "--porcelain") == ""
        assert len(run_git(file.parent, "log", "--format=%H").split()) == 2

    assert not file.exists()
    assert contents(clone) == before


def test_the_default_branch_is_the_one_that_the_remotes_head_names(place: Quarantine) -> None:
    remote = place.checkout.file.parent.parent / "origin.git"
    assert place.default_branch() == "main"

    run_git(remote, "symbolic-ref", "HEAD", "refs/heads/none-such")

    # A bare repository made by hand: the branch that is checked out, where the remote has it.
    assert place.default_branch() == "main"
