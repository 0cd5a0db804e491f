"""Windows: that they cover the image, weigh what they should, and leave no seam."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from foldseg.config.schema import TilesView, view_slug
from foldseg.views.geometry import Grid, grid_of, pad_batch, predict_probabilities, prepare_image, restore_maps
from foldseg.views.tiles import WEIGHTS, class_probabilities, stepped_starts, tile_starts
from identity import PALETTE, blocks, identity

SIZES = [(1, 1), (1, 40), (47, 61), (32, 48), (33, 97), (64, 50), (90, 131)]
STEPS = [{"overlap": 0.0}, {"overlap": 0.5}, {"overlap": 0.8}, {"stride": (32, 48)}, {"stride": (11, 31)}]
BORDERS = ["shift", "reflect", "replicate"]


def tiles(**settings: object) -> TilesView:
    return TilesView.model_validate({"kind": "tiles", "size": (32, 48), **settings})


def there_and_back(masks: list[np.ndarray], view: TilesView) -> np.ndarray:
    """Paint masks of one size, predict the paintings together with the identity network: (N, 3, H, W)."""
    grid = grid_of(masks[0].shape, view, 16)
    inputs = torch.stack([torch.from_numpy(prepare_image(PALETTE[mask], grid)).permute(2, 0, 1) for mask in masks])
    return restore_maps(predict_probabilities(identity, inputs, view), grid).numpy()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("border", BORDERS)
def test_a_network_that_sees_one_pixel_gives_the_image_back(size: tuple[int, int], border: str) -> None:
    """By every way to step and to weigh; the mean is what the full image would give, votes are unanimous."""
    masks = [blocks(*size, seed=seed) for seed in (0, 1)]
    truth = (np.arange(3)[:, None, None] == np.stack(masks)[:, None]).astype(np.float32)
    full = identity(torch.from_numpy(255 * truth)).softmax(1).numpy()
    for steps, weights in product(STEPS, (None, *WEIGHTS)):
        view = tiles(border=border, weights=weights, **steps)
        assert np.allclose(there_and_back(masks, view), full, atol=1e-6)
        assert np.allclose(there_and_back(masks, view.model_copy(update={"merge": "vote"})), truth, atol=1e-6)


def taste(images: Tensor) -> Tensor:
    """A network that sees differently at each place of a window, so that windows do not agree."""
    return identity(images) / 8 + torch.randn(3, 32, 48, generator=torch.Generator().manual_seed(0))


def slow_weights(name: str) -> np.ndarray:
    """What is said of the weights, pixel by pixel."""
    weights = np.ones((32, 48))
    for y, x in product(range(32), range(48)):
        down, right = abs(y - 15.5), abs(x - 23.5)
        if name == "gaussian":
            weights[y, x] = max(1e-3, np.exp(-0.5 * ((down / 4) ** 2 + (right / 6) ** 2)))
        elif name == "pyramid":
            weights[y, x] = min(1 - down / 16, 1 - right / 24)
    return weights


@pytest.mark.parametrize("merge", ["mean", "vote"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("stride", [(32, 48), (20, 17)])
def test_windows_are_put_together_as_in_a_slow_loop(
    merge: str, weights: str, border: str, stride: tuple[int, int]
) -> None:
    view = tiles(merge=merge, weights=weights, border=border, stride=stride)
    masks = [blocks(70, 90, seed=seed) for seed in (0, 1)]
    grid = grid_of((70, 90), view, 16)
    inputs = torch.stack([torch.from_numpy(prepare_image(PALETTE[mask], grid)).permute(2, 0, 1) for mask in masks])
    height, width = grid.padded
    if border == "shift":
        assert grid.padded == (70, 90)
    total, norm = np.zeros((2, 3, height, width)), np.zeros((height, width))
    for top, left in product(range(0, 70 + 32, stride[0]), range(0, 90 + 48, stride[1])):
        if top - stride[0] + 32 >= 70 or left - stride[1] + 48 >= 90:
            continue  # the window before has covered the image
        top, left = min(top, height - 32), min(left, width - 48)
        maps = taste(inputs[:, :, top : top + 32, left : left + 48]).softmax(1).double().numpy()
        if merge == "vote":
            maps = np.arange(3)[None, :, None, None] == maps.argmax(1)[:, None]
        total[:, :, top : top + 32, left : left + 48] += maps * slow_weights(weights)
        norm[top : top + 32, left : left + 48] += slow_weights(weights)
    expected = total[..., :70, :90] / norm[:70, :90]
    found = restore_maps(predict_probabilities(taste, inputs, view), grid).numpy()
    assert np.allclose(found, expected, atol=1e-5)
    if stride != (32, 48):
        assert (expected.max(1) < 0.9).mean() > 0.1  # windows do disagree


@pytest.mark.parametrize("shape", [(2, 5, 33, 17), (1, 1, 8, 9), (1, 20, 1, 40)])
def test_softmax_does_not_depend_on_the_layout(shape: tuple[int, ...]) -> None:
    logits = 5 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for kind in (torch.float32, torch.bfloat16):
        expected = logits.to(kind).float().softmax(1)
        for memory in (torch.contiguous_format, torch.channels_last):
            found = class_probabilities(logits.to(kind).contiguous(memory_format=memory))
            assert found.dtype == torch.float32
            assert torch.allclose(found, expected, atol=1e-6)


def test_weights_by_default() -> None:
    """Votes are one per window, a mean's windows weigh less towards their borders: as before there was a choice."""
    inputs = torch.stack([torch.from_numpy(PALETTE[blocks(70, 90)]).permute(2, 0, 1)])
    for merge, weights in (("mean", "pyramid"), ("vote", "constant")):
        found = [predict_probabilities(taste, inputs, tiles(merge=merge, weights=choice)) for choice in (None, weights)]
        assert torch.equal(*found)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("size", [(8, 8), (9, 1000), (4096, 4096)])
