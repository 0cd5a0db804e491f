"""Samples to validate on and to predict: one image at a time, and batches of images of equal size."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.data import Dataset

from foldseg.config.schema import PredictView
from foldseg.data.frames import Frames
from foldseg.data.labels import Image, Mask
from foldseg.views.epoch_plan import SINGLE_PROCESS, TrainingProcess
from foldseg.views.geometry import Grid, grid_of, prepare_image, resize_image
from foldseg.views.loader import Loader, limit_threads
from foldseg.views.tensors import as_tensor, as_writable


@dataclass(frozen=True)
class EvalSample:
    """One image, prepared for prediction: `inputs` (1, C, H, W) uint8; `mask` on the original grid, or None.

    `scaled` holds the image at the other scales of test-time augmentation, resized but not padded.
    """

    id: str
    inputs: Tensor
    mask: Mask | None
    grid: Grid
    scaled: Mapping[float, Tensor] = field(default_factory=dict)

    def tensors(self) -> list[Tensor]:
        """Return the inputs at every scale."""
        return [self.inputs, *self.scaled.values()]

    def pin_memory(self) -> "EvalSample":
        """Lock the memory pages, so that a GPU can copy them by itself. Torch's loader calls this."""
        scaled = {scale: inputs.pin_memory() for scale, inputs in self.scaled.items()}
        return EvalSample(self.id, self.inputs.pin_memory(), self.mask, self.grid, scaled)


class EvalSamples(Dataset[EvalSample]):
    """Images, and masks where the frames have them, prepared for a prediction view and for other `scales` of it."""

    def __init__(self, frames: Frames, view: PredictView, stride: int, scales: Sequence[float] = ()) -> None:
        self._frames, self._view, self._stride, self._scales = frames, view, stride, scales

    def __len__(self) -> int:
        return len(self._frames.ids)

    def __getitem__(self, index: int) -> EvalSample:
        image, mask = self._frames.read(index)
        return eval_sample(self._frames.ids[index], image, mask, self._view, self._stride, self._scales)

    def get_id(self, index: int) -> str:
        """Return the id of an image."""
        return self._frames.ids[index]


def eval_sample(
    name: str, image: Image, mask: Mask | None, view: PredictView, stride: int, scales: Sequence[float] = ()
) -> EvalSample:
    """Prepare one image for prediction by a network of `stride`."""
    size = image.shape[0], image.shape[1]
    grid = grid_of(size, view, stride)
    inputs = as_tensor(prepare_image(image, grid))[None]
    scaled = {}
    for scale in scales:
        scaled_size = grid_of(size, view, stride, scale).resized
        scaled[scale] = as_tensor(resize_image(image, scaled_size))[None]
    return EvalSample(name, inputs, None if mask is None else as_writable(mask), grid, scaled)


def batches(samples: Iterable[EvalSample], size: int) -> Iterator[list[EvalSample]]:
    """Yield lists of at most `size` successive samples. All samples of a list are on the same grid."""
    batch: list[EvalSample] = []
    for sample in samples:
        if batch and (len(batch) == size or sample.grid != batch[0].grid):
            yield batch
            batch = []
        batch.append(sample)
    if batch:
        yield batch


def eval_loader(samples: EvalSamples, workers: int, process: TrainingProcess = SINGLE_PROCESS) -> Loader:
    """Return a loader of single images, in the table's order. Of n processes, each gets every n-th image."""
    return Loader(
        samples,
        workers=workers,
        batch_size=None,
        sampler=range(process.rank, len(samples), process.world_size),
        worker_init_fn=limit_threads,
        pin_memory=torch.cuda.is_available(),
    )
