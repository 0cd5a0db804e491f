"""What goes wrong in annotations of other tools: one clear error each, or a counted warning with an example."""

import base64
import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from foldseg.errors import FoldsegError
from foldseg.importing.annotations import ImportSettings
from foldseg.importing.importer import ImportResult, import_annotations
from importing.trees import (
    BOX,
    DISC,
    HEIGHT,
    TREES,
    WIDTH,
    coco_content,
    cvat_xml_text,
    label_studio_tasks,
    labelme_content,
    make_coco,
    make_cvat_masks,
    make_label_studio,
    make_mapillary,
    make_mmsegmentation,
    make_nnunet,
    make_roboflow_coco,
    make_supervisely,
    picture,
    png_bytes,
    read_mask,
    read_table,
    truth,
    write_ids,
    write_json,
    write_picture,
)

CVAT_RLE = "3, 5, 7, 7, 5, 9, 3, 11, 2, 11, 2, 12, 1, 12, 1, 26, 1, 12, 1, 12, 2, 11, 3, 9, 5, 7, 7, 5, 3"


def run(source: Path, **settings: Any) -> ImportResult:
    return import_annotations(source, source.parent / "imported", ImportSettings(**settings))


def fails(source: Path, message: str, **settings: Any) -> None:
    with pytest.raises(FoldsegError, match=message):
        run(source, **settings)
    left = [path.name for path in source.parent.iterdir() if "imported" in path.name]
    assert left == []


def warns(result: ImportResult, *messages: str) -> None:
    for message in messages:
        assert any(message in line for line in result.warnings), (message, result.warnings)


def coco(folder: Path, **changes: Any) -> Path:
    """A folder with one image and its COCO file, with changes of the file's keys."""
    source = folder / "source"
    write_picture(source / "a.jpg", truth())
    write_json(source / "coco.json", coco_content(["a.jpg"], [0]) | changes)
    return source


def annotation(**changes: Any) -> dict[str, Any]:
    return {"id": 5, "image_id": 10, "category_id": 3, "segmentation": [[1, 1, 20, 1, 20, 9]], "iscrowd": 0} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [{"id": [1], "file_name": "a.jpg"}]}, r"images\[0\] has no id and file_name"),
        ({"images": [{"id": 1, "file_name": "a\n.jpg", "width": 9, "height": 9}]}, "is no possible name of an image"),
        ({"images": [{"id": 1, "file_name": "\ud800", "width": 9, "height": 9}]}, "is no possible name of an image"),
        ({"images": [{"id": 1, "file_name": "x" * 300, "width": 9, "height": 9}]}, "is no possible name of an image"),
        ({"categories": [{"id": 3, "name": "\x1b[2J"}], "annotations": [annotation()]}, "is no possible name of a cla"),
        ({"annotations": [annotation(image_id=[])]}, "annotation 5: has no image_id and category_id"),
        ({"images": {}}, "coco.json: images should be a list of mappings"),
        ({"images": [{"id": 10, "width": 4, "height": 4}]}, r"images\[0\] has no id and file_name"),
        ({"images": [{"id": 10, "file_name": "a.jpg"}]}, r"image 10 \(a.jpg\): has no width and height"),
        ({"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}] * 2}, "the id 1 occurs twice"),
        ({"categories": [{"id": 3}]}, r"categories\[0\] has no id and name"),
        ({"categories": [{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]}, "the id 3 occurs twice"),
        ({"annotations": [annotation(category_id=8)]}, "annotation 5: its category_id 8 is none of .* 3, 7"),
        ({"annotations": [annotation(segmentation=[[1, 2, 3]])]}, "annotation 5: has coordinates that are no pairs"),
        ({"annotations": [annotation(segmentation=[["x", 2]])]}, "annotation 5: has coordinates that are no numbers"),
        ({"annotations": [annotation(segmentation=[[float("inf"), 2]])]}, "annotation 5: has coordinates .* finite"),
        ({"annotations": [annotation(segmentation={"size": [1, 2]})]}, "neither a list of polygons nor a mask"),
        ({"annotations": [annotation(segmentation={"counts": [9], "size": [3, 3]})]}, r"of the size \[3, 3\]"),
        ({"annotations": [annotation(segmentation={"counts": [9]})]}, "annotation 5: has counts for 9 pixels"),
        ({"annotations": [annotation(segmentation={"counts": "254L"})]}, "annotation 5: has counts for 12 pixels"),
        ({"annotations": [annotation(segmentation={"counts": 9})]}, "neither a string nor a list"),
    ],
)
def test_damage_in_coco(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    fails(coco(tmp_path, **changes), message)


def test_odd_things_in_coco_are_counted(tmp_path: Path) -> None:
    others = [
        annotation(image_id=99),
        annotation(segmentation=[], bbox=[1, 1, 2, 2]),
        annotation(segmentation=[[1, 1, 2, 2]]),
        annotation(segmentation=[200, 200, 210, 200, 210, 210]),
        annotation(category_id=7),
    ]
    result = run(coco(tmp_path, annotations=others))
    warns(
        result,
        "annotations of an image that is not in the file are left out: 1",
        "annotations without a segmentation (only a box, or nothing) are skipped: 1",
        "polygons of less than three points are skipped: 1",
        "shapes cover no pixel of their image and are skipped (lines need --line-width): 1",
    )
    mask = read_mask(result.folder, read_table(result.folder)[0])
    assert set(np.unique(mask)) == {0, 2}


def test_compressed_masks_of_coco(tmp_path: Path) -> None:
    from foldseg.data.rle_text import encode_coco_text

    text = encode_coco_text(truth() == 2)
    result = run(coco(tmp_path, annotations=[annotation(segmentation={"counts": text, "size": [HEIGHT, WIDTH]})]))
    assert [entry["name"] for entry in result.classes] == ["background", "box"]
    warns(result, "categories without an annotation are left out: 1, e.g. 'disc'")
    mask = read_mask(result.folder, read_table(result.folder)[0])
    assert np.array_equal(mask == 1, truth() == 2)


def test_polygons_without_pycocotools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr("foldseg.importing.importer.find_spec", lambda name: None)
    result = run(coco(tmp_path))
    assert np.array_equal(read_mask(result.folder, read_table(result.folder)[0]), truth())
    assert caplog.text.count("pycocotools is not installed") == 1


def test_what_is_painted_over_what_is_said(tmp_path: Path) -> None:
    covering = annotation(segmentation=[[0, 0, 59, 0, 59, 49, 0, 49]], id=9)
    content = coco_content(["a.jpg"], [0])
    result = run(coco(tmp_path, annotations=[*content["annotations"], covering]))
    page = result.report.read_text()
    assert "What was painted over what" in page
    disc = int((truth() == 2).sum())
    assert f"<td>disc</td><td>box</td><td>{disc}</td>" in page
    assert "<td>1</td><td>1</td>" in page  # a disc, wholly hidden


def test_an_image_without_annotations_is_all_background(tmp_path: Path) -> None:
    content = coco_content(["a.jpg", "b.jpg"], [0, 0])
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] == 10]
    source = coco(tmp_path, **content)
    write_picture(source / "b.jpg", truth())
    write_picture(source / "spare.jpg", truth())
    result = run(source)
    warns(result, "images have no annotation; all of each is background: 1")
    rows = {row["id"]: row for row in read_table(result.folder)}
    assert not read_mask(result.folder, rows["b"]).any()
    assert (rows["spare"]["split"], rows["spare"]["mask"]) == ("unlabelled", "")
    assert result.splits == {"train": 2, "unlabelled": 1}


