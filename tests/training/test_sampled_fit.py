"""A fold that is trained with every way of sampling and mixing, from files and from the cache."""

from pathlib import Path

import pytest
import torch

from foldseg.config import load_data, load_experiment
from foldseg.data.folds_file import make_folds_file
from foldseg.runs.run_folder import RunFolder
from foldseg.training.fit import train_fold

REPOSITORY = Path(__file__).parents[2]
SETTINGS = [
    "view.train.size=[32, 64]",
    "schedule.epochs=2",
    "validate_every=1",
    "workers=0",
    "sampling={samples_per_epoch: 8, oversample_below: 0.5, balance: class_crops}",
    "cut_mix={probability: 0.5}",
    "copy_paste={probability: 0.5, classes: {car: [background]}, min_pixels: 8}",
]


@pytest.fixture
def toy(tmp_path: Path) -> list[str]:
    """Overrides for a toy city of 12 frames of 96x64."""
    data = [
        f"data.root={tmp_path / 'city'}",
        f"data.folds={tmp_path / 'folds.csv'}",
        "data.dataset={kind: toy_city, width: 96, height: 64, train_frames: 12, test_frames: 2, seed: 3}",
    ]
    make_folds_file(load_data(REPOSITORY / "configs/data/toy_city.yaml", data))
    return data


def trained(overrides: list[str]) -> RunFolder:
    return train_fold(load_experiment(REPOSITORY / "configs/experiments/toy_crop.yaml", overrides), 0)


def test_the_cache_changes_nothing_but_the_speed(toy: list[str], tmp_path: Path) -> None:
    from_files = trained([*toy, *SETTINGS, f"runs={tmp_path / 'files'}"])
    cached = [*toy, *SETTINGS, f"runs={tmp_path / 'cached'}", f"cache={tmp_path / 'cache'}"]
    from_cache = trained(cached)
    assert len(list((tmp_path / "cache").glob("*/index.json"))) == 1
    ours, theirs = (torch.load(run.last, weights_only=True)["state_dict"] for run in (from_files, from_cache))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert trained([*cached, "cache=null"]).path == from_cache.path  # where decoded images lie is free to change


def test_without_settings_the_weights_are_other_ones(toy: list[str], tmp_path: Path) -> None:
    """What was switched on above did something."""
    plain = [*SETTINGS[:4], "sampling.samples_per_epoch=8"]
    ours, theirs = (
        torch.load(trained([*toy, *settings, f"runs={tmp_path / name}"]).last, weights_only=True)["state_dict"]
        for name, settings in (("plain", plain), ("mixed", SETTINGS))
    )
    assert not all(torch.equal(ours[key], theirs[key]) for key in ours)
