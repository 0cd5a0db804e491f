"""The views in numpy: a network sees what it sees by `foldseg.views`, and every pixel comes back to its place."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import COLOURS, blocks
from torch import Tensor
from torch.nn import functional

from foldseg.config.schema import FullView, PredictView, ResizedView, TilesView
from foldseg.data.labels import Image
from foldseg.deploy.numpy_views import Maps, plan_of, predict
from foldseg.views.geometry import grid_of, predict_probabilities, prepare_image, restore_maps
from foldseg.views.tensors import as_tensor

STRIDE = 16
FULL = FullView(kind="full")
TILES = TilesView(kind="tiles", size=(32, 48), overlap=0.5)
VOTES = TilesView(kind="tiles", size=(32, 48), overlap=0.3, merge="vote")
VIEWS: list[PredictView] = [
    FULL,
    FullView(kind="full", multiple=24),
    ResizedView(kind="resized", factor=0.5),
    ResizedView(kind="resized", factor=0.73),
    ResizedView(kind="resized", factor=1.6),
    ResizedView(size=(40, 56)),
    ResizedView(long_side=40),
]
SIZES = [(1, 1), (5, 7), (33, 31), (48, 64), (50, 97)]
KERNEL = torch.randn(3, 3, 5, 5, generator=torch.Generator().manual_seed(0)) / 300
TASTE = torch.randn(3, 32, 48, generator=torch.Generator().manual_seed(1))


def around(images: Tensor) -> Tensor:
    """A network that sees what is around a pixel, padding included: logits (N, 3, H, W)."""
    return functional.conv2d(images.float() - 128, KERNEL, padding=2)


def by_place(images: Tensor) -> Tensor:
    """A network that also sees differently at each place of a tile, so that tiles do not agree."""
    return around(images) + TASTE


def in_numpy(network: Callable[[Tensor], Tensor]) -> Callable[[Image], Maps]:
    return lambda picture: network(as_tensor(picture)[None]).softmax(1)[0].numpy()


def by_torch(network: Callable[[Tensor], Tensor], picture: Image, view: PredictView) -> Maps:
    grid = grid_of(picture.shape[:2], view, STRIDE)
    return restore_maps(predict_probabilities(network, as_tensor(prepare_image(picture, grid))[None], view), grid)[
        0
    ].numpy()


def picture_of(size: tuple[int, int]) -> Image:
    return np.random.default_rng(size[0]).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("view", VIEWS, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_whole_and_resized_pictures_are_seen_as_by_torch(size: tuple[int, int], view: PredictView) -> None:
    picture = picture_of(size)
    found = predict(in_numpy(around), picture, plan_of(view, STRIDE, None))
    assert found.dtype == np.float32
    assert np.allclose(found, by_torch(around, picture, view), atol=1e-5)


@pytest.mark.parametrize("view", [TILES, VOTES, TilesView(kind="tiles", size=(32, 48), overlap=0.0)], ids=str)
@pytest.mark.parametrize("size", [*SIZES, (32, 48), (112, 144)])
def test_tiles_are_seen_as_by_torch(size: tuple[int, int], view: PredictView) -> None:
    picture = picture_of(size)
    found = predict(in_numpy(by_place), picture, plan_of(view, STRIDE, None))
    assert np.allclose(found, by_torch(by_place, picture, view), atol=1e-5)


def test_a_network_of_one_size_sees_tiles_of_it() -> None:
    picture = picture_of((70, 101))
    plans = [plan_of(TILES, STRIDE, (32, 48)), plan_of(FULL, STRIDE, (32, 48)), plan_of(TILES, STRIDE, None)]
    assert {replace(plan, sizes=FULL) for plan in plans} == {replace(plans[0], sizes=FULL)}
    seen = []

    def network(tile: Image) -> Maps:
        seen.append(tile.shape)
        return in_numpy(by_place)(tile)

    assert predict(network, picture, plan_of(ResizedView(kind="resized", factor=0.8), STRIDE, (32, 48))).shape == (
        3, 70, 101,
    )  # fmt: skip
    assert set(seen) == {(32, 48, 3)} and len(seen) == 9  # of the 56x81 pixels that are left


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", [FULL, TILES, VOTES], ids=str)
@pytest.mark.parametrize("fixed", [None, (32, 48)])
def test_every_pixel_comes_back_to_its_place(size: tuple[int, int], view: PredictView, fixed: object) -> None:
    mask = blocks(*size, side=1)

    def identity(picture: Image) -> Maps:
        same = (picture[:, :, None] == COLOURS).all(-1)
        return same.transpose(2, 0, 1).astype(np.float32)

    found = predict(identity, COLOURS[mask], plan_of(view, STRIDE, fixed))
    assert np.array_equal(found.argmax(0), mask)
    assert np.allclose(found.max(0), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("view", "size", "says"),
    [
        (TilesView(kind="tiles", size=(40, 48)), None, "multiples of 16"),
        (TilesView(kind="tiles", size=(48, 48)), (32, 48), r"tiles of \[32, 48\] only"),
    ],
)
def test_what_cannot_be_seen_is_told(view: PredictView, size: tuple[int, int] | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        plan_of(view, STRIDE, size)
