"""Augmentation sets by name. Every geometric transform fills masks with void.

albumentations 2.0.8 only warns about arguments that it does not know, and then ignores them (a mask would be filled
with class 0): such a warning is an error here. It also draws the same numbers in every worker unless each sample
sets the seed, which `views.samples` does.
"""

import warnings
from collections.abc import Callable

import albumentations as A

from foldseg.data.labels import IGNORE_INDEX


def _none() -> list[A.BasicTransform]:
    return []


def _light() -> list[A.BasicTransform]:
    return [
        A.HorizontalFlip(p=0.5),
        A.ColorJitter(brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(-0.02, 0.02), p=0.5),
    ]


def _strong() -> list[A.BasicTransform]:
    return [
        A.HorizontalFlip(p=0.5),
        A.Affine(
            scale=(0.8, 1.25),
            rotate=(-5.0, 5.0),
            shear={"x": (-4.0, 4.0), "y": (0.0, 0.0)},
            keep_ratio=True,
            fill=0,
            fill_mask=IGNORE_INDEX,
            p=0.5,
        ),
        A.ColorJitter(brightness=(0.6, 1.4), contrast=(0.7, 1.3), saturation=(0.6, 1.4), hue=(-0.05, 0.05), p=0.8),
        A.RandomGamma(gamma_limit=(70, 140), p=0.3),
        A.OneOf([A.GaussianBlur(blur_limit=(3, 5)), A.MotionBlur(blur_limit=(3, 5)), A.Sharpen()], p=0.2),
        A.GaussNoise(std_range=(0.01, 0.04), p=0.2),
        A.CoarseDropout(
            num_holes_range=(1, 3),
            hole_height_range=(0.05, 0.15),
            hole_width_range=(0.05, 0.15),
            fill=0,
            fill_mask=IGNORE_INDEX,
            p=0.2,
        ),
    ]


AUGMENTATIONS: dict[str, Callable[[], list[A.BasicTransform]]] = {
    "none": _none,
    "light": _light,
    "strong": _strong,
}


def augmentation(name: str) -> A.Compose:
    """Build the set `name`; calling it with image (H, W, 3) uint8 and mask (H, W) uint8 keeps both sizes."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return A.Compose(AUGMENTATIONS[name]())
