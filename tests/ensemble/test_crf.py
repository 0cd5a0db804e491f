"""Dense CRF."""

import sys

import numpy as np
import pytest

from foldseg.config.schema import CrfStep
from foldseg.errors import FoldsegError

CONFIG = CrfStep(iterations=5, appearance_colour_std=10.0)


def test_a_missing_pydensecrf_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    from foldseg.ensemble.steps import require_packages

    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(FoldsegError, match=r"needs pydensecrf: pip install pydensecrf2==1\.1"):
        require_packages([CONFIG])


@pytest.fixture
def dense_crf() -> object:
    pytest.importorskip("pydensecrf.densecrf")
    from foldseg.ensemble.steps.crf import dense_crf

    return dense_crf


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth (24, 36): a bright class 2 on a dark class 0; and probabilities that are unsure and wrong near its edge."""
    truth = np.zeros((24, 36), np.uint8)
    truth[6:18, 12:26] = 2
    image = np.where(truth == 2, 220, 30).astype(np.uint8)[..., None].repeat(3, 2)
    blurred = np.zeros(truth.shape, np.uint8)
    blurred[6:18, 15:29] = 2  # shifted by three pixels
    p = np.full((4, *truth.shape), 0.01, np.float32)
    p[0], p[2] = np.where(blurred == 2, 0.38, 0.6), np.where(blurred == 2, 0.6, 0.38)
    return truth, image, p / p.sum(0)


def test_it_moves_an_edge_to_where_the_picture_has_it(dense_crf: object) -> None:
    truth, image, p = scene()
    refined = dense_crf(p, image, CONFIG)  # type: ignore[operator]
    assert (p.argmax(0) != truth).sum() == 72  # two strips of 3x12
    assert (refined.argmax(0) != truth).sum() < 10


def test_probabilities_stay_probabilities(dense_crf: object) -> None:
    _, image, p = scene()
    before = p.copy()
    refined = dense_crf(p, image, CONFIG)  # type: ignore[operator]
    assert (refined.shape, refined.dtype) == (p.shape, np.float32)
    assert np.allclose(refined.sum(0), 1, atol=1e-5)
    assert (refined >= 0).all()
    assert np.array_equal(p, before)


def test_a_class_that_is_nowhere_likely_wins_nothing(dense_crf: object) -> None:
    _, image, p = scene()
    refined = dense_crf(p, image, CONFIG)  # type: ignore[operator]
    assert set(np.unique(refined.argmax(0)).tolist()) == {0, 2}


def test_an_image_of_one_class_comes_back_as_it_was(dense_crf: object) -> None:
    _, image, _ = scene()
    p = np.zeros((3, 24, 36), np.float32)
    p[1] = 1
    assert np.array_equal(dense_crf(p, image, CONFIG), p)  # type: ignore[operator]


def test_a_picture_that_is_a_part_of_another_is_taken(dense_crf: object) -> None:
    _, image, p = scene()
    wide = np.zeros((24, 72, 3), np.uint8)
    wide[:, ::2] = image
    part = wide[:, ::2]  # not contiguous
    assert np.array_equal(dense_crf(p, part, CONFIG), dense_crf(p, image, CONFIG))  # type: ignore[operator]


def test_a_pixel_where_no_class_is_likely_is_no_nan(dense_crf: object) -> None:
    """40 classes; at one pixel 38 of them share the probability, each below 5%, and the two likely ones have none."""
    _, image, _ = scene()
    p = np.zeros((40, 24, 36), np.float32)
    p[0, :, :18] = p[1, :, 18:] = 1
    p[:, 3, 3] = [0, 0, *[1 / 38] * 38]
    refined = dense_crf(p, image, CONFIG)  # type: ignore[operator]
    assert np.isfinite(refined).all()
    assert np.allclose(refined.sum(0), 1, atol=1e-5)


def test_no_iteration_leaves_the_order_of_classes(dense_crf: object) -> None:
    _, image, p = scene()
    weak = CrfStep(iterations=1, smooth_weight=0.0, appearance_weight=0.0)
    assert np.array_equal(dense_crf(p, image, weak).argmax(0), p.argmax(0))  # type: ignore[operator]


def plain(p: np.ndarray, image: np.ndarray, config: CrfStep) -> np.ndarray:
    """pydensecrf's own two-dimensional class, at full size, with all classes."""
    from pydensecrf.densecrf import DenseCRF2D

    classes, height, width = p.shape
    field = DenseCRF2D(width, height, classes)
    field.setUnaryEnergy(np.ascontiguousarray(-np.log(np.maximum(p, 1e-5)).reshape(classes, -1)))
    field.addPairwiseGaussian(sxy=config.smooth_std, compat=config.smooth_weight)
    field.addPairwiseBilateral(
        sxy=config.appearance_std, srgb=config.appearance_colour_std, rgbim=image, compat=config.appearance_weight
    )
    return np.array(field.inference(config.iterations)).reshape(p.shape)


