"""Groups, strata and exclusions that the settings add to a samples table.

What follows from names and tables is known whenever the data is opened. What follows from the content of pictures is
computed when the folds are made, and then stands in the folds file.
"""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.config.schema import Data
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.division import (
    Grouping,
    GroupsByColumn,
    GroupsByPattern,
    GroupsOfAlike,
    NoGroups,
    Strata,
    StrataByColumn,
    StrataByPattern,
    StrataOfClasses,
    StrataOfForeground,
)
from foldseg.data.frame_similarity import describe_files, find_pairs
from foldseg.data.labels import LabelSet
from foldseg.data.own_ids import drop_picture_suffix
from foldseg.data.samples import count_mask_pixels, quote, shorten
from foldseg.errors import FoldsegError
from foldseg.notices import say_once
from foldseg.table_files import read_table

logger = logging.getLogger(__name__)

NameFunction = Callable[[pd.DataFrame, Any], pd.Series]
"""A function of the samples table and of settings: the group or stratum of each row."""

NAMED_GROUPS: dict[type[Grouping], NameFunction] = {
    GroupsByPattern: lambda table, settings: _match_pattern(table, settings, "groups"),
    GroupsByColumn: lambda table, settings: _look_up_column(table, settings, "groups"),
    NoGroups: lambda table, _: table["id"],
}
"""Groups that follow from names and tables."""
NAMED_STRATA: dict[type[Strata], NameFunction] = {
    StrataByPattern: lambda table, settings: _match_pattern(table, settings, "strata"),
    StrataByColumn: lambda table, settings: _look_up_column(table, settings, "strata"),
}
"""Strata that follow from names and tables."""


def apply_named(table: pd.DataFrame, settings: Data) -> pd.DataFrame:
    """Return a samples table without the excluded images, with the groups and strata that follow from names and tables.

    FoldsegError if a pattern or a table has nothing for an image that is divided into folds.
    """
    table = _exclude(table, settings.exclude)
    divided = table["split"].isin(settings.list_divided_splits())
    if settings.groups is not None and type(settings.groups) in NAMED_GROUPS:
        names = NAMED_GROUPS[type(settings.groups)](table[divided], settings.groups)
        table = table.assign(group=table["group"].mask(divided, names.reindex(table.index)))
    if settings.strata is not None and type(settings.strata) in NAMED_STRATA:
        names = NAMED_STRATA[type(settings.strata)](table[divided], settings.strata)
        table = table.assign(stratum=table["stratum"].mask(divided, names.reindex(table.index)))
    return table


def add_seen(table: pd.DataFrame, settings: Data, labels: LabelSet) -> pd.DataFrame:
    """Return the rows that are divided into folds, with groups and strata that follow from the content of pictures."""
    if settings.groups is not None and type(settings.groups) in SEEN_GROUPS:
        table = table.assign(group=SEEN_GROUPS[type(settings.groups)](table, settings.groups, settings))
    if settings.strata is not None and type(settings.strata) in SEEN_STRATA:
        counts = count_mask_pixels(table, settings.root, labels, settings.pictures)[:, :-1]
        table = table.assign(stratum=SEEN_STRATA[type(settings.strata)](counts, settings.strata, labels))
    return table


def _exclude(table: pd.DataFrame, path: Path | None) -> pd.DataFrame:
    """Return the table without the images that a CSV lists: `id`, and optionally `reason`."""
    if path is None:
        return table
    listed = read_table(path)
    if "id" not in listed.columns:
        raise FoldsegError(f"{path}: lists excluded images, so it needs a column id; it has {shorten(listed.columns)}")
    unknown = sorted(set(listed["id"]) - set(table["id"]))
    if unknown:
        raise FoldsegError(f"{path}: {len(unknown)} id(s) are not in the data: {shorten(unknown)}")
    excluded = table["id"].isin(listed["id"])
    reasons = listed["reason"].value_counts() if "reason" in listed.columns else pd.Series(dtype="int64")
    why = ", ".join(f"{count} {reason or 'without a reason'}" for reason, count in reasons.items())
    say_once(f"{path}: {excluded.sum()} image(s) are excluded{f': {why}' if why else ''}", level=logging.INFO)
    return table[~excluded].reset_index(drop=True)


def _match_pattern(table: pd.DataFrame, settings: GroupsByPattern | StrataByPattern, key: str) -> pd.Series:
    """Return what a regular expression finds in the id or path of each row."""
    regex = re.compile(settings.pattern)
    matches = [regex.search(str(text)) for text in table[settings.of]]
    missing = [str(text) for text, match in zip(table[settings.of], matches, strict=True) if match is None]
    if missing:
        raise FoldsegError(
            f"data.{key}.pattern: {quote(settings.pattern)} is not in {len(missing)} of {len(table)} "
            f"{'ids' if settings.of == 'id' else 'paths'}: {shorten(missing)}"
        )
    names = [match[match.re.groups] for match in matches if match is not None]
    return pd.Series(names, table.index, dtype="str")


