"""Dense CRF."""

import sys

import numpy as np
import pytest

from foldseg.config.schema import Crf
from foldseg.errors import FoldsegError

CONFIG = Crf(iterations=5, appearance_colour_std=10.0)


def test_a_missing_pydensecrf_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    from foldseg.ensemble.crf import require_crf

    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(FoldsegError, match=r"needs pydensecrf: pip install pydensecrf2==1\.1"):
        require_crf()


@pytest.fixture
def dense_crf() -> object:
    pytest.importorskip("pydensecrf.densecrf")
    from foldseg.ensemble.crf import dense_crf

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
    weak = Crf(iterations=1, smooth_weight=0.0, appearance_weight=0.0)
    assert np.array_equal(dense_crf(p, image, weak).argmax(0), p.argmax(0))  # type: ignore[operator]
