"""Label sets of overlapping classes: class bits, their raw ids, colours and selections."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foldseg.data.camvid import LABELS as EXCLUSIVE
from foldseg.data.labels import IGNORE_INDEX, LabelClass, LabelSet
from foldseg.errors import FoldsegError

BITS = LabelSet(
    tuple(
        LabelClass(name, colour, tuple(value for value in range(8) if value >> bit & 1))
        for bit, (name, colour) in enumerate({"fish": (200, 0, 0), "flower": (0, 100, 0), "gravel": (0, 0, 60)}.items())
    ),
    void_ids=(255,),
    overlapping=True,
)
"""Masks of class bits, as a drawn file has them."""
LUNG = LabelSet((LabelClass("lung", (255, 0, 0), (255,)),), overlapping=True)
"""A binary task: the mask files hold 0 and 255."""
NESTED = LabelSet(
    (LabelClass("tumour", (9, 0, 0), (2, 3)), LabelClass("core", (0, 9, 0), (3,), scored=False)),
    overlapping=True,
    background_ids=(1,),
)


def every_value(labels: LabelSet) -> np.ndarray:
    void = [IGNORE_INDEX] if labels.void_ids else []
    return np.array([[*range(1 << len(labels)), *void]], np.uint8)


@pytest.mark.parametrize("labels", [BITS, LUNG], ids=["bits", "binary"])
def test_encoding_inverts_decoding(labels: LabelSet) -> None:
    mask = every_value(labels)
    assert labels.encode(labels.decode(mask)).tolist() == mask.tolist()


@pytest.mark.parametrize(
    ("labels", "raw", "expected"),
    [
        (BITS, [0, 1, 2, 3, 7, 255], [0, 1, 2, 3, 7, 255]),
        (LUNG, [0, 255], [0, 1]),
        (NESTED, [1, 2, 3], [0, 1, 3]),
    ],
    ids=["bits", "binary", "nested"],
)
def test_raw_ids_become_class_bits(labels: LabelSet, raw: list[int], expected: list[int]) -> None:
    assert labels.encode(np.array([raw], np.uint8)).tolist() == [expected]
    assert labels.decode(np.array([expected], np.uint8)).tolist() == [raw]


def test_an_unknown_id_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown ids \[8, 254\]; known are \[0, 1, .*7, 255\]"):
        BITS.encode(np.array([[0, 8, 254]], np.uint8))
    with pytest.raises(ValueError, match=r"unknown ids \[0\]; known are \[1, 2, 3\]"):
        NESTED.encode(np.array([[0]], np.uint8))


def test_class_bits_without_a_raw_id_are_refused() -> None:
    with pytest.raises(ValueError, match="no raw id is of exactly the classes core"):
        NESTED.decode(np.array([[2]], np.uint8))
    with pytest.raises(ValueError, match=r"indices \[4\] are no classes"):
        NESTED.decode(np.array([[4]], np.uint8))


@given(hnp.arrays(bool, st.tuples(st.just(3), st.integers(1, 5), st.integers(1, 5))))
def test_planes_and_bits_are_inverse(planes: np.ndarray) -> None:
    mask = BITS.pack_planes(planes)
    assert mask.dtype == np.uint8
    assert np.array_equal(BITS.class_planes(mask), planes)
    for index in range(3):
        assert np.array_equal(mask >> index & 1 == 1, planes[index])


def test_planes_of_exclusive_classes() -> None:
    mask = np.array([[0, 1, 10]], np.uint8)
    assert EXCLUSIVE.class_planes(mask).sum() == 3
    assert np.array_equal(EXCLUSIVE.pack_planes(EXCLUSIVE.class_planes(mask)), mask)
    with pytest.raises(ValueError, match="of no class or of several"):
        EXCLUSIVE.pack_planes(np.zeros((11, 1, 1), bool))


@pytest.mark.parametrize("labels", [BITS, LUNG, EXCLUSIVE], ids=["bits", "binary", "exclusive"])
def test_void_and_impossible_values_are_of_no_class(labels: LabelSet) -> None:
    values = np.arange(labels.number_of_values, 256, dtype=np.uint8)
    assert not labels.class_planes(values).any()


def test_a_pixel_of_several_classes_is_drawn_in_their_mean_colour() -> None:
    picture = BITS.colourise(np.array([[0, 1, 3, 7, 255, 9]], np.uint8))
    assert picture[0].tolist() == [[0, 0, 0], [200, 0, 0], [100, 50, 0], [67, 33, 20], [0, 0, 0], [0, 0, 0]]


def test_classes_that_are_not_chosen_vanish() -> None:
    chosen = BITS.select(["gravel", "fish"])
    assert chosen.names == ["gravel", "fish"]
    assert chosen.overlapping
    assert chosen.void_ids == (255,)
    raw = np.array([[0, 1, 2, 3, 4, 5, 255]], np.uint8)
    assert chosen.encode(raw).tolist() == [[0, 2, 0, 2, 1, 3, 255]]
    assert NESTED.select("scored").encode(np.array([[1, 2, 3]], np.uint8)).tolist() == [[0, 1, 1]]
    assert BITS.select("all") is BITS


def test_where_classes_belong_in_a_selection() -> None:
    assert BITS.class_indices_in(BITS.select(["gravel", "fish"])).tolist() == [1, -1, 0]
    assert NESTED.class_indices_in(NESTED.select("scored")).tolist() == [0, -1]  # not within the tumour


def test_exclusive_and_overlapping_classes_are_not_merged() -> None:
    with pytest.raises(FoldsegError, match="cannot be merged into exclusive ones"):
        BITS.class_indices_in(EXCLUSIVE)


def test_a_definition_says_that_classes_overlap() -> None:
    assert LUNG.definition == {"lung": "raw ids 255, scored", "(no class)": "raw ids 0; the classes may overlap"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"classes": tuple(LabelClass(str(i), (i, 0, 0), (i + 1,)) for i in range(8))}, "1 to 7 classes, not 8"),
        ({"classes": (LabelClass("a", (0, 0, 0), (5,)),), "void_ids": (5,)}, "must be unique"),
        ({"classes": (LabelClass("a", (0, 0, 0), (5,)),), "background_ids": (5,)}, "must be unique"),
        ({"classes": (LabelClass("a", (0, 0, 0), (5,)),), "overlapping": False, "background_ids": (1,)}, "exclusive"),
    ],
)
def test_an_ambiguous_label_set_is_refused(fields: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        LabelSet(**{"overlapping": True, **fields})
