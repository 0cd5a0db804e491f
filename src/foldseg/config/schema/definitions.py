"""What bare names of settings state to the rest of the code, which then need not ask for a name.

What a norm or a loss computes is said where torch is at hand. These statements are needed without it.
"""

from dataclasses import dataclass
from typing import Literal

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import LossName, NormName, PrecisionName, ScoreName


@dataclass(frozen=True)
class NormDefinition:
    """What a norm states. How it takes the place of a batch norm is in `models/norms.py: NORMS`."""

    is_batch_norm: bool = False
    """Whether it has running statistics, which can be frozen."""
    shares_statistics: bool = False
    """Whether the processes that train together share statistics, which torch can do on GPUs only."""
    new_parameters: tuple[str, ...] = ()
    """Endings of the names of parameters that a batch norm lacks. Files of encoder weights may lack them."""


NORM_DEFINITIONS: dict[str, NormDefinition] = {
    "batch": NormDefinition(is_batch_norm=True),
    "sync": NormDefinition(is_batch_norm=True, shares_statistics=True),
    "group": NormDefinition(),
    "instance": NormDefinition(),
    "evonorm": NormDefinition(new_parameters=(".v",)),
    "none": NormDefinition(),
}
check_entries(NORM_DEFINITIONS, NormName, "config/schema/definitions.py: NORM_DEFINITIONS")


@dataclass(frozen=True)
class PrecisionDefinition:
    """A number format of the computation."""

    lightning_name: Literal["32-true", "bf16-mixed", "16-mixed"]
    """What Lightning calls it."""
    half_dtype: Literal["bfloat16", "float16"] | None = None
    """Name of torch's dtype that autocast computes in; None if all is float32."""
    needs_gpu: bool = False
    """Whether networks can be trained with it on GPUs only."""
    scales_gradients: bool = False
    """Whether a scaler multiplies gradients, so that small ones do not become 0. It also leaves out steps by itself."""


PRECISIONS: dict[str, PrecisionDefinition] = {
    "fp32": PrecisionDefinition("32-true"),
    "bf16": PrecisionDefinition("bf16-mixed", half_dtype="bfloat16"),
    "fp16": PrecisionDefinition("16-mixed", half_dtype="float16", needs_gpu=True, scales_gradients=True),
}
check_entries(PRECISIONS, PrecisionName, "config/schema/definitions.py: PRECISIONS")


@dataclass(frozen=True)
class LossDefinition:
    """A number that a run can monitor and that is no score. Lower is better.

    It is computed by `training/validation.py: IMAGE_LOSSES`.
    """

    score: ScoreName
    """What predictions are scored with if a run monitors the loss."""


LOSSES: dict[str, LossDefinition] = {"val_cross_entropy": LossDefinition(score="dataset_miou")}
check_entries(LOSSES, LossName, "config/schema/definitions.py: LOSSES")


def is_lower_better(name: str) -> bool:
    """Whether lower values of a number of a validation are better: of losses they are, of scores they are not."""
    return name in LOSSES


@dataclass(frozen=True)
class ArchitectureDefinition:
    """What a decoder states if it differs from most. The decoders are in `models/factory.py: ARCHITECTURES`."""

    has_auxiliary_logits: bool = False
    """Whether it gives further logits to training, without `model.deep_supervision`."""
    has_pyramid: bool = True
    """Whether its encoder gives maps of different strides."""
    needs_exclusive_classes: bool = False
    """Whether it takes a softmax over classes by itself."""


UNUSUAL_ARCHITECTURES: dict[str, ArchitectureDefinition] = {
    "acfnet": ArchitectureDefinition(has_auxiliary_logits=True, needs_exclusive_classes=True),
    "dpt": ArchitectureDefinition(has_pyramid=False),
}


def define_architecture(name: str) -> ArchitectureDefinition:
    """Return what a decoder states. One that is not in `UNUSUAL_ARCHITECTURES` is as most are."""
    return UNUSUAL_ARCHITECTURES.get(name, ArchitectureDefinition())
