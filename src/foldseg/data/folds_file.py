"""Makes the folds file of a data set: as its settings divide it, after all files have been checked."""

import logging
from collections.abc import Callable
from typing import Any

import pandas as pd

from foldseg.config.schema import Data
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.division import CrossValidation, Division, FractionDivision, GroupDivision, SplitDivision
from foldseg.data.check import require_valid
from foldseg.data.datasets import DataSet, select_divided
from foldseg.data.folds import (
    ONLY_TRAINED,
    count_images_per_fold,
    describe_unevenness,
    format_folds,
    hold_out,
    hold_out_fraction,
    make_folds,
)
from foldseg.data.grouping import add_seen
from foldseg.data.leaks import TEST, Leaks, find_leaks
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.files import write_text
from foldseg.inputs import is_absent, read_text

logger = logging.getLogger(__name__)


def make_folds_file(settings: Data, strict: bool = False) -> pd.DataFrame:
    """Divide the images of `data.fold_splits` into `data.fold_count` folds and write `data.folds`; return the table.

    Warns of what folds share with each other or with the test images. With `strict` that is an error instead, and
    nothing is written. FoldsegError also if the file exists and divides in another way, since runs may have been
    trained on it.
    """
    data, path = DataSet(settings), settings.folds
    table = select_divided(data.samples, settings)
    require_valid(data)
    folds = _divide(add_seen(table, settings, data.all_labels), settings)
    if not is_absent(path) and read_text(path).replace("\r\n", "\n") != format_folds(folds):
        raise FoldsegError(
            f"{path}: exists and divides the data in another way; runs that were trained on it could not be "
            "blended with new ones. Give data.folds another name, or remove the file"
        )
    leaks = find_fold_leaks(data, folds).lines()
    if leaks and strict:
        raise FoldsegError("\n  ".join([f"{path}: is not written, because of what is shared:", *leaks]))
    write_text(path, format_folds(folds))
    only_trained = int((folds["fold"] == ONLY_TRAINED).sum())
    sizes = count_images_per_fold(folds[folds["fold"] != ONLY_TRAINED])
    if only_trained:
        text = "%s: %d images are validated on (fold 0), %d are only trained on (fold -1)"
        logger.info(text, path, sum(sizes), only_trained)
    else:
        logger.info("%s: %d images in %d folds (%s)", path, len(folds), len(sizes), ", ".join(map(str, sizes)))
    unevenness = describe_unevenness(folds)
    warnings = [unevenness, *leaks] if unevenness else leaks
    for warning in warnings:
        logger.warning("%s: %s", path, warning)
    return folds


def _divide(table: pd.DataFrame, settings: Data) -> pd.DataFrame:
    """Return the folds of the images of `data.fold_splits`, as the settings divide them."""
    return DIVISIONS[type(settings.division)](table, settings.division, settings)


def _hold_out_splits(table: pd.DataFrame, division: SplitDivision, _: Data) -> pd.DataFrame:
    return hold_out(table, table["split"].isin(division.validation).to_numpy())


def _hold_out_groups(table: pd.DataFrame, division: GroupDivision, _: Data) -> pd.DataFrame:
    groups = table["group"].unique()
    unknown = sorted(set(division.validation) - set(groups))
    if unknown:
        raise FoldsegError(
            f"data.division.validation: there is no group {unknown[0]}; there are {shorten(sorted(groups), 12)}"
        )
    return hold_out(table, table["group"].isin(division.validation).to_numpy())


DIVISIONS: dict[type[Division], Callable[[pd.DataFrame, Any, Data], pd.DataFrame]] = {
    CrossValidation: lambda table, _, settings: make_folds(table, settings.fold_count, settings.fold_seed),
    SplitDivision: _hold_out_splits,
    GroupDivision: _hold_out_groups,
    FractionDivision: lambda table, division, settings: hold_out_fraction(table, division.share, settings.fold_seed),
}
"""Kind of division -> a function of the rows that are divided, its settings and those of the data."""
check_entries(DIVISIONS, Division, "data/folds_file.py: DIVISIONS")


def find_fold_leaks(data: DataSet, folds: pd.DataFrame) -> Leaks:
    """Find ids, groups and places that folds share with each other or with the test images; `folds`: id, fold.

    Groups are those of the data, not of `folds`. Images of other splits are left out, since nothing is trained or
    scored on them.
    """
    folded = data.samples.merge(folds[["id", "fold"]], on="id")
    folded["side"] = ("fold " + folded["fold"].astype("str")).replace(f"fold {ONLY_TRAINED}", "only trained on")
    test = data.test.assign(side=TEST)
    return find_leaks(pd.concat([folded, test])[["id", "image", "group", "side"]], data.root, data.pictures)
