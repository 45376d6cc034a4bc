"""A commit's file in a separate, temporary repository, so a checkout need not be at that commit.

The repository has the commit as its HEAD, the whole history, and only this one file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from reconciler.git.checkout import CannotWriteBack
from reconciler.git.command import GitFailed, RestrictedGit
from reconciler.git.quarantine import Quarantine
from reconciler.git.write_back import TipFile
from reconciler.wording import short_commit


@contextmanager
def worktree_at(place: Quarantine, tip: TipFile) -> Iterator[Path]:
    """Yield the path of a tip's file, byte for byte as in the commit; it is deleted afterwards.

    Raises:
        CannotWriteBack: git cannot make such a repository.
    """
    with TemporaryDirectory(prefix="rollout-follow-") as temporary:
        root = Path(temporary)
        try:
            _make_repository(place, root, tip.commit)
        except GitFailed as failure:
            raise CannotWriteBack(
                f"{short_commit(tip.commit)} cannot be laid out: {failure}"
            ) from None
        file = root / tip.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tip.document.content)
        yield file


def _make_repository(place: Quarantine, root: Path, commit: str) -> None:
    kind = place.git.rev_parse("--show-object-format")
    git = RestrictedGit(root)
    git.init("--quiet", "--template=", f"--object-format={kind}")
    alternates = root / ".git" / "objects" / "info" / "alternates"
    alternates.parent.mkdir(exist_ok=True)
    alternates.write_text(f"{place.objects}\n", encoding="utf-8")
    git.update_ref("--no-deref", "HEAD", commit)
    git.read_tree(commit)
