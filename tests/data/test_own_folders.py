"""Data in folders, found by patterns: every layout in which people keep images and masks."""

import unicodedata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from foldseg.config.schema import Data
from foldseg.data import own_folders
from foldseg.data.mask_files import read_mask
from foldseg.data.own_classes import make_label_set
from foldseg.errors import FoldsegError

SALT = {"background": 0, "salt": 255}
IDS = np.array([[0, 255, 0], [255, 255, 0]], np.uint8)


def write(root: Path, *names: str, picture: np.ndarray = IDS) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / name), picture)


def data_of(root: Path, splits: Any, classes: Any = SALT, pictures: Any = None, **settings: Any) -> Data:
    dataset = {"kind": "folders", "classes": classes, "splits": splits, **settings}
    content = {"dataset": dataset, "root": root, "folds": root / "folds.csv", "pictures": pictures or {}}
    return Data.model_validate(content)


def rows_of(data: Data) -> dict[str, tuple[str, str, str]]:
    table = own_folders.scan(data)
    return {row.id: (row.image, row.mask, row.split) for row in table.itertuples()}  # type: ignore[misc]


def mask_of(data: Data, name: str) -> list[list[int]]:
    """Return what is read from the mask of an image."""
    table = own_folders.scan(data).set_index("id")
    mask = read_mask(data.root / str(table.loc[name, "mask"]), make_label_set(data.dataset), data.pictures)  # type: ignore[arg-type]
    return mask.tolist()


def test_two_folders_and_a_test_folder(tmp_path: Path) -> None:
    write(tmp_path, "images/a.jpg", "images/b.JPG", "masks/a.png", "masks/b.png", "test/c.jpg")
    files = {"train": {"images": "images/{id}.jpg", "masks": "masks/{id}.png"}, "test": "test/{id}.jpg"}
    assert rows_of(data_of(tmp_path, files)) == {
        "a": ("images/a.jpg", "masks/a.png", "train"),
        "b": ("images/b.JPG", "masks/b.png", "train"),
        "c": ("test/c.jpg", "", "test"),
    }


def test_one_folder_with_suffixes(tmp_path: Path) -> None:
    write(tmp_path, "all/x 1.png", "all/x 1_mask.png", "all/äö(2).png", "all/äö(2)_mask.png")
    files = {"train": {"images": "all/{id}.png", "masks": "all/{id}_mask.png"}}
    assert rows_of(data_of(tmp_path, files)) == {
        "x 1": ("all/x 1.png", "all/x 1_mask.png", "train"),
        "äö(2)": ("all/äö(2).png", "all/äö(2)_mask.png", "train"),
    }


def test_a_folder_for_each_image_and_any_extension(tmp_path: Path) -> None:
    write(tmp_path, "p1/scan.png", "p1/label.png", "p2/scan.bmp", "p2/label.bmp")
    files = {"train": {"images": "{id}/scan.*", "masks": "{id}/label.*"}}
    assert rows_of(data_of(tmp_path, files)) == {
        "p1": ("p1/scan.png", "p1/label.png", "train"),
        "p2": ("p2/scan.bmp", "p2/label.bmp", "train"),
    }


def test_sub_folders_are_part_of_the_id_and_fields_name_the_group(tmp_path: Path) -> None:
    write(tmp_path, "img/aachen/1.png", "img/bonn/1.png", "gt/aachen/1.png", "gt/bonn/1.png")
    deep = {"train": {"images": "img/{id}.png", "masks": "gt/{id}.png"}}
    assert list(rows_of(data_of(tmp_path, deep))) == ["aachen__1", "bonn__1"]
    grouped = {"train": {"images": "img/{group}/{n}.png", "masks": "gt/{group}/{n}.png"}}
    table = own_folders.scan(data_of(tmp_path, grouped, id="{group}-{n}"))
    assert table["id"].tolist() == ["aachen-1", "bonn-1"]
    assert table["group"].tolist() == ["aachen", "bonn"]


def test_an_id_may_be_made_of_several_fields(tmp_path: Path) -> None:
    name = "train/case1/case1_day20/{}/slice_0001_266_266_1.50_1.50.png"
    write(tmp_path, name.format("scans"), name.format("masks"))
    pattern = "train/*/{day}/scans/{slice}_{h}_{w}_{y}_{x}.png"
    files = {"train": {"images": pattern, "masks": pattern.replace("scans", "masks")}}
    assert list(rows_of(data_of(tmp_path, files, id="{day}_{slice}"))) == ["case1_day20_slice_0001"]


def test_names_in_two_unicode_forms_are_one(tmp_path: Path) -> None:
    composed, decomposed = unicodedata.normalize("NFC", "straße_é"), unicodedata.normalize("NFD", "straße_é")
    write(tmp_path, f"images/{composed}.png", f"masks/{decomposed}.png")
    files = {"train": {"images": "images/{id}.png", "masks": "masks/{id}.png"}}
    assert list(rows_of(data_of(tmp_path, files))) == [composed]


