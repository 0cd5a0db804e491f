"""Stores of the tiny demo that hold what a test wants: probabilities made from the truth."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from foldseg.data.labels import LabelSet
from foldseg.data.mask_files import read_mask
from foldseg.data.signate import LABELS
from foldseg.inference.map_file import quantise_array
from foldseg.inference.store import PredictionStore

SCORED: LabelSet = LABELS.select("scored")
BACKGROUND, LANE = SCORED.names.index("background"), SCORED.names.index("lane")

Maps = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
"""Truth (H, W), fold, random numbers -> probabilities (classes, H, W)."""


def fill_stores(root: Path, runs: Path, experiment: str, maps: Maps) -> None:
    """Overwrite the OOF stores of an experiment in `runs`, a copy of the tiny demo's at `root`."""
    for row in pd.read_csv(root / "folds.csv").itertuples():
        truth = read_mask(root / "city/seg_train_annotations" / f"{row.id}.png", SCORED)
        planes = quantise_array(maps(truth, row.fold, np.random.default_rng(row.Index)).astype(np.float32))
        PredictionStore(runs / experiment / f"fold_{row.fold}/predictions/oof-flip").write(row.id, planes)


def one_hot(truth: np.ndarray) -> np.ndarray:
    """Probabilities 1 and 0."""
    return (np.arange(len(SCORED))[:, None, None] == truth).astype(float)


def knowing(truth: np.ndarray, fold: int, rng: np.random.Generator) -> np.ndarray:
    """Right nearly everywhere, by .8."""
    guessed = np.where(rng.random(truth.shape) < 0.05, rng.integers(0, len(SCORED), truth.shape), truth)
    return 0.8 * one_hot(guessed) + 0.2 / len(SCORED)


def guessing(truth: np.ndarray, fold: int, rng: np.random.Generator) -> np.ndarray:
    """Sure of anything."""
    return one_hot(rng.integers(0, len(SCORED), truth.shape))


def biased_by_fold(truth: np.ndarray, fold: int, rng: np.random.Generator) -> np.ndarray:
    """Right, but half of fold 0's lanes want a factor above 1, and half of fold 1's background beside them one below.

    What a bias learns from one fold costs the other fold those pixels that are right by a little.
    """
    weak, strong = (LANE, BACKGROUND) if fold == 0 else (BACKGROUND, LANE)
    maps = one_hot(truth)
    chance = rng.random(truth.shape)
    for share, own in (((0.0, 0.5), 0.44), ((0.5, 0.9), 0.56)):
        pixels = (truth == weak) & (chance >= share[0]) & (chance < share[1])
        maps[weak, pixels], maps[strong, pixels] = own, 1 - own
    return maps
