"""Counts and confusions of class bits, against slow loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foldseg.data.counting import count_classes
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.scoring.counts import confuse_bits, count_pixels, count_prediction
from foldseg.scoring.scores import SCORES, score

LABELS = LabelSet(
    tuple(LabelClass(f"c{i}", (i, 0, 0), tuple(v for v in range(8) if v >> i & 1)) for i in range(3)),
    void_ids=(255,),
    overlapping=True,
)
EXCLUSIVE = LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (i,)) for i in range(4)), void_ids=(255,))
truths = hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([*range(8), 255]))
predictions = hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 7))


@given(truths, predictions)
def test_counts_of_bits_agree_with_a_slow_loop(truth: np.ndarray, prediction: np.ndarray) -> None:
    known = truth != 255
    slow = []
    for index in range(3):
        true, predicted = (mask >> index & 1 == 1 for mask in (truth, prediction))
        slow.append([(true & predicted & known).sum(), (true & known).sum(), (predicted & known).sum()])
    assert count_prediction(truth, prediction, LABELS).tolist() == np.array(slow).tolist()
    assert count_classes(truth, LABELS).tolist() == [*(row[1] for row in slow), (~known).sum()]


@given(truths, predictions)
def test_confusions_of_bits_agree_with_a_slow_loop(truth: np.ndarray, prediction: np.ndarray) -> None:
    known = truth != 255
    planes = [(LABELS.class_planes(mask) & known) for mask in (truth, prediction)]
    found = confuse_bits(truth, prediction, LABELS)
    for row in range(3):
        for column in range(3):
            lacks = ~planes[0][column] if row != column else True
            assert found[row, column] == (planes[0][row] & lacks & planes[1][column]).sum()


@given(hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, 3, 255])), predictions)
def test_counts_of_exclusive_classes_are_as_before(truth: np.ndarray, prediction: np.ndarray) -> None:
    prediction = prediction % 4
    assert np.array_equal(count_prediction(truth, prediction, EXCLUSIVE), count_pixels(truth, prediction, 4))


@pytest.mark.parametrize(("truth", "prediction"), [(8, 0), (0, 8), (0, 255)])
def test_impossible_bits_are_refused(truth: int, prediction: int) -> None:
    with pytest.raises(ValueError, match="holds class"):
        count_prediction(np.full((2, 2), truth, np.uint8), np.full((2, 2), prediction, np.uint8), LABELS)


def test_pixel_accuracy_alone_is_undefined() -> None:
    counts = count_prediction(np.array([[1, 3, 4]], np.uint8), np.array([[1, 3, 4]], np.uint8), LABELS)[None]
    undefined = [name for name in SCORES if np.isnan(score(name, counts, LABELS).value)]
    assert undefined == ["pixel_accuracy"]
