"""Which frames an epoch is made of, and in which order: a pure function of settings, seed and epoch.

Draws are systematic rather than independent: a frame that should be drawn 1.3 times in an epoch is drawn once or twice,
never three times. With equal weights and as many samples as frames, every frame is drawn once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from foldseg.config.schema import Sampling
from foldseg.views.balance import BALANCES, BalancePlan, PlainPlan, PlannedSample, Weights, draw_systematically


class EpochPlan:
    """The samples of every epoch. The frames of the data set itself are numbered first, then those of the sources."""

    def __init__(
        self,
        sampling: Sampling,
        names: Sequence[str],
        pixels: NDArray[np.int64],
        sources: Sequence[int],
        epochs: int,
        seed: int,
    ) -> None:
        """Prepare a training of `epochs` epochs.

        `names`: of the classes. `pixels` (frames, classes + 1): counts in each mask of the data set, void last.
        `sources`: the number of frames of each source. FoldsegError for unknown classes and for classes that no frame
        has, or all have.
        """
        self._seed = seed
        self._sizes = [len(pixels), *sources]
        self._ratios = np.array([1.0, *(source.ratio for source in sampling.sources)])
        self.length = sampling.samples_per_epoch or round(len(pixels) * float(self._ratios.sum()))
        weights = np.ones(len(pixels))
        if sampling.oversample_below is not None:
            weights = repeat_factors(pixels[:, :-1] > 0, sampling.oversample_below)
        self._balance_plan: BalancePlan = PlainPlan(weights)
        if sampling.balance is not None:
            self._balance_plan = BALANCES[type(sampling.balance)](sampling.balance, names, pixels, weights, epochs)

    def draw_epoch(self, epoch: int) -> list[PlannedSample]:
        """Return the samples of an epoch. Their order has no meaning: `EpochSampler` shuffles them."""
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, epoch], spawn_key=(1,)))
        origins = draw_systematically(self._ratios, self.length, rng)
        counts = np.bincount(origins, minlength=len(self._sizes)).tolist()
        samples, start = self._balance_plan.draw(counts[0], epoch, rng), self._sizes[0]
        for size, count in zip(self._sizes[1:], counts[1:], strict=True):
            samples += [PlannedSample(start + row) for row in draw_systematically(np.ones(size), count, rng).tolist()]
            start += size
        return samples


def repeat_factors(present: NDArray[np.bool_], below: float) -> Weights:
    """Return how often each frame is drawn, relative to the others: (frames,), at least 1.

    This is repeat factor sampling (Gupta et al., 2019, 1908.03195). `present` (frames, classes): whether a frame
    shows a class.

    A class that a share f of the frames shows has the factor max(1, sqrt(below / f)). A frame has the largest factor of
    its classes.
    """
    share = present.mean(0)
    factor = np.sqrt(np.maximum(1.0, below / np.where(share > 0, share, 1.0)))
    return np.where(present, factor, 1.0).max(1)


@dataclass(frozen=True)
class TrainingProcess:
    """One of the `world_size` processes that divide every batch, and the validation images. `rank` counts from 0."""

    rank: int = 0
    world_size: int = 1


SINGLE_PROCESS = TrainingProcess()
"""The only process, which does all of the work."""


class EpochSampler(Sampler[tuple[int, int]]):
    """A shuffled order of (epoch, index) for every epoch: a pure function of the seed and the epoch.

    Call `set_epoch` before `iter()`: a loader's workers begin with the first batches at once. The epoch travels with
    the index because persistent workers cannot be told of a new epoch. Several processes have equal parts of every
    batch of `batch_size`; together they have the batches that one process would have. `begun` is the epoch of the last
    `iter()`.
    """

    def __init__(self, length: int, seed: int, batch_size: int = 1, process: TrainingProcess = SINGLE_PROCESS) -> None:
        self._length, self._seed, self._epoch = length, seed, 0
        self._batch_size, self._process = batch_size, process
        self.begun: int | None = None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self._epoch = epoch

    def __len__(self) -> int:
        if self._process.world_size == 1:
            return self._length
        return self._length // self._batch_size * self._batch_size // self._process.world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        self.begun = self._epoch
        order = np.random.default_rng([self._seed, self._epoch]).permutation(self._length)
        if self._process.world_size > 1:
            full_batches = order[: self._length // self._batch_size * self._batch_size]
            world_size = self._process.world_size
            divided = full_batches.reshape(-1, world_size, self._batch_size // world_size)
            order = divided[:, self._process.rank].ravel()
        return iter([(self._epoch, int(index)) for index in order])
