"""Paths of a samples table."""

import os
from pathlib import Path


def relative_to_root(path: Path, root: Path) -> str:
    """Return a path as the samples table has it: relative to the root, with `..` if it lies elsewhere."""
    return Path(os.path.relpath(path, root)).as_posix()
