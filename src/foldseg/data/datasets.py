"""The data sets by name, and a data set as a command opens it.

To add one: a class in `config/schema/datasets.py`, a module with `scan(root)` and a `LabelSet`, and a line in
`DATASETS`.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from foldseg.config.schema import Data, Pictures
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.datasets import CamVid, DatasetKind, Signate, ToyCity
from foldseg.data import camvid, signate
from foldseg.data.folds import fold_sizes, folds_csv, load_folds, make_folds, unevenness
from foldseg.data.labels import LabelSet
from foldseg.data.leaks import TEST, Leaks, find_leaks
from foldseg.data.reading import image_size
from foldseg.data.samples import check_files, shorten
from foldseg.data.toy_city import prepare_toy_city
from foldseg.errors import FoldsegError
from foldseg.files import write_text
from foldseg.inputs import is_absent, read_text
from foldseg.notices import say_once

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Family:
    """What a data set is: `scan(root)` returns its samples table; `labels` are all its classes.

    `prepare(settings, root)` builds the data set if its root does not exist, or checks what is there. `settings` are
    those of its kind. None: nothing is built.
    """

    scan: Callable[[Path], pd.DataFrame]
    labels: LabelSet
    prepare: Callable[[Any, Path], None] | None = None


DATASETS: dict[type[DatasetKind], Family] = {
    CamVid: Family(camvid.scan, camvid.LABELS),
    Signate: Family(signate.scan, signate.LABELS),
    ToyCity: Family(signate.scan, signate.LABELS, prepare_toy_city),
}
check_entries(DATASETS, DatasetKind, "data/datasets.py: DATASETS")


def label_set(settings: Data) -> LabelSet:
    """Return the label set that models of these settings are trained on and scored with. No file is read."""
    return DATASETS[type(settings.dataset)].labels.view(settings.labels)


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set that a command has opened. Files are read at first use, and their names once.

    `settings` are the block `data` of a configuration. What images and masks hold is never kept here: ask
    `foldseg.data.content` for that. Do not write into the tables: they are shared.
    """

    settings: Data
    same_files: "DataSet | None" = None
    """The same images and folds with other classes: its tables are taken."""

    @property
    def root(self) -> Path:
        """The folder to which paths of the tables are relative."""
        return self.settings.root

    @property
    def pictures(self) -> Pictures:
        """How picture files are read."""
        return self.settings.pictures

    @cached_property
    def labels(self) -> LabelSet:
        """The classes that models are trained on and scored with."""
        return label_set(self.settings)

    @property
    def all_labels(self) -> LabelSet:
        """All classes of the data set, whatever is learned of them."""
        return DATASETS[type(self.settings.dataset)].labels

    @cached_property
    def samples(self) -> pd.DataFrame:
        """All images, a row each, strings: id, image, mask, split, group, stratum. See `foldseg.data.samples`.

        The toy city is built when its root does not exist yet. FoldsegError when the data is not there, or not in its
        layout.
        """
        if self.same_files is not None:
            return self.same_files.samples
        return scan(self.settings)

    @cached_property
    def folded(self) -> pd.DataFrame:
        """The images that are divided into folds, by id: the columns of `samples`, and `fold`, int64 from 0.

        Group and stratum are those of the folds file. FoldsegError when the folds file is missing or does not fit.
        """
        if self.same_files is not None:
            return self.same_files.folded
        settings, table = self.settings, _of_fold_splits(self.samples, self.settings)
        folds = load_folds(settings.folds, table)
        if (count := folds["fold"].nunique()) != settings.fold_count:
            say_once(
                f"{settings.folds}: has {count} folds, and data.fold_count is {settings.fold_count}; the file decides"
            )
        return table.drop(columns=["group", "stratum"]).merge(folds, on="id", validate="1:1").sort_values("id")

    @property
    def folds(self) -> list[int]:
        """The numbers of the folds: 0, 1, 2, ...."""
        return sorted(self.folded["fold"].unique().tolist())

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change when an image is added, removed or moved to another fold."""
        rows = self.folded.sort_values("id")[["id", "image", "mask", "fold"]].to_csv(index=False, lineterminator="\n")
        return hashlib.sha256(rows.encode()).hexdigest()[:16]

    @property
    def test(self) -> pd.DataFrame:
        """The rows of `samples` of the split test; there may be none."""
        return self.samples[self.samples["split"] == "test"]

    @cached_property
    def sizes(self) -> pd.DataFrame:
        """The columns of `samples`, and height and width, int64 pixels: of every image, from its file's header.

        All files are checked. FoldsegError names those that are missing or damaged, and masks of another size than
        their image.
        """
        return check_files(self.samples, self.root, self.pictures)

    def check_files(self) -> None:
        """Raise the errors of `sizes`, if there are any."""
        _ = self.sizes

    @cached_property
    def images(self) -> dict[str, Path]:
        """Id -> file of the image."""
        return {str(row.id): self.root / str(row.image) for row in self.samples.itertuples()}

    def size_of(self, name: str) -> tuple[int, int]:
        """Return (height, width) of the image of an id, from its file's header. FoldsegError if that is damaged."""
        return image_size(self.images[name], self.pictures)

    def with_labels(self, labels: str | tuple[str, ...]) -> "DataSet":
        """Return the same images and folds with other classes, e.g. "scored"; nothing is read again."""
        settings = self.settings.model_copy(update={"labels": labels})
        return DataSet(settings, self.same_files or self)


