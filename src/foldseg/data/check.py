"""Checks a whole data set before the hours of training: every image and mask is read once.

What was checked without a problem is remembered by its content, so it is not checked again:

    $FOLDSEG_CACHE/checked/<hash of files, classes, settings and code>      default: ~/.cache/foldseg
"""

import hashlib
import json
import logging
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from foldseg.config.schema import Pictures
from foldseg.data.counting import count_mask
from foldseg.data.datasets import DataSet
from foldseg.data.hashes import cache_folder, hash_code, hash_readable_files
from foldseg.data.headers import Header
from foldseg.data.labels import LabelSet
from foldseg.data.reading import describe_size_difference, read_image_header
from foldseg.data.samples import check_once, cut_middle, shorten
from foldseg.errors import FoldsegError
from foldseg.files import write_text

logger = logging.getLogger(__name__)

_MODULES = ("check", "counting", "colour_codes", "headers", "jpegs", "labels", "mask_files", "reading", "tiff")
_READING = tuple(f"data/{name}.py" for name in _MODULES)
_PROBLEMS = 10
"""So many kinds of problems are listed."""


@dataclass(frozen=True)
class Problem:
    """A kind of problem: what is wrong, with its cure, and the images that have it."""

    message: str
    """The error of the first image."""
    ids: list[str]

    @property
    def reason(self) -> str:
        """What is wrong, without the name of a file, in a few words."""
        return cut_middle(self.message.partition(": ")[2].partition(";")[0].replace("\n", " "))

    @property
    def line(self) -> str:
        """The message, and how many other images have the problem."""
        more = len(self.ids) - 1
        return self.message if not more else f"{self.message}\n    and {more} more: {shorten(self.ids[1:], 3)}"


@dataclass(frozen=True)
class DataCheck:
    """What was found in the files of a data set."""

    images: int
    masks: int
    problems: list[Problem]
    """What must be mended before training, the most frequent first."""
    remarks: list[str]
    """What may be a mistake, or not."""
    classes: pd.DataFrame
    """A row for each class, and void: `images` that have it, and its `share` of the pixels of all masks."""

    @property
    def bad_images(self) -> pd.DataFrame:
        """A row for each image with a problem: `id`, `reason`."""
        rows = [(name, problem.reason) for problem in self.problems for name in problem.ids]
        return pd.DataFrame(rows, columns=["id", "reason"])

    def describe_problems(self) -> str:
        """Return the problems as lines of text."""
        lines = [f"  {problem.line}" for problem in self.problems[:_PROBLEMS]]
        more = len(self.problems) - _PROBLEMS
        return "\n".join([*lines, *([f"  and {more} other kinds of problems"] if more > 0 else [])])


def check_data(data: DataSet) -> DataCheck:
    """Read every image and every mask of a data set once, and return what is wrong. FoldsegError for no single file."""
    table = data.samples
    check = partial(_check_sample, data.root, data.all_labels, data.pictures)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        steps = pool.map(check, table["image"], table["mask"])
        outcomes = list(tqdm(steps, "checking data", len(table), unit="image", leave=False, disable=None))
    problems = _group_problems(table["id"].tolist(), outcomes)
    counts = np.array([outcome for outcome in outcomes if isinstance(outcome, np.ndarray)], np.int64)
    counts = counts.reshape(-1, len(data.all_labels) + 2)
    classes = _count_classes(counts, data.all_labels)
    remarks = [*_find_copies(data), *_find_odd_masks(counts, classes, data.all_labels.overlapping)]
    return DataCheck(len(table), int((table["mask"] != "").sum()), problems, remarks, classes)


def require_valid(data: DataSet) -> None:
    """Raise FoldsegError if a file of the data has a problem. Data that was checked before is not read again."""
    marker = _marker_of(data)
    if marker is not None and marker.is_file():
        return
    found = check_data(data)
    if found.problems:
        bad = sum(len(problem.ids) for problem in found.problems)
        raise FoldsegError(f"{data.root}: {bad} of {found.images} images cannot be used:\n{found.describe_problems()}")
    for remark in found.remarks:
        logger.warning("%s: %s", data.root, remark)
    if marker is not None:
        try:
            write_text(marker, f"{found.images} images, {found.masks} masks\n")
        except FoldsegError as error:
            logger.debug("the check is not remembered: %s", error)


