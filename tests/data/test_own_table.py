"""Data in a table: paths or run lengths, in all the ways in which contests write them."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from foldseg.config.schema import Data
from foldseg.data import own_table
from foldseg.data.datasets import DataSet
from foldseg.data.mask_files import read_mask
from foldseg.data.own_classes import make_label_set
from foldseg.errors import FoldsegError

MASK = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [1, 1, 0, 1]])
DOWN, ROWS, RELATIVE, COUNTS, COMPRESSED = "3 5 12 1", "2 2 6 1 9 2 12 1", "2 5 4 1", [2, 5, 4, 1], "254L"


def write_image(root: Path, *names: str, size: tuple[int, int] = (3, 4)) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / name), np.zeros((*size, 3), np.uint8))


def data_of(root: Path, table: str, **settings: Any) -> Data:
    (root / "train.csv").write_text(table)
    dataset = {"kind": "table", "file": "train.csv", "classes": ["salt"], **settings}
    return Data.model_validate({"dataset": dataset, "root": root, "folds": root / "folds.csv"})


def masks_of(data: Data) -> dict[str, list[list[int]]]:
    table = own_table.scan(data)
    labels = make_label_set(data.dataset)  # type: ignore[arg-type]
    named = [(str(row.id), str(row.mask)) for row in table.itertuples() if row.mask]
    return {name: read_mask(data.root / mask, labels, data.pictures).tolist() for name, mask in named}


@pytest.mark.parametrize(
    ("text", "run_lengths"),
    [
        (DOWN, {}),
        (ROWS, {"direction": "rows"}),
        (RELATIVE, {"relative": True, "base": 0}),
        (json.dumps(COUNTS), {"form": "coco"}),
        (json.dumps({"size": [3, 4], "counts": COMPRESSED}), {"form": "coco"}),
        (COMPRESSED, {"form": "coco"}),
    ],
)
def test_every_way_of_writing_run_lengths_is_the_same_mask(tmp_path: Path, text: str, run_lengths: Any) -> None:
    write_image(tmp_path, "images/a.png")
    quoted = text.replace('"', '""')
    columns = {"runs": "rle_mask"}
    data = data_of(
        tmp_path, f'id,rle_mask\na,"{quoted}"\n', columns=columns, images="images/{id}.png", run_lengths=run_lengths
    )
    assert masks_of(data) == {"a": MASK.tolist()}


@pytest.mark.parametrize("empty", ["", "-1", "-", " -1 "])
def test_empty_masks_and_images_without_a_row_are_empty(tmp_path: Path, empty: str) -> None:
    write_image(tmp_path, "images/a.png", "images/b.png", "images/c.png", "test/d.png")
    table = f"ImageId, EncodedPixels\na,{DOWN}\nb,{empty}\n"
    columns = {"id": "ImageId", "runs": "EncodedPixels"}
    data = data_of(tmp_path, table, columns=columns, images="images/{id}.png", test_images="test/{id}.png")
    nothing = np.zeros((3, 4), int).tolist()
    assert masks_of(data) == {"a": MASK.tolist(), "b": nothing, "c": nothing}
    assert own_table.scan(data).set_index("id")["split"].to_dict() == {
        "a": "train", "b": "train", "c": "train", "d": "test",
    }  # fmt: skip


def test_rows_of_one_image_are_one_mask(tmp_path: Path) -> None:
    write_image(tmp_path, "images/a.png")
    data = data_of(tmp_path, "id,rle\na,3 2\na,5 3\na,12 1\n", columns={"runs": "rle"}, images="images/{id}.png")
    assert masks_of(data) == {"a": MASK.tolist()}


def test_a_composite_id_divides_at_its_last_underscore(tmp_path: Path) -> None:
    write_image(tmp_path, "images/0_1.jpg")
    table = "Image_Label,EncodedPixels\n0_1.jpg_Fish,1 2\n0_1.jpg_Sugar,2 2\n"
    columns = {"id_and_label": "Image_Label", "runs": "EncodedPixels"}
    settings: Any = {"columns": columns, "images": "images/{id}.jpg", "classes": ["Fish", "Sugar"]}
    assert masks_of(data_of(tmp_path, table, **settings, overlapping=True)) == {
        "0_1": [[1, 0, 0, 0], [3, 0, 0, 0], [2, 0, 0, 0]]
    }
    assert masks_of(data_of(tmp_path, table, **settings)) == {"0_1": [[1, 0, 0, 0], [2, 0, 0, 0], [2, 0, 0, 0]]}


def test_labels_may_be_numbers_in_a_column_of_their_own(tmp_path: Path) -> None:
    write_image(tmp_path, "images/a.jpg")
    table = "ImageId,ClassId,EncodedPixels\na.jpg,4,1 1\na.jpg,1,2 1\n"
    columns = {"id": "ImageId", "label": "ClassId", "runs": "EncodedPixels"}
    classes = [{"name": "crack", "label": "1"}, {"name": "patch", "label": "4"}]
    data = data_of(tmp_path, table, columns=columns, images="images/{id}.jpg", classes=classes)
    assert masks_of(data)["a"][0:2] == [[2, 0, 0, 0], [1, 0, 0, 0]]


def test_masks_may_be_files_and_all_columns_may_be_there(tmp_path: Path) -> None:
    write_image(tmp_path, "i/a.png", "i/b.png", "m/a.png")
    table = "image;mask;split;patient;site\ni/a.png;m/a.png;train;p1;x\ni/b.png;;test;p2;y\n"
    columns = {"group": "patient", "stratum": "site"}
    rows = own_table.scan(data_of(tmp_path, table, columns=columns, classes=["background", "salt"]))
    assert rows.to_dict("records") == [
        {"id": "a", "image": "i/a.png", "mask": "m/a.png", "split": "train", "group": "p1", "stratum": "x"},
        {"id": "b", "image": "i/b.png", "mask": "", "split": "test", "group": "p2", "stratum": "y"},
    ]


def test_a_very_long_run_length_is_read(tmp_path: Path) -> None:
    write_image(tmp_path, "images/a.png", size=(1000, 400))
    text = " ".join(f"{start} 1" for start in range(1, 400_001, 2))
    data = data_of(tmp_path, f"id,rle\na,{text}\n", columns={"runs": "rle"}, images="images/{id}.png")
    assert np.array(masks_of(data)["a"]).sum() == 200_000


@pytest.mark.parametrize(
    ("table", "settings", "says"),
    [
        ("id,rle\na,3 5 12\n", {}, r"train\.csv: row 1 \(a\): .*has 3 numbers, not pairs"),
        ("id,rle\na,3 5 12 2\n", {}, r"row 1 \(a\): .*is 4x3"),
        ("id,rle\na,3 x\n", {}, "row 1.*'x' where an integer is expected"),
        ("id,rle\nz,1 1\n", {}, r"1 of its 1 image\(s\) are not like images/\{id\}\.png.*: z"),
        ("id,pixels\na,1 1\n", {}, r"has no column 'rle' \(data\.dataset\.columns\.runs\); it has id, pixels"),
        ("id,label,rle\na,pepper,1 1\n", {}, "row 1: there is no class 'pepper'; labels are background, salt"),
        ("id,rle\na,1 1\n", {"classes": ["salt", "pepper"]}, "which class a row is of is not known"),
        ("id,rle,group\na,1 1,x\na,2 1,y\n", {}, "contradict each other: a has the group 'x' and 'y'"),
        ("id,rle\na,1 1,2\n", {}, "row 1 has 3 columns, its header 2"),
        ("id,rle\n", {}, "has no rows"),
        ("id,id,rle\na,a,1 1\n", {}, "has the column 'id' twice"),
        ("name,rle\na,1 1\n", {}, "which column has the ids is not known; it has name, rle"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path: Path, table: str, settings: Any, says: str) -> None:
    write_image(tmp_path, "images/a.png")
    data = data_of(tmp_path, table, **{"columns": {"runs": "rle"}, "images": "images/{id}.png", **settings})
    with pytest.raises(FoldsegError, match=says):
        own_table.scan(data)
    assert not list((tmp_path / "drawn_masks").rglob("drawn.json"))


def test_an_image_without_a_path_is_named_with_the_settings(tmp_path: Path) -> None:
    write_image(tmp_path, "images/a.png")
    with pytest.raises(FoldsegError, match=r"have no path: a; .*columns\.image.*data\.dataset\.images"):
        own_table.scan(data_of(tmp_path, "id,mask\na,m.png\n"))


def test_test_images_are_found_without_the_table(tmp_path: Path) -> None:
    """A contest's hidden test set has no table of the training images."""
    write_image(tmp_path, "test/c.jpg", "test/d 1.jpg")
    columns = {"id": "img", "runs": "rle"}
    data = data_of(tmp_path, "img,rle\na,1 2\n", columns=columns, images="train/{id}.jpg", test_images="test/{id}.jpg")
    (tmp_path / "train.csv").unlink()
    only_test = data.model_copy(update={"dataset": data.dataset.only_test()})
    found = DataSet(only_test).test.set_index("id")["image"].to_dict()
    assert sorted(found.values()) == ["test/c.jpg", "test/d 1.jpg"]
    in_table = data_of(tmp_path, "img,rle\na,1 2\n", columns=columns, images="train/{id}.jpg")
    assert in_table.dataset.only_test() == in_table.dataset