def test_images_that_are_missing(tmp_path: Path) -> None:
    source = coco(tmp_path, **coco_content(["a.jpg", "gone.jpg"], [0, 0]))
    warns(run(source), "images were not found and are left out (--images names a folder): 1, e.g. ")
    shutil.rmtree(tmp_path / "imported")
    (source / "a.jpg").unlink()
    fails(source, "none of its 2 images was found, e.g. train/a.jpg; name their folder with --images")
    write_picture(tmp_path / "pictures" / "deep" / "a.jpg", truth())
    assert run(source, images=tmp_path / "pictures").with_mask == 1


def test_an_image_of_another_size_than_its_annotations(tmp_path: Path) -> None:
    source = coco(tmp_path)
    write_picture(source / "a.jpg", np.zeros((10, 20), np.uint8))
    fails(source, r"image 10 \(a.jpg\): says that its image is 60x50 .*a.jpg is 20x10")


def test_images_that_need_settings_to_be_read(tmp_path: Path) -> None:
    """An NPY of five channels, and a dark PNG of 16 bits: masks are made for them, and not compared."""
    content = coco_content(["a.npy", "b.png"], [0, 5])
    source = coco(tmp_path, **content)
    cv2.imwrite(str(source / "b.png"), np.full((HEIGHT, WIDTH), 900, np.uint16))
    np.save(source / "a.npy", np.repeat(picture(truth())[..., :1], 5, 2))
    result = run(source)
    assert result.with_mask == 2
    warns(result, "images could not be compared with their masks: 2, e.g. ")


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    source = coco(tmp_path)
    (source / "a.jpg").write_bytes(b"\xff\xd8\xff")
    fails(source, "a.jpg: is cut short")


def test_shapes_of_an_image_that_exif_turns(tmp_path: Path) -> None:
    """Drawn on the stored pixels; then on the upright ones."""
    source = coco(tmp_path)
    stored = PillowImage.fromarray(picture(truth()))
    exif = PillowImage.Exif()
    exif[274] = 6  # is shown turned clockwise
    stored.save(source / "a.jpg", exif=exif)
    result = run(source)
    warns(result, "images are turned by their EXIF; their shapes were drawn unturned, and are turned: 1")
    mask = read_mask(result.folder, read_table(result.folder)[0])
    assert np.array_equal(mask == 2, np.rot90(truth(), -1) == 2)
    upright = np.rot90(truth(), -1)
    content = coco_content(["a.jpg"], [0])
    content["images"][0] |= {"width": HEIGHT, "height": WIDTH}
    content["annotations"] = [annotation(segmentation=[[0, 0, 9, 0, 9, 20, 0, 20]])]
    write_json(source / "coco.json", content)
    mask = read_mask(run(source).folder, read_table(tmp_path / "imported")[0])
    assert mask.shape == upright.shape and mask[5, 5] and not mask[40, 40]


def test_roboflow_groups_augmented_copies_and_drops_its_parent_category(tmp_path: Path) -> None:
    result = run(make_roboflow_coco(tmp_path / "source"))
    rows = read_table(result.folder)
    assert {row["group"] for row in rows} == {"street_jpg"}
    assert {row["split"] for row in rows} == {"train", "val"}
    assert [entry["name"] for entry in result.classes] == ["background", "box", "disc"]
    warns(result, "categories without an annotation are left out: 1, e.g. 'things'")
    assert {row["group"] for row in read_table(run_roboflow_masks(tmp_path))} == {"street_jpg"}


def run_roboflow_masks(folder: Path) -> Path:
    return import_annotations(TREES["roboflow"](folder / "masks"), folder / "masks_out").folder


def labelme(folder: Path, shapes: list[dict[str, Any]] | None = None, **changes: Any) -> Path:
    source = folder / "source"
    write_picture(source / "a.jpg", truth())
    content = labelme_content(0, "a.jpg") | changes
    if shapes is not None:
        content["shapes"] = shapes
    write_json(source / "a.json", content)
    return source