class OpenedData:
    """The data sets that a command has opened. Runs whose settings name the same data share a `DataSet`."""

    def __init__(self) -> None:
        self._by_settings: dict[Data, DataSet] = {}

    def open(self, settings: Data) -> DataSet:
        """Return the data set of these settings. What differs in classes alone shares its tables."""
        if settings not in self._by_settings:
            all_classes = settings.model_copy(update={"labels": "all"})
            files = self._by_settings.setdefault(all_classes, DataSet(all_classes))
            self._by_settings[settings] = files if settings == all_classes else files.with_labels(settings.labels)
        return self._by_settings[settings]


def scan(settings: Data) -> pd.DataFrame:
    """Return the samples table of a data set. The toy city is built when its root does not exist yet."""
    family = DATASETS[type(settings.dataset)]
    if family.prepare is not None:
        family.prepare(settings.dataset, settings.root)
    return family.scan(settings.root)


def _of_fold_splits(table: pd.DataFrame, settings: Data) -> pd.DataFrame:
    """Return the rows of `data.fold_splits`. FoldsegError for splits that the data set lacks or that have no masks."""
    there = table["split"].unique().tolist()
    if unknown := [split for split in settings.fold_splits if split not in there]:
        raise FoldsegError(
            f"data.fold_splits: {settings.dataset.kind} has no split {', '.join(unknown)}; it has {', '.join(there)}"
        )
    chosen = table[table["split"].isin(settings.fold_splits)]
    if chosen.empty:
        raise FoldsegError(f"data.fold_splits: is empty; {settings.dataset.kind} has {', '.join(there)}")
    unlabelled = chosen[chosen["mask"] == ""]
    if len(unlabelled):
        splits = ", ".join(unlabelled["split"].unique())
        raise FoldsegError(
            f"data.fold_splits: {len(unlabelled)} image(s) of {splits} have no mask and cannot be trained on: "
            f"{shorten(unlabelled['id'])}"
        )
    if TEST in settings.fold_splits:
        say_once("data.fold_splits: test images are trained on, so their score says nothing")
    return chosen


def make_folds_file(settings: Data, strict: bool = False) -> pd.DataFrame:
    """Divide the images of `data.fold_splits` into `data.fold_count` folds and write `data.folds`; return the table.

    Warns of what is shared between folds, or with the test images. FoldsegError when the file exists and divides
    otherwise: runs may have been trained on it; and, if `strict`, when something is shared: nothing is written then.
    """
    data, path = DataSet(settings), settings.folds
    folds = make_folds(_of_fold_splits(data.samples, settings), settings.fold_count, settings.fold_seed)
    data.check_files()
    if not is_absent(path) and read_text(path).replace("\r\n", "\n") != folds_csv(folds):
        raise FoldsegError(
            f"{path}: exists and divides the data in another way; runs that were trained on it could not be "
            "blended with new ones. Give data.folds another name, or remove the file"
        )
    lines = fold_leaks(data, folds).lines()
    if lines and strict:
        raise FoldsegError("\n  ".join([f"{path}: is not written, because of what is shared:", *lines]))
    write_text(path, folds_csv(folds))
    sizes = fold_sizes(folds)
    logger.info("%s: %d images in %d folds (%s)", path, len(folds), len(sizes), ", ".join(map(str, sizes)))
    uneven = unevenness(folds)
    for line in [uneven, *lines] if uneven else lines:
        logger.warning("%s: %s", path, line)
    return folds


def fold_leaks(data: DataSet, folds: pd.DataFrame) -> Leaks:
    """Look for ids, groups and places that folds share with each other or with the test images; `folds`: id, fold.

    Groups are the data's. Images of other splits are left out: they are neither trained nor scored on.
    """
    folded = data.samples.merge(folds[["id", "fold"]], on="id")
    folded["side"] = "fold " + folded["fold"].astype("str")
    test = data.test.assign(side=TEST)
    return find_leaks(pd.concat([folded, test])[["id", "image", "group", "side"]], data.root)
