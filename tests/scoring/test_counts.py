"""Counting pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foldseg.scoring import counts
from foldseg.scoring.counts import confusion_matrix, count_masks, count_pixels, counts_of_confusion

CLASSES = 4
SHAPES = st.shared(st.tuples(st.integers(1, 7), st.integers(1, 7)), key="shape")
TRUTHS = hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 2, 3, 255]))
PREDICTIONS = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 3))


@given(truth=TRUTHS, prediction=PREDICTIONS)
def test_confusion_agrees_with_a_slow_loop(truth: np.ndarray, prediction: np.ndarray) -> None:
    """Defect 19: void (255) is counted as nothing, not as the last class."""
    slow = np.zeros((CLASSES, CLASSES), int)
    for true, given_class in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if true != 255:
            slow[true, given_class] += 1
    assert confusion_matrix(truth, prediction, CLASSES).tolist() == slow.tolist()


@given(truth=TRUTHS, prediction=PREDICTIONS)
def test_counts_agree_with_masks(truth: np.ndarray, prediction: np.ndarray) -> None:
    valid = truth != 255
    slow = [
        [((truth == c) & (prediction == c)).sum(), (truth == c).sum(), (valid & (prediction == c)).sum()]
        for c in range(CLASSES)
    ]
    assert count_pixels(truth, prediction, CLASSES).tolist() == slow


def test_counts_by_hand() -> None:
    truth = np.array([[0, 0, 1], [1, 255, 255]], np.uint8)
    prediction = np.array([[0, 1, 1], [2, 2, 0]], np.uint8)
    # class 0: 1 shared, 2 true, 1 predicted; class 1: 1, 2, 2; class 2: 0, 0, 1 (its other pixel is void)
    assert count_pixels(truth, prediction, 3).tolist() == [[1, 2, 1], [1, 2, 2], [0, 0, 1]]


def test_the_largest_number_of_classes_does_not_overflow() -> None:
    last = np.full((1, 2), 253, np.uint8)
    table = confusion_matrix(np.array([[253, 255]], np.uint8), last, 254)
    assert table[253, 253] == 1
    assert table.sum() == 1


def test_parts_of_an_image_are_counted_alike_whatever_their_memory() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = (rng.integers(0, 3, (40, 60), dtype=np.uint8) for _ in range(2))
    part = np.s_[1::3, ::-2]
    assert np.array_equal(
        confusion_matrix(truth[part], prediction[part], 3),
        confusion_matrix(truth[part].copy(), prediction[part].copy(), 3),
    )


@pytest.mark.parametrize("value", [3, 200, 255])
def test_a_prediction_of_an_impossible_class_raises(value: int) -> None:
    with pytest.raises(ValueError, match=f"the prediction holds class {value}; there are classes 0 to 2"):
        confusion_matrix(np.zeros((1, 2), np.uint8), np.array([[0, value]], np.uint8), 3)


@pytest.mark.parametrize("value", [3, 200, 254])
def test_a_truth_of_an_impossible_class_raises(value: int) -> None:
    with pytest.raises(ValueError, match=f"the truth holds class {value}; there are 3 classes"):
        confusion_matrix(np.array([[255, value]], np.uint8), np.zeros((1, 2), np.uint8), 3)


def test_different_sizes_raise() -> None:
    with pytest.raises(ValueError, match=r"the prediction is \(1, 2\), the truth \(2, 1\)"):
        confusion_matrix(np.zeros((2, 1), np.uint8), np.zeros((1, 2), np.uint8), 2)


def test_confusions_of_several_images_become_counts_of_several_images() -> None:
    table = np.array([[[2, 1], [0, 3]], [[0, 5], [7, 0]]])
    assert counts_of_confusion(table).tolist() == [[[2, 3, 2], [3, 3, 4]], [[0, 5, 7], [0, 7, 5]]]


@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 4), st.integers(0, 2**32))
def test_masks_that_overlap_are_counted_one_by_one(height: int, width: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes + 1, (height, width), dtype=np.uint8)
    truth[truth == classes] = 255
    masks = rng.random((classes, height, width)) < 0.5
    for index, (shared, right, given_) in enumerate(count_masks(truth, masks).tolist()):
        assert shared == (masks[index] & (truth == index)).sum()
        assert right == (truth == index).sum()
        assert given_ == (masks[index] & (truth != 255)).sum()


@pytest.mark.parametrize("noise", [0.0, 0.05, 1.0])
def test_pictures_are_counted_in_blocks_by_runs_or_pixels(monkeypatch: pytest.MonkeyPatch, noise: float) -> None:
    """Blocks of 64 pixels, some smooth and some noisy, against numpy's histogram of single pixels."""
    rng = np.random.default_rng(1)
    truth = np.repeat(rng.integers(0, 3, (40, 5), dtype=np.uint8), 9, 1)
    truth[:7, :9] = 255
    other = rng.integers(0, 3, truth.shape, dtype=np.uint8)
    prediction = np.where(rng.random(truth.shape) < noise, other, np.minimum(truth, 2)).astype(np.uint8)
    monkeypatch.setattr(counts, "_BLOCK", 64)
    found = confusion_matrix(truth, prediction, 3)
    valid = truth != 255
    assert np.array_equal(found, np.histogram2d(truth[valid], prediction[valid], bins=range(4))[0])
    masks = prediction[None] == np.arange(3)[:, None, None]
    assert np.array_equal(count_masks(truth, masks), counts_of_confusion(found))


def test_a_picture_of_one_colour_beyond_float32_is_counted_exactly() -> None:
    side = 4200  # 17.64 million pixels; float32 counts to 16.78 million one by one
    ones = np.ones((side, side), np.uint8)
    assert confusion_matrix(ones, ones, 2).tolist() == [[0, 0], [0, side * side]]
    assert count_masks(ones, np.ones((2, side, side), bool)).tolist() == [[0, 0, side**2], [side**2] * 3]
