"""Ids of images, made from the paths that a source gives them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from foldseg.data.own_ids import make_safe_id

_LONGEST = 160
"""Bytes of an id before a number is added to it."""


def make_ids(names: Sequence[str]) -> list[str]:
    """Return a unique id for each image, made from its path: the name without its suffix, if that is unique.

    Otherwise the folders are part of the id: `train/a.jpg` and `val/a.jpg` become `train__a` and `val__a`. If that is
    not enough, the suffix is, too, and then a number.
    """
    paths = [PurePosixPath(name.replace("\\", "/")) for name in names]
    stems = [path.stem or path.name for path in paths]
    with_folders = [str(path.with_suffix("")) if path.name else str(path) for path in paths]
    ids = stems
    for longer in (with_folders, [str(path) for path in paths]):
        counts = Counter(map(_make_safe, ids))
        ids = [name if counts[_make_safe(name)] == 1 else other for name, other in zip(ids, longer, strict=True)]
    return _number_repeated([_make_safe(name) for name in ids])


def _number_repeated(ids: Sequence[str]) -> list[str]:
    taken, numbered = set(ids), []
    used = set[str]()
    for name in ids:
        number, new = 1, name
        while new in used or (new != name and new in taken):
            number += 1
            new = f"{name}_{number}"
        used.add(new)
        numbered.append(new)
    return numbered


def _make_safe(name: str) -> str:
    """Return the safe id of a path, without the folders `.` and `..`."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return make_safe_id("/".join(parts), _LONGEST) or "_"
