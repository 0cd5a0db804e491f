"""The data sets by name. To add one: a file with `scan(root)` and a `LabelSet`, and a line here."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from foldseg.config.schema import Data, ToyCity
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import DatasetName
from foldseg.data import camvid, signate
from foldseg.data.folds import fold_sizes, folds_csv, load_folds, make_folds, unevenness
from foldseg.data.labels import LabelSet
from foldseg.data.leaks import TEST, Leaks, find_leaks
from foldseg.data.listing import list_files
from foldseg.data.reading import image_size
from foldseg.data.samples import check_files, shorten
from foldseg.errors import FoldsegError
from foldseg.files import read_record, write_text
from foldseg.inputs import is_absent, read_text
from foldseg.notices import say_once
from toycity import generate_toy_city

logger = logging.getLogger(__name__)

_TOY_SETTINGS = "toy_city.json"  # written when the city is built
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
check_entries(DATASETS, DatasetName, "data/datasets.py: DATASETS")


def load_samples(data: Data) -> pd.DataFrame:
    """Return the samples table of a data set. The toy city is built when its root does not exist yet."""
    if data.dataset == "toy_city" and not data.root.exists():
        toy = data.toy_city or ToyCity()
        logger.info("building the toy city in %s", data.root)
        pixels = toy.width * toy.height * (toy.train_frames + toy.test_frames)
        workers = os.cpu_count() or 1 if pixels > _MANY_PIXELS else 1
        generate_toy_city(data.root, **toy.model_dump(), workers=workers)
    elif data.toy_city is not None:
        _check_toy(data.root, data.toy_city)
    return DATASETS[data.dataset].scan(data.root)


def _check_toy(root: Path, toy: ToyCity) -> None:
    """FoldsegError when the city in `root` was built with other settings: as toy_city.json says, and as it shows."""
    stated = read_record(root / _TOY_SETTINGS, {}) if (root / _TOY_SETTINGS).is_file() else {}
    folders = [root / name for name in ("seg_train_images", "seg_test_images")]
    found = [list_files(folder).files if folder.is_dir() else [] for folder in folders]
    if not all(found):
        return  # the reader says what is missing
    height, width = image_size(found[0][0])
    shown = {"width": width, "height": height, "train_frames": len(found[0]), "test_frames": len(found[1])}
    have = {**stated, **shown}
    if different := {key: value for key, value in toy.model_dump().items() if have.get(key, value) != value}:
        built = ", ".join(f"{key} {have[key]}" for key in different)
        wanted = ", ".join(f"{key} {value}" for key, value in different.items())
        raise FoldsegError(
            f"{root}: was built with {built}; the settings say {wanted}; remove it or give data.root another name"
        )


def folded_samples(data: Data) -> pd.DataFrame:
    """Return the samples that are divided into folds, with `fold`, `group` and `stratum` of the folds file, by id.

    FoldsegError when there are none or the folds file does not fit them.
    """
    table = _of_fold_splits(load_samples(data), data)
    folds = load_folds(data.folds, table)
    if (count := folds["fold"].nunique()) != data.fold_count:
        say_once(f"{data.folds}: has {count} folds, and data.fold_count is {data.fold_count}; the file decides")
    return table.drop(columns=["group", "stratum"]).merge(folds, on="id", validate="1:1").sort_values("id")


def _of_fold_splits(table: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Return the rows of `data.fold_splits`. FoldsegError for splits that the data set lacks or that have no masks."""
    there = table["split"].unique().tolist()
    if unknown := [split for split in data.fold_splits if split not in there]:
        raise FoldsegError(
            f"data.fold_splits: {data.dataset} has no split {', '.join(unknown)}; it has {', '.join(there)}"
        )
    chosen = table[table["split"].isin(data.fold_splits)]
    if chosen.empty:
        raise FoldsegError(f"data.fold_splits: is empty; {data.dataset} has {', '.join(there)}")
    unlabelled = chosen[chosen["mask"] == ""]
    if len(unlabelled):
        splits = ", ".join(unlabelled["split"].unique())
        raise FoldsegError(
            f"data.fold_splits: {len(unlabelled)} image(s) of {splits} have no mask and cannot be trained on: "
            f"{shorten(unlabelled['id'])}"
        )
    if TEST in data.fold_splits:
        say_once("data.fold_splits: test images are trained on, so their score says nothing")
    return chosen


def label_set(data: Data) -> LabelSet:
    """Return the label set that models of this configuration are trained on and scored with."""
    return DATASETS[data.dataset].labels.view(data.labels)


def make_folds_file(data: Data, strict: bool = False) -> pd.DataFrame:
    """Divide the images of `data.fold_splits` into `data.fold_count` folds and write `data.folds`; return the table.

    Warns of what is shared between folds, or with the test images. FoldsegError when the file exists and divides
    otherwise: runs may have been trained on it; and, if `strict`, when something is shared: nothing is written then.
    """
    table = load_samples(data)
    folds = make_folds(_of_fold_splits(table, data), data.fold_count, data.fold_seed)
    check_files(table, data.root, data.pictures)
    if not is_absent(data.folds) and read_text(data.folds) != folds_csv(folds):
        raise FoldsegError(
            f"{data.folds}: exists and divides the data in another way; runs that were trained on it could not be "
            "blended with new ones. Give data.folds another name, or remove the file"
        )
    lines = fold_leaks(data, folds).lines()
    if lines and strict:
        raise FoldsegError("\n  ".join([f"{data.folds}: is not written, because of what is shared:", *lines]))
    write_text(data.folds, folds_csv(folds))
    sizes = fold_sizes(folds)
    logger.info("%s: %d images in %d folds (%s)", data.folds, len(folds), len(sizes), ", ".join(map(str, sizes)))
    uneven = unevenness(folds)
    for line in [uneven, *lines] if uneven else lines:
        logger.warning("%s: %s", data.folds, line)
    return folds


def fold_leaks(data: Data, folds: pd.DataFrame) -> Leaks:
    """Look for ids, groups and places that folds share with each other or with the test images; `folds`: id, fold.

    Groups are the data's. Images of other splits are left out: they are neither trained nor scored on.
    """
    table = load_samples(data)
    folded = table.merge(folds[["id", "fold"]], on="id")
    folded["side"] = "fold " + folded["fold"].astype("str")
    test = table[table["split"] == "test"].assign(side=TEST)
    return find_leaks(pd.concat([folded, test])[["id", "image", "group", "side"]], data.root)
