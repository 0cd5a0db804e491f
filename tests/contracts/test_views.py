"""What every view, every merge of tiles and every weight of a tile's pixels promises."""

import numpy as np
import pytest
import torch
from torch import Tensor

from foldseg.config.schema import PredictView, TrainView, view_slug
from foldseg.data.labels import Image, Mask
from foldseg.deploy import numpy_views
from foldseg.views import tiles
from foldseg.views.geometry import grid_of, predict_probabilities, prepare_image, restore_maps, shown_size
from foldseg.views.tensors import as_tensor
from foldseg.views.tiles import WEIGHTS
from foldseg.views.train_samples import TrainSamples
from identity import PALETTE, blocks, identity

STRIDE = 16
SIZES = [(1, 1), (31, 47), (48, 64), (90, 131)]

TRAIN_VIEWS = [view for kind in TrainView.kinds().values() for view in kind.examples()]
PREDICT_VIEWS = [view for kind in PredictView.kinds().values() for view in kind.examples()]
every_train_view = pytest.mark.parametrize("view", TRAIN_VIEWS, ids=view_slug)
every_predict_view = pytest.mark.parametrize("view", PREDICT_VIEWS, ids=view_slug)
every_size = pytest.mark.parametrize("size", SIZES)


class PaintedFrames:
    """One image, painted in the colours of its mask."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.ids = ["painted"]
        self.mask = blocks(*size, side=24)

    def read(self, index: int) -> tuple[Image, Mask]:
        return PALETTE[self.mask], self.mask

    def count_class_pixels(self) -> np.ndarray:
        return np.bincount(self.mask.ravel(), minlength=4)[None]


@every_train_view
@every_size
def test_a_training_sample_has_the_size_that_its_view_states(view: TrainView, size: tuple[int, int]) -> None:
    image, mask, name = TrainSamples(PaintedFrames(size), view, "none", STRIDE, seed=0)[0, 0]
    assert mask.shape == shown_size(view.window or view.resized_size(size), view, STRIDE)
    assert mask.dtype == torch.uint8
    assert image.shape == (3, *mask.shape) and image.dtype == torch.uint8
    assert name == "painted"


@every_train_view
def test_a_training_view_shows_the_image_below_its_mask(view: TrainView) -> None:
    image, mask, _ = TrainSamples(PaintedFrames((90, 131)), view, "none", STRIDE, seed=0)[0, 0]
    is_shown = mask != 255
    same = identity(image[None]).argmax(1)[0] == mask
    assert same[is_shown].float().mean() > 0.9  # resizing blurs the borders of the squares


@every_train_view
def test_a_training_sample_depends_on_the_seed_the_epoch_and_the_index_alone(view: TrainView) -> None:
    first, second = (TrainSamples(PaintedFrames((90, 131)), view, "none", STRIDE, seed=3) for _ in range(2))
    second[0, 0]
    assert torch.equal(first[1, 0][0], second[1, 0][0])


@every_train_view
def test_what_a_training_view_states_goes_together(view: TrainView) -> None:
    low, high = view.scale_range
    assert 0 < low <= high
    assert view.side_multiple(STRIDE) % STRIDE == 0
    assert view.window is not None or low == high == 1
    assert view.window is not None or not view.can_be_aimed


@every_predict_view
@every_size
def test_a_predicted_pixel_comes_back_to_its_place(view: PredictView, size: tuple[int, int]) -> None:
    mask = blocks(*size, side=24)
    shapes = []

    def network(images: Tensor) -> Tensor:
        shapes.append(tuple(images.shape[-2:]))
        return identity(images)

    grid = grid_of(size, view, STRIDE)
    inputs = as_tensor(prepare_image(PALETTE[mask], grid))[None]
    maps = restore_maps(predict_probabilities(network, inputs, view), grid)[0]
    assert maps.shape == (3, *size) and maps.dtype == torch.float32
    assert torch.allclose(maps.sum(0), torch.ones(size), atol=1e-5)
    assert (maps.argmax(0).numpy() == mask).mean() > 0.9
    assert set(shapes) == {grid.padded if view.tiles is None else view.tiles.size}
    if view.tiles is None:
        assert all(side % view.side_multiple(STRIDE) == 0 for side in grid.padded)


@every_predict_view
@every_size
def test_an_exported_network_sees_what_the_trained_one_sees(view: PredictView, size: tuple[int, int]) -> None:
    picture = PALETTE[blocks(*size, side=24)]
    grid = grid_of(size, view, STRIDE)
    expected = restore_maps(predict_probabilities(identity, as_tensor(prepare_image(picture, grid))[None], view), grid)[
        0
    ]

    def network(shown: Image) -> np.ndarray:
        return identity(as_tensor(shown)[None]).softmax(1)[0].numpy()

    found = numpy_views.predict(network, picture, numpy_views.plan_of(view, STRIDE, None))
    assert np.allclose(found, expected.numpy(), atol=1e-5)


@every_predict_view
def test_only_a_view_of_the_whole_image_has_logits(view: PredictView) -> None:
    resizes = any(view.resized_size(size) != size for size in SIZES)
    assert not view.has_logits or (view.tiles is None and not resizes)


@pytest.mark.parametrize("view", [*TRAIN_VIEWS, *PREDICT_VIEWS], ids=view_slug)
@every_size
def test_sizes_grow_with_the_scale_of_a_tta(view: TrainView | PredictView, size: tuple[int, int]) -> None:
    for function in (lambda scale: view.resized_size(size, scale), view.least_size):
        once, twice = function(1.0), function(2.0)
        assert all(side >= 1 for side in once)
        assert all(one <= two <= 2 * one + 1 for one, two in zip(once, twice, strict=True))


@every_train_view
def test_a_view_of_one_size_or_of_windows_puts_mixed_sizes_into_a_batch(view: TrainView) -> None:
    sizes = {tuple(TrainSamples(PaintedFrames(size), view, "none", STRIDE, seed=0)[0, 0][1].shape) for size in SIZES}
    has_one_size = view.window is not None or len({view.resized_size(size) for size in SIZES}) == 1
    is_padded_to_one = all(max(view.resized_size(size)) <= min(view.least_size()) for size in SIZES)
    assert (len(sizes) == 1) == (has_one_size or is_padded_to_one)


@pytest.mark.parametrize("name", tiles.MERGES)
def test_both_libraries_merge_tiles_alike(name: str) -> None:
    maps = torch.randn(1, 5, 6, 7, generator=torch.Generator().manual_seed(0)).softmax(1)
    term = tiles.MERGES[name].term(maps)  # type: ignore[index]
    assert torch.allclose(term.sum(1), torch.ones(1, 6, 7), atol=1e-6)
    assert torch.equal(term.argmax(1), maps.argmax(1))
    in_numpy = numpy_views.MERGES[name]  # type: ignore[index]
    assert np.allclose(in_numpy.term(maps[0].numpy()), term[0].numpy())
    usual = WEIGHTS[tiles.MERGES[name].usual_weights](6, 7)  # type: ignore[index]
    assert np.allclose(in_numpy.weights(6, 7), usual.numpy())


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("size", [(8, 8), (9, 1000)])
def test_weights_are_symmetric_above_0_and_largest_in_the_middle(name: str, size: tuple[int, int]) -> None:
    weights = WEIGHTS[name](*size)
    assert weights.shape == size and weights.dtype == torch.float32
    assert bool((weights > 0).all()) and bool(weights.isfinite().all())
    assert torch.allclose(weights, weights.flip(0, 1))
    assert weights[size[0] // 2, size[1] // 2] == weights.max()
