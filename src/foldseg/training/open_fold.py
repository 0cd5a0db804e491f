"""Opens and checks the data of one fold: what is trained on, what is validated on, and how common the classes are."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from foldseg.config import Experiment
from foldseg.config.schema.base import ConflictError
from foldseg.config.schema.definitions import LOSSES
from foldseg.data.check import require_valid
from foldseg.data.datasets import DataSet
from foldseg.data.fold_data import FoldData
from foldseg.data.samples import count_mask_pixels
from foldseg.errors import FoldsegError
from foldseg.losses import CLASS_WEIGHTS
from foldseg.scoring.scores import SCORES
from foldseg.scoring.undefined_scores import check_defined, class_areas
from foldseg.training.debug import select_debug_samples


def open_fold(experiment: Experiment, fold: int, data: DataSet) -> FoldData:
    """Return what a fold is trained and validated on. FoldsegError if a file is missing or a setting does not fit.

    Files of test images are checked, too, since they are predicted after hours of training.
    """
    if fold not in data.folds:
        raise FoldsegError(f"fold {fold}: {data.settings.folds} has the folds 0 to {data.folds[-1]}")
    _check_classes(experiment, data)
    data.check_files()
    require_valid(data)
    table = data.folded
    train, validation = table[table["fold"] != fold], table[table["fold"] == fold]
    count = experiment.train_images
    if count is not None:
        if count > len(train):
            raise FoldsegError(f"train_images: {count} is more than the {len(train)} that fold {fold} is trained on")
        train = train.sample(count, random_state=experiment.seed).sort_values("id")
    train, validation = select_debug_samples(experiment, train, validation)
    return FoldData(data, fold, train, validation)


def _check_classes(experiment: Experiment, data: DataSet) -> None:
    """Raise FoldsegError if a setting does not go with the classes: with overlapping ones, or with their number."""
    labels, positive_weights = data.labels, experiment.loss.positive_weights
    try:
        experiment.check_classes(labels.overlapping)
    except ConflictError as error:
        raise FoldsegError(f"{', '.join(error.keys)}: {error}") from None
    if isinstance(positive_weights, tuple) and len(positive_weights) != len(labels):
        raise FoldsegError(
            f"loss.positive_weights: {len(positive_weights)} weights for {len(labels)} classes "
            f"({', '.join(labels.names)})"
        )


def parse_fold_numbers(choice: str, data: DataSet) -> list[int]:
    """Return the numbers of the folds that `choice` names: a number, or "all" for every fold of the folds file."""
    if choice.isdecimal():
        return [int(choice)]
    if choice != "all":
        raise FoldsegError(f"fold {choice!r}: should be a number or `all`")
    return data.folds


def compute_class_weights(experiment: Experiment, fold_data: FoldData) -> Tensor | None:
    """Return the loss's weights, (classes,), from the fold's training masks alone; None for equal weights."""
    data, labels, config = fold_data.data, fold_data.labels, experiment.loss.class_weights

    def count_pixels() -> NDArray[np.int64]:
        with_void = count_mask_pixels(fold_data.train, data.root, labels, data.pictures)
        return with_void[:, :-1]

    weights = CLASS_WEIGHTS[type(config)](config, count_pixels)
    if weights is not None and len(weights) != len(labels):
        raise FoldsegError(
            f"loss.class_weights: {len(weights)} weights for {len(labels)} classes ({', '.join(labels.names)})"
        )
    return weights


def check_masks(experiment: Experiment, fold_data: FoldData) -> None:
    """Raise FoldsegError if all training pixels are void, or if validation cannot give a number that is needed."""
    data, labels, fold = fold_data.data, fold_data.labels, fold_data.fold
    mask_areas = class_areas(fold_data.train, data, labels)
    if not experiment.sampling.sources and not any(areas.any() for areas in mask_areas):
        what = "of no class" if labels.overlapping else "void"
        raise FoldsegError(
            f"fold {fold}: all pixels of all {len(fold_data.train)} training masks are {what}, so there is nothing to "
            "learn; is the encoding of the masks that of data.dataset?"
        )
    metrics_by_setting: dict[str, str] = {"monitor": experiment.monitor}
    watched_metric = experiment.schedule.find_watched_metric(experiment.monitor)
    if watched_metric is not None:
        metrics_by_setting["schedule.metric"] = watched_metric
    choices = [*SCORES, *LOSSES]
    check_defined(metrics_by_setting, choices, fold_data.validation, data, labels, f"fold {fold}")
