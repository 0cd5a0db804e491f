"""Debug modes by name: is anything wrong, and can the network learn at all?"""

from collections.abc import Callable
from typing import Any

import pandas as pd

from foldseg.config import Experiment
from foldseg.config.schema import Sampling
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import DebugMode

_FAST_BATCHES = 2  # per epoch


def debug_settings(experiment: Experiment) -> Experiment:
    """Return the settings that a debug mode trains with; without a mode those of the experiment."""
    return experiment if experiment.debug is None else MODES[experiment.debug](experiment)


def debug_tables(
    experiment: Experiment, train: pd.DataFrame, validation: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows that a debug mode trains on and validates on; without a mode those given."""
    if experiment.debug is None:
        return train, validation
    few, size = experiment.debug_images, experiment.batch_size
    if experiment.debug == "fast":
        assert isinstance(size, int)
        return train.head(_FAST_BATCHES * max([size, *_stage_sizes(experiment)])), validation.head(few)
    chosen = train.sample(min(few, len(train)), random_state=experiment.seed).sort_values("id")
    # An epoch is as long as it would be: the same images again and again
    return pd.concat([chosen] * (len(train) // len(chosen))), chosen


def _overfit(experiment: Experiment) -> Experiment:
    """Nothing random but the view and the order, and no stop before the end."""
    stages = tuple(stage.model_copy(update={"augment": None}) for stage in experiment.stages)
    plain: dict[str, Any] = {"augment": "none", "cut_mix": None, "copy_paste": None, "sampling": Sampling()}
    return experiment.model_copy(
        update={**plain, "stages": stages, "early_stopping": None, "batch_size": _number(experiment)}
    )


def _fast(experiment: Experiment) -> Experiment:
    """Two epochs, or one of each stage, that are validated."""
    stages = tuple(stage.model_copy(update={"epochs": 1}) for stage in experiment.stages)
    schedule = experiment.schedule.shortened([1] * len(stages) or [2])
    changed = {"stages": stages, "schedule": schedule, "validate_every": 1, "batch_size": _number(experiment)}
    return experiment.model_copy(update={**changed, "early_stopping": None})


MODES: dict[str, Callable[[Experiment], Experiment]] = {"overfit": _overfit, "fast": _fast}
check_entries(MODES, DebugMode, "training/debug.py: MODES")


def _number(experiment: Experiment) -> int:
    return experiment.debug_images if experiment.batch_size == "auto" else experiment.batch_size


def _stage_sizes(experiment: Experiment) -> list[int]:
    return [stage.batch_size for stage in experiment.stages if stage.batch_size is not None]
