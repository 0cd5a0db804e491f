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

from foldseg.config import load_data
from foldseg.config.schema import Data, Folders, Pictures, Table
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.datasets import CamVid, DatasetKind, Signate, ToyCity
from foldseg.config.schema.division import CrossValidation
from foldseg.data import camvid, own_folders, own_table, signate
from foldseg.data.folds import (
    ONLY_TRAINED,
    load_folds,
)
from foldseg.data.grouping import apply_named
from foldseg.data.labels import LabelChoice, LabelSet
from foldseg.data.leaks import TEST
from foldseg.data.own_classes import make_label_set
from foldseg.data.reading import read_image_size
from foldseg.data.samples import check_files, shorten
from foldseg.data.toy_city import prepare_toy_city
from foldseg.errors import FoldsegError
from foldseg.inputs import is_absent
from foldseg.notices import say_once

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetDefinition:
    """What code needs to know of a kind of data set."""

    scan: Callable[[Data], pd.DataFrame]
    """Return the samples table: a function of the block `data`, whose `dataset` are the settings of the kind."""
    labels: Callable[[Any], LabelSet]
    """Return all classes: a function of the kind's settings alone, since finished runs may be far from their data."""
    prepare: Callable[[Any, Path], None] | None = None
    """Build what is missing below the root, or check what is there: a function of the kind's settings and the root.
    None: nothing is built."""

    @staticmethod
    def of_layout(
        scan: Callable[[Path], pd.DataFrame], labels: LabelSet, prepare: Callable[[Any, Path], None] | None = None
    ) -> "DatasetDefinition":
        """Return the definition of a kind whose layout and classes do not depend on settings."""
        return DatasetDefinition(lambda data: scan(data.root), lambda _: labels, prepare)


DATASETS: dict[type[DatasetKind], DatasetDefinition] = {
    CamVid: DatasetDefinition.of_layout(camvid.scan, camvid.LABELS),
    Signate: DatasetDefinition.of_layout(signate.scan, signate.LABELS),
    ToyCity: DatasetDefinition.of_layout(signate.scan, signate.LABELS, prepare_toy_city),
    Folders: DatasetDefinition(own_folders.scan, make_label_set),
    Table: DatasetDefinition(own_table.scan, make_label_set),
}
check_entries(DATASETS, DatasetKind, "data/datasets.py: DATASETS")


def get_label_set(settings: Data) -> LabelSet:
    """Return the label set that models of these settings are trained on and scored with. No file is read."""
    return get_all_classes(settings).select(settings.labels)


def get_all_classes(settings: Data) -> LabelSet:
    """Return all classes of a data set, also those that are not learned. No file is read."""
    return DATASETS[type(settings.dataset)].labels(settings.dataset)


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set that a command has opened. Its tables are read at first use, and only once.

    `settings` are the block `data` of a configuration. Contents of images and masks are never kept here: ask
    `foldseg.data.hashes` for them. Do not write into the tables, since they are shared.
    """

    settings: Data
    shares_tables_with: "DataSet | None" = None
    """A data set of the same images and folds, with other classes, whose tables are used. None: it reads its own."""

    @property
    def root(self) -> Path:
        """The folder that the paths of the tables are relative to."""
        return self.settings.root

    @property
    def pictures(self) -> Pictures:
        """How picture files are read. Masks that foldseg has drawn hold ids, whatever they were drawn from."""
        pictures = self.settings.pictures
        if not self.settings.dataset.draws_masks:
            return pictures
        return pictures.model_copy(update={"mask_threshold": None, "nearest_color": None, "resize_masks": False})

    @cached_property
    def labels(self) -> LabelSet:
        """The classes that models are trained on and scored with."""
        return get_label_set(self.settings)

    @property
    def all_labels(self) -> LabelSet:
        """All classes of the data set, also those that are not learned."""
        return get_all_classes(self.settings)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """All images, a row each. The columns are strings: id, image, mask, split, group, stratum.

        See `foldseg.data.samples`. The toy city is built if its root does not exist yet. FoldsegError if the data is
        missing, or not in its layout.
        """
        if self.shares_tables_with is not None:
            return self.shares_tables_with.samples
        table = scan(self.settings)
        _say_what_is_not_used(table, self.settings)
        return table

    @cached_property
    def folded(self) -> pd.DataFrame:
        """The images that are divided into folds, ordered by id: the columns of `samples`, and `fold`, int64 from 0.

        Group and stratum are those of the folds file. FoldsegError if the folds file is missing or does not fit.
        """
        if self.shares_tables_with is not None:
            return self.shares_tables_with.folded
        settings, table = self.settings, select_divided(self.samples, self.settings)
        if is_absent(settings.folds):
            command = _suggest_folds_command(settings)
            raise FoldsegError(f"{settings.folds}: no such folds file; make it with {command}")
        folds = load_folds(settings.folds, table)
        count = folds["fold"][folds["fold"] != ONLY_TRAINED].nunique()
        if isinstance(settings.division, CrossValidation) and count != settings.fold_count:
            say_once(
                f"{settings.folds}: has {count} folds, and data.fold_count is {settings.fold_count}; the file decides"
            )
        return table.drop(columns=["group", "stratum"]).merge(folds, on="id", validate="1:1").sort_values("id")

    @property
    def folds(self) -> list[int]:
        """The numbers of the folds: 0, 1, 2, ...."""
        return sorted(set(self.folded["fold"].tolist()) - {ONLY_TRAINED})

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change when an image is added, removed or moved to another fold."""
        rows = self.folded.sort_values("id")[["id", "image", "mask", "fold"]].to_csv(index=False, lineterminator="\n")
        return hashlib.sha256(rows.encode()).hexdigest()[:16]

    @property
    def test(self) -> pd.DataFrame:
        """The rows of `samples` that belong to the split test. There may be none."""
        return self.samples[self.samples["split"] == "test"]

    @cached_property
    def sizes(self) -> pd.DataFrame:
        """The columns of `samples`, and height and width of each image, int64 pixels, from its file's header.

        All files are checked. FoldsegError names those that are missing or damaged, and masks of another size than
        their image.
        """
        return check_files(self.samples, self.root, self.pictures)

    def check_files(self) -> None:
        """Check all images and masks: raise the errors of `sizes`, if there are any."""
        _ = self.sizes

    @cached_property
    def images(self) -> dict[str, Path]:
        """The file of each image, by id."""
        return {str(row.id): self.root / str(row.image) for row in self.samples.itertuples()}

    def size_of(self, name: str) -> tuple[int, int]:
        """Return (height, width) of an image, from its file's header. FoldsegError if the header is damaged."""
        return read_image_size(self.images[name], self.pictures)

    def with_labels(self, labels: LabelChoice) -> "DataSet":
        """Return the same images and folds with other classes, e.g. "scored". Nothing is read again."""
        settings = self.settings.model_copy(update={"labels": labels})
        return DataSet(settings, self.shares_tables_with or self)