def _check_sample(
    root: Path, labels: LabelSet, pictures: Pictures, image: str, mask: str
) -> NDArray[np.int64] | FoldsegError | None:
    """Return the pixels of each class in a mask, of void, and of all; None for an image without one; or the error."""
    try:
        header = check_once(root / image, pictures)
        if not mask:
            return None
        mask_header = read_image_header(root / mask)
        difference = _compare_sizes(root / image, header, root / mask, mask_header, pictures)
        if difference is not None:
            return difference
        counts = count_mask(root / mask, labels, pictures)
        return np.append(counts, mask_header.height * mask_header.width)
    except FoldsegError as error:
        return error


def _compare_sizes(
    image: Path, header: Header, mask: Path, mask_header: Header, pictures: Pictures
) -> FoldsegError | None:
    size, mask_size = header.size(pictures.upright), mask_header.size(pictures.upright)
    if size == mask_size or pictures.resize_masks:
        return None
    return FoldsegError(describe_size_difference(mask, mask_size, image, size, header.orientation))


def _group_problems(ids: Sequence[str], outcomes: Sequence[object]) -> list[Problem]:
    """Return the problems, of which those that differ in names and numbers alone are one."""
    members: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, outcome in zip(ids, outcomes, strict=True):
        if isinstance(outcome, FoldsegError):
            message = str(outcome)
            kind = re.sub(r"\[[^\]]*\]|\d[\d.,x%]*|'[^']*'|\S*/\S*", "", message.partition(": ")[2])
            members[kind].append((name, message))
    problems = [Problem(found[0][1], [name for name, _ in found]) for found in members.values()]
    return sorted(problems, key=lambda problem: -len(problem.ids))


def _count_classes(counts: NDArray[np.int64], labels: LabelSet) -> pd.DataFrame:
    of_classes = counts[:, :-1]
    share = of_classes.sum(0) / max(1, counts[:, -1].sum())
    return pd.DataFrame({"class": [*labels.names, "(void)"], "images": (of_classes > 0).sum(0), "share": share})


def _find_copies(data: DataSet) -> list[str]:
    """Say which images are exact copies of others."""
    hashes = hash_readable_files(data.images.values())
    ids = pd.Series(list(data.images), index=hashes)
    copies = [group.tolist() for digest, group in ids.groupby(level=0) if len(group) > 1 and digest]
    if not copies:
        return []
    number = sum(len(group) - 1 for group in copies)
    return [
        f"{number} image(s) are exact copies of others, e.g. {' and '.join(copies[0][:2])}; exclude them "
        "(data.exclude), or make them one group (data.groups: alike)"
    ]


def _find_odd_masks(counts: NDArray[np.int64], classes: pd.DataFrame, overlapping: bool) -> list[str]:
    """Say which masks are void all over, and which classes no mask has. Overlapping masks may well be empty."""
    remarks = []
    if len(counts):
        void_alone = int((counts[:, :-2].sum(1) == 0).sum())
        if void_alone and not overlapping:
            remarks.append(f"{void_alone} mask(s) are void all over")
        absent = classes["class"][:-1][classes["images"][:-1] == 0].tolist()
        if absent:
            remarks.append(f"no mask has the class {', '.join(absent)}")
    return remarks


def _marker_of(data: DataSet) -> Path | None:
    """Return the file that is there if this data was checked without a problem. None without a folder for it."""
    folder = cache_folder("checked")
    if folder is None:
        return None
    table = data.samples
    files = [data.root / str(path) for column in ("image", "mask") for path in table[column] if path]
    parts = [
        hash_code(*_READING),
        list(data.all_labels.definition.items()),
        data.pictures.model_dump(mode="json"),
        table[["id", "image", "mask"]].to_csv(index=False),
        hash_readable_files(files),
    ]
    return folder / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
