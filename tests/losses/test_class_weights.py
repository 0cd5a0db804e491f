"""Class weights by hand."""

import math

import numpy as np
import pytest

from foldseg.config.schema import ClassWeights
from foldseg.losses import CLASS_WEIGHTS, inverse_log_weights


def weights(name: str, *rows: list[int], **settings: float) -> list[float]:
    """Weights from the pixels of every class (columns) in every image (rows)."""
    config = ClassWeights.parse({"kind": name, **settings})
    return CLASS_WEIGHTS[type(config)](config, lambda: np.array(rows)).tolist()


def scaled(raw: list[float]) -> list[float]:
    return [value / (sum(raw) / len(raw)) for value in raw]


def test_inverse_log_weights_by_hand() -> None:
    # Shares 0.75, 0.25 and 0: 1 / ln 1.77 = 1.75136, 1 / ln 1.27 = 4.18384; the absent class gets their mean, 2.96760
    raw = [1 / math.log(1.77), 1 / math.log(1.27)]
    mean = sum(raw) / 2
    assert weights("inverse_log", [200, 100, 0], [100, 0, 0]) == pytest.approx([raw[0] / mean, raw[1] / mean, 1.0])


def test_inverse_log_weights_have_a_mean_of_one_and_favour_the_rare() -> None:
    """Defect 19: void must not be counted as the last class; what is not counted cannot be weighted."""
    weights = inverse_log_weights(np.array([[10**9, 10**6, 10**3]]))
    assert float(weights.mean()) == pytest.approx(1)
    assert weights[0] < weights[1] < weights[2]


def test_median_frequency_weights_by_hand() -> None:
    """A class's share is of the images that show it: 300 / 500, 100 / 200, 100 / 300; their median is 0.5."""
    expected = scaled([0.5 / 0.6, 1.0, 0.5 / (1 / 3)])
    assert weights("median_frequency", [100, 100, 0], [200, 0, 100]) == pytest.approx(expected)


def test_effective_number_weights_by_hand() -> None:
    """Cui et al.: 1 - 0.9 over 1 - 0.9^n."""
    expected = scaled([0.1 / (1 - 0.9**n) for n in (1, 5, 50)])
    assert weights("effective_number", [0, 5, 20], [1, 0, 30], beta=0.9) == pytest.approx(expected)


def test_effective_numbers_are_inverse_frequencies_of_the_rare_and_equal_for_the_common() -> None:
    rare = weights("effective_number", [1000, 3000])
    assert rare[0] / rare[1] == pytest.approx(3, rel=1e-3)
    assert weights("effective_number", [10**10, 10**11]) == pytest.approx([1, 1], rel=1e-3)


@pytest.mark.parametrize("name", [name for name in ClassWeights.kinds() if name not in ("none", "given")])
def test_weights_have_a_mean_of_1_favour_the_rare_and_know_absent_classes(name: str) -> None:
    found = weights(name, [10**6, 0, 10**3, 10**4], [10**6, 0, 10**3, 10**4])
    assert np.mean(found) == pytest.approx(1)
    assert found[0] < found[3] < found[2]
    assert found[1] == pytest.approx((found[0] + found[2] + found[3]) / 3)
    assert weights(name, [0, 0]) == [1, 1]


def test_weights_that_are_given_or_equal_need_no_pixels() -> None:
    def count() -> None:
        raise AssertionError("the masks are read")

    given, equal = ClassWeights.parse([1, 2.5]), ClassWeights.parse("none")
    assert CLASS_WEIGHTS[type(given)](given, count).tolist() == [1, 2.5]
    assert CLASS_WEIGHTS[type(equal)](equal, count) is None
