"""The contest's score against two slow versions of it: from sets of pixels, and as the organisers' script walks."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foldseg.config.schema import Data, Signate
from foldseg.data import signate
from foldseg.data.datasets import DataSet
from foldseg.data.labels import LabelSet
from foldseg.data.rle import encode_mask
from foldseg.errors import FoldsegError
from foldseg.scoring.counts import count_masks, count_pixels, count_rles
from foldseg.scoring.scores import image_scores, score
from foldseg.submission.submission_score import score_submission
from slow_contest import Masks, Submission, score_by_sets, score_by_walk, submission_of

ALL = signate.LABELS
SCORED = ALL.select("scored")  # background, car, pedestrian, lane, signal
CATEGORIES = [c.name for c in ALL.classes if c.scored]
DATA = DataSet(Data(dataset=Signate(), root=Path("nowhere"), folds=Path("nowhere"), labels="scored"))
SHAPES = st.one_of(st.just((1, 1)), st.tuples(st.just(1), st.integers(1, 9)), st.tuples(*[st.integers(1, 6)] * 2))


@st.composite
def pairs(draw: st.DrawFn, overlapping: bool = True) -> tuple[Masks, Masks]:
    """Truth and prediction of one to four images of their own sizes; any category may be absent in either."""
    truth, prediction = {}, {}
    for number in range(draw(st.integers(1, 4))):
        shape = draw(SHAPES)
        present = draw(hnp.arrays(bool, (2, len(CATEGORIES), 1, 1)))
        if overlapping:
            masks = draw(hnp.arrays(bool, (2, len(CATEGORIES), *shape)))
        else:
            indices = draw(hnp.arrays(np.uint8, (2, *shape), elements=st.integers(0, len(CATEGORIES))))
            masks = indices[:, None] == np.arange(1, len(CATEGORIES) + 1)[:, None, None]
        for image, part in zip((truth, prediction), masks & present, strict=True):
            image[f"test_{number}"] = dict(zip(CATEGORIES, part, strict=True))
    return truth, prediction


def indices_of(categories: dict[str, np.ndarray], labels: LabelSet) -> np.ndarray:
    """Masks that do not overlap -> class indices; the rest is background, or buses where there is none."""
    rest = labels.names.index("background" if "background" in labels.names else "bus")
    indices = np.full(next(iter(categories.values())).shape, rest, np.uint8)
    for category, mask in categories.items():
        indices[mask] = labels.names.index(category)
    return indices


def masks_of(categories: dict[str, np.ndarray], labels: LabelSet) -> np.ndarray:
    """(classes, H, W) bool; classes that are not scored are empty."""
    return np.stack([categories.get(name, np.zeros_like(categories["car"])) for name in labels.names])


def score_of(counts: list[np.ndarray], labels: LabelSet) -> float:
    return score("image_mean_iou_present", np.stack(counts), labels).value


def score_of_files(folder: Path, truth: Submission, prediction: Submission, allow_missing: bool = False) -> float:
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "guess.json").write_text(json.dumps(prediction))
    scores = score_submission(folder / "guess.json", DATA, folder / "truth.json", allow_missing=allow_missing)
    return scores["image_mean_iou_present"].value


def same(expected: float) -> object:
    return pytest.approx(expected, rel=0, abs=1e-12, nan_ok=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the examples of hypothesis: each writes the same two files again."""
    return tmp_path_factory.mktemp("contest")


@pytest.mark.parametrize("labels", [ALL, SCORED], ids=len)
@given(pairs(overlapping=False))
def test_label_maps(labels: LabelSet, pair: tuple[Masks, Masks]) -> None:
    truth, prediction = pair
    counts = [count_pixels(indices_of(truth[i], labels), indices_of(prediction[i], labels), len(labels)) for i in truth]
    assert score_of(counts, labels) == same(score_by_sets(submission_of(truth), submission_of(prediction)))


@pytest.mark.parametrize("labels", [ALL, SCORED], ids=len)
@given(pairs(overlapping=False), st.data())
def test_masks_that_overlap_against_label_maps(
    labels: LabelSet, pair: tuple[Masks, Masks], data: st.DataObject
) -> None:
    truth = pair[0]
    prediction = {
        image: {category: data.draw(hnp.arrays(bool, mask.shape)) for category, mask in categories.items()}
        for image, categories in truth.items()
    }
    counts = [count_masks(indices_of(truth[i], labels), masks_of(prediction[i], labels)) for i in truth]
    assert score_of(counts, labels) == same(score_by_sets(submission_of(truth), submission_of(prediction)))


@given(pairs())
def test_runs_of_masks_that_overlap(pair: tuple[Masks, Masks]) -> None:
    truth, prediction = pair
    runs = [[[encode_mask(m) for m in masks_of(masks[i], SCORED)] for masks in pair] for i in truth]
    counts = [count_rles(right, given) for right, given in runs]
    assert score_of(counts, SCORED) == same(score_by_sets(submission_of(truth), submission_of(prediction)))


@given(pairs())
def test_two_files(folder: Path, pair: tuple[Masks, Masks]) -> None:
    truth, prediction = map(submission_of, pair)
    assert score_of_files(folder, truth, prediction) == same(score_by_sets(truth, prediction))


