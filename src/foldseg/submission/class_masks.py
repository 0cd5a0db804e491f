"""Classes as masks of their own, for formats that hold a mask per class.

Such formats hold the scored classes that are no background, unless settings name others. What they leave out can be
found again if it is one class of an exclusive label set: it is wherever no other class is.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import LabelSet
from foldseg.data.rle import EMPTY_RLE, Rle, decode_rle, encode_mask
from foldseg.errors import FoldsegError
from foldseg.submission.interface import MaskOrRles

BACKGROUND = "background"
"""A class of this name is no object, also where it is scored."""


def choose_classes(labels: LabelSet, names: Sequence[str] | None = None) -> list[int]:
    """Return the indices of the classes that get a mask: those of `names`, or the scored ones that are no background.

    FoldsegError for an unknown name, and if there is no class.
    """
    if names is None:
        indices = [i for i, label in enumerate(labels.classes) if label.scored and label.name.lower() != BACKGROUND]
        if not indices:
            raise FoldsegError(f"submission: no class is scored besides background; there are {_join(labels.names)}")
        return indices
    unknown = [name for name in names if name not in labels.names]
    if unknown or len(set(names)) != len(names):
        problem = f"unknown {_join(unknown)}" if unknown else f"{_join(names)} name a class twice"
        raise FoldsegError(f"submission.classes: {problem}; there are {_join(labels.names)}")
    return [labels.names.index(name) for name in names]


def list_hidden_classes(labels: LabelSet, indices: Sequence[int]) -> list[str]:
    """Return the classes of which masks of the classes `indices` do not say where they are."""
    others = [name for index, name in enumerate(labels.names) if index not in indices]
    return others if labels.overlapping or len(others) > 1 else []


def split_mask(
    mask: MaskOrRles, labels: LabelSet, indices: Sequence[int], size: tuple[int, int] | None
) -> list[NDArray[np.bool_]]:
    """Return a mask (H, W) bool of each of the classes `indices`. `size`: (height, width), which RLE does not tell."""
    if isinstance(mask, list):
        if size is None:
            raise ValueError("the size of an image is needed to draw its RLE")
        return [decode_rle(mask[index], size) for index in indices]
    tables = labels.values_of_classes.view(np.uint8)
    return [cv2.LUT(mask, tables[index]).view(np.bool_) for index in indices]


def merge_masks(masks: Mapping[int, NDArray[np.bool_]], labels: LabelSet, size: tuple[int, int]) -> list[Rle]:
    """Return the RLE of every class from the masks (H, W) bool of some, by index.

    If one class of an exclusive label set has no mask, it is where no other class is. Other classes without a mask
    are empty.
    """
    rles = [encode_mask(masks[index]) if index in masks else EMPTY_RLE for index in range(len(labels))]
    others = [index for index in range(len(labels)) if index not in masks]
    if len(others) == 1 and not labels.overlapping:
        is_any = np.zeros(size, bool)
        for mask in masks.values():
            is_any |= mask
        rles[others[0]] = encode_mask(~is_any)
    return rles


def resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask (H, W) bool in another size, (height, width). Each pixel is that of the nearest centre."""
    if mask.shape == size:
        return mask
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    return cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT).view(np.bool_)


def _join(names: Sequence[str]) -> str:
    return ", ".join(names)
