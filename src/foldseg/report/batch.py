"""A sheet of what a network is trained on: samples as they come from the loader, and their masks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from foldseg.config import Experiment
from foldseg.data.datasets import DataSet
from foldseg.data.labels import IGNORE_INDEX, Image, LabelSet, Mask
from foldseg.deploy.drawing import overlay
from foldseg.models.factory import build_network
from foldseg.report.figures import Picture, class_legend, picture_grid
from foldseg.training.open_fold import open_fold
from foldseg.views.build import build_train_samples
from foldseg.views.epoch_plan import EpochSampler
from foldseg.views.train_samples import TrainSamples

_PER_ROW = 3  # samples, each of two pictures


def batch_sheet(experiment: Experiment, fold: int, number: int = 6, epoch: int = 0) -> Figure:
    """Draw the first `number` samples of an epoch: each as the network sees it, and with its mask over it."""
    samples, labels = _samples(experiment, fold, [experiment.augment])
    order = _order(samples[0], experiment, epoch)[:number]
    pictures, masks = _drawn(samples[0], labels, order)
    rows = [pictures[start : start + 2 * _PER_ROW] for start in range(0, len(pictures), 2 * _PER_ROW)]
    title = f"{experiment.name}, fold {fold}, epoch {epoch}: {experiment.view.train.kind}, {experiment.augment}"
    return picture_grid(rows, class_legend(labels, masks), title)


def augmentation_sheet(
    experiment: Experiment, fold: int, names: Sequence[str], number: int = 6, epoch: int = 0
) -> Figure:
    """Draw the first `number` samples of an epoch with their masks over them, a row for each augmentation set."""
    samples, labels = _samples(experiment, fold, names)
    order = _order(samples[0], experiment, epoch)[:number]
    rows, masks = [], []
    for name, part in zip(names, samples, strict=True):
        pictures, seen = _drawn(part, labels, order, alpha=0.25)
        first, *others = pictures[1::2]
        rows.append([Picture(first.image, name), *others])
        masks += seen
    title = f"{experiment.name}, fold {fold}, epoch {epoch}: {experiment.view.train.kind}"
    return picture_grid(rows, class_legend(labels, masks), title)


def _samples(experiment: Experiment, fold: int, names: Sequence[str]) -> tuple[list[TrainSamples], LabelSet]:
    """Build the training samples of a fold once for each augmentation set."""
    fold_data = open_fold(experiment, fold, DataSet(experiment.data))
    stride = build_network(experiment.model, len(fold_data.labels), pretrained=False).stride
    experiments = [experiment.model_copy(update={"augment": name}) for name in names]
    return [build_train_samples(one, fold_data, stride) for one in experiments], fold_data.labels


def _order(samples: TrainSamples, experiment: Experiment, epoch: int) -> list[tuple[int, int]]:
    sampler = EpochSampler(len(samples), experiment.seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def _drawn(
    samples: TrainSamples, labels: LabelSet, places: list[tuple[int, int]], alpha: float = 0.5
) -> tuple[list[Picture], list[Mask]]:
    pictures, masks = [], []
    for place in places:
        tensor, target, name = samples[place]
        image, mask = tensor.permute(1, 2, 0).numpy(), target.numpy()
        pictures += [Picture(image, name), Picture(_marked(image, mask, labels, alpha))]
        masks.append(mask)
    return pictures, masks


def _marked(image: Image, mask: Mask, labels: LabelSet, alpha: float) -> Image:
    """Mask over image; void, which no loss sees, is dark."""
    shown = overlay(image, mask, labels, alpha)
    return np.where((mask == IGNORE_INDEX)[..., None], shown // 4, shown)