def test_no_weight_is_nothing(name: str, size: tuple[int, int]) -> None:
    weights = WEIGHTS[name](*size)
    assert weights.shape == size
    assert weights.dtype == torch.float32
    assert float(weights.min()) >= 1e-4
    assert float(weights.max()) <= 1
    assert torch.equal(weights, weights.flip(0, 1))


def test_a_tiles_middle_weighs_more_than_its_border() -> None:
    """Two tiles of 8 that overlap by 4; one says 1, the other 0. Weights of the ramp: 1, 3, 5, 7 / 8 and back.

    In columns 4..7 the first tile's weights are 7, 5, 3, 1 and the second's 1, 3, 5, 7 (in the middle rows).
    """
    calls = iter([50.0, -50.0])

    def network(images: Tensor) -> Tensor:
        logits = torch.zeros(len(images), 2, 8, 8)
        for i in range(len(images)):
            logits[i, 0] = next(calls)
        return logits

    view = TilesView(kind="tiles", size=(8, 8), overlap=0.5)
    found = predict_probabilities(network, torch.zeros(1, 3, 8, 12, dtype=torch.uint8), view)[0, 0, 3]
    assert found.tolist() == pytest.approx([1, 1, 1, 1, 7 / 8, 5 / 8, 3 / 8, 1 / 8, 0, 0, 0, 0])


def test_tiles_of_several_images_are_predicted_together() -> None:
    """Small windows fit into one call, whichever image they are of."""
    sizes = []

    def network(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return identity(images)

    masks = [blocks(150, 140, seed=seed) for seed in range(3)]
    inputs = torch.stack([torch.from_numpy(PALETTE[mask]).permute(2, 0, 1) for mask in masks])
    found = predict_probabilities(network, inputs, TilesView(kind="tiles", size=(64, 64), stride=(43, 20)))
    assert np.array_equal(found.argmax(1).numpy(), np.stack(masks))
    assert sizes == [3 * 3 * 5]


@given(length=st.integers(1, 400), tile=st.integers(1, 400), overlap=st.floats(0, 0.95))
def test_tiles_cover_everything_with_the_overlap_asked_for(length: int, tile: int, overlap: float) -> None:
    length = max(length, tile)
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] + tile == length
    steps = np.diff(starts)
    assert ((steps > 0) & (steps <= max(1, tile * (1 - overlap)))).all()


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "expected"),
    [
        (10, 10, 0.5, [0]),
        (15, 10, 0.5, [0, 5]),
        (16, 10, 0.5, [0, 3, 6]),
        (20, 10, 0.0, [0, 10]),
        (21, 10, 0.0, [0, 6, 11]),
    ],
)
def test_tile_starts(length: int, tile: int, overlap: float, expected: list[int]) -> None:
    assert tile_starts(length, tile, overlap) == expected


