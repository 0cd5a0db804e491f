"""Is a score defined at all on some images? Asked of their masks, before anything is trained or blended."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.data.counting import count_mask
from foldseg.data.datasets import DataSet
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.scoring.scores import SCORES, score


def check_defined(
    wanted: Mapping[str, str], choices: Sequence[str], table: pd.DataFrame, data: DataSet, labels: LabelSet, where: str
) -> None:
    """FoldsegError when a score cannot be defined on the images of `table`, which are `where`.

    `wanted`: the setting that asks for it -> a score, `iou/<class>`, or another number of a validation; `choices`: what
    may be used instead. Masks are read until the first that is enough, so this takes long only where one is undefined.
    """
    missing, seen = dict(wanted), list[NDArray[np.int64]]()
    for areas in class_areas(table, data, labels):
        seen.append(areas)
        missing = {key: name for key, name in missing.items() if not _is_defined(name, seen, labels)}
        if not missing:
            return
    key, name = next(iter(missing.items()))
    present = [name for name, area in zip(labels.names, np.sum(seen, 0), strict=True) if area]
    defined = [name for name in choices if _is_defined(name, seen, labels)]
    raise FoldsegError(
        f"{key}: {name} is undefined on {where}, whose {len(seen)} masks hold only "
        f"{', '.join(present) or 'void pixels'}; "
        + (f"use {' or '.join(defined)}, or " if defined else "")
        + "divide the images into other folds"
    )


def class_areas(table: pd.DataFrame, data: DataSet, labels: LabelSet) -> Iterator[NDArray[np.int64]]:
    """Yield the pixels of every class, without void, of one mask of `table` after the other: (classes,)."""
    for mask in table["mask"]:
        yield count_mask(data.root / str(mask), labels, data.pictures)[:-1]


def _is_defined(name: str, areas: Sequence[NDArray[np.int64]], labels: LabelSet) -> bool:
    """Whether a number is defined, for perfect predictions, on images with such areas of classes."""
    counts = np.repeat(np.stack(areas)[..., None], 3, -1)
    if name in SCORES:
        return not math.isnan(score(name, counts, labels).value)
    if name.startswith("iou/"):
        return bool(counts[:, labels.names.index(name.removeprefix("iou/"))].any())
    return bool(counts.any())
