"""Samples as a DataLoader wants them, for training and for prediction.

Every random number derives from (seed, epoch, index): no two epochs or workers repeat each other, the number of
workers changes nothing, and a run that was killed goes on exactly where it was.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from foldseg.config.schema import CropView, PredictView, ResizedView, TrainView
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.data.reading import read_image, read_mask
from foldseg.errors import FoldsegError
from foldseg.views.augment import augmentation
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
    side_multiple,
)


@dataclass(frozen=True)
class TrainBatch:
    """`images` (N, 3, H, W) uint8, `masks` (N, H, W) uint8 with 255 for void, and the `ids` they came from."""

    images: Tensor
    masks: Tensor
    ids: list[str]


@dataclass(frozen=True)
class EvalSample:
    """One image, prepared for prediction: `inputs` (1, 3, H, W) uint8; `mask` on the original grid, or None."""

    id: str
    inputs: Tensor
    mask: Mask | None
    grid: Grid


class TrainSamples(Dataset[tuple[Tensor, Tensor, str]]):
    """Images and masks, cut by a training view and augmented; indexed by (epoch, position in the table)."""

    def __init__(
        self,
        table: pd.DataFrame,
        root: Path,
        labels: LabelSet,
        view: TrainView,
        augment: str,
        stride: int,
        seed: int,
    ) -> None:
        self._rows = [(str(r.id), root / str(r.image), root / str(r.mask)) for r in table.itertuples()]
        self._labels, self._view, self._seed = labels, view, seed
        self._multiple = side_multiple(view, stride)
        self._augment = augmentation(augment)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: tuple[int, int]) -> tuple[Tensor, Tensor, str]:
        epoch, index = place
        name, image_path, mask_path = self._rows[index]
        image, mask = read_image(image_path), read_mask(mask_path, self._labels)
        if image.shape[:2] != mask.shape:
            raise FoldsegError(f"{mask_path}: is {mask.shape}, its image is {image.shape[:2]} (height, width)")
        view_seed, augment_seed = np.random.SeedSequence([self._seed, epoch, index]).generate_state(2).tolist()
        image, mask = self._cut(image, mask, np.random.default_rng(view_seed))
        # Not set_random_seed: that gives every transform the same stream, and each flip would come with a rotation
        self._augment.set_random_state(np.random.default_rng(augment_seed), random.Random(augment_seed))
        augmented = self._augment(image=image, mask=mask)
        size = padded_size(mask.shape, self._multiple)
        return (
            as_tensor(pad_image(augmented["image"], size)),
            torch.from_numpy(pad_mask(augmented["mask"], size)),
            name,
        )

    def _cut(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        view = self._view
        if isinstance(view, CropView):
            return random_crop(image, mask, view.size, view.scale, rng)
        if isinstance(view, ResizedView):
            size = scaled(mask.shape, view.factor)
            return resize_image(image, size), resize_mask(mask, size)
        return image, mask


class EvalSamples(Dataset[EvalSample]):
    """Images (and masks, where the table has them and `labels` are given), prepared for a prediction view."""

    def __init__(
        self, table: pd.DataFrame, root: Path, labels: LabelSet | None, view: PredictView, stride: int
    ) -> None:
        self._rows = [
            (str(r.id), root / str(r.image), root / str(r.mask) if r.mask else None) for r in table.itertuples()
        ]
        self._labels, self._view, self._stride = labels, view, stride

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> EvalSample:
        name, image_path, mask_path = self._rows[index]
        image = read_image(image_path)
        mask = read_mask(mask_path, self._labels) if mask_path and self._labels else None
        if mask is not None and image.shape[:2] != mask.shape:
            raise FoldsegError(f"{mask_path}: is {mask.shape}, its image is {image.shape[:2]} (height, width)")
        grid = grid_of(image.shape[:2], self._view, self._stride)
        return EvalSample(name, as_tensor(prepare(image, grid))[None], mask, grid)


class EpochSampler(Sampler[tuple[int, int]]):
    """A shuffled order for every epoch, as (epoch, index); a pure function of the seed and the epoch.

    Lightning calls `set_epoch`. The epoch travels with the index because workers that live on cannot be told.
    """

    def __init__(self, length: int, seed: int) -> None:
        self._length, self._seed, self._epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self._seed, self._epoch]).permutation(self._length)
        return iter([(self._epoch, int(index)) for index in order])


def as_tensor(image: Image) -> Tensor:
    """(H, W, 3) uint8 array -> (3, H, W) uint8 tensor (a view: channels stay last in memory)."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def train_loader(samples: TrainSamples, batch_size: int, workers: int, seed: int) -> DataLoader[Any]:
    """Batches of `batch_size`; a last, smaller one is left out (batch norm makes little of it).

    FoldsegError when there are fewer samples than one batch holds.
    """
    if len(samples) < batch_size:
        raise FoldsegError(f"batch_size: {batch_size} is more than the {len(samples)} images to train on")
    return DataLoader(
        samples,
        batch_size=batch_size,
        sampler=EpochSampler(len(samples), seed),
        drop_last=True,
        num_workers=workers,
        collate_fn=_stack,
        worker_init_fn=_quiet_worker,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def eval_loader(samples: EvalSamples, workers: int) -> DataLoader[EvalSample]:
    """One image at a time, in the table's order."""
    return DataLoader(samples, batch_size=None, num_workers=workers, worker_init_fn=_quiet_worker)


def _stack(samples: list[tuple[Tensor, Tensor, str]]) -> TrainBatch:
    sizes = {tuple(mask.shape) for _, mask, _ in samples}
    if len(sizes) > 1:
        raise FoldsegError(
            f"images of a batch differ in size ({sorted(sizes)}, height and width): "
            "train on crops (view.train.kind=crop) or with batch_size=1"
        )
    images = torch.stack([image for image, _, _ in samples])
    return TrainBatch(images, torch.stack([mask for _, mask, _ in samples]), [name for _, _, name in samples])


def _quiet_worker(_: int) -> None:
    """Workers are the parallelism; OpenCV's own threads would only fight them."""
    cv2.setNumThreads(0)
