"""Every setting of an experiment and of an ensemble: its type, unit, bounds and default.

Sizes are [height, width] in pixels everywhere. Relative paths are relative to the working directory.
"""

from foldseg.config.schema.base import Count, Fraction, Positive, ScoreName, Settings, Size, Weight
from foldseg.config.schema.data import Data, Pictures, ToyCity
from foldseg.config.schema.ensemble import Blend, Ensemble, Member
from foldseg.config.schema.experiment import Experiment
from foldseg.config.schema.model import Model
from foldseg.config.schema.sampling import ClassCrops, CopyPaste, CutMix, PositiveShare, Sampling, Source
from foldseg.config.schema.steps import BiasStep, CleanUp, Crf, StackStep, Step, ThresholdStep, WeightsStep
from foldseg.config.schema.training import EarlyStopping, Lookahead, Loss, Optimizer, Plateau, Schedule
from foldseg.config.schema.tta import Tta, TtaView
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
from foldseg.config.schema.weights import Ema, Stage, Swa

__all__ = [
    "BiasStep",
    "Blend",
    "ClassCrops",
    "CleanUp",
    "CopyPaste",
    "Count",
    "Crf",
    "CropView",
    "CutMix",
    "Data",
    "EarlyStopping",
    "Ema",
    "Ensemble",
    "Experiment",
    "Fraction",
    "FullView",
    "Lookahead",
    "Loss",
    "Member",
    "Model",
    "Optimizer",
    "Pictures",
    "Plateau",
    "Positive",
    "PositiveShare",
    "PredictView",
    "ResizedView",
    "Sampling",
    "Schedule",
    "ScoreName",
    "Settings",
    "Size",
    "Source",
    "StackStep",
    "Stage",
    "Step",
    "Swa",
    "ThresholdStep",
    "TilesView",
    "ToyCity",
    "TrainView",
    "Tta",
    "TtaView",
    "View",
    "Weight",
    "WeightsStep",
    "view_slug",
]
