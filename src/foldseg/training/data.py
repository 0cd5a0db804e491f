"""The data of one fold: what is trained on, what is validated on, and how common the classes are."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldseg.config import Data, Experiment
from foldseg.data.datasets import folded_samples, label_set, load_samples
from foldseg.data.frames import count_classes
from foldseg.data.labels import LabelSet
from foldseg.data.reading import read_mask
from foldseg.data.samples import check_files, count_mask_pixels
from foldseg.errors import FoldsegError
from foldseg.losses import CLASS_WEIGHTS
from foldseg.scoring.scores import SCORES, score
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
    choice, classes = config.loss.class_weights, len(data.labels)
    if choice == "none":
        return None
    if isinstance(choice, str):
        counts = count_mask_pixels(data.train, config.data.root, data.labels, config.data.pictures)
        return CLASS_WEIGHTS[choice](counts[:, :-1], config.loss)
    if len(choice) != classes:
        raise FoldsegError(
            f"loss.class_weights: {len(choice)} weights for {classes} classes ({', '.join(data.labels.names)})"
        )
    return torch.tensor(choice)


def check_masks(experiment: Experiment, fold: int, data: FoldData) -> None:
    """FoldsegError when nothing can be learned from the training masks, or validation can never give its numbers.

    Masks are read until the first that is enough, so this takes long only where something is wrong.
    """
    rooted = partial(_class_areas, config=experiment.data, labels=data.labels)
    if not experiment.sampling.sources and not any(areas.any() for areas in rooted(data.train)):
        raise FoldsegError(
            f"fold {fold}: all pixels of all {len(data.train)} training masks are void, so there is nothing to learn; "
            "is the encoding of the masks that of data.dataset?"
        )
    missing: dict[str, str] = {"monitor": experiment.monitor}
    if experiment.schedule.name == "plateau":
        missing["schedule.plateau.metric"] = experiment.schedule.plateau.metric or experiment.monitor
    seen: list[NDArray[np.int64]] = []
    for areas in rooted(data.validation):
        seen.append(areas)
        missing = {key: name for key, name in missing.items() if not _is_defined(name, seen, data.labels)}
        if not missing:
            return
    key, name = next(iter(missing.items()))
    present = [name for name, area in zip(data.labels.names, np.sum(seen, 0), strict=True) if area]
    defined = [name for name in (*SCORES, *LOWER_IS_BETTER) if _is_defined(name, seen, data.labels)]
    raise FoldsegError(
        f"{key}: {name} is undefined on fold {fold}, whose {len(seen)} validation masks hold only "
        f"{', '.join(present) or 'void pixels'}; "
        + (f"use {' or '.join(defined)}, or " if defined else "")
        + "divide the images into other folds"
    )


def _class_areas(table: pd.DataFrame, config: Data, labels: LabelSet) -> Iterator[NDArray[np.int64]]:
    """Pixels of every class, without void, in one mask after the other: (classes,)."""
    for mask in table["mask"]:
        yield count_classes(read_mask(config.root / str(mask), labels, config.pictures), len(labels))[:-1]


def _is_defined(name: str, areas: Sequence[NDArray[np.int64]], labels: LabelSet) -> bool:
    """Whether a number of a validation is defined, for perfect predictions, on images with such areas of classes."""
    counts = np.repeat(np.stack(areas)[..., None], 3, -1)
    if name in SCORES:
        return not math.isnan(score(name, counts, labels).value)
    if name.startswith("iou/"):
        return bool(counts[:, labels.names.index(name.removeprefix("iou/"))].any())
    return bool(counts.any())
