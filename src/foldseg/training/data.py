"""The data of one fold: what is trained on, what is validated on, and how common the classes are."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from foldseg.config import Experiment
from foldseg.data.datasets import DataSet
from foldseg.data.fold_data import FoldData
from foldseg.data.samples import count_mask_pixels
from foldseg.errors import FoldsegError
from foldseg.losses import CLASS_WEIGHTS
from foldseg.scoring.scores import SCORES
from foldseg.scoring.undefined_scores import check_defined, class_areas
from foldseg.training.debug import debug_tables
from foldseg.training.validation import LOWER_IS_BETTER


def open_fold(experiment: Experiment, fold: int, data: DataSet) -> FoldData:
    """Check and divide the data of a fold. FoldsegError on anything that training would stumble over."""
    table = data.folded
    if fold not in data.folds:
        raise FoldsegError(f"fold {fold}: {data.settings.folds} has the folds 0 to {data.folds[-1]}")
    data.check_files()  # test images too: they are predicted after the GPU hours
    train, wanted = table[table["fold"] != fold], experiment.train_images
    if wanted is not None:
        if wanted > len(train):
            raise FoldsegError(f"train_images: {wanted} is more than the {len(train)} that fold {fold} is trained on")
        train = train.sample(wanted, random_state=experiment.seed).sort_values("id")
    return FoldData(data, fold, *debug_tables(experiment, train, table[table["fold"] == fold]))


def fold_numbers(choice: str, data: DataSet) -> list[int]:
    """Numbers of folds: `choice` is one of them, or "all" for every fold of the folds file."""
    if choice.isdecimal():
        return [int(choice)]
    if choice != "all":
        raise FoldsegError(f"fold {choice!r}: should be a number or `all`")
    return data.folds


def class_weights(config: Experiment, fold_data: FoldData) -> Tensor | None:
    """Weights of the cross-entropy's classes, from the fold's training masks alone; None for equal weights."""
    data, labels, choice = fold_data.data, fold_data.labels, config.loss.class_weights

    def count() -> NDArray[np.int64]:
        counts = count_mask_pixels(fold_data.train, data.root, labels, data.pictures)
        return counts[:, :-1]

    weights = CLASS_WEIGHTS[type(choice)](choice, count)
    if weights is not None and len(weights) != len(labels):
        raise FoldsegError(
            f"loss.class_weights: {len(weights)} weights for {len(labels)} classes ({', '.join(labels.names)})"
        )
    return weights


def check_masks(experiment: Experiment, fold_data: FoldData) -> None:
    """FoldsegError when nothing can be learned from the training masks, or validation can never give its numbers."""
    data, labels, fold = fold_data.data, fold_data.labels, fold_data.fold
    train, validation = fold_data.train, fold_data.validation
    areas = class_areas(train, data, labels)
    if not experiment.sampling.sources and not any(own.any() for own in areas):
        raise FoldsegError(
            f"fold {fold}: all pixels of all {len(train)} training masks are void, so there is nothing to learn; "
            "is the encoding of the masks that of data.dataset?"
        )
    wanted: dict[str, str] = {"monitor": experiment.monitor}
    watched = experiment.schedule.watched(experiment.monitor)
    if watched is not None:
        wanted["schedule.metric"] = watched
    choices = [*SCORES, *LOWER_IS_BETTER]
    check_defined(wanted, choices, validation, data, labels, f"fold {fold}")
