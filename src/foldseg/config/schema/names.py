"""Choices between bare names, without settings of their own: a list of names each.

The string below a list says where the registry is that gives the names their meaning. It is checked against the list
when it is imported (`choice.check_entries`).
"""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator

AugmentName = Literal["none", "light", "strong", "weather", "clahe", "geometric"]
"""`views/augment.py: AUGMENTATIONS`."""
DebugMode = Literal["overfit", "fast"]
"""`training/debug.py: MODES`."""
DeviceName = Literal["auto", "cpu", "gpu"]
"""Where a network computes."""
NormName = Literal["batch", "sync", "group", "instance", "evonorm", "none"]
"""`models/norms.py: NORMS` and `config/schema/definitions.py: NORM_DEFINITIONS`."""
PictureForm = Literal["masks", "colours", "overlay", "probabilities"]
"""`deploy/forms.py: FORMS`."""
PrecisionName = Literal["fp32", "bf16", "fp16"]
"""`config/schema/definitions.py: PRECISIONS`."""
ScoreName = Literal[
    "dataset_miou",
    "dataset_miou_scored",
    "dataset_mean_dice",
    "dataset_mean_dice_scored",
    "dataset_mean_f05_scored",
    "dataset_mean_f2_scored",
    "image_mean_iou_present",
    "image_mean_dice",
    "image_mean_iou",
    "image_mean_precision",
    "pixel_accuracy",
]
"""`scoring/scores.py: SCORES`."""
LossName = Literal["val_cross_entropy"]
"""`training/validation.py: IMAGE_LOSSES` and `config/schema/definitions.py: LOSSES`."""
_OWN_SCORE = r"[^:]+\.py:[A-Za-z_]\w*"


def is_own_score(name: Any) -> bool:
    """Whether a name is that of a score of one's own: `my_scores.py:my_score`, a file and a function in it."""
    return isinstance(name, str) and re.fullmatch(_OWN_SCORE, name) is not None


def _accept_own_score(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Accept any FILE.py:FUNCTION besides the names of a list. The file is read when the score is needed."""
    return value if is_own_score(value) else validate(value)


def _or_own_score(names: tuple[str, ...]) -> WithJsonSchema:
    own = {"type": "string", "pattern": f"^{_OWN_SCORE}$", "title": "FILE.py:FUNCTION"}
    return WithJsonSchema({"anyOf": [{"type": "string", "enum": list(names)}, own]})


AnyScoreName = Annotated[ScoreName, WrapValidator(_accept_own_score), _or_own_score(get_args(ScoreName))]
"""A score of `SCORES`, or one of one's own: `FILE.py:FUNCTION` (`scoring/own_score.py`)."""
MonitorName = Annotated[
    Literal[ScoreName, LossName],
    WrapValidator(_accept_own_score),
    _or_own_score((*get_args(ScoreName), *get_args(LossName))),
]
"""What a run may monitor: a score, a loss, or a score of one's own."""
StoredForm = Literal["probabilities", "logits"]
"""What prediction stores hold."""
SymmetryName = Literal["none", "flip", "flips", "d4"]
"""`config/schema/tta.py: SYMMETRIES`."""
TileMergeName = Literal["mean", "vote"]
"""`views/tiles.py: MERGES` and `deploy/numpy_views.py: MERGES`."""
TileWeightName = Literal["constant", "gaussian", "pyramid"]
"""`views/tiles.py: WEIGHTS`."""
ViewMergeName = Literal["mean", "geometric_mean", "max", "vote", "tsharpen"]
"""`inference/tta.py: MERGES`."""