def test_all_types_of_labelme(tmp_path: Path) -> None:
    crop = np.zeros((4, 5), np.uint8)
    crop[1:, 2:] = 1
    mask = base64.b64encode(png_bytes(crop)).decode()
    kinds = [
        {"label": "polygon", "points": [[0, 0], [9, 0], [9, 4], [0, 4]], "shape_type": "polygon"},
        {"label": "rectangle", "points": [[30, 4], [21, 0]], "shape_type": "rectangle"},
        {"label": "circle", "points": [[45, 10], [45, 14]], "shape_type": "circle"},
        {"label": "line", "points": [[0, 20], [20, 20]], "shape_type": "line"},
        {"label": "linestrip", "points": [[30, 25], [50, 25], [50, 30]], "shape_type": "linestrip"},
        {"label": "point", "points": [[55, 45]], "shape_type": "point"},
        {"label": "points", "points": [[5, 45]], "shape_type": "points"},
        {"label": "turned", "points": [[10, 35], [15, 40], [10, 45], [5, 40]], "shape_type": "oriented_rectangle"},
        {"label": "mask", "points": [[30, 40], [34, 43]], "shape_type": "mask", "mask": mask},
        {"label": "_background_", "points": [[0, 0], [1, 1]], "shape_type": "rectangle"},
        {"label": "__ignore__", "points": [[2, 0], [3, 1]], "shape_type": "rectangle"},
        {"label": "polygon", "points": [[0, 0], [9, 0]], "shape_type": "polygon"},
    ]
    result = run(labelme(tmp_path, kinds))
    mask = read_mask(result.folder, read_table(result.folder)[0])
    id_of = {entry["name"]: entry["ids"][0] for entry in result.classes}
    pixels = {name: int((mask == raw_id).sum()) for name, raw_id in id_of.items()}
    assert pixels["polygon"] == 50 - 8
    assert pixels["rectangle"] == 50
    assert (mask[10, 41:50] == id_of["circle"]).all() and pixels["circle"] == 49
    assert (mask[15:25, 10] == id_of["line"]).sum() in (10, 11)
    assert mask[30, 50] == id_of["linestrip"] and mask[45, 55] == id_of["point"]
    assert pixels["points"] == 0 and pixels["turned"] == 61
    assert pixels["mask"] == 9 and mask[41, 32] == id_of["mask"]
    assert (mask[:2, :2] == 0).all() and (mask[:2, 2:4] == 255).all()
    warns(
        result,
        "shapes of the type points with 1 point(s) are skipped: 1",
        "shapes of the type polygon with 2 point(s) are skipped: 1",
        "classes are void, since their name says so: 1, e.g. '__ignore__'",
        "classes have no pixel in any mask: 1, e.g. 'points'",
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"points": [[0, 0]]}, r"a.json: shapes\[0\] has no label"),
        ({"label": "a", "points": [[0]], "shape_type": "polygon"}, r"shapes\[0\] \(polygon of 'a'\): has coordinates"),
        ({"label": "a", "points": [[0, 0]], "shape_type": "star"}, r"shapes\[0\] \(star of 'a'\): is of a type"),
        ({"label": "a", "points": [[0, 0], [1, 1]], "shape_type": "mask", "mask": None}, "its mask is no base64"),
        ({"label": "a", "points": [[0, 0], [1, 1]], "shape_type": "mask", "mask": "AAAA"}, "its mask is no picture"),
    ],
)
def test_damage_in_labelme(tmp_path: Path, shape: dict[str, Any], message: str) -> None:
    fails(labelme(tmp_path, [shape]), message)


def test_the_only_copy_of_a_labelme_image_is_written(tmp_path: Path) -> None:
    source = labelme(tmp_path, imagePath="C:\\Users\\me\\b c.jpg")
    content = (source / "a.jpg").read_bytes()
    (source / "a.jpg").unlink()
    fails(source, "none of its 1 images was found")
    write_json(
        source / "a.json",
        labelme_content(0, "C:\\x\\b c.jpg") | {"imageData": base64.b64encode(content).decode()},
    )
    result = run(source)
    (row,) = read_table(result.folder)
    assert (row["id"], row["image"]) == ("b c", "images/b c.jpg")
    assert (result.folder / row["image"]).read_bytes() == content
    warns(result, "images are taken out of imageData, since their files are not there: 1")
    write_json(source / "a.json", labelme_content(0, "x.jpg") | {"imageData": "%%%"})
    shutil.rmtree(tmp_path / "imported")
    fails(source, "imageData is no base64")


def test_a_windows_path_finds_the_image_beside(tmp_path: Path) -> None:
    (row,) = read_table(run(labelme(tmp_path, imagePath="..\\images\\a.jpg")).folder)
    assert row["image"] == "../source/a.jpg"


def test_classes_of_labelme_in_the_order_of_its_list(tmp_path: Path) -> None:
    source = labelme(tmp_path)
    (source / "labels.txt").write_text("__ignore__\n_background_\ndisc\nbox\n")
    assert [entry["name"] for entry in run(source).classes] == ["background", "disc", "box"]


def test_classes_that_differ_by_capitals(tmp_path: Path) -> None:
    shapes = labelme_content(0, "")["shapes"]
    shapes[0]["label"], shapes[1]["label"] = "Box ", "box"
    result = run(labelme(tmp_path, shapes))
    warns(result, "classes differ from another one by capital letters alone: 1, e.g. 'Box' and 'box'")


def cvat(folder: Path, shapes: str) -> Path:
    source = folder / "source"
    write_picture(source / "images" / "a.png", truth())
    head, rest = cvat_xml_text([0]).split("<ellipse")
    (source / "annotations.xml").write_text(f"{head}{shapes}</image></annotations>")
    assert rest
    return source


