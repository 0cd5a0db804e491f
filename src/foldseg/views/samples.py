"""Samples as a DataLoader wants them, for training and for prediction.

Every random number derives from (seed, epoch, index): no two epochs or workers repeat each other, the number of
workers changes nothing, and a run that was killed goes on exactly where it was.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from foldseg.config.schema import PredictView, TrainView
from foldseg.data.frames import Frames
from foldseg.data.labels import Image, Mask
from foldseg.errors import FoldsegError
from foldseg.views.augment import augmentation
from foldseg.views.balance import Draw
from foldseg.views.geometry import (
    Grid,
    grid_of,
    pad_image,
    pad_mask,
    padded_size,
    prepare,
    random_crop,
    resize_image,
    resize_mask,
    scaled,
)
from foldseg.views.loading import Loader
from foldseg.views.mixing import Mixing, random_pixel
from foldseg.views.sampling import WHOLE, EpochPlan, EpochSampler, Part


@dataclass(frozen=True)
class TrainBatch:
    """`images` (N, 3, H, W) uint8, `masks` (N, H, W) uint8 with 255 for void, and the `ids` they came from.

    Channels are last in memory, as they are in a decoded picture: what the network computes with is made on its device.
    """

    images: Tensor
    masks: Tensor
    ids: list[str]

    def tensors(self) -> list[Tensor]:
        """Return images and masks."""
        return [self.images, self.masks]

    def pin_memory(self) -> "TrainBatch":
        """Lock the pages, so that a GPU copies them on its own; torch's loader calls this."""
        return TrainBatch(self.images.pin_memory(), self.masks.pin_memory(), self.ids)


@dataclass(frozen=True)
class EvalSample:
    """One image, prepared for prediction: `inputs` (1, 3, H, W) uint8; `mask` on the original grid, or None.

    `scaled` holds the image by other scales of test-time augmentation, resized but not padded.
    """

    id: str
    inputs: Tensor
    mask: Mask | None
    grid: Grid
    scaled: Mapping[float, Tensor] = field(default_factory=dict)

    def tensors(self) -> list[Tensor]:
        """Return the inputs by every scale."""
        return [self.inputs, *self.scaled.values()]

    def pin_memory(self) -> "EvalSample":
        """Lock the pages, so that a GPU copies them on its own; torch's loader calls this."""
        scaled = {scale: inputs.pin_memory() for scale, inputs in self.scaled.items()}
        return EvalSample(self.id, self.inputs.pin_memory(), self.mask, self.grid, scaled)


