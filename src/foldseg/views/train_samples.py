"""Samples and batches to train on.

Every random number derives from (seed, epoch, index). So no two epochs or workers repeat each other, the number of
workers changes nothing, and a run that was killed goes on exactly where it was.
"""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from foldseg.config.schema import TrainView
from foldseg.data.frames import Frames
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.errors import FoldsegError
from foldseg.views.augment import augmentation
from foldseg.views.balance import PlannedSample
from foldseg.views.epoch_plan import SINGLE_PROCESS, EpochPlan, EpochSampler, TrainingProcess
from foldseg.views.geometry import pad_image, pad_mask, random_crop, resize_image, resize_mask, shown_size
from foldseg.views.loader import Loader, limit_threads
from foldseg.views.mixing import Mixing, draw_pixel
from foldseg.views.tensors import as_tensor, mask_as_tensor


@dataclass(frozen=True)
class TrainBatch:
    """`images` (N, C, H, W) uint8, `masks` (N, H, W) uint8 with 255 for void, and the `ids` they came from.

    Channels are last in memory, as in a decoded picture. The device turns them into what the network computes with.
    """

    images: Tensor
    masks: Tensor
    ids: list[str]

    def tensors(self) -> list[Tensor]:
        """Return images and masks."""
        return [self.images, self.masks]

    def pin_memory(self) -> "TrainBatch":
        """Lock the memory pages, so that a GPU can copy them by itself. Torch's loader calls this."""
        return TrainBatch(self.images.pin_memory(), self.masks.pin_memory(), self.ids)


class TrainSamples(Dataset[tuple[Tensor, Tensor, str]]):
    """Images and masks, cut by a training view, mixed, augmented and padded to what a network of `stride` takes.

    They are indexed by (epoch, number of the sample in it). Without a `plan` that number is the index of the frame. A
    sample is an image (C, H, W) uint8, its mask (H, W) uint8 with 255 for void, and the image's id.
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
        labels: LabelSet | None = None,
        channels: int = 3,
    ) -> None:
        """Prepare the samples of frames. `labels`: None for exclusive classes."""
        self._labels = labels
        self._frames, self._view, self._seed = frames, view, seed
        self._stride = stride
        self._augment = augmentation(augment, channels)
        self._plan, self._mixing = plan, mixing
        self._planned_epoch = -1
        self._planned_samples: list[PlannedSample] = []

    @property
    def overlapping(self) -> bool:
        """Whether the masks hold class bits."""
        return self._labels is not None and self._labels.overlapping

    def __len__(self) -> int:
        return self._plan.length if self._plan is not None else len(self._frames.ids)

    def __getitem__(self, place: tuple[int, int]) -> tuple[Tensor, Tensor, str]:
        epoch, index = place
        planned = self._find_planned(epoch, index)
        view_seed, augment_seed = np.random.SeedSequence([self._seed, epoch, index]).generate_state(2).tolist()
        image, mask = self._cut(planned, np.random.default_rng(view_seed))
        if self._mixing is not None:
            mixing_rng = np.random.default_rng(np.random.SeedSequence([self._seed, epoch, index], spawn_key=(1,)))
            image, mask = self._mixing(image, mask, self._cut_frame, self._view, mixing_rng)
        # Not set_random_seed: that gives every transform the same stream, and each flip would come with a rotation
        self._augment.set_random_state(np.random.default_rng(augment_seed), random.Random(augment_seed))
        augmented = self._augment(image=image, mask=mask)
        size = shown_size(mask.shape, self._view, self._stride)
        return (
            as_tensor(pad_image(augmented["image"], size)),
            mask_as_tensor(pad_mask(augmented["mask"], size)),
            self._frames.ids[planned.frame],
        )

    def get_id(self, place: tuple[int, int]) -> str:
        """Return the id of the image of a sample."""
        return self._frames.ids[self._find_planned(*place).frame]

    def _find_planned(self, epoch: int, index: int) -> PlannedSample:
        """Return a sample's entry in the plan of its epoch. Every worker draws that plan once, by itself."""
        if self._plan is None:
            return PlannedSample(index)
        if self._planned_epoch != epoch:
            self._planned_samples = self._plan.draw_epoch(epoch)
            self._planned_epoch = epoch
        return self._planned_samples[index]

    def _cut_frame(self, frame: int, rng: np.random.Generator) -> tuple[Image, Mask]:
        return self._cut(PlannedSample(frame), rng)

    def _cut(self, planned: PlannedSample, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Read a frame and return the view's part of it. Do not write to it: it may be a part of a cache's memory."""
        view = self._view
        image, mask = self._frames.read(planned.frame)
        assert mask is not None
        resized = view.resized_size(mask.shape)
        if view.window is None:
            return resize_image(image, resized), resize_mask(mask, resized)
        around = draw_pixel(mask, planned.classes, rng, self._labels) if planned.classes else None
        return random_crop(image, mask, view.window, view.scale_range, rng, around, resized)


def train_loader(
    samples: TrainSamples, batch_size: int, workers: int, seed: int, process: TrainingProcess = SINGLE_PROCESS
) -> Loader:
    """Return a loader of batches of `batch_size` samples, or of what `process` trains on of each batch.

    A last, smaller batch is left out: batch norm would compute poor statistics of it. FoldsegError when there are fewer
    samples than one batch holds.
    """
    if len(samples) < batch_size:
        raise FoldsegError(f"batch_size: {batch_size} is more than the {len(samples)} images to train on")
    return Loader(
        samples,
        _stack,
        workers=workers,
        batch_size=batch_size // process.world_size,
        sampler=EpochSampler(len(samples), seed, batch_size, process),
        drop_last=True,
        worker_init_fn=limit_threads,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def epoch_sampler(loader: DataLoader[Any]) -> EpochSampler:
    """Return the sampler of a `train_loader`. It has to be told the epoch before the loader is iterated over."""
    assert isinstance(loader.sampler, EpochSampler)
    return loader.sampler


def _stack(samples: list[tuple[Tensor, Tensor, str]]) -> TrainBatch:
    sizes = {tuple(mask.shape) for _, mask, _ in samples}
    if len(sizes) > 1:
        raise FoldsegError(
            f"images of a batch differ in size ({sorted(sizes)}, height and width): train on resized images "
            "(view.train={kind: resized, long_side: 512}), on crops (view.train.kind=crop) or with batch_size=1"
        )
    # Stacked with channels last, as they are in memory: several times faster than channel by channel
    images = torch.stack([image.permute(1, 2, 0) for image, _, _ in samples]).permute(0, 3, 1, 2)
    masks = torch.stack([mask for _, mask, _ in samples])
    return TrainBatch(images, masks, [name for _, _, name in samples])
