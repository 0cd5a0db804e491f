"""Pictures of what a network is trained on: samples as the loader returns them, and their masks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from foldseg.config import Experiment
from foldseg.data.channels import as_rgb
from foldseg.data.datasets import DataSet
from foldseg.data.labels import IGNORE_INDEX, Image, LabelSet, Mask
from foldseg.deploy.drawing import overlay
from foldseg.models.factory import build_network
from foldseg.report.figures import Picture, draw_picture_grid, make_class_legend
from foldseg.training.open_fold import open_fold
from foldseg.views.build import build_train_samples
from foldseg.views.epoch_plan import EpochSampler
from foldseg.views.train_samples import TrainSamples

_PER_ROW = 3
"""Samples per row. Each is drawn as two pictures."""


def draw_batch(experiment: Experiment, fold: int, number: int = 6, epoch: int = 0) -> Figure:
    """Draw the first `number` samples of an epoch, each without and with its mask over it."""
    (samples,), labels = _build_samples(experiment, fold, [experiment.augment])
    order = _order_samples(samples, experiment, epoch)[:number]
    pictures, masks = _draw(samples, labels, order)
    rows = [pictures[start : start + 2 * _PER_ROW] for start in range(0, len(pictures), 2 * _PER_ROW)]
    title = f"{experiment.name}, fold {fold}, epoch {epoch}: {experiment.view.train.kind}, {experiment.augment}"
    return draw_picture_grid(rows, make_class_legend(labels, masks), title)


def draw_augmentations(
    experiment: Experiment, fold: int, names: Sequence[str], number: int = 6, epoch: int = 0
) -> Figure:
    """Draw the first `number` samples of an epoch with their masks over them, a row for each augmentation set."""
    samples, labels = _build_samples(experiment, fold, names)
    order = _order_samples(samples[0], experiment, epoch)[:number]
    rows, masks = [], []
    for name, samples_of_set in zip(names, samples, strict=True):
        pictures, row_masks = _draw(samples_of_set, labels, order, alpha=0.25)
        first, *others = pictures[1::2]
        rows.append([Picture(first.image, name), *others])
        masks += row_masks
    title = f"{experiment.name}, fold {fold}, epoch {epoch}: {experiment.view.train.kind}"
    return draw_picture_grid(rows, make_class_legend(labels, masks), title)


def _build_samples(experiment: Experiment, fold: int, names: Sequence[str]) -> tuple[list[TrainSamples], LabelSet]:
    """Build the training samples of a fold once for each augmentation set."""
    fold_data = open_fold(experiment, fold, DataSet(experiment.data))
    channels = experiment.data.pictures.channels
    stride = build_network(experiment.model, len(fold_data.labels), channels=channels, pretrained=False).stride
    experiments = [experiment.model_copy(update={"augment": name}) for name in names]
    return [build_train_samples(variant, fold_data, stride) for variant in experiments], fold_data.labels


def _order_samples(samples: TrainSamples, experiment: Experiment, epoch: int) -> list[tuple[int, int]]:
    """Return the indices of an epoch's samples, in the order in which they are drawn."""
    sampler = EpochSampler(len(samples), experiment.seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def _draw(
    samples: TrainSamples, labels: LabelSet, indices: list[tuple[int, int]], alpha: float = 0.5
) -> tuple[list[Picture], list[Mask]]:
    """Return two pictures of each sample, without and with its mask over it; and the masks."""
    pictures, masks = [], []
    for index in indices:
        tensor, target, name = samples[index]
        image, mask = as_rgb(tensor.permute(1, 2, 0).numpy()), target.numpy()
        pictures += [Picture(image, name), Picture(_draw_mask_over(image, mask, labels, alpha))]
        masks.append(mask)
    return pictures, masks


def _draw_mask_over(image: Image, mask: Mask, labels: LabelSet, alpha: float) -> Image:
    """Draw a mask over an image. Void pixels, which no loss counts, are dark."""
    picture = overlay(image, mask, labels, alpha)
    return np.where((mask == IGNORE_INDEX)[..., None], picture // 4, picture)
