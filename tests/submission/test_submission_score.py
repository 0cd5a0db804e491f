"""Scoring a submission against the truth."""

import json
from pathlib import Path

import numpy as np
import pytest

from foldseg.config.schema import Data, DatasetKind
from foldseg.data import camvid, signate
from foldseg.data.datasets import DataSet
from foldseg.data.mask_files import read_mask
from foldseg.data.rle import EMPTY_RLE, encode_classes
from foldseg.errors import FoldsegError
from foldseg.scoring.scores import SCORES
from foldseg.submission import label_png, signate_json
from foldseg.submission.submission_score import count_image, count_submission, score_submission

SCORED = signate.LABELS.select("scored")


def data_of(root: Path, dataset: str, **more: object) -> DataSet:
    return DataSet(Data(dataset=DatasetKind.parse(dataset), root=root, folds=root / "folds.csv", **more))  # type: ignore[arg-type]


def truth_of(data: DataSet, split: str) -> dict[str, np.ndarray]:
    rows = data.samples[data.samples["split"] == split]
    return {str(r.id): read_mask(data.root / str(r.mask), data.labels) for r in rows.itertuples()}


def without_void(mask: np.ndarray) -> np.ndarray:
    return np.where(mask == 255, 3, mask).astype(np.uint8)


def test_the_truth_itself_scores_one_whatever_is_said_of_void(camvid_root: Path, tmp_path: Path) -> None:
    data = data_of(camvid_root, "camvid")
    masks = {name: without_void(mask) for name, mask in truth_of(data, "test").items()}
    label_png.write(tmp_path / "labels", masks.items(), camvid.LABELS)
    values = {name: of_score.value for name, of_score in score_submission(tmp_path / "labels", data).items()}
    assert values == dict.fromkeys(SCORES, 1.0)


def test_a_score_by_hand(camvid_root: Path, tmp_path: Path) -> None:
    """The car (12 x 14 = 168 pixels) of both frames is called road.

    Road is rows 26 to 47 (22 * 64 = 1408 pixels) less the car less 4 * 6 void pixels: 1216 of 1384 predicted.
    """
    data = data_of(camvid_root, "camvid")
    masks = {name: without_void(np.where(mask == 8, 3, mask)) for name, mask in truth_of(data, "test").items()}
    label_png.write(tmp_path / "labels", masks.items(), camvid.LABELS)
    scores = score_submission(tmp_path / "labels", data)
    assert scores["dataset_miou"].value == pytest.approx((1 + 1 + 1216 / 1384 + 0) / 4)
    assert scores["dataset_miou"].per_class["road"] == pytest.approx(1216 / 1384)
    assert scores["pixel_accuracy"].value == pytest.approx(1 - 168 / (48 * 64 - 24))


def test_json_is_scored_against_the_masks_of_the_data(signate_root: Path, tmp_path: Path) -> None:
    data = data_of(signate_root, "signate", labels="scored")
    masks = truth_of(data, "train")
    masks = {name: np.where(mask == 4, 0, mask).astype(np.uint8) for name, mask in masks.items()}  # no signals
    signate_json.write(tmp_path / "s.json", masks.items(), SCORED)
    scores = score_submission(tmp_path / "s.json", data)
    assert scores["image_mean_iou_present"].value == pytest.approx(0.5)  # car 1, signal 0
    assert scores["dataset_miou_scored"].per_class["car"] == 1.0
    assert scores["dataset_miou_scored"].per_class["signal"] == 0.0


def test_json_against_json_whose_sizes_are_not_known(signate_root: Path, tmp_path: Path) -> None:
    """Truth: car in columns 0 to 3. Prediction: 2 to 9, beyond everything of the truth. IoU 2 / 10."""
    data = data_of(signate_root, "signate", labels="scored")
    for name, ends in (("truth", [0, 3]), ("guess", [2, 9])):
        (tmp_path / f"{name}.json").write_text(json.dumps({"x.jpg": {"car": {"5": [ends]}}}))
    scores = score_submission(tmp_path / "guess.json", data, tmp_path / "truth.json")
    assert scores["image_mean_iou_present"].value == pytest.approx(2 / 10)


@pytest.mark.parametrize(("row", "columns"), [(9, [5, 6]), (5, [4, 10])])
def test_json_against_json_is_refused_outside_of_the_image(signate_root: Path, tmp_path: Path, row, columns) -> None:
    """By the size that is given, or by that of the image, where the data set is there."""
    data = data_of(signate_root, "signate", labels="scored")
    for name, ends in (("truth", [0, 3]), ("guess", columns)):
        lines = {str(row if name == "guess" else 5): [ends]}
        (tmp_path / f"{name}.json").write_text(json.dumps({"x.jpg": {"car": lines}}))
        (tmp_path / f"{name}_0.json").write_text(json.dumps({"test_000.jpg": {"car": {"70": [[0, 3]], **lines}}}))
    with pytest.raises(FoldsegError, match=rf"x\.jpg, car, row {row}: segment .* (outside of|below) an image"):
        score_submission(tmp_path / "guess.json", data, tmp_path / "truth.json", size=(9, 10))
    with pytest.raises(FoldsegError, match=r"test_000\.jpg, car, row 70: segment \[0, 3\] is below an image 48 high"):
        score_submission(tmp_path / "guess_0.json", data, tmp_path / "truth_0.json")


def test_a_json_truth_that_does_not_fit_the_predicted_picture_is_refused(signate_root: Path, tmp_path: Path) -> None:
    data = data_of(signate_root, "signate", labels="scored")
    (tmp_path / "truth.json").write_text('{"x.jpg": {"car": {"3": [[0, 1900]]}}}')
    label_png.write(tmp_path / "guess", [("x", np.zeros((5, 4), np.uint8))], SCORED)
    with pytest.raises(FoldsegError, match=r"row 3: segment .0, 1900. is outside of an image 4 wide"):
        score_submission(tmp_path / "guess", data, tmp_path / "truth.json")


