"""Candidates for groups and strata: what names share, columns of tables, images that look alike."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foldseg.data.frame_similarity import SAME_PLACE, describe_files, find_pairs
from foldseg.data.grouping import join_groups
from foldseg.data.own_ids import drop_picture_suffix
from foldseg.discovery.proposal import Proposal
from foldseg.errors import FoldsegError
from foldseg.table_files import read_table

GROUP_WORDS = re.compile(
    r"patient|case|subject|group|site|cars?$|video|city|study|series|source|slide|organ|hospital|day|scene|drive|record|"
    r"fragment|field|plot|flight|sequence|station|location|camera|animal|person",
    re.IGNORECASE,
)
"""Names of columns that mean a group."""
_CLEAR_PATTERNS = {
    r"^(.+)\.rf\.": "copies of one picture, which Roboflow made, share what is before .rf.",
    r"((?i:patient|case|subject|video|site|scene|slide|drive)[_\- ]?[0-9]+)": "names say which belong together",
}
"""Parts of names that mean a group -> why."""
_NAME_PATTERNS = (
    r"^(.+?)[_\-. ]+[A-Za-z]*\d+$",
    r"^([A-Za-z]+\d+)[_\-. ]",
    r"^([A-Za-z]+)[_\-. ]?\d+$",
)
_MOST_COMPARED = 3000
"""So many images at most are compared with each other."""
_LARGEST_GROUP = 0.34
"""A group of a larger share of the images would make folds uneven."""


def propose_groups(proposal: Proposal, images: Mapping[str, Path], tables: Sequence[Path]) -> None:
    """Add what may be groups to a proposal: settings where it is clear, otherwise an option and a sentence.

    `images`: the images that are divided into folds, by id.
    """
    proposal.group_count = len(images)
    has_groups = "group" in proposal.dataset.get("columns", {})
    for path in tables:
        has_groups = _propose_columns(proposal, list(images), path, has_groups)
    has_groups = has_groups or _propose_names(proposal, list(images))
    _propose_alike(proposal, images, has_groups)


def _propose_columns(proposal: Proposal, ids: Sequence[str], path: Path, has_groups: bool) -> bool:
    """Look for columns that group images in a table with a row for each. Return whether groups are set now."""
    try:
        table = read_table(path)
    except FoldsegError:
        return has_groups
    key = find_id_column(table, ids)
    if key is None:
        return has_groups
    for column in table.columns:
        values = table[column]
        is_used = column in proposal.dataset.get("columns", {}).values()
        if column == key or is_used or not is_repeated(values, len(ids)):
            continue
        setting = {"kind": "column", "file": str(path), "column": column, "id": key}
        if GROUP_WORDS.search(column) and not has_groups:
            proposal.data["groups"] = setting
            proposal.found.append(f"groups: the column {column} of {path} ({values.nunique()} groups)")
            proposal.group_count = _count_values(table, key, column, ids)
            has_groups = True
        else:
            proposal.options += [f"groups: {_flow(setting)}", f"strata: {_flow(setting)}"]
            proposal.unseen.append(
                f"what the column {column} of {path} means ({values.nunique()} values). If its values say which images "
                "belong together, uncomment the line `groups`; if folds should balance them, `strata`"
            )
    return has_groups


def _count_values(table: pd.DataFrame, key: str, column: str, ids: Sequence[str]) -> int:
    """Return how many values a column has in the rows of images."""
    is_wanted = table[key].map(lambda cell: drop_picture_suffix(Path(str(cell)).name)).isin(ids)
    return int(table.loc[is_wanted, column].nunique())


def find_id_column(table: pd.DataFrame, ids: Sequence[str]) -> str | None:
    """Return the column that holds the ids of most images, with or without the suffix of a picture. None: none does."""
    wanted = set(ids)
    for column in table.columns:
        cells = {drop_picture_suffix(Path(str(cell)).name) for cell in table[column]}
        if len(wanted & cells) >= 0.8 * len(wanted):
            return str(column)
    return None


def is_repeated(values: pd.Series, images: int) -> bool:
    """Whether values are names of groups: several, each of several images, and no measured numbers."""
    number = values.nunique()
    has_fractions = values.str.fullmatch(r"-?\d*\.\d+(e-?\d+)?").mean() > 0.2
    return 2 <= number <= 0.7 * images and not has_fractions and bool((values != "").all())


def _propose_names(proposal: Proposal, ids: Sequence[str]) -> bool:
    """Look for what names share. Return whether groups are set now."""
    for pattern in (*_CLEAR_PATTERNS, *_NAME_PATTERNS):
        matches = [re.search(pattern, name) for name in ids]
        groups = Counter(match[1] for match in matches if match is not None)
        if groups.total() < len(ids) or not 3 <= len(groups) <= 0.6 * len(ids):
            continue
        setting = {"kind": "pattern", "pattern": pattern}
        if pattern in _CLEAR_PATTERNS:
            proposal.data["groups"] = setting
            proposal.found.append(f"groups: {_CLEAR_PATTERNS[pattern]} ({len(groups)} groups)")
            proposal.group_count = len(groups)
            return True
        largest, size = groups.most_common(1)[0]
        proposal.options.append(f"groups: {_flow(setting)}")
        proposal.unseen.append(
            f"whether images whose names share a part belong together, e.g. {size} of {largest} ({len(groups)} such "
            "parts). If they do (one patient, one video), uncomment the line `groups`"
        )
        return False
    return False


def _propose_alike(proposal: Proposal, images: Mapping[str, Path], has_groups: bool) -> None:
    """Compare all images with each other, and propose groups of those that look alike."""
    if len(images) > _MOST_COMPARED:
        proposal.unseen.append(
            f"which of the {len(images)} images look alike; `foldseg folds` says what is alike between folds, and the "
            "line `groups: alike` makes groups of it"
        )
        proposal.options.append("groups: alike")
        return
    try:
        pairs = find_pairs(describe_files(list(images.values())), SAME_PLACE)
    except FoldsegError as error:
        proposal.unseen.append(f"which images look alike: {error}")
        return
    if not len(pairs):
        proposal.found.append("no two images look alike")
        return
    sizes = np.bincount(join_groups(np.arange(len(images)), pairs))
    names = list(images)
    text = (
        f"{len(np.unique(pairs))} of {len(images)} images look like another one, e.g. {names[pairs[0, 0]]} and "
        f"{names[pairs[0, 1]]}; together they would be groups of up to {sizes.max()} images"
    )
    if has_groups or sizes.max() > _LARGEST_GROUP * len(images) or "groups" in proposal.data:
        proposal.unseen.append(f"{text}. Look at them; the line `groups: alike` makes groups of them")
        proposal.options.append("groups: alike")
    else:
        proposal.data["groups"] = "alike"
        proposal.group_count = len(sizes)
        proposal.found.append(f"{text} (groups: alike is set)")


def _flow(setting: Mapping[str, Any]) -> str:
    from foldseg.discovery.yaml_text import flow

    return flow(setting)
