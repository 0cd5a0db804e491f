"""What every debug mode promises."""

from pathlib import Path

import pandas as pd
import pytest

from foldseg.config import Experiment, load_experiment
from foldseg.runs.run_folder import RunFolder
from foldseg.training.debug import MODES, apply_debug_mode, select_debug_samples

REPOSITORY = Path(__file__).parents[2]
TRAIN = pd.DataFrame({"id": [f"train_{number:02}" for number in range(20)]})
VALIDATION = pd.DataFrame({"id": [f"validation_{number}" for number in range(6)]})
VARIANTS = [
    [],
    ["batch_size=auto"],
    ["schedule=plateau", "validate_every=2"],
    ["schedule={kind: warm_restarts, epochs: 8, cycles: 4}", "snapshots=true"],
    ["schedule.epochs=4", "stages=[{epochs: 2, batch_size: 6}, {epochs: 2, augment: strong}]"],
]

every_mode = pytest.mark.parametrize("mode", MODES)
every_variant = pytest.mark.parametrize("overrides", VARIANTS, ids=str)


def experiment(*overrides: str) -> Experiment:
    return load_experiment(REPOSITORY / "configs/experiments/toy_full.yaml", ["batch_size=2", *overrides])


@every_mode
@every_variant
def test_a_mode_changes_settings_into_valid_ones(mode: str, overrides: list[str]) -> None:
    changed = apply_debug_mode(experiment(f"debug={mode}", *overrides))
    assert Experiment.model_validate(changed.model_dump()) == changed
    assert apply_debug_mode(changed) == changed
    assert isinstance(changed.batch_size, int)
    assert changed.early_stopping is None


@every_mode
def test_a_mode_keeps_the_network_the_data_and_the_loss(mode: str) -> None:
    before = experiment(f"debug={mode}")
    after = apply_debug_mode(before)
    for name in ("name", "data", "model", "view", "loss", "optimizer", "monitor", "seed", "debug"):
        assert getattr(after, name) == getattr(before, name), name


@every_mode
@every_variant
def test_a_mode_trains_on_training_images_and_validates_on_some(mode: str, overrides: list[str]) -> None:
    changed = apply_debug_mode(experiment(f"debug={mode}", *overrides))
    train, validation = select_debug_samples(changed, TRAIN, VALIDATION)
    assert 0 < len(train) <= len(TRAIN)
    assert set(train["id"]) <= set(TRAIN["id"])
    assert 0 < len(validation) <= changed.debug_images
    assert validation["id"].is_unique
    again = select_debug_samples(changed, TRAIN, VALIDATION)
    assert train.equals(again[0])
    assert validation.equals(again[1])


@every_mode
def test_a_mode_has_a_run_folder_of_its_own(mode: str) -> None:
    assert RunFolder.of(experiment(f"debug={mode}"), 0) != RunFolder.of(experiment(), 0)


def test_without_a_mode_nothing_changes() -> None:
    plain = experiment()
    assert apply_debug_mode(plain) is plain
    train, validation = select_debug_samples(plain, TRAIN, VALIDATION)
    assert train is TRAIN
    assert validation is VALIDATION