@pytest.mark.parametrize(
    ("length", "tile", "stride", "expected"),
    [(10, 10, 5, [0]), (15, 10, 5, [0, 5]), (16, 10, 5, [0, 5, 6]), (21, 10, 10, [0, 10, 11]), (12, 10, 1, [0, 1, 2])],
)
def test_stepped_starts(length: int, tile: int, stride: int, expected: list[int]) -> None:
    assert stepped_starts(length, tile, stride) == expected


@pytest.mark.parametrize(
    ("size", "settings", "padded"),
    [
        ((20, 100), {}, (32, 100)),
        ((20, 100), {"border": "reflect"}, (32, 120)),  # windows at 0, 24, 48, 72
        ((33, 97), {"border": "replicate", "overlap": 0.0}, (64, 144)),
        ((33, 97), {"border": "reflect", "stride": (5, 48)}, (37, 144)),
        ((64, 96), {"border": "reflect", "stride": (16, 48)}, (64, 96)),
    ],
)
def test_how_far_an_image_is_padded(size: tuple[int, int], settings: dict, padded: tuple[int, int]) -> None:
    view = tiles(**settings)
    border = "replicate" if view.border == "replicate" else "reflect"
    assert grid_of(size, view, 16) == Grid(size, size, padded, (0, 0), border)


@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    more=st.tuples(*[st.integers(0, 50)] * 4),
    border=st.sampled_from(["reflect", "replicate"]),
)
def test_padding_on_the_device_is_that_of_opencv(size: tuple[int, int], more: tuple[int, ...], border: str) -> None:
    picture = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), dtype=np.uint8)
    padded = size[0] + more[0] + more[1], size[1] + more[2] + more[3]
    grid = Grid(size, size, padded, (more[0], more[2]), border)  # type: ignore[arg-type]
    found = pad_batch(torch.from_numpy(picture).permute(2, 0, 1)[None], grid)[0].permute(1, 2, 0)
    assert np.array_equal(found.numpy(), prepare_image(picture, grid))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "tiles_32x48_0.5_mean"),
        ({"overlap": 0.0, "merge": "vote"}, "tiles_32x48_0.0_vote"),
        ({"stride": [16, 8]}, "tiles_32x48_16x8_mean"),
        ({"stride": [16, 8], "weights": "gaussian", "border": "reflect"}, "tiles_32x48_16x8_mean_gaussian_reflect"),
        ({"overlap": None, "weights": None}, "tiles_32x48_0.5_mean"),
    ],
)
def test_names(settings: dict, name: str) -> None:
    assert view_slug(tiles(**settings)) == name
    again = TilesView.model_validate(tiles(**settings).model_dump(mode="json"))
    assert again == tiles(**settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"stride": [16, 8], "overlap": 0.5},
            r"stride \[16, 8\] is given, and overlap 0\.5; one of them should be null",
        ),
        ({"stride": [33, 8]}, r"stride \[33, 8\] leaves gaps between windows of \[32, 48\]"),
        ({"stride": [16, 0]}, "greater than or equal to 1"),
        ({"overlap": 1.0}, "less than 1"),
        ({"weights": "cosine"}, "'constant', 'gaussian' or 'pyramid'"),
        ({"border": "wrap"}, "'shift', 'reflect' or 'replicate'"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        tiles(**settings)