class TrainSamples(Dataset[tuple[Tensor, Tensor, str]]):
    """Images and masks, cut by a training view, mixed and augmented; indexed by (epoch, number of the sample in it).

    Without a `plan` the number of the sample is that of its frame.
    """

    def __init__(
        self,
        frames: Frames,
        view: TrainView,
        augment: str,
        stride: int,
        seed: int,
        plan: EpochPlan | None = None,
        mixing: Mixing | None = None,
    ) -> None:
        self._frames, self._view, self._seed = frames, view, seed
        self._multiple = view.side_multiple(stride)
        self._augment = augmentation(augment)
        self._plan, self._mixing = plan, mixing
        self._planned: tuple[int, list[Draw]] = (-1, [])

    def __len__(self) -> int:
        return self._plan.length if self._plan is not None else len(self._frames.ids)

    def __getitem__(self, place: tuple[int, int]) -> tuple[Tensor, Tensor, str]:
        epoch, index = place
        draw = self._draw(epoch, index)
        view_seed, augment_seed = np.random.SeedSequence([self._seed, epoch, index]).generate_state(2).tolist()
        image, mask = self._cut(draw, np.random.default_rng(view_seed))
        if self._mixing is not None:
            rng = np.random.default_rng(np.random.SeedSequence([self._seed, epoch, index], spawn_key=(1,)))
            image, mask = self._mixing(image, mask, self._cut_frame, self._view.scale_range, rng)
        # Not set_random_seed: that gives every transform the same stream, and each flip would come with a rotation
        self._augment.set_random_state(np.random.default_rng(augment_seed), random.Random(augment_seed))
        augmented = self._augment(image=image, mask=mask)
        size = padded_size(mask.shape, self._multiple)
        return (
            as_tensor(pad_image(augmented["image"], size)),
            torch.from_numpy(_own(pad_mask(augmented["mask"], size))),
            self._frames.ids[draw.frame],
        )

    def name(self, place: tuple[int, int]) -> str:
        """Return the id of the image of a sample."""
        return self._frames.ids[self._draw(*place).frame]

    def _draw(self, epoch: int, index: int) -> Draw:
        """Look up a sample in the plan of its epoch, which every worker draws for itself, once."""
        if self._plan is None:
            return Draw(index)
        if self._planned[0] != epoch:
            self._planned = epoch, self._plan.epoch(epoch)
        return self._planned[1][index]

    def _cut_frame(self, frame: int, rng: np.random.Generator) -> tuple[Image, Mask]:
        return self._cut(Draw(frame), rng)

    def _cut(self, draw: Draw, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Read a frame and take the view's part of it. What is returned may be views of a cache: not to be written."""
        view = self._view
        image, mask = self._frames.read(draw.frame)
        assert mask is not None
        if view.window is None:
            size = scaled(mask.shape, view.resize_factor)
            return resize_image(image, size), resize_mask(mask, size)
        around = random_pixel(mask, draw.classes, rng) if draw.classes else None
        return random_crop(image, mask, view.window, view.scale_range, rng, around)


class EvalSamples(Dataset[EvalSample]):
    """Images (and masks, where the frames have them), prepared for a prediction view, and by other scales too."""

    def __init__(self, frames: Frames, view: PredictView, stride: int, scales: Sequence[float] = ()) -> None:
        self._frames, self._view, self._stride, self._scales = frames, view, stride, scales

    def __len__(self) -> int:
        return len(self._frames.ids)

    def __getitem__(self, index: int) -> EvalSample:
        image, mask = self._frames.read(index)
        return eval_sample(self._frames.ids[index], image, mask, self._view, self._stride, self._scales)

    def name(self, index: int) -> str:
        """Return the id of an image."""
        return self._frames.ids[index]


def eval_sample(
    name: str, image: Image, mask: Mask | None, view: PredictView, stride: int, scales: Sequence[float] = ()
) -> EvalSample:
    """Prepare one image for prediction by a network of `stride`."""
    size = image.shape[0], image.shape[1]
    grid = grid_of(size, view, stride)
    others = {scale: resize_image(image, grid_of(size, view, stride, scale).resized) for scale in scales}
    scaled = {scale: as_tensor(picture)[None] for scale, picture in others.items()}
    inputs = as_tensor(prepare(image, grid))[None]
    return EvalSample(name, inputs, None if mask is None else _own(mask), grid, scaled)


def batches(samples: Iterable[EvalSample], size: int) -> Iterator[list[EvalSample]]:
    """Samples that follow each other, so long as they are on the same grid: at most `size` at a time."""
    waiting: list[EvalSample] = []
    for sample in samples:
        if waiting and (len(waiting) == size or sample.grid != waiting[0].grid):
            yield waiting
            waiting = []
        waiting.append(sample)
    if waiting:
        yield waiting


def as_tensor(image: Image) -> Tensor:
    """(H, W, 3) uint8 array -> (3, H, W) uint8 tensor (a view: channels stay last in memory)."""
    return torch.from_numpy(_own(image)).permute(2, 0, 1)


def _own(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `picture` contiguous and writable: a copy of it where it is a view of a cache."""
    return np.require(picture, requirements=["C", "W"])


def train_loader(samples: TrainSamples, batch_size: int, workers: int, seed: int, part: Part = WHOLE) -> Loader:
    """Batches of `batch_size`, or the `part` of each; a last, smaller one is left out (batch norm makes little of it).

    FoldsegError when there are fewer samples than one batch holds.
    """
    if len(samples) < batch_size:
        raise FoldsegError(f"batch_size: {batch_size} is more than the {len(samples)} images to train on")
    return Loader(
        samples,
        _stack,
        workers=workers,
        batch_size=batch_size // part.of,
        sampler=EpochSampler(len(samples), seed, batch_size, part),
        drop_last=True,
        worker_init_fn=_quiet_worker,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def epoch_sampler(loader: DataLoader[Any]) -> EpochSampler:
    """Return the sampler of a `train_loader`, which is told the epoch before its batches are asked for."""
    assert isinstance(loader.sampler, EpochSampler)
    return loader.sampler


def eval_loader(samples: EvalSamples, workers: int, part: Part = WHOLE) -> Loader:
    """One image at a time, in the table's order; of several processes each has every so-manieth image."""
    own = range(part.number, len(samples), part.of)
    pinned = torch.cuda.is_available()
    return Loader(
        samples, workers=workers, batch_size=None, sampler=own, worker_init_fn=_quiet_worker, pin_memory=pinned
    )


def _stack(samples: list[tuple[Tensor, Tensor, str]]) -> TrainBatch:
    sizes = {tuple(mask.shape) for _, mask, _ in samples}
    if len(sizes) > 1:
        raise FoldsegError(
            f"images of a batch differ in size ({sorted(sizes)}, height and width): "
            "train on crops (view.train.kind=crop) or with batch_size=1"
        )
    # As they lie in memory: several times faster than channel by channel
    images = torch.stack([image.permute(1, 2, 0) for image, _, _ in samples]).permute(0, 3, 1, 2)
    return TrainBatch(images, torch.stack([mask for _, mask, _ in samples]), [name for _, _, name in samples])


def _quiet_worker(_: int) -> None:
    """Workers are the parallelism; OpenCV's own threads would only fight them."""
    cv2.setNumThreads(0)
