"""Run-length submissions: the contest's sample is the template, and what is written comes back."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from foldseg.config.schema.submissions import RunLength
from foldseg.data.labels import LabelClass, LabelSet, Mask
from foldseg.data.rle import decode_rle, encode_mask
from foldseg.errors import FoldsegError
from foldseg.submission.formats import FORMATS, open_submission
from foldseg.submission.interface import KnownImages

SHAPE = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [1, 1, 0, 1]], np.uint8)
EMPTY = np.zeros((3, 4), np.uint8)
SALT = LabelSet((LabelClass("background", (0, 0, 0), (0,)), LabelClass("salt", (9, 9, 9), (255,))))
ONE = LabelSet((LabelClass("salt", (9, 9, 9), (255,)),), overlapping=True)
STEEL = LabelSet(
    (
        LabelClass("none", (0, 0, 0), (0,), scored=False),
        *(LabelClass(f"defect {i}", (i, 0, 0), (i,)) for i in range(1, 5)),
    )
)
CLOUDS = LabelSet(
    tuple(LabelClass(name, (i, 0, 0), (1 << i,)) for i, name in enumerate(("Fish", "Flower", "Gravel", "Sugar"))),
    overlapping=True,
)


def write(
    folder: Path,
    settings: RunLength,
    masks: Mapping[str, Mask],
    labels: LabelSet,
    suffix: str = ".png",
    files: Mapping[str, str] | None = None,
) -> str:
    """Write masks as a submission, read it back, and return its text."""
    path = folder / "submission.csv"
    names = files or {name: f"{name}{suffix}" for name in masks}
    images = KnownImages(
        {name: Path("test") / file for name, file in names.items()},
        {name: (mask.shape[0], mask.shape[1]) for name, mask in masks.items()},
    )
    FORMATS[RunLength].write(settings, path, sorted(masks.items()), labels, images)
    submission = open_submission(path, labels, settings, images)
    assert submission.names == sorted(masks)
    for name, mask in masks.items():
        found = submission.read(name, images.sizes[name])
        assert isinstance(found, list)
        if settings.size is None:
            planes = np.stack([decode_rle(rle, mask.shape) for rle in found])
            scored = labels.scored
            assert planes[scored].tolist() == labels.class_planes(mask)[scored].tolist()
    return path.read_text()


def with_sample(folder: Path, text: str, **settings: Any) -> RunLength:
    """Write a sample file; return settings that name it."""
    path = folder / "sample_submission.csv"
    path.write_bytes(text.encode())
    return RunLength(sample=path, **settings)


# One row an image


@pytest.mark.parametrize("labels", [SALT, ONE], ids=["exclusive", "overlapping"])
def test_header_order_and_ids_are_those_of_the_sample(tmp_path: Path, labels: LabelSet) -> None:
    settings = with_sample(tmp_path, "id,rle_mask\nb,1 1\na,1 1\n")
    assert write(tmp_path, settings, {"a": SHAPE, "b": EMPTY}, labels) == "id,rle_mask\nb,\na,3 5 12 1\n"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "3 5 12 1"),
        ({"direction": "rows"}, "2 2 6 1 9 2 12 1"),
        ({"relative": True, "base": 0}, "2 5 4 1"),
        ({"base": 0}, "2 5 11 1"),
    ],
)
def test_dialects(tmp_path: Path, settings: dict[str, Any], text: str) -> None:
    assert write(tmp_path, RunLength(**settings), {"a": SHAPE}, SALT) == f"id,rle\na,{text}\n"


def test_blanks_quotes_and_other_columns_of_the_sample_are_kept_and_lines_end_in_a_line_feed(tmp_path: Path) -> None:
    settings = with_sample(tmp_path, '\ufeffImageId, EncodedPixels,"a, note"\r\n"a",-1,"x, y"\r\nb.dcm,-1,\r\n\r\n')
    assert write(tmp_path, settings, {"a": SHAPE, "b": EMPTY}, SALT) == (
        'ImageId, EncodedPixels,"a, note"\n"a",3 5 12 1,"x, y"\nb.dcm,-1,\n'
    )


@pytest.mark.parametrize(
    ("cells", "given", "empty"),
    [
        (["-1", "-1"], None, "-1"),
        (["-", "-"], None, "-"),
        (["1 1", "-"], None, "-"),
        (["1 409600", "1 409600"], None, ""),
        (["", ""], None, ""),
        (["1 1", "1 1"], "-1", "-1"),
        (["-1", "-1"], "", ""),
        ([" -1", " -1"], None, " -1"),
    ],
)
def test_empty_masks_are_written_as_the_sample_has_them(
    tmp_path: Path, cells: list[str], given: str | None, empty: str
) -> None:
    settings = with_sample(tmp_path, f"id,rle\na,{cells[0]}\nb,{cells[1]}\n", empty=given)
    text = write(tmp_path, settings, {"a": EMPTY, "b": SHAPE}, SALT)
    indent = " " if cells[0].startswith(" ") else ""
    assert text == f"id,rle\na,{empty}\nb,{indent}3 5 12 1\n"


def test_an_empty_cell_may_be_a_number_in_yaml() -> None:
    assert RunLength(empty=-1).empty == "-1"  # type: ignore[arg-type]
    assert RunLength(classes={1: "a"}).classes == {"1": "a"}  # type: ignore[dict-item]


@pytest.mark.parametrize("text", ["a", "a.png", "a.PNG", "files_a.png", "files_a"])
def test_ids_may_be_ours_or_names_of_files_with_or_without_suffix(tmp_path: Path, text: str) -> None:
    settings = with_sample(tmp_path, f"id,rle\n{text},\n")
    files = {"a": "files_a.png"}
    assert write(tmp_path, settings, {"a": SHAPE}, SALT, files=files) == f"id,rle\n{text},3 5 12 1\n"


def test_ids_that_were_made_safe_are_found(tmp_path: Path) -> None:
    settings = with_sample(tmp_path, "id,rle\ncity/a,\n")
    assert write(tmp_path, settings, {"city__a": SHAPE}, SALT) == "id,rle\ncity/a,3 5 12 1\n"


def test_a_stem_that_two_images_share_names_none(tmp_path: Path) -> None:
    settings = with_sample(tmp_path, "id,rle\nx,\ny,\n")
    files = {"a": "1/x.png", "b": "2/x.png"}
    with pytest.raises(FoldsegError, match=r"2 of its images are not predicted: x, y; predicted are 2, e\.g\. a, b"):
        write(tmp_path, settings, {"a": SHAPE, "b": SHAPE}, SALT, files=files)


# Several classes


def test_composite_ids_are_split_at_the_last_underscore(tmp_path: Path) -> None:
    rows = [f"{name}.jpg_{number}," for name in ("0002cc93b", "a_1") for number in range(1, 5)]
    settings = with_sample(tmp_path, "\n".join(["ImageId_ClassId,EncodedPixels", *rows]) + "\n")
    text = write(tmp_path, settings, {"0002cc93b": SHAPE * 3, "a_1": EMPTY}, STEEL, ".jpg")
    assert text.splitlines()[1:5] == [
        "0002cc93b.jpg_1,",
        "0002cc93b.jpg_2,",
        "0002cc93b.jpg_3,3 5 12 1",
        "0002cc93b.jpg_4,",
    ]
    assert text.splitlines()[5:] == [f"a_1.jpg_{number}," for number in range(1, 5)]


def test_ids_that_end_like_a_class_are_images_if_there_are_such(tmp_path: Path) -> None:
    settings = with_sample(tmp_path, "id,rle\na_salt,\nb_salt,\n")
    text = write(tmp_path, settings, {"a_salt": SHAPE, "b_salt": EMPTY}, SALT)
    assert text == "id,rle\na_salt,3 5 12 1\nb_salt,\n"


@pytest.mark.parametrize("header", ["id,class,predicted", "predicted,id,class", "ClassId,EncodedPixels,ImageId"])
def test_a_column_of_classes(tmp_path: Path, header: str) -> None:
    names = header.split(",")
    order = [
        next(
            i
            for i, part in enumerate(("id", "class", "pred"))
            if part
            in {"ImageId": "id", "ClassId": "class", "EncodedPixels": "pred", "predicted": "pred"}.get(name, name)
        )
        for name in names
    ]
    rows = [["a", label, ""] for label in CLOUDS.names]
    settings = with_sample(tmp_path, "\n".join([header, *(",".join(row[i] for i in order) for row in rows)]) + "\n")
    bits = np.where(SHAPE == 1, 5, 0).astype(np.uint8)  # Fish and Gravel at the same pixels
    expected = [["a", label, "3 5 12 1" if label in ("Fish", "Gravel") else ""] for label in CLOUDS.names]
    text = write(tmp_path, settings, {"a": bits}, CLOUDS)
    assert text.splitlines()[1:] == [",".join(row[i] for i in order) for row in expected]


def test_the_contests_names_of_classes(tmp_path: Path) -> None:
    settings = with_sample(tmp_path, "id,class,rle\na,X,\na,Y,\n", classes={"Y": "defect 1", "X": "defect 3"})
    assert write(tmp_path, settings, {"a": SHAPE}, STEEL.select(["defect 1", "defect 3"])) == (
        "id,class,rle\na,X,\na,Y,3 5 12 1\n"
    )


def test_classes_are_called_by_their_labels(tmp_path: Path) -> None:
    labels = LabelSet(
        (LabelClass("crack", (0, 0, 0), (1,), label="9"), LabelClass("patch", (1, 1, 1), (2,))), overlapping=True
    )
    settings = with_sample(tmp_path, "id,class,rle\na,patch,\na,9,\n")
    assert write(tmp_path, settings, {"a": SHAPE}, labels) == "id,class,rle\na,patch,\na,9,3 5 12 1\n"


def test_one_class_of_several_for_rows_without_a_class(tmp_path: Path) -> None:
    settings = with_sample(tmp_path, "id,rle\na,\n")
    with pytest.raises(
        FoldsegError, match=r"its rows name no class \(ids such as a\), and there are defect 1, .* choose"
    ):
        write(tmp_path, settings, {"a": SHAPE}, STEEL)
    settings = settings.model_copy(update={"classes": {"x": "defect 1"}})
    path = tmp_path / "submission.csv"
    FORMATS[RunLength].write(settings, path, [("a", SHAPE)], STEEL, KnownImages({"a": Path("a.png")}))
    assert path.read_text() == "id,rle\na,3 5 12 1\n"
    assert FORMATS[RunLength].has_scored_classes_alone(settings, STEEL)


# Without a sample


def test_without_a_sample_there_is_a_row_for_each_image_and_class(tmp_path: Path) -> None:
    masks = {"a": SHAPE * 2, "b": EMPTY}
    assert write(tmp_path, RunLength(), masks, STEEL).splitlines()[:4] == [
        "id,class,rle", "a,defect 1,", "a,defect 2,3 5 12 1", "a,defect 3,"
    ]  # fmt: skip
    lines = write(tmp_path, RunLength(columns=("Image_Label", "EncodedPixels"), empty="-1"), masks, STEEL).splitlines()
    assert lines[:3] == ["Image_Label,EncodedPixels", "a_defect 1,-1", "a_defect 2,3 5 12 1"]
    text = write(tmp_path, RunLength(columns=("img", "what", "pixels")), {"a": SHAPE}, SALT)
    assert text == "img,what,pixels\na,salt,3 5 12 1\n"


# Size and objects


def test_masks_are_resized_to_the_contests_size(tmp_path: Path) -> None:
    mask = np.zeros((1400, 2100), np.uint8)
    mask[100:200, 400:800] = 1
    settings = RunLength(size=(350, 525))
    text = write(tmp_path, settings, {"a": mask}, SALT)
    starts = [int(word) for word in text.splitlines()[1].split(",")[1].split()]
    assert starts[:2] == [100 * 350 + 25 + 1, 25] and len(starts) == 2 * 100
    images = KnownImages()
    (_, found) = open_submission(tmp_path / "submission.csv", SALT, settings, images).read("a", (1400, 2100))
    assert decode_rle(found, (350, 525)).sum() == 25 * 100


def test_every_object_is_a_row(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[0, 0] = mask[1, 1] = 1  # one object, by its corner
    mask[4:, 5:] = 1
    settings = with_sample(tmp_path, "ImageId,EncodedPixels\nb.jpg,\na.jpg,1 2\na.jpg,9 9\n", objects=True)
    text = write(tmp_path, settings, {"a": mask, "b": np.zeros_like(mask)}, SALT, ".jpg")
    assert text == "ImageId,EncodedPixels\nb.jpg,\na.jpg,1 1 8 1\na.jpg,35 2 41 2 47 2\n"


def test_several_rows_of_an_image_are_refused_unless_they_are_objects(tmp_path: Path) -> None:
    settings = with_sample(tmp_path, "id,rle\na,\na,\n")
    with pytest.raises(
        FoldsegError, match=r"has several rows of a; if each object is a row, say submission\.objects=true"
    ):
        write(tmp_path, settings, {"a": SHAPE}, SALT)


def test_classes_that_overlap_in_an_exclusive_label_set(tmp_path: Path) -> None:
    """As the step `thresholds` gives them: RLE, whose size the image tells."""
    rles = [encode_mask(np.zeros((3, 4), bool)), *([encode_mask(SHAPE == 1)] * 4)]
    path = tmp_path / "submission.csv"
    FORMATS[RunLength].write(RunLength(), path, [("a", rles)], STEEL, KnownImages(sizes={"a": (3, 4)}))
    assert path.read_text().count("3 5 12 1") == 4


# Samples that do not fit


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        ("", "is empty; expected a CSV with a header"),
        ("id,rle\na,,\n", "row 1 has 3, its header 2"),
        ("id,rle\na,\nb,\nc,\n", "1 of its images are not predicted: c; predicted are 2, e.g. a, b"),
        ("id,rle\na,\n", "lacks 1 of 2 images that are predicted: b"),
        ("id,rle\n", "lacks 2 of 2 images"),
        (
            "x,y,z\na,,\nb,,\n",
            r"which of its columns x, y, z holds ids, and which runs\? Say it with submission.columns",
        ),
        ("id,class,rle\na,salt,\nb,sugar,\n", "1 row(s) are of a class 'sugar'; the classes are salt"),
    ],
)
def test_a_sample_that_does_not_fit_is_an_error(tmp_path: Path, sample: str, says: str) -> None:
    settings = with_sample(tmp_path, sample)
    with pytest.raises(FoldsegError) as caught:
        write(tmp_path, settings, {"a": SHAPE, "b": SHAPE}, SALT)
    with pytest.raises(FoldsegError, match=re.escape(str(caught.value))):  # before any work, too
        FORMATS[RunLength].check(settings, SALT, KnownImages({"a": Path("a.png"), "b": Path("b.png")}))
    assert str(caught.value).startswith(f"{settings.sample}: ")
    assert says.replace("\\", "") in str(caught.value)
    assert not (tmp_path / "submission.csv").exists()


def test_a_class_without_a_row_is_an_error(tmp_path: Path) -> None:
    settings = with_sample(tmp_path, "id,class,rle\na,defect 1,\na,defect 3,\na,defect 4,\n")
    with pytest.raises(FoldsegError, match=r"has no row of defect 2; submission\.classes chooses what is written"):
        write(tmp_path, settings, {"a": SHAPE}, STEEL)


def test_a_missing_sample_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"nothing\.csv: no such file"):
        write(tmp_path, RunLength(sample=tmp_path / "nothing.csv"), {"a": SHAPE}, SALT)


def test_columns_with_unusual_names(tmp_path: Path) -> None:
    settings = with_sample(tmp_path, "x,y,z\n,a,\n", columns=("y", "z"))
    assert write(tmp_path, settings, {"a": SHAPE}, SALT) == "x,y,z\n,a,3 5 12 1\n"
    settings = with_sample(tmp_path, "x,y,z\n,a,\n", columns=("w", "z"))
    with pytest.raises(FoldsegError, match="has no column w; it has x, y, z"):
        write(tmp_path, settings, {"a": SHAPE}, SALT)


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        ({"x": "pepper"}, "submission.classes: unknown pepper; there are background, salt"),
        ({"x": "salt", "y": "salt"}, "submission.classes: salt, salt name a class twice"),
    ],
)
def test_unknown_classes_are_refused(tmp_path: Path, classes: dict[str, str], says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        FORMATS[RunLength].list_unwritable(RunLength(classes=classes), SALT)


def test_a_label_set_without_a_class_to_be_written_is_refused() -> None:
    labels = LabelSet((LabelClass("background", (0, 0, 0), (0,)), LabelClass("x", (0, 0, 0), (1,), scored=False)))
    with pytest.raises(FoldsegError, match="no class is scored besides background; there are background, x"):
        FORMATS[RunLength].list_unwritable(RunLength(), labels)


# Reading


def read(folder: Path, text: str, labels: LabelSet, size: tuple[int, int] | None = (3, 4), **settings: Any) -> Any:
    path = folder / "s.csv"
    path.write_text(text)
    submission = open_submission(path, labels, RunLength(**settings))
    return [decode_rle(rle, (3, 4)).astype(int).tolist() for rle in submission.read("a", size)]


def test_rows_of_one_image_are_one_mask(tmp_path: Path) -> None:
    background, salt = read(tmp_path, "ImageId, EncodedPixels\na.jpg, 3 5\na.jpg, 12 1\na.jpg, 3 2\n", SALT)
    assert salt == SHAPE.tolist()
    assert background == (1 - SHAPE).tolist()


def test_an_image_without_a_row_of_a_class_has_none_of_it(tmp_path: Path) -> None:
    masks = read(tmp_path, "ImageId,ClassId,EncodedPixels\na,2,3 5 12 1\n", STEEL)
    assert masks[2] == SHAPE.tolist()
    assert masks[1] == masks[3] == masks[4] == EMPTY.tolist()


@pytest.mark.parametrize("text", ["", "-1", "-", " "])
def test_cells_of_empty_masks(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"id,rle\na,{text}\n", SALT)[1] == EMPTY.tolist()


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        (
            "3 5 12",
            "row 1 (a) has 3 numbers, not pairs of start and length: 3 5 12; runs are read down the columns, from 1",
        ),
        ("11 4", "row 1 (a) reaches pixel 14; the picture of 3x4 (height x width) has 12 pixels"),
        ("nothing", "row 1 (a) has 'nothing' where an integer is expected"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, cell: str, says: str) -> None:
    with pytest.raises(FoldsegError) as caught:
        read(tmp_path, f"id,rle\na,{cell}\n", SALT)
    assert str(caught.value).startswith(f"{tmp_path / 's.csv'}: ")
    assert says in str(caught.value)


def test_a_size_is_needed(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"how large is the image a\? Give --size WIDTHxHEIGHT, or the data set"):
        read(tmp_path, "id,rle\na,1 1\n", SALT, None)


def test_a_file_with_rows_of_empty_masks_has_all_images(tmp_path: Path) -> None:
    for text, expected in (("a,1 1", False), ("a,", True)):
        (tmp_path / "s.csv").write_text(f"id,rle\n{text}\n")
        assert open_submission(tmp_path / "s.csv", SALT).has_all_images == expected


def test_objects_are_separate_and_joined_again(tmp_path: Path) -> None:
    picture = np.zeros((40, 60), np.uint8)
    for centre in ((10, 10), (30, 25), (50, 12)):
        cv2.circle(picture, centre, 6, 1, -1)
    text = write(tmp_path, RunLength(objects=True), {"a": picture, "b": np.zeros_like(picture)}, SALT)
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == ["a", "a", "a", "b"]