@pytest.mark.parametrize("swap", [False, True])
def test_json_and_pngs_are_scored_against_each_other(signate_root: Path, tmp_path: Path, swap: bool) -> None:
    data = data_of(signate_root, "signate", labels="scored")
    masks = truth_of(data, "train")
    signate_json.write(tmp_path / "s.json", masks.items(), SCORED)
    label_png.write(tmp_path / "labels", masks.items(), SCORED)
    paths = [tmp_path / "s.json", tmp_path / "labels"]
    prediction, truth = paths[::-1] if swap else paths
    assert score_submission(prediction, data, truth)["image_mean_iou_present"].value == 1.0


def test_void_in_a_prediction_is_refused_by_name(camvid_root: Path, tmp_path: Path) -> None:
    """A pixel of the prediction has a class; only the truth may say that it does not know."""
    data = data_of(camvid_root, "camvid")
    label_png.write(tmp_path / "labels", truth_of(data, "test").items(), camvid.LABELS)
    with pytest.raises(FoldsegError, match=r"Seq05VD_f00030.*(void|11)"):
        score_submission(tmp_path / "labels", data)


def test_a_truth_of_pngs_may_hold_void(camvid_root: Path, tmp_path: Path) -> None:
    data = data_of(camvid_root, "camvid")
    truth = truth_of(data, "test")
    label_png.write(tmp_path / "truth", truth.items(), camvid.LABELS)
    label_png.write(tmp_path / "guess", [(name, without_void(mask)) for name, mask in truth.items()], camvid.LABELS)
    assert score_submission(tmp_path / "guess", data, tmp_path / "truth")["pixel_accuracy"].value == 1.0


def test_images_that_are_not_predicted_are_missed(camvid_root: Path, tmp_path: Path) -> None:
    data = data_of(camvid_root, "camvid")
    name, mask = next(iter(truth_of(data, "test").items()))
    label_png.write(tmp_path / "labels", [(name, without_void(mask))], camvid.LABELS)
    with pytest.raises(FoldsegError, match=r"1 image\(s\) are missing \(Seq05VD_f00060\)"):
        score_submission(tmp_path / "labels", data)


def test_a_test_set_without_masks_cannot_be_scored(signate_root: Path, tmp_path: Path) -> None:
    data = data_of(signate_root, "signate", labels="scored")
    signate_json.write(tmp_path / "s.json", [("test_000", np.zeros((48, 64), np.uint8))], SCORED)
    with pytest.raises(FoldsegError, match=r"none of its images \(test_000\) has a mask in"):
        score_submission(tmp_path / "s.json", data)


@pytest.mark.parametrize(("truth_as_runs", "prediction_as_runs"), [(False, True), (True, False), (True, True)])
def test_runs_are_counted_like_indices(truth_as_runs: bool, prediction_as_runs: bool) -> None:
    rng = np.random.default_rng(0)
    truth, prediction = (rng.integers(0, 5, (5, 6), dtype=np.uint8) for _ in range(2))
    expected = count_image(truth, prediction, SCORED)
    expected[0] = 0  # the background is not scored
    right = encode_classes(truth, range(5)) if truth_as_runs else truth
    given = encode_classes(prediction, range(5)) if prediction_as_runs else prediction
    assert count_image(right, given, SCORED)[1:].tolist() == expected[1:].tolist()


def test_void_of_the_truth_counts_nowhere_for_runs_either() -> None:
    """Truth 1 2 void void; predicted are class 1 all over and class 2 in the last three pixels."""
    truth = np.array([[1, 2, 255, 255]], np.uint8)
    prediction = [EMPTY_RLE, np.array([[0, 0, 3]]), np.array([[0, 1, 3]]), EMPTY_RLE, EMPTY_RLE]
    assert count_image(truth, prediction, SCORED).tolist() == [[0, 0, 0], [1, 1, 2], [1, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_missing_images_score_0_if_that_is_allowed(signate_root: Path, tmp_path: Path) -> None:
    data = data_of(signate_root, "signate", labels="scored")
    masks = truth_of(data, "train")
    half = dict(list(masks.items())[::2])
    signate_json.write(tmp_path / "s.json", half.items(), SCORED)
    with pytest.raises(FoldsegError, match=r"4 image\(s\) are missing \(train_0001, train_0003"):
        count_submission(tmp_path / "s.json", data)
    counted = count_submission(tmp_path / "s.json", data, allow_missing=True)
    assert counted.missing == [name for name in masks if name not in half]
    assert counted.scores["image_mean_iou_present"].value == 0.5
    assert dict(zip(counted.ids, counted.per_image["score"], strict=True)) == {n: float(n in half) for n in masks}


def test_an_image_without_category_is_left_out_and_named(signate_root: Path, tmp_path: Path) -> None:
    data = data_of(signate_root, "signate", labels="scored")
    (tmp_path / "t.json").write_text('{"a.jpg": {}, "b.jpg": {"car": {"0": [[0, 3]]}}}')
    (tmp_path / "s.json").write_text('{"a.jpg": {"lane": {"0": [[0, 0]]}}, "b.jpg": {"car": {"0": [[0, 0]]}}}')
    counted = count_submission(tmp_path / "s.json", data, tmp_path / "t.json")
    assert counted.scores["image_mean_iou_present"].value == 0.25
    assert counted.ids_without_scored_class == ["a"]
    assert counted.per_image.columns.tolist() == ["id", "score", "car", "pedestrian", "lane", "signal"]
    assert counted.per_image["car"].tolist()[1] == 0.25
