"""Settings: the typed blocks (`schema`), and how they are read from YAML and overrides (`load`)."""

from foldseg.config.load import load_data, load_ensemble, load_experiment, load_tta, override_view, save
from foldseg.config.schema import Data, Ensemble, Experiment

__all__ = [
    "Data", "Ensemble", "Experiment",
    "load_data", "load_ensemble", "load_experiment", "load_tta", "override_view", "save",
]  # fmt: skip
