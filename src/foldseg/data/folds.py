"""Folds: which images a model validates on. Complete, disjoint, group-safe, the same for ever."""

import logging
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.data.samples import shorten, shown
from foldseg.errors import FoldsegError
from foldseg.inputs import is_absent, read_csv

logger = logging.getLogger(__name__)

FOLD_COLUMNS = ["id", "fold", "group", "stratum"]
_LARGE, _SMALL = 1.5, 0.5  # times the mean number of images: folds beyond are uneven


def make_folds(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Divide samples into `count` folds that balance strata and keep groups whole; no fold is empty.

    Returns a table of `id, fold, group, stratum`, ordered by id, that depends on nothing but its arguments. Warns when
    strata cannot be balanced. FoldsegError when there are fewer groups than folds.
    """
    ordered = table.sort_values("id", ignore_index=True)
    groups = ordered["group"].nunique()
    if groups < count:
        raise FoldsegError(
            f"{groups} group(s) ({shorten(sorted(ordered['group'].unique()), 3)}) cannot be divided into {count} folds "
            f"without dividing a group; "
            + (f"data.fold_count can be {groups} at most" if groups > 1 else "folds need two groups at least")
        )
    fold = _stratified(ordered, count, seed)
    if _is_uneven(fold, count):
        by_size = _by_size(ordered, count, seed)
        if len(np.unique(fold)) < count or not _is_uneven(by_size, count):
            logger.warning(
                "strata cannot be balanced over %d folds: the %d groups are too few or too uneven; folds are balanced "
                "by their number of images", count, groups,
            )  # fmt: skip
            fold = by_size
    return ordered.assign(fold=fold)[FOLD_COLUMNS]


def _stratified(ordered: pd.DataFrame, count: int, seed: int) -> NDArray[np.intp]:
    """Fold of every row; some folds may be empty. If all strata have fewer images than folds, they count as one."""
    from sklearn.model_selection import StratifiedGroupKFold  # takes seconds to import, and only this needs it

    strata = ordered["stratum"]
    if strata.value_counts().max() < count:
        logger.warning("each of the %d strata has fewer than %d images; they are taken as one", strata.nunique(), count)
        strata = pd.Series("", index=strata.index)
    fold = np.zeros(len(ordered), np.intp)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class in y")  # a small stratum is no mistake
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        for number, (_, held_out) in enumerate(splitter.split(ordered, strata, ordered["group"])):
            fold[held_out] = number
    return fold


def _by_size(ordered: pd.DataFrame, count: int, seed: int) -> NDArray[np.intp]:
    """Fold of every row: groups, the largest first, each go to the smallest fold, so none is empty.

    Of folds of one size a group goes to the one with the fewest images of its stratum.
    """
    shuffled = ordered.sample(frac=1, random_state=seed)  # groups of one size come in an order of the seed
    groups = shuffled.groupby("group", sort=False).agg(size=("id", "size"), stratum=("stratum", "first"))
    groups = groups.sort_values("size", ascending=False, kind="stable")
    sizes, of_stratum, fold_of = np.zeros(count, int), Counter[tuple[int, str]](), {}
    for name, size, stratum in groups.itertuples():
        place = min(range(count), key=lambda fold: (sizes[fold], of_stratum[fold, stratum], fold))
        fold_of[name] = place
        sizes[place] += size
        of_stratum[place, stratum] += size
    return ordered["group"].map(fold_of).to_numpy(np.intp)


def _is_uneven(fold: NDArray[np.intp], count: int) -> bool:
    sizes = np.bincount(fold, minlength=count)
    return bool(sizes.max() > _LARGE * sizes.mean() or sizes.min() < _SMALL * sizes.mean())


def fold_sizes(folds: pd.DataFrame) -> list[int]:
    """Return the number of images of every fold."""
    return folds["fold"].value_counts().sort_index().tolist()


def unevenness(folds: pd.DataFrame) -> str:
    """Say how folds of very different sizes come about, and what would help; "" if they are about even."""
    sizes, mean = fold_sizes(folds), len(folds) / folds["fold"].nunique()
    if not _is_uneven(folds["fold"].to_numpy(), len(sizes)):
        return ""
    text = f"folds are uneven: they have {', '.join(map(str, sizes))} images"
    groups = folds["group"].value_counts()
    large = groups[groups > mean]
    if large.empty:
        return f"{text}; groups are too few or too uneven for {len(sizes)} folds: a smaller data.fold_count may help"
    even = int(len(folds) // large.max())
    cure = f"data.fold_count={even} is the most that it allows" if even > 1 else "no number of folds would be even"
    return f"{text}, since group {large.index[0]} alone has {large.max()} of {len(folds)}; {cure}"


def folds_csv(folds: pd.DataFrame) -> str:
    """Return the content of a folds file."""
    return folds[FOLD_COLUMNS].to_csv(index=False, lineterminator="\n")


def load_folds(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Read a folds file and check it against the samples that are to be divided.

    FoldsegError, naming ids or groups, when the file is missing or malformed, an id is missing, repeated or of
    another data set, folds are not numbered 0, 1, 2, ..., or a group (of the file or of the data) is divided.
    """
    folds = _read(path)
    _check_ids(folds, table, path)
    numbers = sorted(folds["fold"].unique().tolist())
    if numbers != list(range(len(numbers))) or len(numbers) < 2:
        raise FoldsegError(f"{path}: folds should be numbered 0, 1, 2, ...; found {shorten(numbers)}")
    _check_groups(folds, path, "the file")
    truth = folds[["id", "fold"]].merge(table[["id", "group"]], on="id")
    _check_groups(truth, path, "the data")
    return folds


def _read(path: Path) -> pd.DataFrame:
    """Read the columns of a folds file; FoldsegError unless they are there and `fold` holds whole numbers from 0."""
    if is_absent(path):
        raise FoldsegError(f"{path}: no such folds file; make it with foldseg folds")
    if not path.is_file():
        raise FoldsegError(
            f"data.folds: {path}: is a folder, pipe or device; expected a CSV of {', '.join(FOLD_COLUMNS)}"
        )
    folds = read_csv(path)
    columns = [str(column) for column in folds.columns]
    if columns != FOLD_COLUMNS:
        separator = next((sign for sign in ";\t" if columns == [sign.join(FOLD_COLUMNS)]), "")
        has = f"is separated by {separator!r}" if separator else f"has {shorten(columns)}"
        raise FoldsegError(f"{path}: should have the columns {', '.join(FOLD_COLUMNS)}, separated by commas; it {has}")
    odd = folds[~folds["fold"].str.fullmatch("0|[1-9][0-9]{0,5}")]
    if len(odd):
        row = odd.iloc[0]
        raise FoldsegError(
            f"{path}: the fold of {shown(str(row['id']))} is {shown(str(row['fold']))}; expected fold being whole "
            f"numbers from 0 ({len(odd)} such row(s))"
        )
    return folds.astype({"fold": "int64"})


def _check_ids(folds: pd.DataFrame, table: pd.DataFrame, path: Path) -> None:
    double = folds["id"][folds["id"].duplicated()].unique()
    if len(double):
        raise FoldsegError(f"{path}: {len(double)} id(s) are in it twice: {shorten(double)}")
    missing = sorted(set(table["id"]) - set(folds["id"]))
    foreign = sorted(set(folds["id"]) - set(table["id"]))
    if missing or foreign:
        parts = [f"{len(missing)} image(s) have no fold: {shorten(missing)}"] if missing else []
        parts += [f"{len(foreign)} id(s) are not in the data: {shorten(foreign)}"] if foreign else []
        raise FoldsegError(f"{path}: is not the folds file of this data: " + "; ".join(parts))


def _check_groups(folds: pd.DataFrame, path: Path, whose: str) -> None:
    per_group = folds.groupby("group")["fold"].nunique()
    divided = per_group.index[per_group > 1].tolist()
    if divided:
        raise FoldsegError(f"{path}: {len(divided)} group(s) of {whose} are divided between folds: {shorten(divided)}")
