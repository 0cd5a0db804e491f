"""Folders of PNGs and arrays: the ids, colours and values that their settings ask for."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from foldseg.config.schema.submissions import BinaryPng, ColourPng, LabelPng, Npy, SubmissionKind
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.data.rle import decode_rle
from foldseg.errors import FoldsegError
from foldseg.submission.formats import FORMATS, check_classes, find_kind, open_submission
from foldseg.submission.interface import KnownImages

ROAD = LabelSet(
    (
        LabelClass("background", (0, 0, 0), (0,), scored=False),
        LabelClass("road", (128, 64, 128), (7, 8)),
        LabelClass("car", (0, 0, 142), (26,)),
    ),
    void_ids=(255,),
)
MASK = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)
COLOURS = LabelSet(
    (LabelClass("a", (1, 1, 1), (0, 2)), LabelClass("b", (2, 2, 2), (1,))),
    raw_colours=((10, 20, 30), (40, 50, 60), (70, 80, 90)),
)


def write(folder: Path, settings: SubmissionKind, labels: LabelSet = ROAD, mask: np.ndarray = MASK) -> Path:
    entry = FORMATS[type(settings)]
    path = folder / entry.file_name
    entry.write(settings, path, [("a", mask)], labels, KnownImages())
    return path


def read(path: Path, settings: SubmissionKind, labels: LabelSet = ROAD) -> Any:
    found = open_submission(path, labels, settings).read("a", MASK.shape)
    if isinstance(found, np.ndarray):
        return found.tolist()
    return labels.pack_planes(np.stack([decode_rle(rle, MASK.shape) for rle in found])).tolist()


def raw(path: Path) -> Any:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (None, [[0, 7, 26], [26, 26, 0]]),
        ({"road": 1, "car": 2}, [[0, 1, 2], [2, 2, 0]]),
        ({"car": 8}, [[0, 7, 8], [8, 8, 0]]),
        ({"car": 1000}, [[0, 7, 1000], [1000, 1000, 0]]),
        ({"background": 255}, [[255, 7, 26], [26, 26, 255]]),
    ],
)
def test_ids_are_those_of_the_masks_or_as_given(tmp_path: Path, values: Any, ids: list[list[int]]) -> None:
    settings = LabelPng(values=values)
    path = write(tmp_path, settings)
    assert raw(path / "a.png").tolist() == ids
    assert read(path, settings) == MASK.tolist()
    arrays = Npy(values=values)
    path = write(tmp_path, arrays)
    assert np.load(path / "a.npy").tolist() == ids
    assert read(path, arrays) == MASK.tolist()


def test_a_merged_class_can_be_written_once_it_has_a_value() -> None:
    merged = ROAD.select(["car"])
    for kind in (LabelPng, Npy):
        with pytest.raises(FoldsegError, match="cannot say background"):
            check_classes(kind(), merged)
        check_classes(kind(values={"background": 0}), merged)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"bus": 3}, "submission.values: unknown bus; there are background, road, car"),
        ({"car": 7}, "submission.values: road and car would have one id, 7"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, values: dict[str, int], says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        write(tmp_path, LabelPng(values=values))


def test_a_palette_shows_the_colours_and_holds_the_ids(tmp_path: Path) -> None:
    settings = LabelPng(palette=True)
    path = write(tmp_path, settings)
    with Image.open(path / "a.png") as picture:
        assert picture.mode == "P"
        assert np.array(picture).tolist() == [[0, 7, 26], [26, 26, 0]]
        assert np.array(picture.convert("RGB"))[0].tolist() == [[0, 0, 0], [128, 64, 128], [0, 0, 142]]
    assert find_kind(path) is LabelPng
    assert read(path, LabelPng()) == MASK.tolist()
    with pytest.raises(FoldsegError, match="a palette has 256 colours, and some ids are above 255"):
        write(tmp_path, LabelPng(palette=True, values={"car": 256}))


def test_colours_are_those_of_the_classes(tmp_path: Path) -> None:
    path = write(tmp_path, ColourPng())
    rgb = raw(path / "a.png")[..., ::-1]
    assert rgb.tolist() == ROAD.colourise(MASK).tolist()
    assert read(path, ColourPng()) == MASK.tolist()


def test_colours_are_those_of_the_masks_if_these_hold_colours(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    path = write(tmp_path, ColourPng(), COLOURS, mask)
    assert raw(path / "a.png")[0, :2, ::-1].tolist() == [[10, 20, 30], [40, 50, 60]]
    assert read(path, ColourPng(), COLOURS) == mask.tolist()


def test_colours_that_are_no_class_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ColourPng())
    picture = raw(path / "a.png")
    picture[0, 0] = 77
    assert cv2.imwrite(str(path / "a.png"), picture)
    with pytest.raises(FoldsegError, match=r"a\.png: holds 1 unknown colour"):
        read(path, ColourPng())


def test_classes_of_one_colour_are_refused() -> None:
    labels = LabelSet((LabelClass("a", (1, 1, 1), (0,)), LabelClass("b", (1, 1, 1), (1,))))
    with pytest.raises(FoldsegError, match=r"colour_png cannot tell a and b apart; hand in .*label_png"):
        check_classes(ColourPng(), labels)


def test_one_overlapping_class_has_a_colour(tmp_path: Path) -> None:
    labels = LabelSet((LabelClass("a", (9, 8, 7), (255,)),), overlapping=True)
    check_classes(ColourPng(), labels)
    mask = (MASK == 2).astype(np.uint8)
    path = write(tmp_path, ColourPng(), labels, mask)
    assert read(path, ColourPng(), labels) == mask.tolist()


def test_each_class_has_a_folder_of_0_and_255(tmp_path: Path) -> None:
    path = write(tmp_path, BinaryPng())
    assert sorted(file.relative_to(path).as_posix() for file in path.rglob("*.png")) == ["car/a.png", "road/a.png"]
    assert raw(path / "car/a.png").tolist() == [[0, 0, 255], [255, 255, 0]]
    assert find_kind(path) is BinaryPng
    assert read(path, BinaryPng()) == MASK.tolist()


def test_one_class_has_no_folder_of_its_own(tmp_path: Path) -> None:
    settings = BinaryPng(classes=("car",))
    path = write(tmp_path, settings)
    assert raw(path / "a.png").tolist() == [[0, 0, 255], [255, 255, 0]]
    assert FORMATS[BinaryPng].has_scored_classes_alone(settings, ROAD)
    road, car = open_submission(path, ROAD, settings).read("a", None)[1:]
    assert not len(road) and decode_rle(car, MASK.shape).tolist() == (MASK == 2).tolist()


def test_a_binary_picture_with_other_values_is_refused(tmp_path: Path) -> None:
    settings = BinaryPng(classes=("car",))
    path = write(tmp_path, settings)
    assert cv2.imwrite(str(path / "a.png"), MASK)
    with pytest.raises(FoldsegError, match=r"a\.png: holds unknown ids \[1, 2\]"):
        read(path, settings)


def test_a_class_that_lacks_an_image_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, BinaryPng())
    (path / "car/a.png").rename(path / "car/b.png")
    with pytest.raises(FoldsegError, match=r"lacks 1 image\(s\) that others have"):
        _ = open_submission(path, ROAD, BinaryPng()).names


def test_planes_are_of_the_scored_classes_or_of_those_named(tmp_path: Path) -> None:
    path = write(tmp_path, Npy(planes=True))
    assert np.load(path / "a.npy").tolist() == [(MASK == 1).astype(int).tolist(), (MASK == 2).astype(int).tolist()]
    assert read(path, Npy(planes=True)) == MASK.tolist()
    path = write(tmp_path, Npy(planes=True, classes=("car", "background")))
    assert np.load(path / "a.npy").tolist() == [(MASK == 2).astype(int).tolist(), (MASK == 0).astype(int).tolist()]


@pytest.mark.parametrize(
    ("array", "planes", "says"),
    [
        (np.zeros((2, 3), np.float32), False, r"holds float32 of the shape \(2, 3\); expected whole numbers"),
        (np.zeros((1, 2, 3, 4), np.uint8), False, "expected whole numbers"),
        (np.full((2, 3), -1), False, "holds ids from -1 to -1; they are 0 to 65535"),
        (np.full((2, 3), 5), False, r"holds unknown ids \[5\]"),
        (np.zeros((2, 2, 3), np.uint8), False, r"has the shape \(2, 2, 3\); expected ids \(H, W\), or planes: true"),
        (np.zeros((3, 2, 3), np.uint8), True, r"expected \(2, H, W\), of road, car"),
        (np.full((2, 2, 3), 2), True, "holds other values than 0 and 1 in a plane"),
        (np.zeros((3, 2), np.uint8), False, r"is \(3, 2\), the image \(2, 3\)"),
    ],
)
def test_a_wrong_array_is_named(tmp_path: Path, array: np.ndarray, planes: bool, says: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(FoldsegError, match=rf"a\.npy: {says}" if says.startswith("h") else says):
        read(tmp_path, Npy(planes=planes))


def test_a_file_that_is_no_array_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"nothing")
    with pytest.raises(FoldsegError, match=r"a\.npy: is no NumPy file, or is damaged"):
        read(tmp_path, Npy())
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(FoldsegError, match=r"a\.npy: is no NumPy file, or is damaged"):
        read(tmp_path, Npy())


@pytest.mark.parametrize(
    "settings", [{"planes": True, "values": {"a": 1}}, {"classes": ["a"]}], ids=["values", "classes"]
)
def test_settings_of_arrays_go_together(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="planes"):
        Npy(**settings)