class OpenedData:
    """The data sets that a command has opened. Runs whose settings name the same data share a `DataSet`."""

    def __init__(self) -> None:
        self._by_settings: dict[Data, DataSet] = {}

    def open(self, settings: Data) -> DataSet:
        """Return the data set of these settings. Data sets that differ only in their classes share their tables."""
        if settings not in self._by_settings:
            with_all_classes = settings.model_copy(update={"labels": "all"})
            data = self._by_settings.setdefault(with_all_classes, DataSet(with_all_classes))
            if settings != with_all_classes:
                self._by_settings[settings] = data.with_labels(settings.labels)
        return self._by_settings[settings]


def scan(settings: Data) -> pd.DataFrame:
    """Return the samples table of a data set. The toy city is built if its root does not exist yet."""
    definition = DATASETS[type(settings.dataset)]
    if definition.prepare is not None:
        definition.prepare(settings.dataset, settings.root)
    return apply_named(definition.scan(settings), settings)


def _say_what_is_not_used(table: pd.DataFrame, settings: Data) -> None:
    """Log which splits are neither trained on nor predicted."""
    used = {*settings.list_divided_splits(), TEST}
    counts = table["split"][~table["split"].isin(used)].value_counts()
    if len(counts):
        unused = ", ".join(f"{name} ({count} images)" for name, count in counts.items())
        say_once(
            f"{settings.root}: not used is the split {unused}; data.fold_splits says which are trained on",
            level=logging.INFO,
        )


def _suggest_folds_command(settings: Data) -> str:
    """Return the command that makes the folds file, with the data configuration if it is in `configs`."""
    for path in [*sorted(Path("configs/data").glob("*.yaml")), *sorted(Path("configs/contests").glob("*.yaml"))]:
        try:
            candidate = load_data(path)
        except FoldsegError:
            continue
        if (candidate.dataset.kind, candidate.folds) == (settings.dataset.kind, settings.folds):
            return f"foldseg folds {path}"
    return "foldseg folds"


def select_divided(table: pd.DataFrame, settings: Data) -> pd.DataFrame:
    """Return the rows of `data.fold_splits`. FoldsegError for splits that the data set lacks or that have no masks."""
    splits, name = table["split"].unique().tolist(), settings.dataset.kind
    divided = settings.list_divided_splits()
    unknown = [split for split in divided if split not in splits]
    if unknown:
        keys = "data.fold_splits" if unknown[0] in settings.fold_splits else "data.division.validation"
        raise FoldsegError(f"{keys}: {name} has no split {', '.join(unknown)}; it has {', '.join(splits)}")
    selected = table[table["split"].isin(divided)]
    if selected.empty:
        raise FoldsegError(f"data.fold_splits: is empty; {name} has {', '.join(splits)}")
    unlabelled = selected[selected["mask"] == ""]
    if len(unlabelled):
        without_masks = ", ".join(unlabelled["split"].unique())
        raise FoldsegError(
            f"data.fold_splits: {len(unlabelled)} image(s) of {without_masks} have no mask and cannot be trained on: "
            f"{shorten(unlabelled['id'])}"
        )
    if TEST in divided:
        say_once("data.fold_splits: test images are trained on, so their score says nothing")
    return selected
