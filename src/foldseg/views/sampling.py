"""Which frames an epoch is made of and their order: a pure function of settings, seed and epoch.

Draws are systematic rather than independent: a frame that should be drawn 1.3 times in an epoch is drawn once or twice,
never three times. With equal weights and as many samples as frames, that is every frame once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from foldseg.config.schema import Sampling
from foldseg.views.balance import BALANCES, BalancePlan, Draw, PlainPlan, Weights, systematic


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
        self._seed = seed
        self._sizes = [len(pixels), *sources]
        ratios = np.array([1.0, *(source.ratio for source in sampling.sources)])
        self._ratios = ratios
        self.length = sampling.samples_per_epoch or round(len(pixels) * float(ratios.sum()))
        present = pixels[:, :-1] > 0
        below = sampling.oversample_below
        weights = np.ones(len(pixels)) if below is None else repeat_factors(present, below)
        self._own: BalancePlan = PlainPlan(weights)
        if sampling.balance is not None:
            self._own = BALANCES[type(sampling.balance)](sampling.balance, names, pixels, weights, epochs)

    def epoch(self, epoch: int) -> list[Draw]:
        """Return the samples of an epoch, in no order that matters."""
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, epoch], spawn_key=(1,)))
        counts = np.bincount(systematic(self._ratios, self.length, rng), minlength=len(self._sizes)).tolist()
        draws, start = self._own.draw(counts[0], epoch, rng), self._sizes[0]
        for size, count in zip(self._sizes[1:], counts[1:], strict=True):
            draws += [Draw(start + row) for row in systematic(np.ones(size), count, rng).tolist()]
            start += size
        return draws


def repeat_factors(present: NDArray[np.bool_], below: float) -> Weights:
    """Repeat factor sampling, Gupta et al., 2019 (1908.03195): present (frames, classes) -> (frames,), at least 1.

    A class in a share f of the frames has the factor max(1, sqrt(below / f)), a frame the largest of its classes'.
    """
    share = present.mean(0)
    factor = np.sqrt(np.maximum(1.0, below / np.where(share > 0, share, 1.0)))
    return np.where(present, factor, 1.0).max(1)


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
