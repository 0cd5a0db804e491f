"""Augmentation sets, as `TrainSamples` applies them."""

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import pytest

from foldseg.config.schema import FullView
from foldseg.config.schema.names import AugmentName
from foldseg.data import camvid
from foldseg.data.frames import FileFrames
from foldseg.views.augment import AUGMENTATIONS, Fog, augmentation
from foldseg.views.train_samples import TrainSamples

FULL = FullView(kind="full")
TRIALS = 400


def samples(folder: Path, picture: np.ndarray, ids: np.ndarray, augment: str) -> TrainSamples:
    """A data set of one picture and its mask of raw ids."""
    assert cv2.imwrite(str(folder / "i.png"), picture)
    assert cv2.imwrite(str(folder / "m.png"), ids)
    table = pd.DataFrame([("a", "i.png", "m.png")], columns=["id", "image", "mask"])
    return TrainSamples(FileFrames.of(table, folder, camvid.LABELS), FULL, augment, 1, seed=0)


def halves(height: int = 24, width: int = 32) -> np.ndarray:
    """Class 4 on the left, 9 on the right."""
    ids = np.full((height, width), 4, np.uint8)
    ids[:, width // 2 :] = 9
    return ids


def leaves(transforms: list[object]) -> list[object]:
    """Transforms without the OneOfs around them."""
    return [leaf for outer in transforms for leaf in (outer.transforms if isinstance(outer, A.OneOf) else [outer])]


@lru_cache
def fired(name: str) -> dict[str, np.ndarray]:
    """Name of each transform of a set -> (400,) bool: whether it fired in that epoch."""
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    with TemporaryDirectory() as folder:
        made = samples(Path(folder), picture, halves(), name)
        calls: set[str] = set()

        def spy(name: str, transform: object) -> None:
            original = transform.apply_with_params  # type: ignore[attr-defined]

            def recorded(*args: object, **kwargs: object) -> object:
                calls.add(name)
                return original(*args, **kwargs)

            transform.apply_with_params = recorded  # type: ignore[attr-defined]

        for leaf in leaves(made._augment.transforms):
            spy(type(leaf).__name__, leaf)
        rows = []
        for epoch in range(TRIALS):
            calls.clear()
            made[epoch, 0]
            rows.append(set(calls))
    return {name: np.array([name in row for row in rows]) for name in sorted(set().union(*rows))}


LIGHT = {"HorizontalFlip": 0.5, "ColorJitter": 0.5}
PROBABILITIES = {
    "none": {},
    "light": LIGHT,
    "strong": {
        "HorizontalFlip": 0.5,
        "Affine": 0.5,
        "ColorJitter": 0.8,
        "RandomGamma": 0.3,
        "GaussianBlur": 0.2 / 3,  # one of three, in a fifth of the samples
        "MotionBlur": 0.2 / 3,
        "Sharpen": 0.2 / 3,
        "GaussNoise": 0.2,
        "CoarseDropout": 0.2,
    },
    "weather": LIGHT | dict.fromkeys(["RandomRain", "RandomSnow", "Fog", "RandomShadow", "RandomSunFlare"], 0.5 / 5),
    "clahe": LIGHT | {"CLAHE": 0.5},
    "geometric": LIGHT
    | {"Affine": 0.7, "Perspective": 0.3}
    | dict.fromkeys(["ElasticTransform", "GridDistortion", "OpticalDistortion"], 0.3 / 3),
}
ALTERNATIVES = {
    "strong": ["GaussianBlur", "MotionBlur", "Sharpen"],
    "weather": ["RandomRain", "RandomSnow", "Fog", "RandomShadow", "RandomSunFlare"],
    "geometric": ["ElasticTransform", "GridDistortion", "OpticalDistortion"],
}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_transform_fires_at_its_probability(name: str) -> None:
    """Defect 15: a flip that never happens. 400 trials: four standard deviations are at most 0.1."""
    assert fired(name).keys() == PROBABILITIES[name].keys()
    for transform, expected in PROBABILITIES[name].items():
        allowed = 4 * (expected * (1 - expected) / TRIALS) ** 0.5
        assert abs(fired(name)[transform].mean() - expected) < allowed, transform


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_only_one_of_the_alternatives_fires(name: str) -> None:
    """Defect 12: a OneOf that is unpacked adds all of its members."""
    together = sum(fired(name)[transform].astype(int) for transform in ALTERNATIVES[name])
    assert np.max(together) == 1


@pytest.mark.parametrize("name", ["strong", "weather", "geometric"])
def test_transforms_fire_independently_of_each_other(name: str) -> None:
    """albumentations' `set_random_seed` gives every transform the same seed: all flips are then turned as well.

    Correlation of 400 independent pairs: 0.05 standard deviation.
    """
    alone = [found for transform, found in fired(name).items() if transform not in ALTERNATIVES[name]]
    together = np.any([fired(name)[transform] for transform in ALTERNATIVES[name]], axis=0)
    correlation = np.corrcoef([*alone, together]) - np.eye(len(alone) + 1)
    assert np.abs(correlation).max() < 0.25


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_what_fills_masks_is_void_in_every_transform(name: str) -> None:
    """Defect 36, and a trap of albumentations 2: masks are filled with class 0 unless they are told otherwise."""
    for transform in leaves(AUGMENTATIONS[name]()):
        assert getattr(transform, "fill_mask", 255) == 255, transform


def test_fog_is_thicker_in_the_distance_and_keeps_what_is_near() -> None:
    picture = np.zeros((100, 40, 3), np.uint8)
    made = A.Compose([Fog(density=(1.5, 1.5), p=1.0)])
    made.set_random_seed(0)
    rows = made(image=picture)["image"].mean((1, 2))
    assert (np.diff(rows) <= 0).all()
    assert rows[0] == rows[30] > 30
    assert rows[-1] < 5


def test_half_of_the_samples_are_flipped_image_and_mask_together(tmp_path: Path) -> None:
    """Defect 15: 200 seeds, 100 flips expected, standard deviation 7."""
    picture = np.full((24, 32, 3), 30, np.uint8)
    picture[:, 16:] = 220
    made = samples(tmp_path, picture, halves(), "light")
    flips = 0
    for epoch in range(200):
        image, mask, _ = made[epoch, 0]
        flipped = int(mask[0, 0]) == 9
        assert (float(image[:, :, :16].float().mean()) > float(image[:, :, 16:].float().mean())) == flipped
        flips += flipped
    assert 70 <= flips <= 130


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_no_value_is_invented_and_new_area_is_void_not_class_0(name: str, tmp_path: Path) -> None:
    """Defects 4 and 36: classes that are invented by interpolation, and filling that is a class."""
    ids = halves(40, 48)
    ids[:4, :4] = 11  # void
    made = samples(tmp_path, np.zeros((40, 48, 3), np.uint8), ids, name)
    seen: set[int] = set()
    grown = 0
    for epoch in range(60):
        mask = made[epoch, 0][1].numpy()
        seen |= set(np.unique(mask).tolist())
        grown += int((mask == 255).sum()) > 16
    assert seen == {4, 9, 255}
    assert (grown > 5) == (name in ("strong", "geometric"))


@pytest.mark.parametrize("name", ["strong", "geometric"])
def test_image_and_mask_stay_aligned(name: str, tmp_path: Path) -> None:
    """A bright disc of class 9 on dark class 4: whatever is done to them, the mask says where it is bright."""
    ids = np.full((60, 80), 4, np.uint8)
    cv2.circle(ids, (30, 28), 15, 9, -1)
    picture = np.where(ids == 9, 225, 40).astype(np.uint8)[..., None].repeat(3, 2)
    made = samples(tmp_path, picture, ids, name)
    for epoch in range(40):
        image, mask, _ = made[epoch, 0]
        grey, mask = image.float().mean(0).numpy(), mask.numpy()
        kernel = np.ones((5, 5), np.uint8)
        inside = (cv2.erode(mask, kernel) == cv2.dilate(mask, kernel)) & (mask != 255)
        bright, dark = inside & (mask == 9), inside & (mask == 4)
        threshold = (np.median(grey[bright]) + np.median(grey[dark])) / 2
        assert np.mean((grey > threshold)[inside] == (mask == 9)[inside]) > 0.99, epoch


def test_the_settings_know_every_set() -> None:
    assert set(get_args(AugmentName)) == set(AUGMENTATIONS)


def test_none_changes_nothing(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    image, mask, _ = samples(tmp_path, picture, halves(), "none")[3, 0]
    assert np.array_equal(image.permute(1, 2, 0).numpy(), picture[..., ::-1])
    assert np.array_equal(mask.numpy(), halves())


def test_an_argument_that_albumentations_does_not_know_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """albumentations 2 only warns, and then fills masks with class 0."""
    monkeypatch.setitem(AUGMENTATIONS, "wrong", lambda: [A.Affine(mask_value=255)])
    with pytest.raises(UserWarning, match="mask_value"):
        augmentation("wrong")
