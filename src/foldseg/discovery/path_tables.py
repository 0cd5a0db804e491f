"""A proposal for a table with paths of images and masks."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from foldseg.discovery.groups import GROUP_WORDS, is_repeated, propose_groups
from foldseg.discovery.mask_survey import survey_masks
from foldseg.discovery.proposal import (
    Proposal,
    describe_masks,
    propose_classes,
    propose_pictures,
    propose_view,
    survey_images,
)
from foldseg.errors import FoldsegError
from foldseg.notices import say_once
from foldseg.table_files import read_table


def find_path_table(root: Path, tables: Sequence[Path]) -> tuple[Path, dict[str, str]] | None:
    """Return a table with columns that hold paths of images and masks, and the names of these columns."""
    for path in tables:
        try:
            table = read_table(path)
        except FoldsegError as error:
            say_once(f"{error}; the table is passed over")
            continue
        columns = [column for column in table.columns if _holds_paths(table[column], root)]
        if len(columns) >= 2:
            is_mask = [bool(re.search("mask|label|annot|seg|target|gt", column, re.I)) for column in columns[:2]]
            image, mask = columns[:2] if not is_mask[0] else columns[1::-1]
            return path, {"image": image, "mask": mask}
    return None


def _holds_paths(cells: pd.Series, root: Path) -> bool:
    filled = [cell for cell in cells.head(200) if cell]
    return bool(filled) and all((root / cell.replace("\\", "/")).is_file() for cell in filled[:20])


def propose_path_table(root: Path, name: str, path: Path, columns: Mapping[str, str]) -> Proposal:
    """Return a proposal for a table with paths of images and masks."""
    table = read_table(path)
    masks = [root / cell.replace("\\", "/") for cell in table[columns["mask"]] if cell]
    survey = survey_masks(masks)
    proposal = Proposal(name, root, {"kind": "table", "file": path.relative_to(root).as_posix()})
    named = {key: column for key, column in columns.items() if key != column}
    proposal.found += [f"{path}: {len(table)} rows with an image, {len(masks)} with a mask", *describe_masks(survey)]
    proposal.dataset |= propose_classes(survey, None)
    proposal.unseen.append("the names of the classes; write them in place of those that were made up")
    for column in table.columns:
        if column not in columns.values() and GROUP_WORDS.search(column) and is_repeated(table[column], len(table)):
            named["group"] = column
            proposal.found.append(f"groups: the column {column} ({table[column].nunique()} groups)")
            break
    if named:
        proposal.dataset["columns"] = named
    if pictures := propose_pictures(survey):
        proposal.data["pictures"] = pictures
    images = {Path(cell).stem: root / cell.replace("\\", "/") for cell in table[columns["image"]]}
    propose_training(proposal, images, ())
    if "group" in named:
        proposal.group_count = table[named["group"]].nunique()
    return proposal


def propose_training(proposal: Proposal, images: Mapping[str, Path], tables: Sequence[Path]) -> None:
    """Add views, strata and groups for the images of a table, by id, to a proposal."""
    survey = survey_images(list(images.values()))
    proposal.found += survey.sentences
    proposal.view = propose_view(survey.sizes)
    objects = [entry for entry in proposal.dataset["classes"] if "background" not in str(entry)]
    proposal.data["strata"] = "foreground" if len(objects) == 1 else "classes"
    propose_groups(proposal, images, tables)