def test_masks_of_cvat_are_in_rows_of_their_own_box(tmp_path: Path) -> None:
    result = run(
        cvat(tmp_path, f'<mask label="disc" rle="{CVAT_RLE}" left="10" top="20" width="13" height="15" z_order="0"/>')
    )
    mask = read_mask(result.folder, read_table(result.folder)[0]) == 2
    assert mask.sum() == 149
    box = mask[20:35, 10:23]
    assert box.sum() == 149
    assert np.flatnonzero(box[0]).tolist() == [3, 4, 5, 6, 7] and np.flatnonzero(box[14]).tolist() == [5, 6, 7, 8, 9]
    assert (np.diff(box.astype(int), axis=1, prepend=0, append=0) == 1).sum(1).tolist() == [1] * 15  # one segment a row


def test_boxes_and_other_shapes_of_cvat(tmp_path: Path) -> None:
    shapes = (
        '<box label="box" xtl="10" ytl="20" xbr="30" ybr="24" rotation="90.0" z_order="0"/>'
        '<polyline label="disc" points="0,0;59,0"/><points label="disc" points="1,1"/><tag label="x"/>'
        '<polygon label="disc" points="0,0;4,0"/>'
    )
    result = run(cvat(tmp_path, shapes))
    mask = read_mask(result.folder, read_table(result.folder)[0])
    assert np.array_equal(np.unique(np.nonzero(mask == 1)[1]), np.arange(18, 23))
    warns(
        result,
        "shapes of the type points have no area and are skipped: 1",
        "shapes of the type polygon have no area and are skipped: 1",
        "shapes cover no pixel of their image and are skipped (lines need --line-width): 1",
    )
    result = run(tmp_path / "source", line_width=3)
    assert (read_mask(result.folder, read_table(result.folder)[0])[0] == 2).all()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ('<box label="a" xtl="1" ytl="1" xbr="x" ybr="3"/>', r"image 0 \(a.png\): box number 1 \('a'\): could not"),
        ('<box label="a" xtl="1" ytl="1" xbr="3"/>', "box number 1 .*: has no ybr"),
        ('<polygon points="1,1;2,2"/>', "polygon number 1 has no label"),
        ('<mask label="a" rle="3, 5" left="0" top="0" width="3" height="3"/>', "mask number 1 .*has counts for 8"),
        (
            '<ellipse label="a" cx="nan" cy="1" rx="2" ry="3"/>',
            "ellipse number 1 .*: has coordinates that are not finite",
        ),
        ('<ellipse label="a" cx="1" cy="1" rx="-2" ry="3"/>', "ellipse number 1 .*: has a radius below 0"),
        ('<box label="a" xtl="1" ytl="1" xbr="3" ybr="3" rotation="inf"/>', "has an angle that is no number"),
        ('<mask label="a" rle="1" left="inf" top="0" width="1" height="1"/>', "has coordinates that are not finite"),
        ('<blob label="a"/>', "blob number 1 .*: is of a type that is not known"),
        ("<polygon", "annotations.xml: is no valid XML"),
    ],
)
def test_damage_in_cvat(tmp_path: Path, shapes: str, message: str) -> None:
    fails(cvat(tmp_path, shapes), message)


def test_videos_and_unsafe_xml_of_cvat(tmp_path: Path) -> None:
    source = cvat(tmp_path, "")
    path = source / "annotations.xml"
    text = path.read_text()
    path.write_text(text.replace("</annotations>", '<track id="0" label="a"></track></annotations>'))
    fails(source, "holds tracks of a video; export the task again")
    bomb = '<!DOCTYPE x [<!ENTITY a "b">]>'
    path.write_text(text.replace("<annotations>", f"{bomb}<annotations>"))
    fails(source, "holds XML that is not safe to read")


def test_xml_needs_defusedxml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "defusedxml", None)
    fails(cvat(tmp_path, ""), r"needs the package defusedxml: pip install 'foldseg\[cvat\]'")


def test_masks_of_objects_are_refused(tmp_path: Path) -> None:
    source = make_cvat_masks(tmp_path / "source")
    shutil.copytree(source / "SegmentationClass", source / "SegmentationObject")
    assert run(source).with_mask == 2
    with pytest.raises(FoldsegError, match="SegmentationObject: its colours tell objects apart, not classes"):
        import_annotations(source / "SegmentationObject", tmp_path / "out")


def test_masks_of_cvat_without_images_in_the_zip(tmp_path: Path) -> None:
    source = make_cvat_masks(tmp_path / "source")
    images = shutil.move(source / "JPEGImages", tmp_path / "pictures")
    archive = Path(shutil.make_archive(str(tmp_path / "task"), "zip", source))
    with pytest.raises(FoldsegError, match="none of its 2 images was found"):
        import_annotations(archive, tmp_path / "out")
    result = import_annotations(archive, tmp_path / "out", ImportSettings(images=Path(images)))
    for row in read_table(result.folder):
        assert np.array_equal(read_mask(result.folder, row), truth(5 * (row["split"] == "val")))


def test_colours_that_are_not_in_the_map(tmp_path: Path) -> None:
    source = make_cvat_masks(tmp_path / "source")
    path = source / "SegmentationClass" / "a.png"
    with PillowImage.open(path) as mask:
        array = np.array(mask)
    array[3, 3:5] = (1, 2, 3)
    PillowImage.fromarray(array).save(path)
    fails(source, r"SegmentationClass/a.png: holds 1 unknown colour\(s\), e.g. RGB \(1, 2, 3\)")
    array[3, 3:5] = (224, 224, 192)
    PillowImage.fromarray(array).save(path)
    (row,) = [row for row in read_table(run(source).folder) if row["id"] == "a"]
    assert (read_mask(tmp_path / "imported", row)[3, 3:5] == 255).all()


