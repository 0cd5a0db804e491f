"""Label sets: encoding, decoding, colours and views."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foldseg.data import camvid, signate
from foldseg.data.colour_codes import find_raw_ids
from foldseg.data.labels import IGNORE_INDEX, LabelClass, LabelSet
from foldseg.errors import FoldsegError

SETS = {
    "camvid all": camvid.LABELS,
    "camvid chosen": camvid.LABELS.select(["road", "car"]),
    "camvid binary": camvid.LABELS.select(["road"]),
    "camvid scored": camvid.LABELS.select("scored"),
    "signate all": signate.LABELS,
    "signate scored": signate.LABELS.select("scored"),
    "signate chosen": signate.LABELS.select(["signal", "lane"]),
}
each_set = pytest.mark.parametrize("labels", SETS.values(), ids=SETS)


def every_index(labels: LabelSet) -> np.ndarray:
    """(1, classes) or, with void, (1, classes + 1)."""
    void = [IGNORE_INDEX] if labels.void_ids else []
    return np.array([[*range(len(labels)), *void]], np.uint8)


@each_set
def test_encoding_inverts_decoding(labels: LabelSet) -> None:
    """Defect 3: a class of the model that comes out as another one, or cannot be handed in at all."""
    mask = every_index(labels)
    assert labels.encode(labels.decode(mask)).tolist() == mask.tolist()


@pytest.mark.parametrize("labels", [SETS["signate all"]])
def test_colours_of_a_mask_read_back(labels: LabelSet) -> None:
    mask = every_index(labels)
    assert labels.encode(find_raw_ids(labels.colourise(mask), labels.raw_colours)).tolist() == mask.tolist()


@each_set
def test_every_class_has_its_own_colour(labels: LabelSet) -> None:
    picture = labels.colourise(every_index(labels)[:, : len(labels)])
    assert len({tuple(colour) for colour in picture[0].tolist()}) == len(labels)


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("camvid all", [0, 3, 10, 11], [0, 3, 10, 255]),
        ("camvid chosen", [0, 3, 8, 10, 11], [0, 1, 2, 0, 255]),  # background, road, car
        ("camvid binary", [0, 3, 8, 11], [0, 1, 0, 255]),
        ("camvid scored", [0, 3, 10, 11], [0, 3, 10, 255]),  # all 11 are scored
        ("signate all", [0, 8, 19], [0, 8, 19]),
        ("signate scored", [0, 1, 2, 3, 8, 19], [1, 2, 3, 0, 4, 0]),  # background, car, pedestrian, lane, signal
        ("signate chosen", [8, 2, 0], [1, 2, 0]),  # in the order asked for
    ],
)
def test_raw_ids_become_indices(name: str, raw: list[int], expected: list[int]) -> None:
    assert SETS[name].encode(np.array([raw], np.uint8)).tolist() == [expected]


@pytest.mark.parametrize(
    ("name", "expected", "scored"),
    [
        ("signate scored", ["background", "car", "pedestrian", "lane", "signal"], [False, True, True, True, True]),
        ("camvid chosen", ["background", "road", "car"], [False, True, True]),
        ("signate chosen", ["background", "signal", "lane"], [False, True, True]),
    ],
)
def test_a_view_has_the_chosen_classes_after_the_background(name: str, expected: list[str], scored: list[bool]) -> None:
    assert SETS[name].names == expected
    assert SETS[name].scored.tolist() == scored


def test_a_view_of_all_classes_has_no_background() -> None:
    names = camvid.LABELS.names[::-1]
    assert camvid.LABELS.select(names).names == names
    assert camvid.LABELS.select("all") is camvid.LABELS


def test_the_four_scored_classes_of_the_contest() -> None:
    assert [c.name for c in signate.LABELS.classes if c.scored] == ["car", "pedestrian", "lane", "signal"]
    assert len(signate.LABELS) == 20


ALL, SCORED = SETS["signate all"], SETS["signate scored"]
COMBINATIONS = pytest.mark.parametrize(
    ("trained", "predicted"), [(ALL, ALL), (ALL, SCORED), (SCORED, SCORED)], ids=["20-20", "20-4", "4-4"]
)


@COMBINATIONS
def test_a_class_keeps_its_name_colour_and_pixels_from_training_to_submission(
    trained: LabelSet, predicted: LabelSet
) -> None:
    """Defects of the predecessor: `signal` could never be submitted, and `car` was left out of the score."""
    into = trained.class_indices_in(predicted)
    raw = np.arange(20, dtype=np.uint8)[None]
    assert into[trained.encode(raw)].tolist() == predicted.encode(raw).tolist()
    for name in signate.SCORED:
        index = int(into[trained.names.index(name)])
        assert predicted.names[index] == name
        assert predicted.scored[index]
        assert tuple(predicted.colours[index].tolist()) == signate.SIGNATE_COLOURS[name]
        assert predicted.decode(np.array([[index]], np.uint8)) == ALL.names.index(name)


@pytest.mark.parametrize(
    ("trained", "predicted", "says"),
    [
        (SCORED, ALL, "background is not within one of the classes car, pedestrian, lane, bus"),  # the fourth
        (SETS["signate chosen"], SCORED, "background is not within one of the classes background, car"),
        (ALL, LabelSet(signate.LABELS.classes[1:]), "car is not within one of the classes pedestrian"),
        (ALL, LabelSet(signate.LABELS.classes[1:], void_ids=(0,)), "car is not within one of the classes pedestrian"),
    ],
)
def test_classes_that_are_divided_or_missing_cannot_be_merged(
    trained: LabelSet, predicted: LabelSet, says: str
) -> None:
    with pytest.raises(FoldsegError, match=says):
        trained.class_indices_in(predicted)


@each_set
def test_merging_into_itself_moves_nothing(labels: LabelSet) -> None:
    assert labels.class_indices_in(labels).tolist() == list(range(len(labels)))


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (["road", "rode"], r"unknown classes \['rode'\]; this data set has sky, building"),
        ([], "empty or repeated"),
        (["road", "road"], "empty or repeated"),
    ],
)
def test_a_wrong_view_is_refused(choice: list[str], says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        camvid.LABELS.select(choice)


@pytest.mark.parametrize("raw_id", [12, 254, 255])
def test_an_unknown_id_is_named(raw_id: int) -> None:
    with pytest.raises(ValueError, match=rf"unknown ids \[{raw_id}\]; known are \[0, 1, .*11\]"):
        camvid.LABELS.encode(np.array([[0, raw_id]], np.uint8))


@pytest.mark.parametrize(("name", "index"), [("signate all", 255), ("signate all", 20), ("camvid chosen", 3)])
def test_decoding_an_impossible_index_raises(name: str, index: int) -> None:
    with pytest.raises(ValueError, match=rf"indices \[{index}\] are no classes"):
        SETS[name].decode(np.array([[0, index]], np.uint8))


def test_several_raw_ids_of_one_class_are_merged_and_the_first_is_written() -> None:
    labels = LabelSet((LabelClass("flat", (1, 1, 1), (7, 9)), LabelClass("sky", (2, 2, 2), (255,))), void_ids=(0, 3))
    assert labels.encode(np.array([[7, 9, 255, 0, 3]], np.uint8)).tolist() == [[0, 0, 1, 255, 255]]
    assert labels.decode(np.array([[0, 1, 255]], np.uint8)).tolist() == [[7, 255, 0]]


@pytest.mark.parametrize(
    "classes",
    [
        [],
        [LabelClass("a", (0, 0, 0), (0,)), LabelClass("a", (1, 1, 1), (1,))],
        [LabelClass("a", (0, 0, 0), (0,)), LabelClass("b", (1, 1, 1), (0,))],
        [LabelClass("a", (0, 0, 0), (5,))],  # 5 is also void
    ],
)
def test_an_ambiguous_label_set_is_refused(classes: list[LabelClass]) -> None:
    with pytest.raises(ValueError, match="label set"):
        LabelSet(tuple(classes), void_ids=(5,))


def test_void_is_black_in_pictures() -> None:
    assert camvid.LABELS.colourise(np.array([[0, 255]], np.uint8)).tolist() == [[[128, 128, 128], [0, 0, 0]]]


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 19)))
def test_ids_of_colours_agree_with_a_slow_loop(ids: np.ndarray) -> None:
    colours = signate.LABELS.raw_colours
    picture = np.array([[colours[value] for value in row] for row in ids.tolist()], np.uint8)
    slow = [[colours.index(tuple(colour)) for colour in row] for row in picture.tolist()]
    assert find_raw_ids(picture, colours).tolist() == slow


def test_an_unknown_colour_is_named_as_rgb() -> None:
    picture = np.array([[(0, 0, 255), (1, 2, 3)]], np.uint8)
    with pytest.raises(ValueError, match=r"1 unknown colour\(s\), e\.g\. RGB \(1, 2, 3\); 20 are known"):
        find_raw_ids(picture, signate.LABELS.raw_colours)


def test_ids_of_16_bits_are_encoded_and_decoded() -> None:
    labels = LabelSet(
        (LabelClass("road", (1, 2, 3), (7,)), LabelClass("car", (4, 5, 6), (26001, 300))), void_ids=(65535,)
    )
    raw = np.array([[7, 26001, 300, 65535]], np.uint16)
    assert labels.encode(raw).tolist() == [[0, 1, 1, 255]]
    assert labels.encode(np.array([[7, 7]], np.uint8)).tolist() == [[0, 0]]
    decoded = labels.decode(np.array([[0, 1, 255]], np.uint8))
    assert decoded.dtype == np.uint16
    assert decoded.tolist() == [[7, 26001, 65535]]
    with pytest.raises(ValueError, match=r"unknown ids \[8\]"):
        labels.encode(np.array([[8]], np.uint16))


def test_an_id_of_16_bits_is_unknown_to_ids_of_8_bits() -> None:
    labels = LabelSet((LabelClass("road", (1, 2, 3), (7,)),))
    with pytest.raises(ValueError, match=r"unknown ids \[256, 65535\]"):
        labels.encode(np.array([[7, 256, 65535]], np.uint16))
    with pytest.raises(ValueError, match="from 0 to 65535"):
        LabelSet((LabelClass("road", (1, 2, 3), (70000,)),))


STREET = LabelSet(
    (
        LabelClass("road", (1, 0, 0), (7,), category="flat"),
        LabelClass("pavement", (2, 0, 0), (8,), scored=False, category="flat"),
        LabelClass("sky", (3, 0, 0), (23,)),
        LabelClass("car", (4, 0, 0), (26, 27), scored=False),
    ),
    void_ids=(0,),
)


def test_categories_merge_classes_and_keep_those_without_one() -> None:
    labels = STREET.select("categories")
    assert labels.names == ["flat", "sky", "car"]
    assert labels.encode(np.array([[7, 8, 23, 27, 0]], np.uint8)).tolist() == [[0, 0, 1, 2, 255]]
    assert labels.scored.tolist() == [True, True, False]
    assert [label.written_id for label in labels.classes] == [None, 23, 26]


def test_any_mapping_merges_classes() -> None:
    labels = STREET.select({"ground": ["road", "pavement"], "vehicle": ["car"]})
    assert labels.names == ["background", "ground", "vehicle"]
    assert labels.encode(np.array([[7, 8, 23, 27]], np.uint8)).tolist() == [[1, 1, 0, 2]]
    assert [label.written_id for label in labels.classes] == [23, None, 26]
    assert STREET.class_indices_in(labels).tolist() == [1, 1, 0, 2]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"a": ["road"], "b": ["road"]}, "repeated"),
        ({"a": ["tram"]}, r"unknown classes \['tram'\]"),
        ({"a": []}, "empty"),
    ],
)
def test_a_mapping_that_is_not_possible_is_named(choice: dict[str, list[str]], says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        STREET.select(choice)


def test_overlapping_classes_are_merged_by_their_union() -> None:
    whole, core = LabelClass("whole", (1, 0, 0), (1, 2)), LabelClass("core", (0, 1, 0), (2, 3))
    labels = LabelSet((whole, core), overlapping=True).select({"any": ["whole", "core"], "core": ["core"]})
    assert labels.encode(np.array([[0, 1, 2, 3]], np.uint8)).tolist() == [[0, 1, 3, 3]]
