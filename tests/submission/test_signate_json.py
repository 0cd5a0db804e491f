"""The AI Edge Contest's JSON: its bytes, its round trip, and what it refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foldseg.data import signate
from foldseg.errors import FoldsegError
from foldseg.submission import signate_json
from foldseg.submission.signate_json import decode_category, encode_category, encode_image

ALL = signate.LABELS
SCORED = signate.LABELS.view("scored")  # background, car, pedestrian, lane, signal
SHAPES = st.tuples(st.integers(1, 13), st.integers(1, 9))


def mask(*rows: str) -> np.ndarray:
    """One digit per pixel."""
    return np.array([[int(digit) for digit in row] for row in rows], np.uint8)


def slow_encoding(category: np.ndarray) -> dict[str, list[list[int]]]:
    """Pixel by pixel, row by row: open a run at its first pixel, close it at its last."""
    segments: dict[str, list[list[int]]] = {}
    for y, row in enumerate(category.tolist()):
        for x, inside in enumerate(row):
            if inside and (x == 0 or not row[x - 1]):
                segments.setdefault(str(y), []).append([x, x])
            elif inside:
                segments[str(y)][-1][1] = x
    return segments


@given(hnp.arrays(bool, SHAPES))
def test_encoding_agrees_with_a_slow_loop(category: np.ndarray) -> None:
    found = encode_category(category)
    assert found == slow_encoding(category)
    assert list(found) == list(slow_encoding(category))  # rows in the same order, too


@given(hnp.arrays(bool, SHAPES).filter(np.any))
def test_decoding_inverts_encoding(category: np.ndarray) -> None:
    assert np.array_equal(decode_category(encode_category(category), category.shape, ""), category)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (3, 4)])
def test_a_full_image_is_one_run_per_row(shape: tuple[int, int]) -> None:
    assert encode_category(np.ones(shape, bool)) == {str(y): [[0, shape[1] - 1]] for y in range(shape[0])}


def test_an_empty_category_has_no_rows() -> None:
    assert encode_category(np.zeros((3, 4), bool)) == {}


@given(st.data())
def test_images_come_back_from_the_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    masks = {name: data.draw(hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 4))) for name in ("a", "b10", "b9")}
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    signate_json.write(path, masks.items(), SCORED)
    read = signate_json.reader(path, SCORED, {name: m.shape for name, m in masks.items()})
    for name, expected in masks.items():
        found = read(name)
        for index in range(1, 5):
            assert np.array_equal(found[index], expected == index)
        assert not found[0].any()  # the background is not handed in


def test_the_bytes_of_the_file(tmp_path: Path) -> None:
    """Compact, images sorted, rows ascending as integers, absent categories absent, `{}` for an empty image."""
    tall = np.zeros((11, 3), np.uint8)
    tall[9, 1] = tall[10, 0] = tall[10, 2] = 4
    signate_json.write(
        tmp_path / "s.json", [("test_000", mask("011", "200")), ("test_001", mask("00")), ("test_002", tall)], SCORED
    )
    assert (tmp_path / "s.json").read_bytes() == (
        b'{"test_000.jpg":{"car":{"0":[[1,2]]},"pedestrian":{"1":[[0,0]]}},'
        b'"test_001.jpg":{},'
        b'"test_002.jpg":{"signal":{"9":[[1,1]],"10":[[0,0],[2,2]]}}}'
    )


def test_signal_can_be_handed_in_by_a_model_of_all_20_classes_and_of_4() -> None:
    """Defect 3: `signal` of a four-class model was looked up under its index among 20."""
    assert encode_image(mask("08"), ALL) == {"car": {"0": [[0, 0]]}, "signal": {"0": [[1, 1]]}}
    assert encode_image(mask("14"), SCORED) == {"car": {"0": [[0, 0]]}, "signal": {"0": [[1, 1]]}}


def test_classes_that_are_not_scored_are_not_handed_in() -> None:
    assert encode_image(mask("357"), ALL) == {}  # bus, svehicle, bicycle


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
    assert sorted(signate_json.names(tmp_path / "s.json")) == ids


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
    assert decode_category({"0": [[0, 0], [1, 2]]}, (1, 4), "").tolist() == [[True, True, True, False]]


def test_categories_may_overlap(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"a.jpg":{"car":{"0":[[0,1]]},"lane":{"0":[[1,1]]}}}')
    found = signate_json.reader(tmp_path / "s.json", SCORED, {"a": (1, 2)})("a")
    assert found[:, 0].tolist() == [[False, False], [True, True], [False, False], [False, True], [False, False]]


@pytest.mark.parametrize(
    ("segments", "says"),
    [
        ({"2": [[0, 0]]}, "row '2' is not a row of an image 2 high"),
        ({"-1": [[0, 0]]}, "row '-1' is not a row"),
        ({"01": [[0, 0]]}, "row '01' is not a row"),
        ({"x": [[0, 0]]}, "row 'x' is not a row"),
        ({"²": [[0, 0]]}, "is not a row"),
        ({"1": [[0, 3]]}, r"row 1: segment \[0, 3\] is reversed or outside of an image 3 wide"),
        ({"1": [[-1, 2]]}, r"segment \[-1, 2\] is reversed or outside"),
        ({"1": [[2, 1]]}, r"segment \[2, 1\] is reversed or outside"),
        ({"1": [[0, 1], [1, 2]]}, r"segment \[1, 2\] overlaps or precedes"),
        ({"1": [[2, 2], [0, 0]]}, r"segment \[0, 0\] overlaps or precedes"),
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
        decode_category(segments, (2, 3), "here")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not valid JSON"),
        ('{"a.jpg": {}', "is not valid JSON"),
        ("[]", "should be a mapping, is list"),
        ('{"a.jpg": []}', "a.jpg: should be a mapping, is list"),
        ('{"a.jpg": {"car": []}}', "a.jpg, car: should be a mapping, is list"),
        ('{"a.jpg": {"truck": {"0": [[0, 0]]}}}', "a.jpg, truck: unknown category; valid are car, pedestrian, lane, s"),
        ('{"a.jpg": {"background": {"0": [[0, 0]]}}}', "a.jpg, background: unknown category"),
        ('{"a.jpg": {"car": {"7": [[0, 0]]}}}', "a.jpg, car: row '7' is not a row"),
        ('{"b.jpg": {}}', "a.jpg is missing"),
        ('{"a": {}}', "a.jpg is missing"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(FoldsegError, match=rf"s\.json: .*{re.escape(says)}"):
        signate_json.reader(path, SCORED, {"a": (2, 3)})("a")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"s\.json: cannot be read: No such file"):
        signate_json.names(tmp_path / "s.json")


def test_extents_hold_every_segment(tmp_path: Path) -> None:
    content = {"a.jpg": {"car": {"3": [[0, 4]], "10": [[1, 2]]}, "lane": {"0": [[7, 9]]}}, "b.jpg": {}}
    (tmp_path / "s.json").write_text(json.dumps(content))
    assert signate_json.extents(tmp_path / "s.json") == {"a": (11, 10), "b": (1, 1)}


@pytest.mark.parametrize("segments", [{"x": [[0, 1]]}, {"0": [0]}, {"0": 5}, {"0": [[1]]}, {"0": [["a", "b"]]}])
def test_extents_of_a_wrong_file_are_refused(tmp_path: Path, segments: dict[str, object]) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"a.jpg": {"car": segments}}))
    with pytest.raises(FoldsegError, match=r"s\.json: a\.jpg: holds a row or segment that is none"):
        signate_json.extents(tmp_path / "s.json")
