"""Which frames an epoch is made of and their order: a pure function of settings, seed and epoch.

Draws are systematic rather than independent: a frame that should be drawn 1.3 times in an epoch is drawn once or twice,
never three times. With equal weights and as many samples as frames, that is every frame once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from foldseg.config.schema import ClassCrops, PositiveShare, Sampling
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError

Weights = NDArray[np.float64]
Rows = NDArray[np.intp]

CLASS_WEIGHTS = {
    "uniform": lambda share: np.ones_like(share),
    "inverse_frequency": lambda share: 1 / share,
    "inverse_root": lambda share: 1 / np.sqrt(share),
}
"""Weights of classes from their shares of all pixels (classes,), above 0."""


@dataclass(frozen=True)
class Draw:
    """One sample: its frame, and the classes of which a crop holds a pixel (none: it lies anywhere)."""

    frame: int
    classes: tuple[int, ...] = ()


class EpochPlan:
    """What the samples of every epoch are; the data set's own frames come first, then those of the sources."""

    def __init__(
        self,
        sampling: Sampling,
        names: Sequence[str],
        pixels: NDArray[np.int64],
        sources: Sequence[int],
        epochs: int,
        seed: int,
    ) -> None:
        """Prepare `epochs` epochs.

        `pixels` (frames, classes + 1) of the own frames, void last; `sources` are the numbers of frames of the sources.
        FoldsegError for unknown classes and for classes that no frame has, or all have.
        """
        self._seed, self._epochs = seed, epochs
        self._sizes = [len(pixels), *sources]
        ratios = np.array([1.0, *(source.ratio for source in sampling.sources)])
        self._ratios = ratios
        self.length = sampling.samples_per_epoch or round(len(pixels) * float(ratios.sum()))
        present = pixels[:, :-1] > 0
        below = sampling.oversample_below
        self._weights = np.ones(len(pixels)) if below is None else repeat_factors(present, below)
        self._crops, self._positive = sampling.class_crops, sampling.positive
        if self._crops is not None:
            self._class_weights = class_weights(self._crops, names, pixels)
            self._holders = [np.flatnonzero(column) for column in present.T]
        if self._positive is not None:
            self._wanted = class_indices(self._positive.classes, names, "sampling.positive.classes")
            self._holds = _positives(self._positive, self._wanted, pixels)

    def epoch(self, epoch: int) -> list[Draw]:
        """Return the samples of an epoch, in no order that matters."""
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, epoch], spawn_key=(1,)))
        counts = np.bincount(systematic(self._ratios, self.length, rng), minlength=len(self._sizes)).tolist()
        draws, start = self._own(counts[0], epoch, rng), self._sizes[0]
        for size, count in zip(self._sizes[1:], counts[1:], strict=True):
            draws += [Draw(start + row) for row in systematic(np.ones(size), count, rng).tolist()]
            start += size
        return draws

    def _own(self, count: int, epoch: int, rng: np.random.Generator) -> list[Draw]:
        if self._crops is not None:
            chosen = round(count * self._crops.share)
            per_class = np.bincount(systematic(self._class_weights, chosen, rng), minlength=len(self._holders))
            return [
                *self._drawn(self._weights, count - chosen, rng),
                *(
                    Draw(int(self._holders[index][row]), (index,))
                    for index, number in enumerate(per_class.tolist())
                    for row in systematic(self._weights[self._holders[index]], number, rng)
                ),
            ]
        if self._positive is not None:
            chosen = round(count * positive_share(self._positive, epoch, self._epochs))
            return [
                *self._drawn(self._weights * self._holds, chosen, rng, self._wanted),
                *self._drawn(self._weights * ~self._holds, count - chosen, rng),
            ]
        return self._drawn(self._weights, count, rng)

    @staticmethod
    def _drawn(weights: Weights, count: int, rng: np.random.Generator, classes: tuple[int, ...] = ()) -> list[Draw]:
        return [Draw(row, classes) for row in systematic(weights, count, rng).tolist()]


def systematic(weights: Weights, count: int, rng: np.random.Generator) -> Rows:
    """Draw `count` rows; each as often as its share of `weights` says, rounded down or up by chance."""
    if count == 0:
        return np.empty(0, np.intp)
    order = rng.permutation(len(weights))
    edges = np.cumsum(weights[order])
    points = (np.arange(count) + rng.random()) * (edges[-1] / count)
    return order[np.searchsorted(edges, np.minimum(points, np.nextafter(edges[-1], 0)), side="right")]


