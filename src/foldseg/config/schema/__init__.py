"""Every setting of an experiment and of an ensemble: its type, unit, bounds and default.

Sizes are [height, width] in pixels everywhere. Relative paths are relative to the working directory.
"""

from foldseg.config.schema.base import Count, Fraction, Positive, Settings, Size, Weight
from foldseg.config.schema.blends import Blend, GeometricMeanBlend, MeanBlend, RankMeanBlend, VoteBlend
from foldseg.config.schema.class_weights import (
    ClassWeights,
    EffectiveNumber,
    EqualWeights,
    GivenWeights,
    InverseLog,
    MedianFrequency,
)
from foldseg.config.schema.data import Data, Pictures
from foldseg.config.schema.datasets import CamVid, DatasetKind, Signate, ToyCity
from foldseg.config.schema.ensemble import Ensemble, Member
from foldseg.config.schema.experiment import Experiment
from foldseg.config.schema.loss import Loss
from foldseg.config.schema.model import Model
from foldseg.config.schema.names import ScoreName
from foldseg.config.schema.optimizers import Adam, AdamW, FusedAdam, Lookahead, Optimizer, RAdam, RMSprop, Sgd
from foldseg.config.schema.own_data import Folders, OwnData, Table
from foldseg.config.schema.sampling import Balance, ClassCrops, CopyPaste, CutMix, PositiveShare, Sampling, Source
from foldseg.config.schema.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Plateau,
    Poly,
    Schedule,
    StepDecay,
    WarmRestarts,
)
from foldseg.config.schema.step_base import Step
from foldseg.config.schema.steps import (
    BiasStep,
    CleanUpStep,
    Continuous,
    CrfStep,
    GateStep,
    HillClimbing,
    StackStep,
    ThresholdStep,
    TripletStep,
    WeightSearch,
    WeightsStep,
)
from foldseg.config.schema.stopping import EarlyStopping
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
    "Adam",
    "AdamW",
    "Balance",
    "BiasStep",
    "Blend",
    "CamVid",
    "ClassCrops",
    "ClassWeights",
    "CleanUpStep",
    "Constant",
    "Continuous",
    "CopyPaste",
    "Cosine",
    "Count",
    "CrfStep",
    "CropView",
    "CutMix",
    "Data",
    "DatasetKind",
    "EarlyStopping",
    "EffectiveNumber",
    "Ema",
    "Ensemble",
    "EqualWeights",
    "Experiment",
    "Exponential",
    "Folders",
    "Fraction",
    "FullView",
    "FusedAdam",
    "GateStep",
    "GeometricMeanBlend",
    "GivenWeights",
    "HillClimbing",
    "InverseLog",
    "Lookahead",
    "Loss",
    "MeanBlend",
    "MedianFrequency",
    "Member",
    "Model",
    "OneCycle",
    "Optimizer",
    "OwnData",
    "Pictures",
    "Plateau",
    "Poly",
    "Positive",
    "PositiveShare",
    "PredictView",
    "RAdam",
    "RMSprop",
    "RankMeanBlend",
    "ResizedView",
    "Sampling",
    "Schedule",
    "ScoreName",
    "Settings",
    "Sgd",
    "Signate",
    "Size",
    "Source",
    "StackStep",
    "Stage",
    "Step",
    "StepDecay",
    "Swa",
    "Table",
    "ThresholdStep",
    "TilesView",
    "ToyCity",
    "TrainView",
    "TripletStep",
    "Tta",
    "TtaView",
    "View",
    "VoteBlend",
    "WarmRestarts",
    "Weight",
    "WeightSearch",
    "WeightsStep",
    "view_slug",
]
