"""Pixels that a search can still change, gathered once. Then no trial has to blend images again.

Most pixels of an image are the same whatever a search tries. Where all members have the same most probable class, for
example, no weighting changes it. Such pixels are only counted. The others are open: they are kept with all that is
needed to label them again. If there are too many, some of them are kept, and each stands for several.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.ensemble.operation import Observation
from foldseg.scoring.counts import PREDICTION, SHARED, TRUTH, Counts, count_prediction

MAX_BYTES = 64 << 20
"""About how much memory the pixels that are kept of all images may take."""
DRAWN = 16
"""This many times the pixels that may be kept are drawn first, because most of them turn out to be settled."""


def draw_places(name: str, pixels: int, max_pixels: int) -> NDArray[np.intp]:
    """Return places of at most `max_pixels` of an image's pixels, in order.

    The draw depends only on the image's name.
    """
    if pixels <= max_pixels:
        return np.arange(pixels)
    return np.sort(np.random.default_rng(crc32(name.encode())).choice(pixels, max_pixels, replace=False, shuffle=False))


def observe_pixels(
    truth: Mask,
    labels: Mask,
    is_open: NDArray[np.bool_],
    places: NDArray[np.intp],
    vectors: NDArray[np.uint8],
    max_pixels: int,
    classes: LabelSet,
) -> dict[str, NDArray[np.generic]]:
    """Count the pixels of one image that are settled, and keep its open ones, at most `max_pixels` of them.

    truth (H, W) uint8: class indices or class bits, void 255. labels (H, W) uint8: likewise; those of settled pixels
    are final. is_open (H, W): whether a pixel is open. vectors (n, ...) uint8: what the pixels at `places` (n,) of the
    flattened image are labelled from.
    """
    is_open = is_open & (truth != IGNORE_INDEX)
    settled = np.where(is_open, np.uint8(IGNORE_INDEX), truth)
    kept = np.flatnonzero(is_open.reshape(-1)[places])
    every = math.ceil(len(kept) / max(1, max_pixels))
    kept = kept[:: max(1, every)]
    number = int(np.count_nonzero(is_open))
    return {
        "fixed": count_prediction(settled, labels, classes),
        "open": classes.values_of_classes @ np.bincount(truth[is_open], minlength=256),
        "truth": truth.reshape(-1)[places[kept]],
        "vectors": vectors[kept],
        "stands_for": np.array(number / len(kept) if len(kept) else 0.0),
    }


@dataclass(frozen=True)
class PixelSample:
    """Open pixels of many images, and counts of all their other pixels."""

    fixed: Counts
    """(images, classes, 3): counts of the pixels that are settled."""
    open: NDArray[np.int64]
    """(images, classes): number of open pixels of each true class."""
    image: NDArray[np.intp]
    """(n,): index of the image that a pixel is of."""
    truth: NDArray[np.uint8]
    """(n,): true class, or class bits, of a pixel."""
    vectors: NDArray[np.uint8]
    """(n, ...): what a pixel is labelled from."""
    stands_for: NDArray[np.float64]
    """(n,): number of open pixels that a pixel stands for."""
    classes: LabelSet | None = None
    """None: exclusive classes."""

    @staticmethod
    def of(observations: Sequence[Observation], classes: LabelSet | None = None) -> "PixelSample":
        """Join what `observe_pixels` returned for single images. `classes`: None for exclusive ones."""
        lengths = [len(observation["truth"]) for observation in observations]
        return PixelSample(
            np.stack([observation["fixed"] for observation in observations]),
            np.stack([observation["open"] for observation in observations]),
            np.repeat(np.arange(len(lengths)), lengths),
            np.concatenate([observation["truth"] for observation in observations]),
            np.concatenate([observation["vectors"] for observation in observations]),
            np.repeat([float(observation["stands_for"]) for observation in observations], lengths),
            classes,
        )

    @staticmethod
    def can_join(observations: Sequence[Observation]) -> bool:
        """Whether observations are those of `observe_pixels`, and not of another kind."""
        return "stands_for" in observations[0]

    @property
    def is_exact(self) -> bool:
        """Whether all open pixels are kept."""
        return bool(np.all(self.stands_for == 1.0)) and int(self.open.sum()) == len(self.truth)

    def counts(self, labels: NDArray[np.uint8]) -> Counts:
        """Return counts (images, classes, 3) if the pixels are labelled (n,). They are estimates unless `is_exact`."""
        images, classes = self.open.shape
        counts = self.fixed.copy()
        counts[..., TRUTH] += self.open
        if self.classes is not None and self.classes.overlapping:
            return self._add_bits(counts, self.classes.class_planes(labels))
        first_bin, bins = self.image * classes, images * classes

        def count_labels(weights: NDArray[np.float64]) -> NDArray[np.int64]:
            totals = np.bincount(first_bin + labels, weights, bins)
            return np.rint(totals).astype(np.int64).reshape(images, classes)

        counts[..., PREDICTION] += count_labels(self.stands_for)
        counts[..., SHARED] += count_labels(np.where(labels == self.truth, self.stands_for, 0.0))
        return counts

    def _add_bits(self, counts: Counts, planes: NDArray[np.bool_]) -> Counts:
        """Add the pixels where each class is, `planes` (classes, n), and those of them that are right."""
        assert self.classes is not None
        images = len(counts)
        for index, (plane, truth) in enumerate(zip(planes, self.classes.class_planes(self.truth), strict=True)):
            for column, is_counted in ((PREDICTION, plane), (SHARED, plane & truth)):
                totals = np.bincount(self.image, self.stands_for * is_counted, images)
                counts[:, index, column] += np.rint(totals).astype(np.int64)
        return counts
