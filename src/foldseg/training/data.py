"""The data of one fold: what is trained on, what is validated on, and how common the classes are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from foldseg.config import Experiment
from foldseg.data.datasets import folded_samples, label_set, load_samples
from foldseg.data.labels import LabelSet
from foldseg.data.samples import check_files, count_mask_pixels
from foldseg.errors import FoldsegError
from foldseg.losses import CLASS_WEIGHTS
from foldseg.scoring.defined import check_defined, class_areas
from foldseg.scoring.scores import SCORES
from foldseg.training.debug import debug_tables
from foldseg.training.validation import LOWER_IS_BETTER


@dataclass(frozen=True)
class FoldData:
    """The tables of one fold: all images with their `fold`, what is trained on and what is validated on."""

    labels: LabelSet
    all: pd.DataFrame
    train: pd.DataFrame
    validation: pd.DataFrame


def fold_data(experiment: Experiment, fold: int) -> FoldData:
    """Read, check and divide the data of a fold. FoldsegError on anything that training would stumble over."""
    data = experiment.data
    table = folded_samples(data)
    if fold not in set(table["fold"]):
        raise FoldsegError(f"fold {fold}: {data.folds} has the folds 0 to {table['fold'].max()}")
    check_files(load_samples(data), data.root, data.pictures)  # test images too: they are predicted after the GPU hours
    train, wanted = table[table["fold"] != fold], experiment.train_images
    if wanted is not None:
        if wanted > len(train):
            raise FoldsegError(f"train_images: {wanted} is more than the {len(train)} that fold {fold} is trained on")
        train = train.sample(wanted, random_state=experiment.seed).sort_values("id")
    return FoldData(label_set(data), table, *debug_tables(experiment, train, table[table["fold"] == fold]))


def fold_numbers(experiment: Experiment, choice: str) -> list[int]:
    """Numbers of folds: `choice` is one of them, or "all" for every fold of the experiment's folds file."""
    if choice.isdecimal():
        return [int(choice)]
    if choice != "all":
        raise FoldsegError(f"fold {choice!r}: should be a number or `all`")
    return sorted(folded_samples(experiment.data)["fold"].unique().tolist())


def class_weights(config: Experiment, data: FoldData) -> Tensor | None:
    """Weights of the cross-entropy's classes, from the fold's training masks alone; None for equal weights."""
    choice, classes = config.loss.class_weights, data.labels.names

    def count() -> NDArray[np.int64]:
        counts = count_mask_pixels(data.train, config.data.root, data.labels, config.data.pictures)
        return counts[:, :-1]

    weights = CLASS_WEIGHTS[type(choice)](choice, count)
    if weights is not None and len(weights) != len(classes):
        raise FoldsegError(
            f"loss.class_weights: {len(weights)} weights for {len(classes)} classes ({', '.join(classes)})"
        )
    return weights


def check_masks(experiment: Experiment, fold: int, data: FoldData) -> None:
    """FoldsegError when nothing can be learned from the training masks, or validation can never give its numbers."""
    areas = class_areas(data.train, experiment.data, data.labels)
    if not experiment.sampling.sources and not any(own.any() for own in areas):
        raise FoldsegError(
            f"fold {fold}: all pixels of all {len(data.train)} training masks are void, so there is nothing to learn; "
            "is the encoding of the masks that of data.dataset?"
        )
    wanted: dict[str, str] = {"monitor": experiment.monitor}
    watched = experiment.schedule.watched(experiment.monitor)
    if watched is not None:
        wanted["schedule.metric"] = watched
    choices = [*SCORES, *LOWER_IS_BETTER]
    check_defined(wanted, choices, data.validation, experiment.data, data.labels, f"fold {fold}")
