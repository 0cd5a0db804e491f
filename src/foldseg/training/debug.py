"""Debug modes: is anything wrong, and can the network learn at all?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from foldseg.config import Experiment
from foldseg.config.schema import Sampling
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import DebugMode

Tables = tuple[pd.DataFrame, pd.DataFrame]
"""Rows of the samples table that a run trains on, and those that it validates on."""

_FAST_BATCHES = 2
"""Number of batches in an epoch of mode `fast`."""


@dataclass(frozen=True)
class DebugFunctions:
    """What a debug mode changes. `tests/contracts/test_debug_modes.py` says what every mode promises."""

    change_settings: Callable[[Experiment], Experiment]
    choose_samples: Callable[[Experiment, pd.DataFrame, pd.DataFrame], Tables]
    """A function of the changed settings and of the tables of training and validation."""


def apply_debug_mode(experiment: Experiment) -> Experiment:
    """Return the settings that the experiment's debug mode trains with. Without a mode, they stay as they are."""
    return experiment if experiment.debug is None else MODES[experiment.debug].change_settings(experiment)


def select_debug_samples(experiment: Experiment, train: pd.DataFrame, validation: pd.DataFrame) -> Tables:
    """Return the rows that a debug mode trains and validates on. Without a mode, they stay as they are."""
    if experiment.debug is None:
        return train, validation
    return MODES[experiment.debug].choose_samples(experiment, train, validation)


def _overfit_settings(experiment: Experiment) -> Experiment:
    """Let nothing be random but the view and the order of samples, and do not stop before the schedule ends."""
    stages = tuple(stage.model_copy(update={"augment": None}) for stage in experiment.stages)
    changes: dict[str, Any] = {
        "augment": "none",
        "cut_mix": None,
        "copy_paste": None,
        "sampling": Sampling(),
        "stages": stages,
        "early_stopping": None,
        "batch_size": _fixed_batch_size(experiment),
    }
    return experiment.model_copy(update=changes)


def _overfit_samples(experiment: Experiment, train: pd.DataFrame, validation: pd.DataFrame) -> Tables:
    """Train and validate on the same few images. They repeat until an epoch is about as long as without the mode."""
    count = min(experiment.debug_images, len(train))
    chosen = train.sample(count, random_state=experiment.seed).sort_values("id")
    return pd.concat([chosen] * (len(train) // count)), chosen


def _fast_settings(experiment: Experiment) -> Experiment:
    """Train two epochs, or one of each stage, and validate after each."""
    stages = tuple(stage.model_copy(update={"epochs": 1}) for stage in experiment.stages)
    epochs = [1] * len(stages) or [2]
    changes = {
        "stages": stages,
        "schedule": experiment.schedule.shorten(epochs),
        "validate_every": 1,
        "batch_size": _fixed_batch_size(experiment),
        "early_stopping": None,
    }
    return experiment.model_copy(update=changes)


def _fast_samples(experiment: Experiment, train: pd.DataFrame, validation: pd.DataFrame) -> Tables:
    """Train on a few of the largest batches, validate on a few images."""
    assert isinstance(experiment.batch_size, int)
    stage_sizes = [stage.batch_size for stage in experiment.stages if stage.batch_size is not None]
    largest = max([experiment.batch_size, *stage_sizes])
    return train.head(_FAST_BATCHES * largest), validation.head(experiment.debug_images)


MODES: dict[str, DebugFunctions] = {
    "overfit": DebugFunctions(_overfit_settings, _overfit_samples),
    "fast": DebugFunctions(_fast_settings, _fast_samples),
}
check_entries(MODES, DebugMode, "training/debug.py: MODES")


def _fixed_batch_size(experiment: Experiment) -> int:
    """Return the batch size, and `debug_images` where it is found by trying."""
    return experiment.debug_images if experiment.batch_size == "auto" else experiment.batch_size