def test_pascal_voc_needs_no_map(tmp_path: Path) -> None:
    from foldseg.importing.cvat_masks import voc_colours

    source = make_cvat_masks(tmp_path / "source")
    (source / "labelmap.txt").unlink()
    colours = voc_colours()
    assert colours[:4] == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)] and colours[20] == (0, 64, 128)
    for name, shift in (("a", 0), ("b", 5)):
        path = source / "SegmentationClass" / f"{name}.png"
        PillowImage.fromarray(np.array(colours, np.uint8)[truth(shift)]).save(path)
    result = run(source)
    assert [entry["name"] for entry in result.classes][:3] == ["background", "aeroplane", "bicycle"]
    assert np.array_equal(read_mask(result.folder, read_table(result.folder)[0]), truth())


def label_studio(folder: Path, tasks: Any) -> Path:
    source = make_label_studio(folder / "source")
    (next(source.glob("*.json"))).write_text(json.dumps(tasks))
    return source


def test_several_annotations_of_a_task(tmp_path: Path) -> None:
    tasks = label_studio_tasks()
    first, other = tasks[0]["annotations"][0], json.loads(json.dumps(tasks[0]["annotations"][0]))
    other |= {"updated_at": "2024-06-01", "result": other["result"][:1]}
    cancelled = other | {"was_cancelled": True, "updated_at": "2025-01-01", "result": []}
    tasks[0]["annotations"] = [other, first, cancelled]
    tasks[1]["annotations"] = []
    result = run(label_studio(tmp_path, tasks))
    warns(
        result,
        "images have several annotations; the ground truth, or the latest, is taken: 1",
        "tasks are not annotated and have no mask (split: unlabelled): 1",
    )
    rows = {row["id"][-1]: row for row in read_table(result.folder)}
    assert not (read_mask(result.folder, rows["a"]) == 2).any()
    assert rows["b"]["split"] == "unlabelled"
    first["ground_truth"] = True
    result = run(label_studio(tmp_path / "2", tasks))
    assert (read_mask(result.folder, read_table(result.folder)[0]) == 2).any()


def test_the_short_form_of_label_studio(tmp_path: Path) -> None:
    tasks = []
    for task in label_studio_tasks():
        result = task["annotations"][0]["result"]
        regions = [item["value"] | {key: item[key] for key in ("original_width", "original_height")} for item in result]
        tasks.append({"id": task["id"], "image": task["data"]["image"], "box": regions[:1], "tag": regions[1:]})
    result = run(label_studio(tmp_path, tasks))
    for row, shift in zip(read_table(result.folder), (0, 5), strict=True):
        assert np.array_equal(read_mask(result.folder, row), truth(shift))


def test_boxes_ellipses_and_labels_apart_from_their_regions(tmp_path: Path) -> None:
    tasks = label_studio_tasks()[:1]
    left, top, right, bottom = BOX
    x, y, radius = DISC
    common = {"original_width": WIDTH, "original_height": HEIGHT}
    box = {"x": 100 * left / WIDTH, "y": 100 * top / HEIGHT, "rotation": 0}
    box |= {"width": 100 * (right - left) / WIDTH, "height": 100 * (bottom - top) / HEIGHT}
    disc = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "rotation": 0}
    disc |= {"radiusX": 100 * radius / WIDTH, "radiusY": 100 * radius / HEIGHT, "ellipselabels": ["disc"]}
    tasks[0]["annotations"][0]["result"] = [
        common | {"id": "r", "type": "rectangle", "value": box},
        common | {"id": "r", "type": "labels", "value": box | {"labels": ["box"]}},
        common | {"id": "e", "type": "ellipselabels", "value": disc},
        common | {"id": "k", "type": "keypointlabels", "value": {"x": 1, "y": 1, "keypointlabels": ["p"]}},
        {"id": "c", "type": "choices", "value": {"choices": ["day"]}},
    ]
    result = run(label_studio(tmp_path, tasks))
    mask = read_mask(result.folder, read_table(result.folder)[0])
    assert np.array_equal(mask == 1, truth() == 1)
    assert int((mask == 2).sum()) == pytest.approx(int((truth() == 2).sum()), abs=8)
    warns(result, "results of the type keypointlabels have no area and are skipped: 1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": {"rle": [1], "brushlabels": ["a"]}}, r"task 1: result p1 \('a'\): is cut"),
        ({"value": {"points": [["a", 1]], "polygonlabels": ["a"]}}, "result p1 .*no numbers"),
        ({"original_width": None}, "result p1: has no original_width"),
        ({"image_rotation": 90}, "result p1: was drawn on an image turned by 90 degrees"),
    ],
)
def test_damage_in_label_studio(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    tasks = label_studio_tasks()
    tasks[0]["annotations"][0]["result"][0] |= change
    fails(label_studio(tmp_path, tasks), message)


def supervisely(folder: Path, *objects: dict[str, Any]) -> Path:
    source = make_supervisely(folder / "source")
    path = source / "ds0/ann/a.png.json"
    write_json(path, json.loads(path.read_text()) | {"objects": list(objects)})
    return source


def test_shapes_of_supervisely(tmp_path: Path) -> None:
    hole = {"exterior": [[0, 0], [20, 0], [20, 20], [0, 20]], "interior": [[[5, 5], [9, 5], [9, 9], [5, 9]]]}
    plain = base64.b64encode(png_bytes(np.array([[0, 255], [255, 255]], np.uint8))).decode()
    source = supervisely(
        tmp_path,
        {"classTitle": "box", "geometryType": "polygon", "points": hole},
        {"classTitle": "disc", "geometryType": "bitmap", "bitmap": {"data": plain, "origin": [40, 30]}},
        {"classTitle": "disc", "geometryType": "rectangle", "points": {"exterior": [[50, 40], [52, 41]]}},
        {"classTitle": "disc", "geometryType": "point", "points": {"exterior": [[1, 1]]}},
        {"classTitle": "disc", "geometryType": "line", "points": {"exterior": [[1, 1], [4, 4]]}},
    )
    result = run(source)
    mask = read_mask(result.folder, read_table(result.folder)[0])
    assert (mask == 1).sum() == 21 * 21 - 25 and (mask == 2).sum() == 3 + 6
    warns(result, "objects of the type point have no area and are skipped: 1", "shapes cover no pixel")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"classTitle": "tree"}, r"a.png.json: objects\[0\]: its class 'tree' is not in meta.json, .* box, disc"),
        ({"classTitle": "box", "geometryType": "bitmap", "bitmap": {"data": "%", "origin": [0, 0]}}, "no base64"),
        ({"classTitle": "box", "geometryType": "bitmap", "bitmap": {"data": "AAAA", "origin": [0, 0]}}, "no picture"),
        ({"classTitle": "box", "geometryType": "polygon"}, r"objects\[0\] \(polygon\): is not as Supervisely"),
    ],
)
def test_damage_in_supervisely(tmp_path: Path, record: dict[str, Any], message: str) -> None:
    fails(supervisely(tmp_path, record), message)


