"""Classes from the files in which tools list them."""

import json
from pathlib import Path

import pytest

from foldseg.config.class_files import has_shared_ids, parse_hex_colour, read_class_file
from foldseg.errors import FoldsegError


def read(folder: Path, name: str, content: object):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_class_file(path)


def test_labelmap_of_cvat(tmp_path: Path) -> None:
    text = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad sign:10,10,128::\nignore:255,255,255::\n"
    assert read(tmp_path, "labelmap.txt", text) == [
        {"name": "background", "color": [0, 0, 0]},
        {"name": "road sign", "color": [10, 10, 128]},
        {"name": "ignore", "color": [255, 255, 255], "void": True},
    ]


def test_label_colors_of_camvid(tmp_path: Path) -> None:
    text = "64 128 64\tAnimal\r\n192 0 128\tArchway\r\n0 0 0\t\tVoid\r\n"
    assert read(tmp_path, "label_colors.txt", text) == [
        {"name": "Animal", "color": [64, 128, 64]},
        {"name": "Archway", "color": [192, 0, 128]},
        {"name": "Void", "color": [0, 0, 0], "void": True},
    ]


def test_colours_behind_names(tmp_path: Path) -> None:
    assert read(tmp_path, "colors.txt", "road 1 2 3\nbus lane 4 5 6\n") == [
        {"name": "road", "color": [1, 2, 3]},
        {"name": "bus lane", "color": [4, 5, 6]},
    ]


def test_class_dict(tmp_path: Path) -> None:
    assert read(tmp_path, "class_dict.csv", "name,r,g,b\nurban_land,0,255,255\nunknown,0,0,0\n") == [
        {"name": "urban_land", "color": [0, 255, 255]},
        {"name": "unknown", "color": [0, 0, 0]},
    ]


def test_classes_of_roboflow(tmp_path: Path) -> None:
    assert read(tmp_path, "_classes.csv", "Pixel Value, Class\n0, background\n1, door, left\n") == [
        {"name": "background", "ids": [0]},
        {"name": "door", "ids": [1]},
    ]


def test_objects_of_ade20k(tmp_path: Path) -> None:
    text = "Idx\tRatio\tTrain\tVal\tName\n1\t0.1576\t11664\t1172\twall\n2\t0.1072\t6046\t612\tbuilding, edifice\n"
    expected = [{"name": "wall", "ids": [1]}, {"name": "building", "ids": [2]}]
    assert read(tmp_path, "objectInfo150.txt", text) == expected
    table = "Idx,Ratio,Train,Val,Stuff,Name\n1,0.15,11664,1172,1,wall\n2,0.1,6046,612,1,building;edifice\n"
    assert read(tmp_path, "objectInfo150.csv", table) == expected
    same = "Idx Ratio Train Val Name\n1 0.1 2 3 screen;door\n2 0.1 2 3 screen;projection screen\n"
    assert [entry["name"] for entry in read(tmp_path, "o.txt", same)] == ["screen;door", "screen;projection screen"]


def test_config_of_mapillary(tmp_path: Path) -> None:
    labels = [
        {"name": "animal--bird", "readable": "Bird", "color": [165, 42, 42], "evaluate": True},
        {"name": "construction--x", "readable": "X", "color": [1, 2, 3], "evaluate": False},
        {"name": "void--unlabeled", "readable": "Unlabeled", "color": [0, 0, 0], "evaluate": False},
    ]
    assert read(tmp_path, "config_v1.2.json", {"labels": labels, "version": "1.2"}) == [
        {"name": "Bird", "ids": [0], "color": [165, 42, 42]},
        {"name": "X", "ids": [1], "color": [1, 2, 3], "scored": False},
        {"name": "Unlabeled", "ids": [2], "color": [0, 0, 0], "void": True},
    ]


def test_labels_and_regions_of_nnunet(tmp_path: Path) -> None:
    plain = read(tmp_path, "dataset.json", {"labels": {"background": 0, "a": 1, "ignore": 2}, "file_ending": ".png"})
    assert plain == [
        {"name": "background", "ids": [0]},
        {"name": "a", "ids": [1]},
        {"name": "ignore", "ids": [2], "void": True},
    ]
    assert not has_shared_ids(plain)
    regions = read(tmp_path, "regions.json", {"labels": {"background": 0, "whole": [1, 2], "core": [2]}})
    assert regions == [{"name": "whole", "ids": [1, 2]}, {"name": "core", "ids": [2]}]
    assert has_shared_ids(regions)


def test_meta_of_datumaro_and_supervisely(tmp_path: Path) -> None:
    content = {"label_map": {"0": "background", "3": "car"}, "segmentation_colors": [[0, 0, 0], [9, 8, 7]]}
    assert read(tmp_path, "dataset_meta.json", content) == [
        {"name": "background", "ids": [0], "color": [0, 0, 0]},
        {"name": "car", "ids": [3], "color": [9, 8, 7]},
    ]
    assert read(tmp_path, "meta.json", {"classes": [{"title": "car", "shape": "bitmap", "color": "#FF0102"}]}) == [
        {"name": "car", "color": [255, 1, 2]}
    ]
    assert parse_hex_colour(" #00ff7F ") == [0, 255, 127]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labelmap.txt", "a:1,2,300::\n", "line 1: .1, 2, 300. is no colour"),
        ("labelmap.txt", "a:1,2,3::\nb\n", "line 2, 'b', is no name and colour"),
        ("labelmap.txt", "a:1,2,3::\na:1,2,4::\n", "'a' twice"),
        ("labelmap.txt", "# nothing\n", "names no classes"),
        ("notes.txt", "buy milk\n", "line 1, 'buy milk', names no class; expected labelmap.txt"),
        ("_classes.csv", "Pixel Value, Class\n70000, a\n", "line 2: '70000' is no id"),
        ("_classes.csv", "Pixel Value, Class\n3\n", "line 2, '3', is no pixel value and class"),
        ("_classes.csv", "Pixel Value, Class, Pixel Value\n3, a, b\n", "line 1, .*, should be `Pixel Value, Class`"),
        ("o.txt", "Idx\tName\n1\t\n", "line 2, '1', has no name"),
        ("config.json", {"labels": [{"name": "a", "color": [1, 2]}]}, r"labels.0.: .1, 2. is no colour"),
        ("config.json", {"labels": [{"color": [1, 2, 3]}]}, r"labels.0. has no name"),
        ("dataset.json", {"labels": {"a": "b"}}, "labels.a: 'b' is no id"),
        ("dataset.json", [], "holds no list of classes"),
        ("meta.json", {"classes": [{"title": "a", "color": "red"}]}, "'red' is no colour #rrggbb"),
        ("dataset_meta.json", {"label_map": {"0": "a"}, "segmentation_colors": [[1, 1, 1]] * 2}, "2 segmentation_col"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, name: str, content: object, message: str) -> None:
    with pytest.raises(FoldsegError, match=message) as error:
        read(tmp_path, name, content)
    assert str(error.value).startswith(str(tmp_path / name))
