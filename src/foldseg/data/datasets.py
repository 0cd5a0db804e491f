"""The data sets by name. To add one: a file with `scan(root)` and a `LabelSet`, and a line here."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from foldseg.config.schema import Data, ToyCity
from foldseg.data import camvid, signate
from foldseg.data.folds import make_folds, save_folds
from foldseg.data.labels import LabelSet
from foldseg.data.toy_city import generate_toy_city

logger = logging.getLogger(__name__)

_MANY_PIXELS = 50_000_000  # below, starting the processes that build the toy city takes longer than building it


@dataclass(frozen=True)
class Dataset:
    """What a data set is: `scan(root)` returns its samples table; `labels` are all its classes."""

    scan: Callable[..., pd.DataFrame]
    labels: LabelSet


DATASETS = {
    "camvid": Dataset(camvid.scan, camvid.LABELS),
    "signate": Dataset(signate.scan, signate.LABELS),
    "toy_city": Dataset(signate.scan, signate.LABELS),
}


def load_samples(data: Data) -> pd.DataFrame:
    """Return the samples table of a data set. The toy city is built when its root does not exist yet."""
    if data.dataset == "toy_city" and not data.root.exists():
        toy = data.toy_city or ToyCity()
        logger.info("building the toy city in %s", data.root)
        pixels = toy.width * toy.height * (toy.train_frames + toy.test_frames)
        workers = os.cpu_count() or 1 if pixels > _MANY_PIXELS else 1
        generate_toy_city(data.root, **toy.model_dump(), workers=workers)
    return DATASETS[data.dataset].scan(data.root)


def label_set(data: Data) -> LabelSet:
    """Return the label set that models of this configuration are trained on and scored with."""
    return DATASETS[data.dataset].labels.view(data.labels)


def make_folds_file(data: Data) -> pd.DataFrame:
    """Divide the images of `data.fold_splits` into `data.fold_count` folds and write `data.folds`; return the table."""
    table = load_samples(data)
    folds = make_folds(table[table["split"].isin(data.fold_splits)], data.fold_count, data.fold_seed)
    save_folds(folds, data.folds)
    logger.info("%s: %d images in %d folds", data.folds, len(folds), data.fold_count)
    return folds
