"""Where the pixels go, and that they come back to where they came from."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from foldseg.config.schema import FullView, ResizedView, TilesView, view_slug
from foldseg.views.geometry import (
    Grid,
    grid_of,
    pad_image,
    pad_mask,
    padded_size,
    predict_probabilities,
    prepare_image,
    random_crop,
    resize_image,
    resize_mask,
    restore_maps,
    scale_size,
)
from identity import PALETTE, blocks, identity

FULL = FullView(kind="full")
FULL_64 = FullView(kind="full", multiple=64)
TILES = TilesView(kind="tiles", size=(32, 48), overlap=0.5)
VOTES = TilesView(kind="tiles", size=(32, 48), overlap=0.5, merge="vote")


def interior(mask: np.ndarray, margin: int = 3) -> np.ndarray:
    """(H, W) bool: pixels whose neighbourhood is all of their own class."""
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return cv2.erode(mask, kernel) == cv2.dilate(mask, kernel)


def nearest_colour(picture: np.ndarray) -> np.ndarray:
    return ((picture[:, :, None].astype(int) - PALETTE) ** 2).sum(-1).argmin(-1)


def there_and_back(mask: np.ndarray, view: object, multiple: int = 32) -> Tensor:
    """Paint a mask, predict the painting with the identity network; (3, H, W) probabilities."""
    grid = grid_of(mask.shape, view, multiple)  # type: ignore[arg-type]
    inputs = torch.from_numpy(prepare_image(PALETTE[mask], grid)).permute(2, 0, 1)[None]
    assert inputs.shape[-2:] == grid.padded
    return restore_maps(predict_probabilities(identity, inputs, view), grid)[0]  # type: ignore[arg-type]


SIZES = [(1, 1), (1, 40), (47, 61), (32, 48), (33, 97), (64, 50), (90, 131)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", [FULL, FULL_64, TILES, VOTES, ResizedView(kind="resized", factor=1.0)], ids=view_slug)
def test_every_pixel_comes_back_to_its_place(size: tuple[int, int], view: object) -> None:
    mask = blocks(*size)
    assert np.array_equal(there_and_back(mask, view).argmax(0).numpy(), mask)


@pytest.mark.parametrize("factor", [0.4, 0.5, 0.73, 1.5, 2.0])
@pytest.mark.parametrize("size", [(95, 131), (64, 96), (77, 60)])
def test_resized_predictions_come_back_to_the_exact_size_and_place(size: tuple[int, int], factor: float) -> None:
    mask = blocks(*size, side=24)
    found = there_and_back(mask, ResizedView(kind="resized", factor=factor))
    inside = interior(mask, 4)
    assert found.shape[-2:] == size
    assert inside.mean() > 0.3
    assert np.array_equal(found.argmax(0).numpy()[inside], mask[inside])


def test_resizing_there_and_back_shifts_nothing() -> None:
    """A half-pixel shift, or aligned corners, move the edge of a step that is not in the middle of the image."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 20:] = 1
    for factor in (0.5, 1.5, 2.0):
        found = there_and_back(mask, ResizedView(kind="resized", factor=factor))
        left_of_edge = float(found[0].sum(1).mean())  # pixels of class 0 per row, in fractions
        assert abs(left_of_edge - 20) < 0.05


def test_probabilities_are_float32_and_sum_to_one_in_half_precision() -> None:
    def half(images: Tensor) -> Tensor:
        return identity(images).bfloat16()

    images = torch.randint(0, 256, (1, 3, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for view in (FULL, TILES, VOTES):
        found = predict_probabilities(half, images, view)
        assert found.dtype == torch.float32
        assert torch.allclose(found.sum(1), torch.ones(1), atol=1e-5)


@pytest.mark.parametrize(
    ("size", "view", "expected"),
    [
        ((360, 480), FULL, Grid((360, 480), (360, 480), (384, 480))),
        ((384, 480), FULL, Grid((384, 480), (384, 480), (384, 480))),
        ((1, 1), FULL, Grid((1, 1), (1, 1), (32, 32))),
        ((1216, 1936), FULL, Grid((1216, 1936), (1216, 1936), (1216, 1952))),
        ((1216, 1936), FULL_64, Grid((1216, 1936), (1216, 1936), (1216, 1984))),  # the predecessor's
        ((97, 95), FullView(kind="full", multiple=24), Grid((97, 95), (97, 95), (192, 96))),  # 96 = lcm(24, 32)
        ((100, 60), ResizedView(kind="resized", factor=0.5), Grid((100, 60), (50, 30), (64, 32))),
        ((3, 3), ResizedView(kind="resized", factor=0.1), Grid((3, 3), (1, 1), (32, 32))),
        ((20, 100), TILES, Grid((20, 100), (20, 100), (32, 100))),  # at least one tile high
    ],
)
def test_grids(size: tuple[int, int], view: object, expected: Grid) -> None:
    assert grid_of(size, view, 32) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "multiple", "expected"), [((1, 33), 32, (32, 64)), ((64, 32), 32, (64, 32)), ((5, 7), 1, (5, 7))]
)
def test_padded_size(size: tuple[int, int], multiple: int, expected: tuple[int, int]) -> None:
    assert padded_size(size, multiple) == expected


