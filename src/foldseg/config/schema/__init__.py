"""Every setting of an experiment and of an ensemble: its type, unit, bounds and default.

Sizes are [height, width] in pixels everywhere. Relative paths are relative to the working directory.
"""

from foldseg.config.schema.base import Count, Fraction, Positive, ScoreName, Settings, Size, Weight
from foldseg.config.schema.data import Data, ToyCity
from foldseg.config.schema.ensemble import CleanUp, Crf, Ensemble, Member, Step, ThresholdStep
from foldseg.config.schema.experiment import Experiment
from foldseg.config.schema.model import Model
from foldseg.config.schema.training import EarlyStopping, Loss, Optimizer, Schedule
from foldseg.config.schema.views import (
    CropView,
    FullView,
    PredictView,
    ResizedView,
    TilesView,
    TrainView,
    View,
    view_slug,
)

__all__ = [
    "CleanUp",
    "Count",
    "Crf",
    "CropView",
    "Data",
    "EarlyStopping",
    "Ensemble",
    "Experiment",
    "Fraction",
    "FullView",
    "Loss",
    "Member",
    "Model",
    "Optimizer",
    "Positive",
    "PredictView",
    "ResizedView",
    "Schedule",
    "ScoreName",
    "Settings",
    "Size",
    "Step",
    "ThresholdStep",
    "TilesView",
    "ToyCity",
    "TrainView",
    "View",
    "Weight",
    "view_slug",
]
