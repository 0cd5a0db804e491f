"""Folds: which images each model is validated on.

Folds are complete and disjoint, never divide a group, and depend on nothing but the data, their number and a seed.
"""

import logging
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.data.samples import quote, shorten
from foldseg.errors import FoldsegError
from foldseg.inputs import is_absent, read_csv

logger = logging.getLogger(__name__)

FOLD_COLUMNS = ["id", "fold", "group", "stratum"]
ONLY_TRAINED = -1
"""The fold of images that are trained on in every fold, and never validated on."""
_MANY_FOLDS = 10
_LARGE, _SMALL = 1.5, 0.5
"""Folds are uneven if one has more, or less, than this times the mean number of images."""


def make_folds(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Divide samples into `count` folds that balance strata and do not divide groups; no fold is empty.

    Returns a table of id, fold, group, stratum, ordered by id. It depends on the arguments alone. Warns if strata
    cannot be balanced. FoldsegError if there are fewer groups than folds.
    """
    ordered = table.sort_values("id", ignore_index=True)
    groups = ordered["group"].nunique()
    if groups < count:
        names = shorten(sorted(ordered["group"].unique()), 3)
        remedy = f"data.fold_count can be {groups} at most" if groups > 1 else "folds need two groups at least"
        raise FoldsegError(
            f"{groups} group(s) ({names}) cannot be divided into {count} folds without dividing a group; {remedy}"
        )
    fold = _divide_by_stratum(ordered, count, seed)
    if _is_uneven(fold, count):
        by_size = _divide_by_size(ordered, count, seed)
        if len(np.unique(fold)) < count or not _is_uneven(by_size, count):
            logger.warning(
                "strata cannot be balanced over %d folds: the %d groups are too few or too uneven; folds are balanced "
                "by their number of images", count, groups,
            )  # fmt: skip
            fold = by_size
    return ordered.assign(fold=fold)[FOLD_COLUMNS]


def hold_out(table: pd.DataFrame, is_held_out: NDArray[np.bool_]) -> pd.DataFrame:
    """Return a table of id, fold, group, stratum in which some images are fold 0, and the others are only trained on.

    FoldsegError if nothing is left to train or to validate on.
    """
    if is_held_out.all() or not is_held_out.any():
        raise FoldsegError(f"data.division: {is_held_out.sum()} of {len(table)} images would be validated on")
    both = sorted(set(table["group"][is_held_out]) & set(table["group"][~is_held_out]))
    if both:
        raise FoldsegError(
            f"data.division: {len(both)} group(s) would be trained and validated on: {shorten(both)}; exclude their "
            "images from training (data.exclude), or, if they are no groups, set data.groups=none"
        )
    return table.assign(fold=np.where(is_held_out, 0, ONLY_TRAINED)).sort_values("id", ignore_index=True)[FOLD_COLUMNS]


def hold_out_fraction(table: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Return `hold_out` of about a share of the images: of as many of several folds as come nearest to it."""
    wanted = round(1 / share) if share <= 0.5 else _MANY_FOLDS
    folds = make_folds(table, max(2, min(wanted, table["group"].nunique())), seed)
    share_up_to = np.cumsum(count_images_per_fold(folds)[:-1]) / len(folds)
    last = int(np.abs(share_up_to - share).argmin())
    return hold_out(folds.drop(columns="fold"), (folds["fold"] <= last).to_numpy())


def _divide_by_stratum(ordered: pd.DataFrame, count: int, seed: int) -> NDArray[np.intp]:
    """Return the fold of every row, so that folds balance strata; some folds may be empty.

    If every stratum has fewer images than there are folds, all strata are taken as one.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes seconds to import, and only this needs it

    strata = ordered["stratum"]
    if strata.value_counts().max() < count:
        logger.warning("each of the %d strata has fewer than %d images; they are taken as one", strata.nunique(), count)
        strata = pd.Series("", index=strata.index)
    fold = np.zeros(len(ordered), np.intp)
    with warnings.catch_warnings():
        # A stratum with few images is no mistake
        warnings.filterwarnings("ignore", "The least populated class in y")
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        for number, (_, held_out) in enumerate(splitter.split(ordered, strata, ordered["group"])):
            fold[held_out] = number
    return fold


def _divide_by_size(ordered: pd.DataFrame, count: int, seed: int) -> NDArray[np.intp]:
    """Return the fold of every row, so that folds have about as many images each; no fold is empty.

    Groups are taken from the largest to the smallest. Each goes to the fold that is the smallest by then; of several
    such folds, to the one with the fewest images of the group's stratum.
    """
    shuffled = ordered.sample(frac=1, random_state=seed)  # the seed decides the order of groups of one size
    groups = shuffled.groupby("group", sort=False).agg(size=("id", "size"), stratum=("stratum", "first"))
    groups = groups.sort_values("size", ascending=False, kind="stable")
    fold_sizes = np.zeros(count, int)
    stratum_sizes = Counter[tuple[int, str]]()  # images of a stratum in a fold, by (fold, stratum)
    fold_of_group = {}
    for group, size, stratum in groups.itertuples():
        smallest = min(range(count), key=lambda fold: (fold_sizes[fold], stratum_sizes[fold, stratum], fold))
        fold_of_group[group] = smallest
        fold_sizes[smallest] += size
        stratum_sizes[smallest, stratum] += size
    return ordered["group"].map(fold_of_group).to_numpy(np.intp)


def _is_uneven(fold: NDArray[np.intp], count: int) -> bool:
    sizes = np.bincount(fold, minlength=count)
    return bool(sizes.max() > _LARGE * sizes.mean() or sizes.min() < _SMALL * sizes.mean())


def count_images_per_fold(folds: pd.DataFrame) -> list[int]:
    """Return the number of images of every fold."""
    return folds["fold"].value_counts().sort_index().tolist()


def describe_unevenness(folds: pd.DataFrame) -> str:
    """Say why folds are of very different sizes and what would help; "" if they are about even."""
    sizes = count_images_per_fold(folds)
    mean = len(folds) / len(sizes)
    if (folds["fold"] == ONLY_TRAINED).any():
        return ""
    if not _is_uneven(folds["fold"].to_numpy(), len(sizes)):
        return ""
    text = f"folds are uneven: they have {', '.join(map(str, sizes))} images"
    groups = folds["group"].value_counts()
    large = groups[groups > mean]
    if large.empty:
        return f"{text}; groups are too few or too uneven for {len(sizes)} folds: a smaller data.fold_count may help"
    most = int(len(folds) // large.max())
    remedy = f"data.fold_count={most} is the most that it allows" if most > 1 else "no number of folds would be even"
    return f"{text}, since group {large.index[0]} alone has {large.max()} of {len(folds)}; {remedy}"


def format_folds(folds: pd.DataFrame) -> str:
    """Return the content of a folds file."""
    return folds[FOLD_COLUMNS].to_csv(index=False, lineterminator="\n")


def load_folds(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Read a folds file and check it against the samples that it should divide: id, fold, group, stratum.

    FoldsegError, naming ids or groups, if

    - the file is missing or malformed, or its folds are not numbered 0, 1, 2, ...;
    - an id is missing, repeated or of another data set;
    - a group of the file or of the data is divided between folds.
    """
    folds = _read_folds(path)
    _check_ids(folds, table, path)
    numbers = sorted(folds["fold"].unique().tolist())
    validated = [number for number in numbers if number != ONLY_TRAINED]
    if validated != list(range(len(validated))) or not validated or len(numbers) < 2:
        raise FoldsegError(
            f"{path}: folds should be numbered 0, 1, 2, ...; found {shorten(numbers)} "
            f"({ONLY_TRAINED} is for images that are only trained on)"
        )
    _check_groups(folds, path, "the file")
    with_groups_of_data = folds[["id", "fold"]].merge(table[["id", "group"]], on="id")
    _check_groups(with_groups_of_data, path, "the data")
    return folds


def _read_folds(path: Path) -> pd.DataFrame:
    """Read the table of a folds file. FoldsegError for other columns, and if `fold` holds no whole numbers from 0."""
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
        problem = f"is separated by {separator!r}" if separator else f"has {shorten(columns)}"
        raise FoldsegError(
            f"{path}: should have the columns {', '.join(FOLD_COLUMNS)}, separated by commas; it {problem}"
        )
    invalid = folds[~folds["fold"].str.fullmatch(f"{ONLY_TRAINED}|0|[1-9][0-9]{{0,5}}")]
    if len(invalid):
        row = invalid.iloc[0]
        raise FoldsegError(
            f"{path}: the fold of {quote(str(row['id']))} is {quote(str(row['fold']))}; expected fold being whole "
            f"numbers from 0 ({len(invalid)} such row(s))"
        )
    return folds.astype({"fold": "int64"})


def _check_ids(folds: pd.DataFrame, table: pd.DataFrame, path: Path) -> None:
    """Raise FoldsegError unless folds file and samples have the same ids, each once."""
    repeated = folds["id"][folds["id"].duplicated()].unique()
    if len(repeated):
        raise FoldsegError(f"{path}: {len(repeated)} id(s) are in it twice: {shorten(repeated)}")
    missing = sorted(set(table["id"]) - set(folds["id"]))
    foreign = sorted(set(folds["id"]) - set(table["id"]))
    if missing or foreign:
        parts = [f"{len(missing)} image(s) have no fold: {shorten(missing)}"] if missing else []
        parts += [f"{len(foreign)} id(s) are not in the data: {shorten(foreign)}"] if foreign else []
        cure = "if data.exclude, data.division or data.fold_splits has changed, give data.folds another name"
        raise FoldsegError(f"{path}: is not the folds file of this data: {'; '.join(parts)}; {cure}")


def _check_groups(folds: pd.DataFrame, path: Path, whose: str) -> None:
    """Raise FoldsegError if a group has images in several folds.

    `whose`: where the groups come from, for the message.
    """
    folds_per_group = folds.groupby("group")["fold"].nunique()
    divided = folds_per_group.index[folds_per_group > 1].tolist()
    if divided:
        raise FoldsegError(f"{path}: {len(divided)} group(s) of {whose} are divided between folds: {shorten(divided)}")