@pytest.mark.parametrize(("factor", "expected"), [(0.5, (5, 10)), (1.5, (15, 30)), (0.01, (1, 1))])
def test_scaled(factor: float, expected: tuple[int, int]) -> None:
    assert scale_size((10, 20), factor) == expected


def test_masks_are_padded_with_void_and_images_with_their_reflection() -> None:
    """Defect 36: padded pixels must carry the ignore value of the final label space."""
    assert pad_mask(np.array([[1, 2]], np.uint8), (2, 4)).tolist() == [[1, 2, 255, 255], [255] * 4]
    image = np.array([[1, 2, 3]], np.uint8)[..., None].repeat(3, 2)
    assert pad_image(image, (1, 5))[0, :, 0].tolist() == [1, 2, 3, 2, 1]


@pytest.mark.parametrize("size", [(7, 9), (40, 31), (100, 55)])
@pytest.mark.parametrize("seed", range(3))
def test_resizing_a_mask_invents_no_class(size: tuple[int, int], seed: int) -> None:
    """Defect 4: masks that are resized with cubic interpolation hold classes that are between others."""
    mask = np.random.default_rng(seed).choice(np.array([0, 9, 255], np.uint8), (33, 47))
    assert set(np.unique(resize_mask(mask, size)).tolist()) <= {0, 9, 255}
    assert resize_mask(mask, size).shape == size


def test_a_mask_is_resized_about_its_middle() -> None:
    """4 -> 2 pixels: centres at 1.0 and 3.0 of the old grid; mirroring before or after makes no difference.

    6 -> 2: centres at 1.5 and 4.5, so pixels 1 and 4. A corner-aligned nearest neighbour takes 0 and 3.
    """
    assert resize_mask(np.array([[0, 1, 2, 3, 4, 5]], np.uint8), (1, 2)).tolist() == [[1, 4]]


def test_images_are_averaged_when_they_shrink() -> None:
    """Defect 35: pictures that are resized by nearest neighbour. (0 + 100 + 50 + 250) / 4 = 100."""
    image = np.array([[0, 100], [50, 250]], np.uint8)[..., None].repeat(3, 2)
    assert resize_image(image, (1, 1)).tolist() == [[[100, 100, 100]]]


@pytest.mark.parametrize("size", [(70, 90), (23, 31), (48, 150)])
def test_image_and_mask_are_resized_alike(size: tuple[int, int]) -> None:
    mask = blocks(48, 64, side=16)
    small, picture = resize_mask(mask, size), resize_image(PALETTE[mask], size)
    inside = interior(small, 2)
    assert inside.mean() > 0.2
    assert np.array_equal(nearest_colour(picture)[inside], small[inside])


@pytest.mark.parametrize("crop", [(32, 40), (48, 64), (80, 40), (100, 130)])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 2.0)])
def test_crops_have_the_size_asked_for_and_stay_aligned(crop: tuple[int, int], scale: tuple[float, float]) -> None:
    mask = blocks(48, 64, side=16)
    for seed in range(10):
        picture, cut = random_crop(PALETTE[mask], mask, crop, scale, np.random.default_rng(seed))
        assert (picture.shape, cut.shape) == ((*crop, 3), crop)
        inside = interior(cut, 3) & (cut != 255)
        assert np.array_equal(nearest_colour(picture)[inside], cut[inside])


def test_a_crop_larger_than_the_image_is_void_outside() -> None:
    mask = blocks(20, 30)
    _, cut = random_crop(PALETTE[mask], mask, (40, 50), (1.0, 1.0), np.random.default_rng(0))
    assert np.array_equal(cut[:20, :30], mask)
    assert (cut[20:] == 255).all()
    assert (cut[:, 30:] == 255).all()


def test_a_crop_smaller_than_the_image_has_no_void_and_moves_everywhere() -> None:
    mask = (np.arange(12)[:, None] * 15 + np.arange(15)).astype(np.uint8)  # every pixel its own number
    image = mask[..., None].repeat(3, 2)
    corners = set()
    for seed in range(400):
        _, cut = random_crop(image, mask, (8, 10), (1.0, 1.0), np.random.default_rng(seed))
        corners.add(divmod(int(cut[0, 0]), 15))
        assert (cut != 255).all()
    assert corners == {(y, x) for y in range(5) for x in range(6)}


def test_the_scale_of_a_crop_magnifies() -> None:
    """At scale 2, a crop of 16x16 shows 8x8 pixels of the image: 64 different values, each 2x2 pixels large."""
    mask = (np.arange(12)[:, None] * 15 + np.arange(15)).astype(np.uint8)
    _, cut = random_crop(mask[..., None].repeat(3, 2), mask, (16, 16), (2.0, 2.0), np.random.default_rng(0))
    assert len(np.unique(cut)) == 64
    assert np.array_equal(cut[::2, ::2].repeat(2, 0).repeat(2, 1), cut)
