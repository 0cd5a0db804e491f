"""Augmentation sets by name. Every geometric transform fills masks with void.

albumentations 2.0.8 only warns about arguments that it does not know, and then ignores them (a mask would be filled
with class 0): such a warning is an error here. It also draws the same numbers in every worker unless each sample
sets the seed, which `views.train_samples` does.
"""

import warnings
from collections.abc import Callable, Sequence

import albumentations as A
import cv2
import numpy as np

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import AugmentName
from foldseg.data.labels import IGNORE_INDEX, Image
from foldseg.notices import say_once


class Fog(A.ImageOnlyTransform):  # type: ignore[misc]
    """Haze by Koschmieder's law (He et al., 2009): I t + A (1 - t), where t = exp(-density * depth).

    The depth depends on the row: it is 1 (far) above a horizon at 35 to 55% of the height, and falls to 0 below it. The
    light A is brighter by 40 to 100 than the mean of the upper half. The library's own fog is not used: it blurs rather
    than hazes, and takes 2.5 s for a frame of 1936x1216.
    """

    def __init__(self, density: tuple[float, float] = (0.3, 1.4), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.density = density

    def get_params(self) -> dict[str, float]:
        """Draw the density, the horizon's row (a share of the height) and how much brighter the haze is."""
        ranges = {"density": self.density, "horizon": (0.35, 0.55), "brighter": (40.0, 100.0)}
        return {name: self.py_random.uniform(*limits) for name, limits in ranges.items()}

    def apply(self, img: Image, density: float, horizon: float, brighter: float, **_: object) -> Image:
        """Return the image (H, W, C) uint8 with haze."""
        light = min(240.0, float(img[: len(img) // 2 + 1].mean()) + brighter)
        rows = (np.arange(len(img), dtype=np.float32) + 0.5) / len(img)
        transmission = np.exp(-density * np.clip((1 - rows) / (1 - horizon), 0, 1))[:, None]
        # A table of the hazy value of each value, for each row: (H, 256)
        table = np.arange(256, dtype=np.float32) * transmission + light * (1 - transmission)
        tables = table.round().astype(np.uint8)
        hazy = [cv2.LUT(row, values).reshape(row.shape) for row, values in zip(img, tables, strict=True)]
        return np.stack(hazy)


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


def _weather() -> list[A.BasicTransform]:
    return [
        *_light(),
        A.OneOf(
            [
                A.RandomRain(slant_range=(-12, 12), drop_length=14, blur_value=3, brightness_coefficient=0.8),
                A.RandomSnow(snow_point_range=(0.1, 0.25), brightness_coeff=1.8, method="texture"),
                Fog(),
                A.RandomShadow(shadow_roi=(0, 0.4, 1, 1), num_shadows_limit=(1, 2), shadow_intensity_range=(0.3, 0.6)),
                A.RandomSunFlare(flare_roi=(0, 0, 1, 0.4), src_radius=150, num_flare_circles_range=(3, 6)),
            ],
            p=0.5,
        ),
    ]


def _clahe() -> list[A.BasicTransform]:
    return [*_light(), A.CLAHE(clip_limit=(1, 4), tile_grid_size=(8, 8), p=0.5)]


def _geometric() -> list[A.BasicTransform]:
    return [
        A.HorizontalFlip(p=0.5),
        A.Affine(
            scale=(0.8, 1.4),
            translate_percent=(-0.1, 0.1),
            rotate=(-10.0, 10.0),
            shear={"x": (-8.0, 8.0), "y": (-4.0, 4.0)},
            keep_ratio=True,
            fill=0,
            fill_mask=IGNORE_INDEX,
            p=0.7,
        ),
        A.Perspective(scale=(0.03, 0.08), fill=0, fill_mask=IGNORE_INDEX, p=0.3),
        A.OneOf(
            [
                A.ElasticTransform(alpha=60, sigma=10, approximate=True, fill=0, fill_mask=IGNORE_INDEX),
                A.GridDistortion(num_steps=5, distort_limit=0.2, fill=0, fill_mask=IGNORE_INDEX),
                A.OpticalDistortion(distort_limit=(-0.2, 0.2), fill=0, fill_mask=IGNORE_INDEX),
            ],
            p=0.3,
        ),
        A.ColorJitter(brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(-0.02, 0.02), p=0.5),
    ]


AUGMENTATIONS: dict[str, Callable[[], list[A.BasicTransform]]] = {
    "none": _none,
    "light": _light,
    "strong": _strong,
    "weather": _weather,
    "clahe": _clahe,
    "geometric": _geometric,
}
"""Name -> a function that returns the transforms of the set, in their order."""
check_entries(AUGMENTATIONS, AugmentName, "views/augment.py: AUGMENTATIONS")


_NEED_RGB = (A.RandomRain, A.RandomSnow, A.RandomSunFlare)
"""Transforms that take images of three channels alone."""
_NEED_GREY_OR_RGB = (A.CLAHE,)


def augmentation(name: str, channels: int = 3) -> A.Compose:
    """Build an augmentation set. Call it with image (H, W, channels) uint8 and mask (H, W) uint8; it keeps their size.

    Transforms that cannot take images of so many channels are left out. Changes of colours become changes of brightness
    and contrast. That is logged once.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        transforms, left_out = _for_channels(AUGMENTATIONS[name](), channels)
        if left_out:
            say_once(f"augment {name}: with {channels} channel(s), {', '.join(sorted(left_out))} cannot be done")
        return A.Compose(transforms)


def _for_channels(
    transforms: Sequence[A.BasicTransform], channels: int
) -> tuple[list[A.BasicTransform | A.OneOf], set[str]]:
    """Return those of the transforms that take images of so many channels, and the names of the others."""
    if channels == 3:
        return list(transforms), set()
    kept: list[A.BasicTransform | A.OneOf] = []
    left_out: set[str] = set()
    for transform in transforms:
        if isinstance(transform, A.OneOf):
            choices, names = _for_channels(transform.transforms, channels)
            left_out |= names
            if choices:
                kept.append(A.OneOf(choices, p=transform.p))
        elif isinstance(transform, A.ColorJitter):
            kept.append(_without_colours(transform))
            left_out.add("changes of hue and saturation")
        elif isinstance(transform, _NEED_RGB) or (channels != 1 and isinstance(transform, _NEED_GREY_OR_RGB)):
            left_out.add(type(transform).__name__)
        else:
            kept.append(transform)
    return kept, left_out


def _without_colours(jitter: A.ColorJitter) -> A.BasicTransform:
    """Return the change of brightness and contrast that a change of colours makes."""
    brightness, contrast = (tuple(limit - 1 for limit in limits) for limits in (jitter.brightness, jitter.contrast))
    return A.RandomBrightnessContrast(brightness, contrast, brightness_by_max=False, p=jitter.p)
