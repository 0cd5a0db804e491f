"""A proposal for a table with masks as run lengths."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.data.listing import PICTURES
from foldseg.data.own_ids import drop_picture_suffix, make_safe_id
from foldseg.data.reading import read_image
from foldseg.data.rle_guess import guess_dialect
from foldseg.data.rle_text import is_empty_text
from foldseg.discovery.files import find_files
from foldseg.discovery.overlaps import propose_overlap_of_runs
from foldseg.discovery.path_tables import propose_training
from foldseg.discovery.proposal import Proposal
from foldseg.errors import FoldsegError
from foldseg.notices import say_once
from foldseg.table_files import read_table

_PAIRS = re.compile(r"\d+ \d+( \d+ \d+)*")
_COCO = re.compile(r"[0-o]+")
_MOST_TEXTS = 40
"""So many run-length strings are decoded to find how they are written."""


@dataclass(frozen=True)
class RunTable:
    """A CSV with run lengths."""

    path: Path
    table: pd.DataFrame
    runs: str
    """The column with run lengths."""
    form: str
    """`pairs` or `coco`."""

    @property
    def others(self) -> list[str]:
        """The other columns."""
        return [str(column) for column in self.table.columns if column != self.runs]


def find_run_tables(tables: Sequence[Path]) -> list[RunTable]:
    """Return the tables that have a column of run lengths, the one with most of them first."""
    found = []
    for path in tables:
        try:
            table = read_table(path)
        except FoldsegError as error:
            say_once(f"{error}; the table is passed over")
            continue
        for column in table.columns:
            cells = [cell for cell in table[column].head(2000) if not is_empty_text(cell)]
            if cells and all(_PAIRS.fullmatch(cell) for cell in cells):
                found.append(RunTable(path, table, str(column), "pairs"))
                break
            if cells and "counts" in str(cells[0]):
                found.append(RunTable(path, table, str(column), "coco"))
                break
    return sorted(found, key=_count_runs, reverse=True)


def _count_runs(found: RunTable) -> int:
    """Return the pixels of a table, so to say: sample files have few and equal run lengths."""
    return int(found.table[found.runs].nunique())


def propose_run_table(root: Path, name: str, found: Sequence[RunTable], tables: Sequence[Path]) -> Proposal:
    """Return a proposal for run lengths. FoldsegError if the images of their ids are not found."""
    train = found[0]
    pictures = find_files(root, PICTURES)
    by_stem: dict[str, list[Path]] = {}
    for picture in sorted(pictures, key=lambda path: _is_in_test_folder(path, root)):
        by_stem.setdefault(picture.stem, []).append(picture)
    columns, ids, labels = _read_columns(train, by_stem)
    patterns = _find_patterns(root, ids, by_stem, pictures)
    proposal = Proposal(name, root, {"kind": "table", "file": train.path.relative_to(root).as_posix()})
    proposal.dataset |= {"columns": columns, "images": patterns[0] if len(patterns) == 1 else patterns}
    proposal.found.append(f"{train.path}: {len(train.table)} rows of run lengths for {len(set(ids))} images")
    image_of = _locate(ids, by_stem)
    _propose_dialect(proposal, train, ids, image_of)
    _propose_labels(proposal, train, ids, labels, image_of)
    sample = _find_sample(found, root, set(ids))
    images = {make_safe_id(key): image for key, image in image_of.items()}
    _propose_test(proposal, root, sample, patterns, pictures, by_stem, set(ids))
    propose_training(proposal, images, tables)
    proposal.score = "image_mean_dice"
    proposal.submission = _propose_submission(proposal, sample)
    proposal.unseen.append("the score of the contest; `docs/reference/scores.md` says which contest has which")
    return proposal


def _read_columns(train: RunTable, by_stem: Mapping[str, list[Path]]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the settings of columns, the id of each row, and the label of each row (or none)."""
    for column in train.others:
        cells = train.table[column]
        stems = [drop_picture_suffix(cell) for cell in cells]
        if np.mean([_is_known(stem, by_stem) for stem in stems]) >= 0.9:
            settings = {"id": column, "runs": train.runs}
            label = _find_label(train, column)
            if label is not None:
                settings["label"] = label
            return settings, stems, train.table[label].tolist() if label else []
        divided = [cell.rpartition("_") for cell in cells]
        if np.mean([_is_known(drop_picture_suffix(parts[0]), by_stem) for parts in divided]) >= 0.9:
            ids = [drop_picture_suffix(parts[0]) for parts in divided]
            return {"id_and_label": column, "runs": train.runs}, ids, [parts[2] for parts in divided]
    raise FoldsegError(
        f"{train.path}: no column of {', '.join(train.others)} has the names of pictures; where are the images? "
        "If their paths hold more than the id, describe them in the YAML (data.dataset.images and id)"
    )


def _is_known(stem: str, by_stem: Mapping[str, list[Path]]) -> bool:
    return stem in by_stem


def _find_label(train: RunTable, id_column: str) -> str | None:
    """Return the column with the labels of classes: few values, and several rows for an image."""
    for column in train.others:
        if column == id_column:
            continue
        values = train.table[column]
        pairs = train.table[[id_column, column]].drop_duplicates()
        if 1 <= values.nunique() <= 30 and (
            re.search("class|label|category", column, re.I)
            or (values.nunique() > 1 and len(pairs) == len(train.table) > train.table[id_column].nunique())
        ):
            return column
    return None