def test_a_name_in_two_splits_gets_the_split_before_it(tmp_path: Path) -> None:
    write(tmp_path, "train/1.png", "masks/1.png", "train/2.png", "masks/2.png", "test/1.png")
    files = {"train": {"images": "train/{id}.png", "masks": "masks/{id}.png"}, "test": "test/{id}.png"}
    assert list(rows_of(data_of(tmp_path, files))) == ["train_1", "train_2", "1"]


@pytest.mark.parametrize(
    "line", ["a", "a.png", "images/a.png", "/data/set/images/a.png images/a_gt.png", "set\\images\\a.png"]
)
def test_a_list_names_ids_files_or_paths(tmp_path: Path, line: str) -> None:
    write(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/b.png")
    (tmp_path / "train.txt").write_bytes(f"# a comment\r\n{line}\r\n\r\n".encode())
    files = {"train": {"images": "images/{id}.png", "masks": "masks/{id}.png", "list": "train.txt"}}
    assert list(rows_of(data_of(tmp_path, files))) == ["a"]


def test_a_line_of_a_list_that_is_no_image_is_named(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "train.txt").write_text("a\nnobody\n")
    files = {"train": {"images": "images/{id}.png", "masks": "masks/{id}.png", "list": "train.txt"}}
    with pytest.raises(FoldsegError, match=r"train\.txt: 1 of its lines are no image of this split: nobody"):
        own_folders.scan(data_of(tmp_path, files))


def test_a_file_for_each_object_is_drawn_into_one_mask(tmp_path: Path) -> None:
    first, second = np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8)
    first[0, 0], second[1, 2] = 255, 255
    write(tmp_path, "n1/images/n1.png", "n2/images/n2.png", "n2/masks/z.png")
    write(tmp_path, "n1/masks/x.png", picture=first)
    write(tmp_path, "n1/masks/y.png", picture=second)
    files = {"train": {"images": "{id}/images/{id}.png", "masks": "{id}/masks/{part}.png"}}
    for overlapping, on in ((False, 1), (True, 1)):
        data = data_of(tmp_path, files, ["nucleus"], overlapping=overlapping)
        assert mask_of(data, "n1") == [[on, 0, 0], [0, 0, on]]
        assert mask_of(data, "n2") == (IDS // 255).tolist()
    assert make_label_set(data_of(tmp_path, files, ["nucleus"]).dataset).names == ["background", "nucleus"]  # type: ignore[arg-type]


def test_a_file_for_each_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bowel, stomach = np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8)
    bowel[0], stomach[:, 0] = 255, 255
    write(tmp_path, "images/a_1.png")
    write(tmp_path, "masks/a_1_large_bowel.png", picture=bowel)
    write(tmp_path, "masks/a_1_s.png", picture=stomach)
    files = {"train": {"images": "images/{id}.png", "masks": "masks/{id}_{class}.png"}}
    classes = ["large_bowel", {"name": "stomach", "label": "s"}]
    assert mask_of(data_of(tmp_path, files, classes, overlapping=True), "a_1") == [[3, 1, 1], [2, 0, 0]]
    assert mask_of(data_of(tmp_path, files, classes), "a_1") == [[2, 1, 1], [2, 0, 0]]
    assert "1 of 1 images have pixels of several classes (1 pixels, e.g. in a_1)" in caplog.text


