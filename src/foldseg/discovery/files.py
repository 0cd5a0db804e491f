"""Lists files of a folder without a word on the others."""

import os
from collections.abc import Sequence
from pathlib import Path

_PASSED_OVER = {"drawn_masks", "__macosx", "@eadir"}


def find_files(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files below a folder that end in one of `suffixes`, in any case, sorted; without hidden ones."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name.lower() not in _PASSED_OVER]
        wanted = [name for name in names if name.lower().endswith(tuple(suffixes)) and not name.startswith(".")]
        found += [Path(folder, name) for name in wanted]
    return sorted(found)
