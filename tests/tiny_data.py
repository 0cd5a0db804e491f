"""A tiny folder of each data set: its samples table is tested, and its committed experiments are trained for one epoch.

A data set that is added gets a line in `TINY`. Until then these tests are skipped, with a word.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from foldseg.config import load_data
from foldseg.data.datasets import make_folds_file


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


TINY: dict[str, Callable[[Surroundings], list[str]]] = {"toy_city": _toy_city, "signate": _signate, "camvid": _camvid}
"""Data set -> builds it, if need be, and returns the overrides with which an experiment is trained on it."""


def tiny_data(dataset: str, at: Surroundings) -> list[str]:
    """Return the overrides with which an experiment is trained on a tiny folder of its data set, or skip the test."""
    if dataset not in TINY:
        pytest.skip(f"there is no tiny folder of {dataset}; add one to TINY in tests/tiny_data.py")
    return TINY[dataset](at)
