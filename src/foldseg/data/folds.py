"""Folds: which images a model validates on. Complete, disjoint, group-safe, the same for ever."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError

FOLD_COLUMNS = ["id", "fold", "group", "stratum"]


def make_folds(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Divide samples into `count` folds that balance strata and keep groups whole.

    Returns a table of `id, fold, group, stratum`, ordered by id, that depends on nothing but its arguments.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes seconds to import, and only this needs it

    ordered = table.sort_values("id", ignore_index=True)
    groups = ordered["group"].nunique()
    if groups < count:
        raise FoldsegError(f"{groups} group(s) cannot be divided into {count} folds without dividing a group")
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    fold = np.full(len(ordered), -1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class in y")  # a small stratum is no mistake
            for number, (_, held_out) in enumerate(splitter.split(ordered, ordered["stratum"], ordered["group"])):
                fold[held_out] = number
    except ValueError as error:
        raise FoldsegError(f"the strata cannot be balanced over {count} folds: {error}") from error
    return ordered.assign(fold=fold)[FOLD_COLUMNS]


def folds_csv(folds: pd.DataFrame) -> str:
    """Return the content of a folds file."""
    return folds[FOLD_COLUMNS].to_csv(index=False, lineterminator="\n")


def load_folds(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Read a folds file and check it against the samples that are to be divided.

    FoldsegError, naming ids or groups, when the file is missing or malformed, an id is missing, repeated or of
    another data set, folds are not numbered 0, 1, 2, ..., or a group (of the file or of the data) is divided.
    """
    if not path.is_file():
        raise FoldsegError(f"{path}: no such folds file; make it with scripts/make_folds.py")
    try:
        folds = pd.read_csv(path, dtype={"id": "str", "group": "str", "stratum": "str"}, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise FoldsegError(f"{path}: is not a CSV of {', '.join(FOLD_COLUMNS)} ({error})") from error
    if list(folds.columns) != FOLD_COLUMNS or not pd.api.types.is_integer_dtype(folds["fold"]):
        raise FoldsegError(f"{path}: should have the columns {', '.join(FOLD_COLUMNS)}, fold being whole numbers")
    _check_ids(folds, table, path)
    numbers = sorted(folds["fold"].unique().tolist())
    if numbers != list(range(len(numbers))) or len(numbers) < 2:
        raise FoldsegError(f"{path}: folds should be numbered 0, 1, 2, ...; found {shorten(numbers)}")
    _check_groups(folds, path, "the file")
    truth = folds[["id", "fold"]].merge(table[["id", "group"]], on="id")
    _check_groups(truth, path, "the data")
    return folds


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