def _look_up_column(table: pd.DataFrame, settings: GroupsByColumn | StrataByColumn, key: str) -> pd.Series:
    """Return the value of a column of another table for each row."""
    other = read_table(settings.file)
    for column in (settings.id, settings.column):
        if column not in other.columns:
            raise FoldsegError(
                f"{settings.file}: has no column {quote(column)} (data.{key}); it has {', '.join(other.columns)}"
            )
    values = other[[settings.id, settings.column]].drop_duplicates()
    values = values.assign(**{settings.id: values[settings.id].map(drop_picture_suffix)}).drop_duplicates()
    repeated = values[settings.id][values[settings.id].duplicated()].tolist()
    if repeated:
        raise FoldsegError(f"{settings.file}: {repeated[0]} has several values of {settings.column}")
    found = table["id"].map(values.set_index(settings.id)[settings.column])
    missing = table["id"][found.isna()].tolist()
    if missing:
        raise FoldsegError(
            f"{settings.file}: {len(missing)} image(s) have no row (data.{key}.id: {settings.id}): {shorten(missing)}"
        )
    return found


def _group_alike(table: pd.DataFrame, settings: GroupsOfAlike, data: Data) -> list[str]:
    """Return a group for each row: those of the data, joined if an image of one looks like an image of the other."""
    descriptors = describe_files([data.root / str(image) for image in table["image"]])
    pairs = find_pairs(descriptors, settings.similarity)
    _, group_of_row = np.unique(table["group"].to_numpy(np.str_), return_inverse=True)
    joined = join_groups(group_of_row, pairs)
    names = [f"alike_{table['id'].iloc[int(np.argmax(joined == number))]}" for number in range(joined.max() + 1)]
    sizes = np.bincount(joined)
    logger.info(
        "data.groups: %d images look alike in pairs; they form %d groups, the largest of %d images (%s)",
        len(np.unique(pairs)), len(sizes), sizes.max(), names[int(sizes.argmax())],
    )  # fmt: skip
    return [names[number] for number in joined]


def join_groups(group_of_row: NDArray[np.intp], pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the group of each row, numbered from 0, after the groups of each pair of rows (n, 2) have been joined."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = group_of_row[pairs]
    number = int(group_of_row.max()) + 1
    graph = coo_matrix((np.ones(len(pairs), bool), (ends[:, 0], ends[:, 1])), (number, number))
    return np.asarray(connected_components(graph, directed=False)[1][group_of_row], np.intp)


def _name_rarest_class(counts: NDArray[np.int64], _: StrataOfClasses, labels: LabelSet) -> list[str]:
    """Return the rarest class of each image: the one that the fewest images have. "none" for an image without any."""
    has_class = counts > 0
    images = has_class.sum(0)
    rarity = np.where(has_class, images, np.iinfo(np.int64).max)
    return [labels.names[row.argmin()] if has.any() else "none" for row, has in zip(rarity, has_class, strict=True)]


def _name_foreground(counts: NDArray[np.int64], settings: StrataOfForeground, labels: LabelSet) -> list[str]:
    """Return the step of each image's share of scored pixels: "0" for none, then "1", "2", ..."""
    scored = counts[:, labels.scored].sum(1)
    share = np.minimum(scored / np.maximum(counts.sum(1), 1), 1.0)
    steps = np.minimum((share * settings.steps).astype(int), settings.steps - 1) + 1
    return [str(step) if pixels else "0" for step, pixels in zip(steps, scored, strict=True)]


SEEN_GROUPS: dict[type[Grouping], Callable[[pd.DataFrame, Any, Data], Sequence[str]]] = {GroupsOfAlike: _group_alike}
"""Groups that follow from the content of images."""
SEEN_STRATA: dict[type[Strata], Callable[[NDArray[np.int64], Any, LabelSet], list[str]]] = {
    StrataOfClasses: _name_rarest_class,
    StrataOfForeground: _name_foreground,
}
"""Strata that follow from the content of masks: functions of pixels (images, classes)."""
check_entries([*NAMED_GROUPS, *SEEN_GROUPS], Grouping, "data/grouping.py: NAMED_GROUPS and SEEN_GROUPS")
check_entries([*NAMED_STRATA, *SEEN_STRATA], Strata, "data/grouping.py: NAMED_STRATA and SEEN_STRATA")