def test_drawn_masks_are_drawn_again_only_if_their_parts_change(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png", "masks/a_c.png", "images/b.png", "masks/b_c.png")
    data = data_of(tmp_path, {"train": {"images": "images/{id}.png", "masks": "masks/{id}_{class}.png"}}, ["c"])
    table = own_folders.scan(data).set_index("id")
    paths = [tmp_path / str(mask) for mask in table["mask"]]
    times = [path.stat().st_mtime_ns for path in paths]
    own_folders.scan(data)
    assert [path.stat().st_mtime_ns for path in paths] == times
    write(tmp_path, "masks/a_c.png", picture=255 - IDS)
    assert mask_of(data, "a") == (1 - IDS // 255).tolist()
    assert paths[1].stat().st_mtime_ns == times[1]
    paths[0].unlink()
    assert mask_of(data, "a") == (1 - IDS // 255).tolist()


def test_a_folder_that_cannot_be_written_is_named_with_the_setting(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png", "masks/a_c.png")
    (tmp_path / "drawn_masks").write_text("a file is in the way")
    data = data_of(tmp_path, {"train": {"images": "images/{id}.png", "masks": "masks/{id}_{class}.png"}}, ["c"])
    with pytest.raises(FoldsegError, match="drawn_masks"):
        own_folders.scan(data)
    elsewhere = tmp_path.parent / "elsewhere"
    moved = data_of(
        tmp_path, {"train": {"images": "images/{id}.png", "masks": "masks/{id}_{class}.png"}}, ["c"],
        drawn_masks=elsewhere,
    )  # fmt: skip
    assert rows_of(moved)["a"][1].startswith("../elsewhere/")
    assert mask_of(moved, "a") == (IDS // 255).tolist()


def test_a_pattern_of_masks_that_finds_nothing_is_named(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png", "masks/a.png")
    files = {"train": {"images": "images/{id}.png", "masks": "masks/{id}_gt.png"}}
    for unmasked in ("refuse", "leave_out", "background", "test"):
        with pytest.raises(FoldsegError, match=r"splits\.train\.masks: no file below .* is like masks/\{id\}_gt\.png"):
            own_folders.scan(data_of(tmp_path, files, unmasked=unmasked))


def test_a_threshold_divides_the_parts_and_not_what_was_drawn_of_them(tmp_path: Path) -> None:
    from foldseg.data.datasets import DataSet

    write(tmp_path, "a/image.png")
    write(tmp_path, "a/masks/1.png", picture=np.array([[0, 90, 200], [255, 127, 0]], np.uint8))
    files = {"train": {"images": "{id}/image.png", "masks": "{id}/masks/{part}.png"}}
    data = DataSet(data_of(tmp_path, files, ["nucleus"], {"mask_threshold": 128}))
    mask = read_mask(tmp_path / str(data.samples["mask"][0]), data.labels, data.pictures)
    assert mask.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_images_without_a_mask_are_refused_left_out_or_background(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png", "images/b.png", "masks/a.png")
    files = {"train": {"images": "images/{id}.png", "masks": "masks/{id}.png"}}
    with pytest.raises(FoldsegError, match=r"b\.png: has no mask \(1 such.*unmasked=leave_out.*unmasked=background"):
        own_folders.scan(data_of(tmp_path, files))
    assert list(rows_of(data_of(tmp_path, files, unmasked="leave_out"))) == ["a"]
    assert mask_of(data_of(tmp_path, files, unmasked="background"), "b") == [[0, 0, 0], [0, 0, 0]]


def test_a_background_of_colours_is_drawn_in_colour(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png", "images/b.png")
    write(tmp_path, "masks/a.png", picture=np.full((2, 3, 3), [9, 5, 1], np.uint8))
    files = {"train": {"images": "images/{id}.png", "masks": "masks/{id}.png"}}
    classes = {"ground": "#102030", "sky": "#010509"}
    data = data_of(tmp_path, files, classes, mask_values="colors", unmasked="background")
    assert mask_of(data, "a") == [[1, 1, 1]] * 2
    assert mask_of(data, "b") == [[0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ({"train": {"images": "nowhere/{id}.png"}}, "nowhere: no such folder"),
        ({"train": {"images": "images/{id}.tif"}}, r"no image below .* is like images/\{id\}\.tif"),
        ({"train": {"images": "images/*.png"}}, r"images/\*\.png: lacks \{id\}"),
        ({"train": {"images": "../{id}.png"}}, "relative to data.root"),
        ({"train": {"images": "{id}/{1}.png"}}, "should be a name"),
        ({"train": {"images": "images/{id}.*"}}, r"a\.bmp and .*a\.png have one id"),
        ({"train": {"images": "images/{id}.png", "masks": "masks/{id}_*.png"}}, r"are both masks of a; .*\{part\}"),
    ],
)
def test_what_is_wrong_with_files_or_patterns_is_named(tmp_path: Path, splits: Any, says: str) -> None:
    write(tmp_path, "images/a.png", "images/a.bmp", "masks/a_1.png", "masks/a_2.png")
    with pytest.raises(FoldsegError, match=says):
        own_folders.scan(data_of(tmp_path, splits))


def test_ids_that_become_one_are_named(tmp_path: Path) -> None:
    write(tmp_path, "images/x/a.png", "images/x__a.png")
    with pytest.raises(FoldsegError, match="would both have the id x__a"):
        own_folders.scan(data_of(tmp_path, {"train": {"images": "images/{id}.png"}}))


def test_a_part_of_another_size_than_its_image_is_named(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png", picture=np.zeros((4, 6), np.uint8))
    write(tmp_path, "masks/a_c.png")
    files = {"train": {"images": "images/{id}.png", "masks": "masks/{id}_{class}.png"}}
    with pytest.raises(FoldsegError, match=r"a_c\.png: is 3x2, its image .* is 6x4.*resize_masks=true"):
        own_folders.scan(data_of(tmp_path, files, ["c"]))
    data = data_of(tmp_path, files, ["c"], {"resize_masks": True})
    assert mask_of(data, "a") == np.kron(IDS // 255, np.ones((2, 2), int)).tolist()


def test_test_images_are_found_where_there_is_nothing_else(tmp_path: Path) -> None:
    """A contest's hidden test set has no training images, and no masks."""
    write(tmp_path, "test/c.jpg", "test/d.jpg")
    masked = {"images": "test/{id}.jpg", "masks": "truth/{id}.png"}
    data = data_of(tmp_path, {"train": {"images": "images/{id}.jpg", "masks": "masks/{id}.png"}, "test": masked})
    with pytest.raises(FoldsegError, match="images: no such folder"):
        own_folders.scan(data)
    only_test = data.model_copy(update={"dataset": data.dataset.only_test()})
    assert rows_of(only_test) == {"c": ("test/c.jpg", "", "test"), "d": ("test/d.jpg", "", "test")}
    without = data_of(tmp_path, {"train": "test/{id}.jpg"})
    assert without.dataset.only_test() == without.dataset
