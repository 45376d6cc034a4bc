"""The names of the features of a rollout file, read without its model, whose import takes longer."""

from collections.abc import Sequence
from pathlib import Path

from reconciler.rollout_file.characters import without_forbidden_characters
from reconciler.rollout_file.file_content import check_size, decode, read_content
from reconciler.rollout_file.nodes import Table
from reconciler.rollout_file.yaml_parser import compose


def read_feature_names(path: Path) -> Sequence[str]:
    """Return the features that a file declares, also if a part of it is wrong.

    Raises:
        FileInvalid: it is too large or not a text.
        SetupInvalid: it is missing or cannot be read.
    """
    content = read_content(path)
    check_size(content, str(path))
    root = compose(without_forbidden_characters(decode(content, str(path)))).root
    features = root.values.get("features") if isinstance(root, Table) else None
    return tuple(features.values) if isinstance(features, Table) else ()
