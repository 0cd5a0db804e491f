"""Sampling and copy-paste of overlapping classes."""

import numpy as np
import pytest

from foldseg.data.labels import LabelClass, LabelSet
from foldseg.views.mixing import Region, draw_pixel, draw_region, find_pixels, paste_region

LABELS = LabelSet(
    tuple(LabelClass(f"c{i}", (i, 0, 0), tuple(v for v in range(8) if v >> i & 1)) for i in range(3)), overlapping=True
)
NOTHING, FIRST, SECOND, BOTH, VOID = 0, 1, 2, 3, 255


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scene() -> np.ndarray:
    mask = np.zeros((10, 12), np.uint8)
    mask[2:5, 2:6] = FIRST
    mask[3:5, 4:8] |= SECOND
    mask[9] = VOID
    return mask


@pytest.mark.parametrize(("classes", "values"), [((0,), [1, 3]), ((1,), [2, 3]), ((0, 1), [1, 2, 3]), ((2,), [])])
def test_pixels_of_classes_are_found_by_their_bits(classes: tuple[int, ...], values: list[int]) -> None:
    mask = scene()
    assert np.array_equal(find_pixels(mask, classes, LABELS), np.isin(mask, values))


def test_a_crop_is_aimed_at_a_pixel_of_several_classes_too() -> None:
    mask = np.where(scene() == BOTH, BOTH, NOTHING).astype(np.uint8)
    for seed in range(20):
        place = draw_pixel(mask, [1], rng(seed), LABELS)
        assert place is not None and mask[place] == BOTH
    assert draw_pixel(mask, [2], rng(), LABELS) is None


def test_a_pasted_region_brings_all_classes_of_its_pixels() -> None:
    mask = scene()
    image = np.repeat(mask[..., None], 3, 2)
    region = draw_region(image, mask, 1, 4, rng(), LABELS)
    assert region is not None
    assert region.inside.shape == (2, 4)
    assert set(region.bits[region.inside].tolist()) == {SECOND, BOTH}
    empty = np.zeros((20, 24), np.uint8)
    picture, pasted = paste_region(np.zeros((20, 24, 3), np.uint8), empty, region, (), rng(3), LABELS)
    assert np.count_nonzero(pasted == BOTH) + np.count_nonzero(pasted == SECOND) == np.count_nonzero(pasted) > 0
    assert np.array_equal(picture[..., 0], pasted)  # image and mask go together
    assert not empty.any()


def test_a_region_that_is_resized_keeps_class_bits() -> None:
    region = draw_region(np.zeros((10, 12, 3), np.uint8), scene(), 0, 4, rng(), LABELS)
    assert region is not None
    larger = region.resized(2.0, 2.0)
    assert isinstance(larger, Region) and larger.bits is not None
    assert larger.bits.shape == larger.inside.shape
    assert set(np.unique(larger.bits)) <= {NOTHING, FIRST, SECOND, BOTH}


def test_an_exclusive_region_may_lie_anywhere_if_no_ground_is_named() -> None:
    region = Region(np.full((3, 3, 3), 9, np.uint8), np.ones((3, 3), bool), 1)
    _, pasted = paste_region(np.zeros((20, 24, 3), np.uint8), np.zeros((20, 24), np.uint8), region, (), rng(1))
    assert np.count_nonzero(pasted == 1) > 0
