"""Shapes painted into one mask: later ones over earlier ones, or a bit a class where classes overlap."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import Mask
from foldseg.importing.shapes import PolygonRule, Shape, Size, cover

BACKGROUND, VOID = 0, 255
"""Ids in drawn masks."""
MOST_BITS = 7
"""Classes that a mask of class bits can hold, since all bits together are void."""


@dataclass
class Painting:
    """A drawn mask, and what happened while it was drawn."""

    mask: Mask
    """(H, W) uint8 ids; or class bits."""
    objects: Counter[str] = field(default_factory=Counter)
    """Class -> number of its shapes."""
    hidden: Counter[str] = field(default_factory=Counter)
    """Class -> number of its shapes of which later ones left nothing."""
    painted_over: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(class below, class above) -> pixels that changed from the one to the other; where classes overlap, the pixels
    that two classes share."""
    empty: list[str] = field(default_factory=list)
    """Entries of shapes that cover no pixel of the picture."""


def paint(
    shapes: Sequence[Shape],
    ids: Mapping[str, int],
    size: Size,
    fill: PolygonRule,
    line_width: int | None = None,
    unlabelled: int = BACKGROUND,
) -> Painting:
    """Paint shapes in their order into a mask of `size`, later ones over earlier ones.

    `ids`: class -> id. `unlabelled`: the id of pixels without a shape.
    """
    owners = np.zeros(size, np.int32)  # the number of the shape on top, from 1; 0 is none
    labels = [shape.label for shape in shapes]
    owner_ids = np.array([unlabelled, *(ids[label] for label in labels)], np.uint8)
    painting = Painting(np.empty(0, np.uint8))
    drawn = []
    for number, shape in enumerate(shapes, 1):
        patch = cover(shape.form, size, fill, line_width)
        if patch is None:
            painting.empty.append(shape.entry)
            continue
        window = owners[patch.window]
        _count_painted_over(painting, labels, shape.label, np.bincount(window[patch.pixels]))
        window[patch.pixels] = number
        drawn.append(number)
    visible = np.bincount(owners.ravel(), minlength=len(shapes) + 1)
    for number in drawn:
        painting.objects[labels[number - 1]] += 1
        if not visible[number]:
            painting.hidden[labels[number - 1]] += 1
    painting.mask = owner_ids[owners]
    return painting


def _count_painted_over(
    painting: Painting, labels: Sequence[str], label: str, pixels_of_owner: NDArray[np.signedinteger]
) -> None:
    for owner in np.flatnonzero(pixels_of_owner).tolist():
        if owner and labels[owner - 1] != label:
            painting.painted_over[labels[owner - 1], label] += int(pixels_of_owner[owner])


def paint_bits(
    shapes: Sequence[Shape],
    bits: Mapping[str, int],
    size: Size,
    fill: PolygonRule,
    line_width: int | None = None,
) -> Painting:
    """Paint shapes into a mask of class bits, (H, W) uint8: classes may overlap.

    `bits`: class -> number of its bit, from 0 to 6; or -1 for the background, which clears all; or 7 for void.
    """
    mask = np.zeros(size, np.uint8)
    painting = Painting(mask)
    for shape in shapes:
        patch = cover(shape.form, size, fill, line_width)
        if patch is None:
            painting.empty.append(shape.entry)
            continue
        painting.objects[shape.label] += 1
        window, bit = mask[patch.window], bits[shape.label]
        if bit < 0:
            window[patch.pixels] = BACKGROUND
        elif bit >= MOST_BITS:
            window[patch.pixels] = VOID
        else:
            window[patch.pixels] |= np.uint8(1 << bit)
    is_void = mask == VOID
    names = [name for name, bit in bits.items() if 0 <= bit < MOST_BITS]
    planes = {name: ((mask >> bits[name]) & 1).astype(bool) & ~is_void for name in names}
    for place, below in enumerate(names):
        for above in names[place + 1 :]:
            shared = int(np.count_nonzero(planes[below] & planes[above]))
            if shared:
                painting.painted_over[below, above] = shared
    return painting