def soft_scene(size: tuple[int, int] = (48, 64), seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth of three likely classes, its picture, and probabilities that are unsure around edges."""
    import cv2

    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, (3, 4), dtype=np.uint8).repeat(size[0] // 3, 0).repeat(size[1] // 4, 1)
    image = np.clip(40 + 80 * truth[..., None] + rng.normal(0, 6, (*size, 3)), 0, 255).astype(np.uint8)
    planes = [cv2.GaussianBlur((truth == c).astype(np.float32), (0, 0), 2.5) + 0.01 for c in range(4)]
    p = np.stack(planes).astype(np.float32)
    return truth, image, p / p.sum(0)


def test_all_pixels_at_full_size_are_what_pydensecrf_computes(dense_crf: object) -> None:
    _, image, p = soft_scene()
    assert (
        np.abs(dense_crf(p[:3] / p[:3].sum(0), image, CONFIG) - plain(p[:3] / p[:3].sum(0), image, CONFIG)).max() < 1e-4
    )  # type: ignore[operator]


@pytest.mark.parametrize(
    ("quick", "most"), [({"scale": 0.5}, 0.02), ({"sure": 0.98}, 0.005), ({"scale": 0.5, "sure": 0.95}, 0.02)]
)
def test_half_size_and_unsure_pixels_alone_come_close(dense_crf: object, quick: dict, most: float) -> None:
    truth, image, p = soft_scene((96, 128))
    exact = dense_crf(p, image, CONFIG).argmax(0)  # type: ignore[operator]
    found = dense_crf(p, image, CONFIG.model_copy(update=quick))  # type: ignore[operator]
    assert np.allclose(found.sum(0), 1, atol=1e-5)
    assert (found.argmax(0) != exact).mean() < most
    assert (found.argmax(0) != truth).sum() < (p.argmax(0) != truth).sum() or (p.argmax(0) == truth).all()


def test_sure_pixels_far_from_unsure_ones_stay_to_the_last_bit(dense_crf: object) -> None:
    _, image, p = soft_scene()
    p[:, :, :30] = np.array([0.991, 0.003, 0.003, 0.003], np.float32)[:, None, None]
    found = dense_crf(p, image, CONFIG.model_copy(update={"sure": 0.98}))  # type: ignore[operator]
    kept = p[:3, :, :15] / p[:3, :, :15].sum(0)
    assert np.allclose(found[:3, :, :15], kept, atol=1e-6)
    assert not np.allclose(found[:3, :, 34:], p[:3, :, 34:] / p[:3, :, 34:].sum(0), atol=1e-3)


def test_lists_are_fitted(dense_crf: object, tmp_path) -> None:
    from foldseg.ensemble.prediction import Prediction
    from foldseg.ensemble.steps.crf import CrfOperation, kernels
    from made_up_members import LABELS, context_of, spec_of, write_picture

    settings = CrfStep(smooth_weight=(0.0, 3.0), appearance_weight=(0.0, 6.0), appearance_colour_std=10.0)
    operation = CrfOperation(settings)
    assert operation.is_fitted and not CrfOperation(CONFIG).is_fitted
    assert len(kernels(settings)) == 4
    truth, _, p = scene()
    prediction = Prediction.of_probabilities(p)
    context = context_of("a", [], image=write_picture(tmp_path / "a.png", truth))
    observed = operation.observe(prediction, truth, context, 0)
    params = operation.fit([observed, observed], spec_of(1))
    values = []
    for kernel in kernels(settings):
        labels = operation.apply(prediction, context, {key: np.array(value) for key, value in kernel.items()}).labels
        values.append((labels == truth).mean())
    best = kernels(settings)[int(np.argmax(values))]
    assert {key: float(value) for key, value in params.items()} == best
    assert operation.describe(params, spec_of(1))["appearance_weight"] == best["appearance_weight"]
    assert len(LABELS) == len(p)


def test_too_many_combinations_are_refused() -> None:
    many = tuple(float(i) for i in range(1, 10))
    with pytest.raises(ValueError, match="make 81 combinations"):
        CrfStep(smooth_std=many, appearance_std=many)