def test_regions_of_nnunet_overlap(tmp_path: Path) -> None:
    source = make_nnunet(tmp_path / "source")
    path = source / "Dataset120_Shapes/dataset.json"
    labels = {"background": 0, "all": [1, 2], "disc": [2], "ignore": 3}
    write_json(path, json.loads(path.read_text()) | {"labels": labels, "regions_class_order": [1, 2]})
    result = run(source)
    assert result.overlapping and result.background == [0] and result.void == [3]
    assert [(entry["name"], entry["ids"]) for entry in result.classes] == [("all", [1, 2]), ("disc", [2])]
    assert read_table(result.folder)[0]["mask"].startswith("../source/")


def test_channels_of_nnunet_are_joined(tmp_path: Path) -> None:
    source = make_nnunet(tmp_path / "source")
    root = source / "Dataset120_Shapes"
    content = json.loads((root / "dataset.json").read_text())
    write_json(root / "dataset.json", content | {"channel_names": {"0": "a", "1": "b"}})
    fails(source, r"the case shapes_001 has the channels \[0\]; dataset.json names 2")
    for folder in ("imagesTr", "imagesTs"):
        for file in (root / folder).glob("*_0000.png"):
            grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            cv2.imwrite(str(file), grey)
            cv2.imwrite(str(file).replace("_0000", "_0001"), 255 - grey)
    result = run(source)
    row = read_table(result.folder)[0]
    assert {Path(row["image"]).suffix for row in read_table(result.folder)} == {".npy"}
    joined = np.load(result.folder / row["image"])
    assert joined.shape == (HEIGHT, WIDTH, 2) and (joined[..., 0].astype(int) + joined[..., 1] == 255).all()
    assert result.splits == {"train": 2, "test": 1}


def test_volumes_of_nnunet_are_refused(tmp_path: Path) -> None:
    source = make_nnunet(tmp_path / "source")
    path = source / "Dataset120_Shapes/dataset.json"
    write_json(path, json.loads(path.read_text()) | {"file_ending": ".nii.gz"})
    fails(source, "file_ending is '.nii.gz'; only pictures are read")


def test_the_zero_label_of_mmsegmentation(tmp_path: Path) -> None:
    source = make_mmsegmentation(tmp_path / "source")
    classes = tmp_path / "classes.txt"
    classes.write_text("box 1 2 3\ndisc 4 5 6\n")
    result = run(source, classes=classes, reduce_zero_label=True)
    assert [(entry["name"], entry["ids"]) for entry in result.classes] == [("box", [1]), ("disc", [2])]
    assert result.void == [0, 255]
    fails_with = "ann_dir/train/x1.png: holds unknown ids .2.; known are 0, 1, 255"
    shutil.rmtree(tmp_path / "imported")
    fails(source, fails_with, classes=classes)
    classes.write_text("box 1 2 3\nvoid 4 5 6\ndisc 7 8 9\n")
    result = run(source, classes=classes)
    assert [(entry["name"], entry["ids"]) for entry in result.classes] == [("box", [0]), ("disc", [2])]
    assert result.void == [255, 1]
    result = run(source)
    assert [entry["name"] for entry in result.classes] == ["class_0", "class_1", "class_2"]
    warns(result, "sources name no classes: they are called by their ids")


def test_masks_and_images_that_do_not_pair(tmp_path: Path) -> None:
    source = make_mmsegmentation(tmp_path / "source")
    write_picture(source / "img_dir/train/alone.jpg", truth())
    write_ids(source / "ann_dir/val/alone.png", truth())
    result = run(source)
    warns(result, "images have no mask (split: unlabelled): 1", "masks have no image and are left out: 1")
    write_picture(source / "img_dir/train/x1.png", truth())
    shutil.rmtree(tmp_path / "imported")
    fails(source, "x1.jpg and .*x1.png would have the same mask")


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    source = make_mmsegmentation(tmp_path / "source")
    write_ids(source / "ann_dir/train/x1.png", truth()[:-1])
    fails(source, r"ann_dir/train/x1.png: is 60x49, its image .*x1.jpg is 60x50")


def test_colours_where_ids_should_be(tmp_path: Path) -> None:
    source = make_mmsegmentation(tmp_path / "source")
    cv2.imwrite(str(source / "ann_dir/train/x1.png"), np.repeat(truth()[..., None], 3, 2))
    assert run(source).with_mask == 2
    cv2.imwrite(str(source / "ann_dir/train/x1.png"), picture(truth()))
    shutil.rmtree(tmp_path / "imported")
    fails(source, "ann_dir/train/x1.png: holds colours; expected a mask of ids")


