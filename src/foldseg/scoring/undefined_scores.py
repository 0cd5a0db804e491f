"""Finds scores that are undefined on some images, from their masks, before anything is trained or blended."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.config.schema.names import ScoreName, is_own_score
from foldseg.data.counting import count_mask
from foldseg.data.datasets import DataSet
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.scoring.scores import SCORES, score


def check_defined(
    wanted: Mapping[str, str], choices: Sequence[str], table: pd.DataFrame, data: DataSet, labels: LabelSet, where: str
) -> None:
    """Raise FoldsegError if a score is undefined on the images of `table`. `where` says which images these are.

    `wanted`: the setting that needs it -> a score, `iou/<class>`, or another number of a validation. `choices`: what
    may be used instead. Masks are read until all scores are defined, so this takes long only where one is undefined.
    """
    undefined, areas_so_far = dict(wanted), list[NDArray[np.int64]]()
    for areas in class_areas(table, data, labels):
        areas_so_far.append(areas)
        undefined = {key: name for key, name in undefined.items() if not _is_defined(name, areas_so_far, labels)}
        if not undefined:
            return
    key, name = next(iter(undefined.items()))
    present = [name for name, area in zip(labels.names, np.sum(areas_so_far, 0), strict=True) if area]
    defined = [name for name in choices if _is_defined(name, areas_so_far, labels)]
    raise FoldsegError(
        f"{key}: {name} is undefined on {where}, whose {len(areas_so_far)} masks hold only "
        f"{', '.join(present) or 'void pixels'}; "
        + (f"use {' or '.join(defined)}, or " if defined else "")
        + "divide the images into other folds"
    )


def class_areas(table: pd.DataFrame, data: DataSet, labels: LabelSet) -> Iterator[NDArray[np.int64]]:
    """Yield for each mask of `table` the number of pixels of every class, without void: (classes,)."""
    for mask in table["mask"]:
        yield count_mask(data.root / str(mask), labels, data.pictures)[:-1]


def _is_defined(name: str, areas: Sequence[NDArray[np.int64]], labels: LabelSet) -> bool:
    """Whether a score is defined for perfect predictions of images whose classes have these areas."""
    counts = np.repeat(np.stack(areas)[..., None], 3, -1)
    if name in SCORES or is_own_score(name):
        return not math.isnan(score(cast(ScoreName, name), counts, labels).value)
    if name.startswith("iou/"):
        return bool(counts[:, labels.names.index(name.removeprefix("iou/"))].any())
    return bool(counts.any())
