"""Losses as pure functions, and the weighted sum of them that training minimises."""

from foldseg.losses.class_weights import CLASS_WEIGHTS, inverse_log_weights
from foldseg.losses.overlap import dice, focal_tversky, jaccard, log_dice, log_jaccard, mcc, tversky
from foldseg.losses.pixels import OverlappingPixels, Pixels
from foldseg.losses.pixelwise import binary_cross_entropy, cross_entropy, focal, ohem
from foldseg.losses.shape import boundary, lovasz, lovasz_hinge
from foldseg.losses.total import TERMS, outputs_loss, segmentation_loss

__all__ = [
    "CLASS_WEIGHTS",
    "TERMS",
    "OverlappingPixels",
    "Pixels",
    "binary_cross_entropy",
    "boundary",
    "cross_entropy",
    "dice",
    "focal",
    "focal_tversky",
    "inverse_log_weights",
    "jaccard",
    "log_dice",
    "log_jaccard",
    "lovasz",
    "lovasz_hinge",
    "mcc",
    "ohem",
    "outputs_loss",
    "segmentation_loss",
    "tversky",
]
