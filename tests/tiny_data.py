"""A tiny folder of each data set: its samples table is tested, and its committed experiments are trained for one epoch.

A data set that is added gets a line in `TINY`. Until then these tests are skipped, with a word.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from foldseg.config import load_data
from foldseg.data.folds_file import make_folds_file


@dataclass(frozen=True)
class Surroundings:
    """What a builder may use: an experiment's YAML, an empty folder, and tiny folders that fixtures have made."""

    experiment: Path
    folder: Path
    toy: list[str]  # overrides `data.root`, `data.folds` and `data.dataset` of a toy city with folds
    camvid_root: Path


def _toy_city(at: Surroundings) -> list[str]:
    return [*at.toy, "train_images=null"]


def _signate(at: Surroundings) -> list[str]:
    """The toy city is of the same layout."""
    return [*at.toy[:2], "model.encoder_weights=null", "precision=fp32"]


def _camvid(at: Surroundings) -> list[str]:
    data = [f"data.root={at.camvid_root}", f"data.folds={at.folder / 'folds.csv'}", "data.fold_count=2"]
    make_folds_file(load_data(at.experiment, data))
    return [*data, "model.encoder_weights=null"]


def _folders(at: Surroundings) -> list[str]:
    """Two classes in folders of pictures, of ten images."""
    write_blobs(at.folder / "blobs")
    files = "{train: {images: 'images/{id}.png', masks: 'masks/{id}.png'}}"
    kind = f"{{kind: folders, classes: {{background: 0, blob: 255}}, splits: {files}}}"
    return _divide(at, kind)


def _table(at: Surroundings) -> list[str]:
    """The same images in a table."""
    write_blobs(at.folder / "blobs")
    rows = [f"b{number},images/b{number}.png,masks/b{number}.png" for number in range(10)]
    (at.folder / "blobs/samples.csv").write_text("\n".join(["id,image,mask", *rows]) + "\n")
    return _divide(at, "{kind: table, classes: {background: 0, blob: 255}, file: samples.csv}")


def write_blobs(root: Path, count: int = 10, size: tuple[int, int] = (48, 64)) -> None:
    """Write `images/bN.png` (RGB noise with a bright blob) and `masks/bN.png` (0 and 255)."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "masks").mkdir(exist_ok=True)
    for number in range(count):
        image = rng.integers(0, 120, (*size, 3), np.uint8)
        mask = np.zeros(size, np.uint8)
        centre = int(rng.integers(10, size[1] - 10)), int(rng.integers(10, size[0] - 10))
        cv2.circle(mask, centre, 8, 255, -1)
        image[mask > 0] += 100
        cv2.imwrite(str(root / f"images/b{number}.png"), image)
        cv2.imwrite(str(root / f"masks/b{number}.png"), mask)


def _divide(at: Surroundings, kind: str) -> list[str]:
    data = [
        f"data.dataset={kind}",
        f"data.root={at.folder / 'blobs'}",
        f"data.folds={at.folder / 'folds.csv'}",
        "data.fold_count=2",
    ]
    make_folds_file(load_data(at.experiment, data))
    return [*data, "model.encoder_weights=null"]


TINY: dict[str, Callable[[Surroundings], list[str]]] = {
    "toy_city": _toy_city,
    "signate": _signate,
    "camvid": _camvid,
    "folders": _folders,
    "table": _table,
}
"""Data set -> builds it, if need be, and returns the overrides with which an experiment is trained on it."""


def tiny_data(dataset: str, at: Surroundings) -> list[str]:
    """Return the overrides with which an experiment is trained on a tiny folder of its data set, or skip the test."""
    if dataset not in TINY:
        pytest.skip(f"there is no tiny folder of {dataset}; add one to TINY in tests/tiny_data.py")
    return TINY[dataset](at)
