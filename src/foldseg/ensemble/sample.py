"""Pixels that a search can still change, gathered once, so that no trial has to blend images again.

Of an image, most pixels are the same whatever a search tries: where all members have the same most probable class, no
weighting of them changes it. Those are only counted. The others are kept with all that is needed to label them anew,
or as many of them as fit, each of which then stands for several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import IGNORE_INDEX, Mask
from foldseg.scoring.counts import PREDICTION, SHARED, TRUTH, Counts, count_pixels

Arrays = Mapping[str, NDArray[Any]]

BYTES = 64 << 20
"""What the kept pixels of all images may take, about."""


def subset(name: str, pixels: int, most: int) -> NDArray[np.intp]:
    """Return places of `most` of an image's pixels, drawn by its name, in order; of all if there are no more."""
    if pixels <= most:
        return np.arange(pixels)
    return np.sort(np.random.default_rng(crc32(name.encode())).choice(pixels, most, replace=False, shuffle=False))


def observed(
    truth: Mask, labels: Mask, open_: NDArray[np.bool_], places: NDArray[np.intp], vectors: NDArray[np.uint8], most: int
) -> dict[str, NDArray[Any]]:
    """What is kept of one image.

    truth and labels (H, W) uint8: class indices, void 255, and what all pixels but the `open_` (H, W) ones are
    labelled as for good. `vectors` (n, ...) uint8 is what the pixels at `places` (n,) of the flattened image are
    labelled from. At most `most` open pixels are kept.
    """
    classes = vectors.shape[-1]
    open_ = open_ & (truth != IGNORE_INDEX)
    fixed = count_pixels(np.where(open_, np.uint8(IGNORE_INDEX), truth), labels, classes)
    kept = np.flatnonzero(open_.reshape(-1)[places])
    kept = kept[:: max(1, -(-len(kept) // max(1, most)))]
    number = int(np.count_nonzero(open_))
    return {
        "fixed": fixed,
        "open": np.bincount(truth[open_], minlength=classes)[:classes].astype(np.int64),
        "truth": truth.reshape(-1)[places[kept]],
        "vectors": vectors[kept],
        "stands_for": np.array(number / len(kept) if len(kept) else 0.0),
    }


@dataclass(frozen=True)
class PixelSample:
    """Open pixels of many images: `vectors` (n, ...) uint8, their `truth` (n,), `image` (n,) and what each stands for.

    `fixed` are the counts (images, classes, 3) of all other pixels, `open` (images, classes) the open pixels' truth.
    """

    fixed: Counts
    open: NDArray[np.int64]
    image: NDArray[np.intp]
    truth: NDArray[np.uint8]
    vectors: NDArray[np.uint8]
    stands_for: NDArray[np.float64]

    @staticmethod
    def of(observations: Sequence[Arrays]) -> "PixelSample":
        """Join what was observed of single images."""
        numbers = [len(one["truth"]) for one in observations]
        return PixelSample(
            np.stack([one["fixed"] for one in observations]),
            np.stack([one["open"] for one in observations]),
            np.repeat(np.arange(len(numbers)), numbers),
            np.concatenate([one["truth"] for one in observations]),
            np.concatenate([one["vectors"] for one in observations]),
            np.repeat([float(one["stands_for"]) for one in observations], numbers),
        )

    @property
    def is_exact(self) -> bool:
        """Are all open pixels kept?"""
        return bool(np.all(self.stands_for == 1.0)) and int(self.open.sum()) == len(self.truth)

    def counts(self, labels: NDArray[np.uint8]) -> Counts:
        """Counts (images, classes, 3) when the pixels are labelled (n,); estimates, unless the sample is exact."""
        images, classes = self.open.shape
        counts = self.fixed.copy()
        counts[..., TRUTH] += self.open
        place, size = self.image * classes, images * classes

        def number(of: NDArray[np.uint8], weights: NDArray[np.float64]) -> NDArray[np.int64]:
            return np.rint(np.bincount(place + of, weights, size)).astype(np.int64).reshape(images, classes)

        counts[..., PREDICTION] += number(labels, self.stands_for)
        counts[..., SHARED] += number(labels, np.where(labels == self.truth, self.stands_for, 0.0))
        return counts
