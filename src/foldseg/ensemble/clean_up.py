"""Removal of small components and of small holes."""

from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import Mask


def clean_up(labels: Mask, min_area: int, classes: Collection[int] | None = None) -> Mask:
    """Give connected components (8-neighbours) below `min_area` pixels the class of the nearest kept pixel.

    labels (H, W) uint8 class indices -> the same shape. `classes`: only components of these are removed. A hole in a
    region is a small component of another class, so it is filled by the same rule. If nothing would be kept, the
    labels come back as they were.
    """
    small = np.zeros(labels.shape, bool)
    for index in np.unique(labels) if classes is None else sorted(classes):
        small |= _small_components(labels == index, min_area)
    if not small.any() or small.all():
        return labels
    _, nearest = cv2.distanceTransformWithLabels(
        small.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # distanceTransformWithLabels numbers the kept pixels; each removed one carries the number of its nearest
    class_of = np.zeros(int(nearest.max()) + 1, np.uint8)
    class_of[nearest[~small]] = labels[~small]
    return class_of[nearest]


def clean_up_masks(
    masks: NDArray[np.bool_], min_area: int, classes: Collection[int] | None = None
) -> NDArray[np.bool_]:
    """Remove small components from masks that may overlap, (classes, H, W) bool, and fill small holes in them."""
    cleaned = masks.copy()
    for index in range(len(masks)) if classes is None else classes:
        cleaned[index] = clean_up(masks[index].view(np.uint8), min_area).view(np.bool_)
    return cleaned


def _small_components(mask: NDArray[np.bool_], min_area: int) -> NDArray[np.bool_]:
    """(H, W) -> pixels of the mask's components that are smaller than `min_area`."""
    _, number, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < min_area
    small[0] = False  # what is not in the mask
    return small[number]
