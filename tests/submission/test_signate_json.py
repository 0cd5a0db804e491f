"""The AI Edge Contest's JSON: its bytes, its round trip, and what it refuses."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foldseg.data import signate
from foldseg.data.rle import decode_rle, encode_mask
from foldseg.errors import FoldsegError
from foldseg.submission import signate_json
from foldseg.submission.signate_json import Submission, decode_category, encode_image

ALL = signate.LABELS
SCORED = signate.LABELS.select("scored")  # background, car, pedestrian, lane, signal
SHAPES = st.tuples(st.integers(1, 13), st.integers(1, 9))


def mask(*rows: str) -> np.ndarray:
    """One digit per pixel."""
    return np.array([[int(digit) for digit in row] for row in rows], np.uint8)


def decoded(segments: dict[str, list[list[int]]], size: tuple[int, int]) -> np.ndarray:
    return decode_rle(decode_category(segments, ""), size)


def read_masks(path: Path, name: str, size: tuple[int, int]) -> np.ndarray:
    """(classes, H, W) bool of one image of a file."""
    return np.stack([decode_rle(runs, size) for runs in Submission(path, SCORED).read(name, size)])


@given(st.data())
def test_images_come_back_from_the_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    masks = {name: data.draw(hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 4))) for name in ("a", "b10", "b9")}
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    signate_json.write(path, masks.items(), SCORED)
    for name, expected in masks.items():
        found = read_masks(path, name, expected.shape)
        for index in range(1, 5):
            assert np.array_equal(found[index], expected == index)
        assert not found[0].any()  # the background is not handed in


def test_the_bytes_of_the_file(tmp_path: Path) -> None:
    """Compact, images and categories sorted, rows ascending as integers, absent categories absent."""
    tall = np.zeros((11, 3), np.uint8)
    tall[9, 1] = tall[10, 0] = tall[10, 2] = 4
    signate_json.write(
        tmp_path / "s.json", [("test_000", mask("011", "203")), ("test_001", mask("00")), ("test_002", tall)], SCORED
    )
    assert (tmp_path / "s.json").read_bytes() == (
        b'{"test_000.jpg":{"car":{"0":[[1,2]]},"lane":{"1":[[2,2]]},"pedestrian":{"1":[[0,0]]}},'
        b'"test_001.jpg":{},'
        b'"test_002.jpg":{"signal":{"9":[[1,1]],"10":[[0,0],[2,2]]}}}'
    )


def test_signal_can_be_handed_in_by_a_model_of_all_20_classes_and_of_4() -> None:
    """Defect 3: `signal` of a four-class model was looked up under its index among 20."""
    assert encode_image(mask("08"), ALL) == b'{"car":{"0":[[0,0]]},"signal":{"0":[[1,1]]}}'
    assert encode_image(mask("14"), SCORED) == b'{"car":{"0":[[0,0]]},"signal":{"0":[[1,1]]}}'


def test_classes_that_are_not_scored_are_not_handed_in() -> None:
    assert encode_image(mask("357"), ALL) == b"{}"  # bus, svehicle, bicycle


def test_no_images_are_an_empty_mapping(tmp_path: Path) -> None:
    signate_json.write(tmp_path / "s.json", [], SCORED)
    assert (tmp_path / "s.json").read_bytes() == b"{}"


@pytest.mark.parametrize("names", [["b", "a"], ["a", "a"]])
def test_images_that_are_not_sorted_raise_and_leave_nothing(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ValueError, match="images must be sorted and unique"):
        signate_json.write(tmp_path / "s.json", [(name, mask("0")) for name in names], SCORED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ids", [["a", "a-1"], ["a", "a+b", "a.b", "a1"], ["test_9", "test_90"]])
def test_images_that_are_sorted_by_id_are_taken(tmp_path: Path, ids: list[str]) -> None:
    """`-` and `+` come before the dot of `.jpg`: "a" < "a-1", but "a.jpg" > "a-1.jpg"."""
    assert ids == sorted(ids)
    signate_json.write(tmp_path / "s.json", [(name, mask("0")) for name in ids], SCORED)
    assert Submission(tmp_path / "s.json", SCORED).names == ids


def test_a_failing_image_leaves_the_old_file(tmp_path: Path) -> None:
    signate_json.write(tmp_path / "s.json", [("a", mask("1"))], SCORED)
    before = (tmp_path / "s.json").read_bytes()

    def broken() -> object:
        yield "a", mask("2")
        raise RuntimeError("a worker died")

    with pytest.raises(RuntimeError):
        signate_json.write(tmp_path / "s.json", broken(), SCORED)  # type: ignore[arg-type]
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


def test_runs_that_touch_are_taken() -> None:
    assert decoded({"0": [[0, 0], [1, 2]]}, (1, 4)).tolist() == [[True, True, True, False]]


def test_rows_may_come_in_any_order() -> None:
    runs = decode_category({"10": [[0, 0]], "9": [[4, 4], [6, 8]]}, "")
    assert runs.tolist() == [[9, 4, 4], [9, 6, 8], [10, 0, 0]]


def test_categories_may_overlap(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"a.jpg":{"car":{"0":[[0,1]]},"lane":{"0":[[1,1]]}}}')
    found = read_masks(tmp_path / "s.json", "a", (1, 2))
    assert found[:, 0].tolist() == [[False, False], [True, True], [False, False], [False, True], [False, False]]


@pytest.mark.parametrize(
    ("segments", "says"),
    [
        ({"-1": [[0, 0]]}, "row '-1' is not the number of a row"),
        ({"0": [[0, 0]], "01": [[0, 0]]}, "row '01' is not the number of a row"),
        ({"x": [[0, 0]]}, "row 'x' is not the number of a row"),
        ({" 1": [[0, 0]]}, "row ' 1' is not the number of a row"),
        ({"²": [[0, 0]]}, "is not the number of a row"),
        ({"99999999999": [[0, 0]]}, "is not the number of a row"),
        ({"0": [[0, 0]], "1": [[-1, 2]]}, r"segment \[-1, 2\] is outside of any image"),
        ({"1": [[0, 1 << 70]]}, "is outside of any image"),
        ({"1": [[2, 1]]}, r"segment \[2, 1\] is reversed"),
        ({"1": [[0, 1], [1, 2]]}, r"segment \[1, 2\] overlaps, repeats or precedes"),
        ({"1": [[0, 1], [0, 1]]}, r"segment \[0, 1\] overlaps, repeats or precedes"),
        ({"1": [[2, 2], [0, 0]]}, r"segment \[0, 0\] overlaps, repeats or precedes"),
        ({"1": [[0, 1, 2]]}, "is not a pair of whole numbers"),
        ({"1": [[0, 1.0]]}, "is not a pair of whole numbers"),
        ({"1": [[False, True]]}, "is not a pair of whole numbers"),
        ({"1": [0, 1]}, "is not a pair of whole numbers"),
        ({"1": []}, r"should be a list of segments, is \[\]"),
        ({"1": "0-1"}, "should be a list of segments"),
        ({}, "is empty; a category without pixels must be absent"),
    ],
)
def test_a_wrong_segment_is_named(segments: dict[str, object], says: str) -> None:
    with pytest.raises(FoldsegError, match=f"here(, row 1)?: .*{says}|here: {says}|here, {says}"):
        decode_category(segments, "here")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not a JSON mapping of images"),
        ('{"a.jpg": {}', "is not a JSON mapping of images"),
        ('{"a.jpg": {}} x', "is not a JSON mapping of images"),
        ('{"a.jpg": {}},', "is not a JSON mapping of images"),
        ('{"a.jpg": {},}', "is not a JSON mapping of images"),
        ('{"a.jpg": {"car": {"0": [[0, NaN]]}}}', "is not a JSON mapping of images"),
        ("[" * 100_000, "is not a JSON mapping of images"),
        ('{"a.jpg": ' + "[" * 100_000, "is not a JSON mapping of images"),
        ("[]", "is not a JSON mapping of images"),
        ('{"a.jpg": []}', "a.jpg: should be a mapping, is []"),
        ('{"a.jpg": {"car": []}}', "a.jpg, car: should be a mapping, is []"),
        ('{"a.jpg": {"truck": {"0": [[0, 0]]}}}', "a.jpg, truck: unknown category; valid are car, pedestrian, lane, s"),
        ('{"a.jpg": {"background": {"0": [[0, 0]]}}}', "a.jpg, background: unknown category"),
        ('{"a.jpg": {"car": {"7": [[0, 0]]}}}', "a.jpg, car, row 7: segment [0, 0] is below an image 2 high"),
        ('{"a.jpg": {"car": {"1": [[0, 3]]}}}', "a.jpg, car, row 1: segment [0, 3] is outside of an image 3 wide"),
        ('{"a.jpg": {"car": {"1": [[0, 1]], "1": [[2, 2]]}}}', "a.jpg, car: '1' is there more than once"),
        ('{"a.jpg": {"car": {"1": [[0, 1]]}, "car": {"0": [[2, 2]]}}}', "a.jpg: 'car' is there more than once"),
        ('{"a.jpg": {}, "a.jpg": {}}', "'a.jpg': the name of an image is there more than once"),
        ('{"a": {}}', "'a': the name of an image does not end in .jpg"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(FoldsegError, match=rf"s\.json: .*{re.escape(says)}"):
        Submission(path, SCORED).read("a", (2, 3))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"s\.json: no such file"):
        Submission(tmp_path / "s.json", SCORED)


def test_without_the_image_a_segment_may_be_anywhere_in_a_jpeg(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"a.jpg": {"lane": {"65534": [[7, 65534]]}}}')
    assert Submission(tmp_path / "s.json", SCORED).read("a", None)[3].tolist() == [[65534, 7, 65534]]


def test_masks_that_overlap_are_written_and_read(tmp_path: Path) -> None:
    masks = np.zeros((5, 2, 3), bool)
    masks[0] = True  # the background is not handed in
    masks[1, 0, :2] = masks[3, :, 1:] = True
    signate_json.write(tmp_path / "s.json", [("a", [encode_mask(mask) for mask in masks])], SCORED)
    masks[0] = False
    assert np.array_equal(read_masks(tmp_path / "s.json", "a", (2, 3)), masks)
