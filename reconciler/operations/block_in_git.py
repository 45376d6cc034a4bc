"""A feature's override as the file has it in git."""

from dataclasses import dataclass
from pathlib import Path

from reconciler.rollout_file import parse_rollout
from reconciler.rollout_file.yaml_writer import mapping_lines


@dataclass(frozen=True, slots=True)
class BlockInGit:
    """The override of a feature in the newest commit of a checkout."""

    text: str
    """Its lines; empty where the file has none."""
    commit: str


def read_block(file: Path, feature: str) -> BlockInGit | None:
    """Return a feature's override at HEAD; None where no commit has the file.

    Raises:
        SetupInvalid: git cannot read the repository.
        FileInvalid: the file at HEAD is not a rollout file.
    """
    from reconciler.git.head import content_at, read_head

    head = read_head(file)
    if head is None or head.commit is None:
        return None
    content = content_at(file, head.commit)
    if content is None:
        return None
    found = parse_rollout(content, path=file.name).rollout.features.get(feature)
    if found is None or found.override is None:
        return BlockInGit("", head.commit)
    values = found.override.model_dump(exclude_none=True)
    return BlockInGit("\n".join(mapping_lines({"override": values})), head.commit)
