"""What every entry of a registry promises for overlapping classes."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from foldseg.config.schema import Blend, Step, TilesView
from foldseg.config.schema.names import TileMergeName, ViewMergeName
from foldseg.config.schema.step_base import Place
from foldseg.ensemble.blend import RULES, Blender
from foldseg.ensemble.prediction import ImageContext, Params, Prediction
from foldseg.ensemble.steps import STEPS, build_operation
from foldseg.inference.class_rule import OVERLAPPING
from foldseg.inference.tta import MERGES, Merger
from foldseg.views import tiles
from foldseg.views.activation import SIGMOID
from foldseg.views.tiles import predict_tiles
from made_up_members import write_picture
from made_up_planes import CLASSES, LABELS, blended, context_of, member_of, spec_of, truth_of

IMAGES = 6
EXAMPLES = [
    example
    for kind in STEPS
    for example in kind.examples()
    if kind.kind_name() != "bias" and getattr(example, "categories", "overlapping") == "overlapping"
]
every_step = pytest.mark.parametrize("settings", EXAMPLES, ids=lambda step: step.summary)
every_rule = pytest.mark.parametrize("kind", RULES, ids=lambda kind: kind.kind_name())


@pytest.fixture
def images(tmp_path: Path) -> list[tuple[np.ndarray, ImageContext]]:
    truths = [truth_of(seed) for seed in range(IMAGES)]
    return [
        (
            truth,
            context_of(
                f"im{seed}",
                [member_of(truth, seed, 0.5), member_of(truth, 50 + seed, 0.3)],
                image=write_picture(tmp_path / f"{seed}.png", truth),
            ),
        )
        for seed, truth in enumerate(truths)
    ]


def fitted(settings: Step, images: list[tuple[np.ndarray, ImageContext]]) -> Params | None:
    if settings.package is not None and find_spec(settings.package.module.partition(".")[0]) is None:
        pytest.skip(f"{settings.package.module} is not installed")
    operation = build_operation(settings)
    if not operation.is_fitted:
        return None
    observations = [operation.observe(given(context), truth, context, 1 << 20) for truth, context in images]
    params = operation.fit(observations, spec_of(2))
    json.dumps(operation.describe(params, spec_of(2)), allow_nan=False)
    return params


def given(context: ImageContext) -> Prediction:
    return blended(context, np.ones(2)).rounded()


def value_of(settings: Step, params: Params | None, images: list[tuple[np.ndarray, ImageContext]]) -> float:
    """Return the score of all images after a step."""
    counts = [
        build_operation(settings).apply(given(context), context, params).count(truth, LABELS)
        for truth, context in images
    ]
    return spec_of(2).value(np.stack(counts))


@every_step
def test_a_step_gives_class_bits(settings: Step, images) -> None:
    params, (truth, context) = fitted(settings, images), images[0]
    before = given(context)
    maps, labels = before.quantised().copy(), before.labels.copy()
    result = build_operation(settings).apply(before, context, params)
    assert result.labels.shape == truth.shape and result.labels.dtype == np.uint8
    assert result.labels.max() < 1 << CLASSES and result.masks is None
    if settings.place.gives_probabilities:
        probabilities = result.as_probabilities()
        assert probabilities.shape == (CLASSES, *truth.shape) and probabilities.dtype == np.float32
        assert probabilities.min() >= 0 and probabilities.max() <= 1
        assert np.array_equal(LABELS.class_planes(result.labels), probabilities >= 0.5)
    assert np.array_equal(before.quantised(), maps) and np.array_equal(before.labels, labels)


@every_step
def test_what_is_fitted_scores_no_less_than_before(settings: Step, images) -> None:
    params = fitted(settings, images)
    if params is None or settings.place is Place.MEMBERS:
        return
    counts = [given(context).count(truth, LABELS) for truth, context in images]
    before = spec_of(2).value(np.stack(counts))
    assert value_of(settings, params, images) >= before - 0.01  # a fit takes classes one after the other


@every_rule
def test_a_blend_takes_each_class_by_itself(kind: type[Blend]) -> None:
    truth = truth_of(0)
    members = [(member_of(truth, seed, 0.3).astype(np.float32), weight) for seed, weight in enumerate((1.0, 0.5, 2.0))]

    def blend(chosen: slice) -> np.ndarray:
        blender = Blender(kind, (), OVERLAPPING)
        for maps, weight in members:
            blender.add(maps[chosen], weight, OVERLAPPING.decide(maps[chosen], 255.0), "image")
        return blender.finish()

    together = blend(slice(None))
    assert together.shape == (CLASSES, *truth.shape)
    assert together.min() >= 0 and together.max() <= 1
    for index in range(CLASSES):
        assert np.allclose(together[index : index + 1], blend(slice(index, index + 1)), atol=1e-6)


@every_rule
def test_one_class_is_blended_as_two_exclusive_ones(kind: type[Blend]) -> None:
    truth = truth_of(0)
    of_bits, of_two = Blender(kind, (), OVERLAPPING), Blender(kind)
    for seed, weight in enumerate((1.0, 0.5, 2.0)):
        maps = member_of(truth, seed, 0.3)[:1].astype(np.float32)
        two = np.concatenate([maps, 255 - maps])
        of_bits.add(maps, weight, OVERLAPPING.decide(maps, 255.0), "image")
        of_two.add(two, weight, (maps[0] < 127.5).astype(np.uint8), "image")
    assert np.allclose(of_bits.finish()[0], of_two.finish()[0], atol=1e-6)


@pytest.mark.parametrize("name", MERGES)
def test_views_of_tta_are_merged_class_by_class(name: ViewMergeName) -> None:
    generator = torch.Generator().manual_seed(0)
    views = [torch.rand(2, CLASSES, 9, 11, generator=generator) for _ in range(3)]

    def merge(chosen: slice) -> torch.Tensor:
        merger = Merger(name, SIGMOID)
        for maps in views:
            merger.add(maps[:, chosen].clone(), "plain")
        return merger.result()

    together = merge(slice(None))
    assert together.shape == (2, CLASSES, 9, 11)
    assert together.min() >= 0 and together.max() <= 1
    for index in range(CLASSES):
        assert torch.allclose(together[:, index : index + 1], merge(slice(index, index + 1)), atol=1e-6)
    alike = Merger(name, SIGMOID)
    for _ in range(3):
        alike.add(views[0].clone(), "plain")
    assert torch.equal(SIGMOID.decide(alike.result()), SIGMOID.decide(views[0]))


@pytest.mark.parametrize("name", tiles.MERGES)
def test_tiles_are_merged_class_by_class(name: TileMergeName) -> None:
    images = torch.randint(0, 256, (1, 3, 12, 18), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def network(part: torch.Tensor) -> torch.Tensor:
        return (part.float() - 128) / 20

    view = TilesView(kind="tiles", size=(8, 8), overlap=0.5, merge=name)
    found = predict_tiles(network, images, view, SIGMOID)
    expected = network(images).sigmoid()
    if name == "vote":
        expected = (expected >= 0.5).float()
    assert torch.allclose(found, expected, atol=1e-6)