def test_the_newest_masks_of_mapillary(tmp_path: Path) -> None:
    source = make_mapillary(tmp_path / "source")
    shutil.copytree(source / "training/v1.2", source / "training/v2.0")
    (source / "config_v1.2.json").rename(source / "config_v2.0.json")
    result = run(source)
    warns(result, "source has several versions of masks; the newest is taken: 1")
    assert result.void == [3] and "v2.0" in read_table(result.folder)[0]["mask"]
    (source / "config_v2.0.json").rename(source / "config_v1.2.json")
    shutil.rmtree(tmp_path / "imported")
    fails(source, "has masks of v2.0 and no config of it, only config_v1.2.json")


def test_the_older_layout_of_bdd100k(tmp_path: Path) -> None:
    root = tmp_path / "source" / "seg"
    for split in ("train", "val"):
        write_picture(root / "images" / split / f"{split}-1.jpg", truth())
        write_ids(root / "labels" / split / f"{split}-1_train_id.png", truth())
    write_picture(root / "images/test/t.jpg", truth())
    result = run(tmp_path / "source")
    assert result.format == "bdd100k" and result.splits == {"train": 1, "val": 1, "test": 1}
    assert result.with_mask == 2 and result.classes[13] == {"name": "car", "ids": [13], "color": [0, 0, 142]}


def test_subsets_and_z_order_of_cvat(tmp_path: Path) -> None:
    """The box is written last and lies below; a zip has the images in a folder for each subset."""
    source = tmp_path / "task"
    for split, shift in (("Train", 0), ("Validation", 5)):
        write_picture(source / "images" / split / "a.png", truth(shift))
    text = cvat_xml_text((0, 5)).replace('name="b.png"', 'name="a.png"')
    for number, split in enumerate(("Train", "Validation")):
        text = text.replace(f'<image id="{number}"', f'<image id="{number}" subset="{split}"')
    over = ";".join(f"{x}.0,{y}.0" for x, y in ((0, 0), (59, 0), (59, 49), (0, 49)))
    text = text.replace("</image>", f'<polygon label="box" points="{over}" z_order="-1"/></image>', 1)
    (source / "annotations.xml").write_text(text)
    result = import_annotations(Path(shutil.make_archive(str(source), "zip", source)), tmp_path / "out")
    assert result.splits == {"train": 1, "val": 1}
    rows = {row["split"]: row for row in read_table(result.folder)}
    assert rows["train"]["image"] == "source/images/Train/a.png"
    first = read_mask(result.folder, rows["train"])
    assert np.array_equal(first == 2, truth() == 2) and (first > 0).all()
    assert np.array_equal(read_mask(result.folder, rows["val"]), truth(5))
    assert "<td>box</td><td>disc</td>" in result.report.read_text()


def test_archives(tmp_path: Path) -> None:
    make_supervisely(tmp_path / "source")
    for kind in ("zip", "tar"):
        archive = Path(shutil.make_archive(str(tmp_path / kind), kind, tmp_path / "source"))
        result = import_annotations(archive, tmp_path / f"{kind}_out")
        assert [row["image"] for row in read_table(result.folder)] == [
            "source/ds0/img/a.png",
            "source/ds0/img/b.png",
        ]
        assert np.array_equal(read_mask(result.folder, read_table(result.folder)[0]), truth())
        assert "partial" not in result.report.read_text()


