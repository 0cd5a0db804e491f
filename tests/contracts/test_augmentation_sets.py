"""What every augmentation set promises."""

import numpy as np
import pytest

from foldseg.views.augment import AUGMENTATIONS, augmentation

every_set = pytest.mark.parametrize("name", AUGMENTATIONS)
SEEDS = range(30)


def augmented(
    name: str, seed: int, size: tuple[int, int] = (48, 64), channels: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """A dark left half of class 4 and a bright right half of class 9, augmented."""
    mask = np.full(size, 4, np.uint8)
    mask[:, size[1] // 2 :] = 9
    image = np.where(mask == 9, 210, 40).astype(np.uint8)[..., None].repeat(channels, 2)
    augment = augmentation(name, channels)
    augment.set_random_seed(seed)
    done = augment(image=image, mask=mask)
    return done["image"], done["mask"]


@every_set
@pytest.mark.parametrize("size", [(24, 32), (33, 17)])
def test_sizes_and_types_stay(name: str, size: tuple[int, int]) -> None:
    for seed in SEEDS:
        image, mask = augmented(name, seed, size)
        assert (image.shape, mask.shape) == ((*size, 3), size)
        assert (image.dtype, mask.dtype) == (np.uint8, np.uint8)


@every_set
@pytest.mark.parametrize("channels", [1, 2, 4, 16])
def test_images_of_any_channels_are_changed_with_their_masks(name: str, channels: int) -> None:
    for seed in range(10):
        image, mask = augmented(name, seed, (48, 64), channels)
        assert (image.shape, image.dtype, mask.shape) == ((48, 64, channels), np.uint8, (48, 64))
        is_bright = image.mean(2) > 125
        agree = (is_bright == (mask == 9))[mask != 255]
        assert agree.mean() > 0.8


@every_set
def test_masks_hold_nothing_new_but_void(name: str) -> None:
    for seed in SEEDS:
        assert set(np.unique(augmented(name, seed)[1]).tolist()) <= {4, 9, 255}


@every_set
def test_a_seed_decides_everything(name: str) -> None:
    for seed in SEEDS:
        first, second = augmented(name, seed), augmented(name, seed)
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@every_set
def test_image_and_mask_move_together(name: str) -> None:
    for seed in SEEDS:
        image, mask = augmented(name, seed)
        dark, bright = image[mask == 4], image[mask == 9]
        if min(len(dark), len(bright)) > 100:
            assert np.median(dark) < np.median(bright), seed
