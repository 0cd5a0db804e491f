"""Choices between bare names, without settings of their own: a list of names each.

The string below a list says where the registry is that gives the names their meaning. It is checked against the list
when it is imported (`choice.check_entries`).
"""

from typing import Literal

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
    "dataset_miou", "dataset_miou_scored", "dataset_mean_dice", "image_mean_iou_present", "pixel_accuracy"
]
"""`scoring/scores.py: SCORES`."""
LossName = Literal["val_cross_entropy"]
"""`training/validation.py: IMAGE_LOSSES` and `config/schema/definitions.py: LOSSES`."""
MonitorName = Literal[ScoreName, LossName]
"""What a run may monitor."""
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