@given(pairs(), st.data())
def test_an_image_that_is_missing_scores_0_where_that_is_allowed(
    folder: Path, pair: tuple[Masks, Masks], data: st.DataObject
) -> None:
    truth, prediction = map(submission_of, pair)
    del prediction[data.draw(st.sampled_from(sorted(prediction)))]
    assert score_of_files(folder, truth, prediction, allow_missing=True) == same(score_by_sets(truth, prediction))
    with pytest.raises(FoldsegError, match=r"guess\.json: 1 image\(s\) are missing"):
        score_of_files(folder, truth, prediction)


@given(pairs())
def test_the_walk_agrees_on_valid_files(folder: Path, pair: tuple[Masks, Masks]) -> None:
    """To images without any category in the truth it has no answer: see below."""
    truth, prediction = map(submission_of, pair)
    truth = {image: categories for image, categories in truth.items() if categories} or {"test_0.jpg": FULL}
    prediction = {image: prediction.get(image, {}) for image in truth}
    assert score_of_files(folder, truth, prediction) == same(score_by_walk(truth, prediction))


@given(pairs())
def test_one_image_at_a_time(pair: tuple[Masks, Masks]) -> None:
    """The mean of the images' scores, without those that have none, is the score."""
    truth, prediction = pair
    runs = [[[encode_mask(m) for m in masks_of(masks[i], SCORED)] for masks in pair] for i in truth]
    found = image_scores(np.stack([count_rles(right, given) for right, given in runs]), SCORED).tolist()
    right, given = submission_of(truth), submission_of(prediction)
    assert found == [same(score_by_sets({image: right[image]}, given)) for image in right]


FULL = {"car": {"0": [[0, 3]], "1": [[0, 3]]}}


@pytest.mark.parametrize(
    ("times", "walk"),
    # Shared 8 n, predicted 8 n, union 8 + 8 n - 8 n = 8
    [(1, 1.0), (2, 2.0), (10, 10.0)],
)
def test_the_walk_believes_in_segments_that_are_repeated_and_we_refuse_them(
    tmp_path: Path, times: int, walk: float
) -> None:
    truth = {"a.jpg": FULL}
    repeated = {"a.jpg": {"car": {row: segments * times for row, segments in FULL["car"].items()}}}
    assert score_by_walk(truth, repeated) == walk
    assert score_by_sets(truth, repeated) == 1.0
    if times == 1:
        assert score_of_files(tmp_path, truth, repeated) == 1.0
    else:
        with pytest.raises(FoldsegError, match=r"guess\.json: a\.jpg, car, row 0: segment \[0, 3\] .*repeats"):
            score_of_files(tmp_path, truth, repeated)


def test_the_walk_believes_in_segments_that_overlap_and_we_refuse_them(tmp_path: Path) -> None:
    """Row 1 says [0, 3] and [2, 3]: shared 4 + 6, predicted 4 + 6, union 8."""
    truth = {"a.jpg": FULL}
    overlapping = {"a.jpg": {"car": {"0": [[0, 3]], "1": [[0, 3], [2, 3]]}}}
    assert score_by_walk(truth, overlapping) == 10 / 8
    with pytest.raises(FoldsegError, match=r"a\.jpg, car, row 1: segment \[2, 3\] overlaps"):
        score_of_files(tmp_path, truth, overlapping)


def test_the_walk_divides_by_zero_and_we_leave_an_image_without_category_out(tmp_path: Path) -> None:
    truth = {"a.jpg": FULL, "b.jpg": {}}
    half = {"a.jpg": {"car": {"0": [[0, 3]]}}, "b.jpg": FULL}
    with pytest.raises(ZeroDivisionError):
        score_by_walk(truth, half)
    assert score_of_files(tmp_path, truth, half) == 0.5
    assert math.isnan(score_of_files(tmp_path, {"b.jpg": {}}, {"b.jpg": FULL}))


def test_the_walk_ignores_images_that_nobody_asked_for_and_we_name_them(tmp_path: Path) -> None:
    truth, more = {"a.jpg": FULL}, {"a.jpg": FULL, "b.jpg": FULL}
    assert score_by_walk(truth, more) == 1.0
    with pytest.raises(FoldsegError, match=r"guess\.json: 0 image\(s\) are missing \(\), 1 are not asked for \(b\)"):
        score_of_files(tmp_path, truth, more)


def test_the_score_by_hand(tmp_path: Path) -> None:
    """Image a: car 2 of 4 pixels, lane missed, a signal too many: (1/2 + 0) / 2. Image b: 1. Image c is {}: 0."""
    truth = {
        "a.jpg": {"car": {"0": [[0, 2]]}, "lane": {"5": [[1, 1]]}},
        "b.jpg": {"signal": {"0": [[0, 0]], "10": [[0, 0], [2, 2]]}},
        "c.jpg": {"pedestrian": {"0": [[0, 0]]}},
    }
    prediction = copy.deepcopy(truth) | {"c.jpg": {}}
    prediction["a.jpg"] = {"car": {"0": [[1, 3]]}, "signal": {"0": [[0, 9]]}}
    assert score_of_files(tmp_path, truth, prediction) == same((1 / 4 + 1 + 0) / 3)