def repeat_factors(present: NDArray[np.bool_], below: float) -> Weights:
    """Repeat factor sampling, Gupta et al., 2019 (1908.03195): present (frames, classes) -> (frames,), at least 1.

    A class in a share f of the frames has the factor max(1, sqrt(below / f)), a frame the largest of its classes'.
    """
    share = present.mean(0)
    factor = np.sqrt(np.maximum(1.0, below / np.where(share > 0, share, 1.0)))
    return np.where(present, factor, 1.0).max(1)


def class_weights(crops: ClassCrops, names: Sequence[str], pixels: NDArray[np.int64]) -> Weights:
    """Return how often each class is chosen: (classes,); 0 for classes that no frame has, which may not be named."""
    counts = pixels[:, :-1].sum(0)
    if not isinstance(crops.classes, dict):
        present = counts > 0
        share = np.where(present, counts, counts.sum()) / counts.sum()
        return np.asarray(np.where(present, CLASS_WEIGHTS[crops.classes](share), 0.0), np.float64)
    weights = np.zeros(len(names))
    key = "sampling.class_crops.classes"
    weights[list(class_indices(tuple(crops.classes), names, key))] = list(crops.classes.values())
    absent = [name for name, weight, count in zip(names, weights, counts, strict=True) if weight and not count]
    if absent:
        raise FoldsegError(f"{key}: no training image has {shorten(absent)}")
    return weights


def positive_share(positive: PositiveShare, epoch: int, epochs: int) -> float:
    """Slide from `start` in the first epoch to `end` in the last."""
    return positive.start + (positive.end - positive.start) * min(1.0, epoch / max(1, epochs - 1))


def class_indices(wanted: Sequence[str], names: Sequence[str], key: str) -> tuple[int, ...]:
    """Return the indices of classes by name; FoldsegError that names `key` for unknown ones."""
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise FoldsegError(f"{key}: unknown classes {shorten(unknown)}; valid are {', '.join(names)}")
    return tuple(names.index(name) for name in wanted)


def _positives(positive: PositiveShare, wanted: Sequence[int], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (frames,): which have enough pixels of the wanted classes. FoldsegError if a side is needed but empty."""
    holds = pixels[:, list(wanted)].sum(1) >= positive.min_pixels
    shares, names = (positive.start, positive.end), ", ".join(positive.classes)
    if max(shares) > 0 and not holds.any():
        raise FoldsegError(f"sampling.positive: no training image has {positive.min_pixels} pixels of {names}")
    if min(shares) < 1 and holds.all():
        raise FoldsegError(
            f"sampling.positive: every training image has {positive.min_pixels} pixels of {names}, so none is left for "
            f"the share without (start {shares[0]}, end {shares[1]}); raise min_pixels or use class_crops"
        )
    return holds


@dataclass(frozen=True)
class Part:
    """The share of one of several processes that work together: every batch, and the validation images, are divided."""

    number: int = 0
    of: int = 1


WHOLE = Part()
"""All of the work: there is one process."""


class EpochSampler(Sampler[tuple[int, int]]):
    """A shuffled order for every epoch, as (epoch, index); a pure function of the seed and the epoch.

    `set_epoch` comes before `iter()`: a loader's workers ask for the first batches at once. The epoch travels with the
    index because workers that live on cannot be told. Several processes have equal parts of every batch of
    `batch_size`, and together the batches that one would have. `begun` is the epoch of the last `iter()`.
    """

    def __init__(self, length: int, seed: int, batch_size: int = 1, part: Part = WHOLE) -> None:
        self._length, self._seed, self._epoch = length, seed, 0
        self._batch_size, self._part = batch_size, part
        self.begun: int | None = None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self._epoch = epoch

    def __len__(self) -> int:
        if self._part.of == 1:
            return self._length
        return self._length // self._batch_size * self._batch_size // self._part.of

    def __iter__(self) -> Iterator[tuple[int, int]]:
        self.begun = self._epoch
        order = np.random.default_rng([self._seed, self._epoch]).permutation(self._length)
        if self._part.of > 1:
            batches = order[: self._length // self._batch_size * self._batch_size]
            order = batches.reshape(-1, self._part.of, self._batch_size // self._part.of)[:, self._part.number].ravel()
        return iter([(self._epoch, int(index)) for index in order])