def _find_patterns(
    root: Path, ids: Sequence[str], by_stem: Mapping[str, list[Path]], pictures: Sequence[Path]
) -> list[str]:
    """Return the patterns of the images of a table."""
    folders: dict[str, set[str]] = {}
    for name in dict.fromkeys(ids):
        for picture in by_stem.get(name, [])[:1]:
            folder = picture.parent.relative_to(root).as_posix()
            folders.setdefault(folder, set()).add(picture.suffix.lower())
    if len(folders) > 3:
        raise FoldsegError(
            f"{root}: the images of the table are in {len(folders)} folders; describe them in the YAML "
            "(data.dataset.images: 'folder/*/{id}.jpg')"
        )
    patterns = []
    for folder, suffixes in folders.items():
        suffix = next(iter(suffixes)) if len(suffixes) == 1 else ".*"
        patterns.append(f"{folder}/{{id}}{suffix}" if folder != "." else f"{{id}}{suffix}")
    return patterns


def _is_in_test_folder(picture: Path, root: Path) -> bool:
    return "test" in picture.parent.relative_to(root).as_posix().lower()


def _locate(ids: Sequence[str], by_stem: Mapping[str, list[Path]]) -> dict[str, Path]:
    return {name: by_stem[name][0] for name in dict.fromkeys(ids) if name in by_stem}


def _propose_dialect(proposal: Proposal, train: RunTable, ids: Sequence[str], image_of: Mapping[str, Path]) -> None:
    """Find how run lengths are written, by decoding some of them."""
    if train.form == "coco":
        proposal.dataset["run_lengths"] = {"form": "coco"}
        return
    rows = [(name, text) for name, text in zip(ids, train.table[train.runs], strict=True) if name in image_of]
    filled = [(name, text) for name, text in rows if not is_empty_text(text)]
    step = max(1, len(filled) // _MOST_TEXTS)
    chosen = filled[::step][:_MOST_TEXTS]
    try:
        images: list[NDArray[np.uint8]] = [_read_small(image_of[name]) for name, _ in chosen]
        guess = guess_dialect([text for _, text in chosen], [image.shape[:2] for image in images], images=images)
    except ValueError as error:
        proposal.unseen.append(f"how run lengths are written: {error}")
        return
    best = guess.best
    settings = {"direction": "rows" if best.rows_first else "down", "base": best.base, "relative": best.relative}
    usual = {"direction": "down", "base": 1, "relative": False}
    if settings != usual:
        proposal.dataset["run_lengths"] = {key: value for key, value in settings.items() if usual[key] != value}
    proposal.found.append(f"run lengths are counted {best}: {'; '.join(guess.evidence)}")
    if guess.undecided:
        proposal.unseen.append(
            f"{', '.join(guess.undecided)} of the run lengths, for which nothing speaks; what is usual was taken"
        )


def _read_small(path: Path) -> NDArray[np.uint8]:
    image = read_image(path)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def _propose_labels(
    proposal: Proposal, train: RunTable, ids: Sequence[str], labels: Sequence[str], image_of: Mapping[str, Path]
) -> None:
    """Name the classes by the labels of the table, and look whether they overlap."""
    names = sorted(set(labels))
    if not names:
        proposal.dataset |= {"classes": ["object"], "overlapping": True}
        proposal.unseen.append("the name of the class; it is called `object`")
        return
    classes = [{"name": f"class_{name}", "label": name} if name.isdigit() else name for name in names]
    proposal.dataset["classes"] = classes
    proposal.found.append(f"classes: {', '.join(names)}")
    texts: dict[str, list[str]] = {}
    for key, text in zip(ids, train.table[train.runs], strict=True):
        if not is_empty_text(text):
            texts.setdefault(key, []).append(text)
    images = [(image_of[key], parts) for key, parts in texts.items() if key in image_of]
    propose_overlap_of_runs(proposal, images, len(names))


def _find_sample(found: Sequence[RunTable], root: Path, ids: set[str]) -> Path | None:
    """Return the sample submission: the run-length table whose ids are others, or that is called so."""
    for other in found[1:]:
        if "sample" in other.path.name.lower():
            return other.path
    named = sorted(path for path in root.glob("*.csv") if "sample" in path.name.lower())
    return named[0] if named else (found[1].path if len(found) > 1 else None)


def _propose_test(
    proposal: Proposal, root: Path, sample: Path | None, patterns: Sequence[str], pictures: Sequence[Path],
    by_stem: Mapping[str, list[Path]], ids: set[str],
) -> None:  # fmt: skip
    """Find the test images: those of the sample submission, or of a folder that is called so."""
    train_folders = {str(Path(pattern).parent) for pattern in patterns}
    folders: dict[str, set[str]] = {}
    for picture in pictures:
        folder = picture.parent.relative_to(root).as_posix()
        if "test" in folder.lower() and folder not in train_folders:
            folders.setdefault(folder, set()).add(picture.suffix.lower())
    if not folders:
        return
    tests = [f"{folder}/{{id}}{next(iter(s)) if len(s) == 1 else '.*'}" for folder, s in sorted(folders.items())]
    proposal.dataset["test_images"] = tests[0] if len(tests) == 1 else tests
    count = sum("test" in picture.parent.relative_to(root).as_posix().lower() for picture in pictures)
    proposal.found.append(f"{count} test images ({' and '.join(tests)})")
    if sample is not None:
        proposal.found.append(f"{sample} is taken as the template of the submission")


def _propose_submission(proposal: Proposal, sample: Path | None) -> Any:
    """Return the settings of the submission: the sample as template, in the dialect of the training table."""
    dialect = proposal.dataset.get("run_lengths", {})
    settings: dict[str, Any] = {"kind": "run_length"}
    if sample is not None:
        settings["sample"] = str(sample)
    settings |= {key: value for key, value in dialect.items() if key != "form"}
    classes = {entry["label"]: entry["name"] for entry in proposal.dataset["classes"] if isinstance(entry, dict)}
    return settings | ({"classes": classes} if classes else {})