def test_archives_that_are_damaged_or_dangerous(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("../outside.json", "{}")
    fails(archive, "holds '../outside.json', which would be written elsewhere")
    with tarfile.open(tmp_path / "a.tar", "w") as stream:
        stream.add(archive, "../outside.zip")
    fails(tmp_path / "a.tar", "a.tar: ")
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("notes.txt", "x")
    fails(archive, "a.zip: is of no format that is known here")


def test_a_source_of_no_format_or_of_several(tmp_path: Path) -> None:
    source = labelme(tmp_path)
    write_json(source / "coco.json", coco_content(["a.jpg"], [0]))
    fails(source, "is a source of several formats, coco and labelme; choose one with --format")
    assert import_annotations(source, tmp_path / "out", format_name="labelme").format == "labelme"
    for name, message in (("yolo", "'yolo' is no format"), ("ade20k", "is no source of the format ade20k: a folder")):
        with pytest.raises(FoldsegError, match=message):
            import_annotations(source, tmp_path / "out2", format_name=name)
    with pytest.raises(FoldsegError, match="no such file or folder"):
        import_annotations(tmp_path / "none", tmp_path / "out2")


def test_what_is_written_over(tmp_path: Path) -> None:
    source = coco(tmp_path)
    out = tmp_path / "imported"
    run(source)
    (out / "old").write_text("x")
    run(source)
    assert not (out / "old").exists()
    (out / ".foldseg").unlink()
    with pytest.raises(FoldsegError, match="holds files that are no import of foldseg's"):
        run(source)
    with pytest.raises(FoldsegError, match="holds the annotations; give another folder"):
        import_annotations(source, tmp_path)


def test_what_a_killed_import_left_is_removed(tmp_path: Path) -> None:
    source, out = coco(tmp_path), tmp_path / "imported"
    dead = 2**22 + 1  # Linux gives no such number
    run(source)
    out.rename(tmp_path / f".imported.{dead}.old")
    (tmp_path / f".imported.{dead}.partial").mkdir()
    (out.with_name(".imported.x.partial")).mkdir()
    run(source)
    assert sorted(path.name for path in tmp_path.glob(".imported*")) == [".imported.x.partial"]
    assert (out / "samples.csv").is_file()


def test_folders_that_are_links(tmp_path: Path) -> None:
    source = coco(tmp_path / "deep" / "project")
    (tmp_path / "disk").mkdir()
    (tmp_path / "deep/project/data").symlink_to(tmp_path / "disk")
    (tmp_path / "deep/project/link").symlink_to(source)
    result = import_annotations(tmp_path / "deep/project/link", tmp_path / "deep/project/data/out")
    (row,) = read_table(result.folder)
    assert (result.folder / row["image"]).is_file() and (result.folder / row["mask"]).is_file()


def test_images_beside_other_splits_are_not_listed(tmp_path: Path) -> None:
    source = make_coco(tmp_path / "source")
    for folder in ("train2017", "unlabeled2017"):
        write_picture(source / folder / "spare.jpg", truth())
    assert run(source).splits == {"train": 1, "val": 1, "unlabelled": 1}
    assert run(source / "annotations/instances_val2017.json").splits == {"val": 1}


def test_overlapping_classes_are_drawn_as_bits(tmp_path: Path) -> None:
    content = coco_content(["a.jpg"], [0])
    over = annotation(segmentation=[[0, 0, 60, 0, 60, 50, 0, 50]], id=9)
    result = run(coco(tmp_path, annotations=[*content["annotations"], over]), overlapping=True)
    assert result.overlapping
    assert [(entry["name"], entry["ids"]) for entry in result.classes] == [("box", [1, 3]), ("disc", [2, 3])]
    mask = read_mask(result.folder, read_table(result.folder)[0])
    assert np.array_equal(mask == 3, truth() == 2)
    assert "Classes that share pixels" in result.report.read_text()


def test_what_is_not_labelled_may_be_void(tmp_path: Path) -> None:
    result = run(coco(tmp_path), unlabelled="void")
    mask = read_mask(result.folder, read_table(result.folder)[0])
    assert set(np.unique(mask)) == {1, 2, 255}
    warns(result, "classes have no pixel in any mask: 1, e.g. 'background'")


def test_names_with_commas(tmp_path: Path) -> None:
    categories = [{"id": 3, "name": "box, chest"}, {"id": 7, "name": "disc"}]
    result = run(coco(tmp_path, categories=categories))
    assert [entry["name"] for entry in result.classes] == ["background", "box; chest", "disc"]
    warns(result, "names of classes have commas, which become semicolons: 1, e.g. 'box, chest'")
    assert (read_mask(result.folder, read_table(result.folder)[0]) == 1).sum() > 300
    assert "<td>1</td>" in result.report.read_text()


def test_settings_without_an_effect(tmp_path: Path) -> None:
    fails(
        coco(tmp_path),
        "--reduce-zero-label: has no effect, since the annotations of .* are shapes",
        reduce_zero_label=True,
    )
    source = make_mmsegmentation(tmp_path / "mm")
    for settings in ({"overlapping": True}, {"unlabelled": "void"}, {"line_width": 2}):
        fails(source, "has no effect, since the annotations of .*mm are ids", **settings)


def test_too_many_classes(tmp_path: Path) -> None:
    categories = [{"id": number, "name": f"c{number}"} for number in range(260)]
    annotations = [annotation(category_id=number, id=number) for number in range(260)]
    source = coco(tmp_path, categories=categories, annotations=annotations)
    fails(source, "has 260 classes; a mask can hold 253 classes besides the background")
    fails(source, "has 260 classes; a mask can hold 7 overlapping classes", overlapping=True)


def scenes(folder: Path, count: int) -> list[np.ndarray]:
    """Larger images with discs at other places each, in MMSegmentation's layout; returns their masks."""
    rng, masks = np.random.default_rng(3), []
    for number in range(count):
        mask = np.zeros((200, 260), np.uint8)
        for _ in range(5):
            x, y = (int(value) for value in rng.integers((30, 30), (230, 170)))
            cv2.circle(mask, (x, y), 22, int(rng.integers(1, 3)), -1)
        write_picture(folder / "img_dir/train" / f"s{number}.png", mask)
        write_ids(folder / "ann_dir/train" / f"s{number}.png", mask)
        masks.append(mask)
    return masks


def test_masks_of_other_images_are_suspected(tmp_path: Path) -> None:
    source = tmp_path / "source"
    masks = scenes(source, 12)
    assert not [line for line in run(source).warnings if "may not belong" in line]
    write_ids(source / "ann_dir/train/s3.png", masks[5])
    write_ids(source / "ann_dir/train/s5.png", masks[3])
    write_ids(source / "ann_dir/train/s8.png", masks[8][:, ::-1])
    result = run(source)
    page = result.report.read_text()
    assert "The borders of 3 of 12 masks do not lie on edges" in page
    assert "s3: the mask of s5 fits" in page and "s8: the mask fits if it is mirrored left to right" in page
    warns(result, "masks may not belong to their image: their borders are not on its edges: 3")
    for number in range(12):
        write_ids(source / f"ann_dir/train/s{number}.png", masks[(number + 1) % 12])
    warns(run(source), "masks (of 12) have borders that are not on edges of their image; look at the report: 1")


def test_ids_of_images_of_one_name(tmp_path: Path) -> None:
    from foldseg.importing.image_ids import make_ids

    assert make_ids(["a.jpg", "b.jpg"]) == ["a", "b"]
    assert make_ids(["x/a.jpg", "y/a.jpg", "b.jpg"]) == ["x__a", "y__a", "b"]
    assert make_ids(["a.jpg", "a.png"]) == ["a.jpg", "a.png"]
    assert len(set(make_ids(["a/b.jpg", "a__b.jpg", "c/b.jpg", "a.jpg", "a.jpg", "a_2.jpg"]))) == 6
    (safe, long) = make_ids(["..\\.hid\tden .jpg", f"{'ä' * 300}.jpg"])
    assert safe == "_hid_den" and len(long.encode()) <= 160 and long.startswith("ä")
