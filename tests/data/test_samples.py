"""The samples table and what is checked before the GPU hours."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from foldseg.config.schema import CamVid, Data
from foldseg.data import camvid
from foldseg.data.datasets import DataSet
from foldseg.data.folds import load_folds
from foldseg.data.folds_file import make_folds_file
from foldseg.data.listing import Listing, pair_by_stem
from foldseg.data.samples import COLUMNS, build_samples_table, check_files, shorten
from foldseg.errors import FoldsegError


def row(name: str) -> tuple[str, str, str, str, str, str]:
    return (name, f"i/{name}.png", "", "train", "g", "s")


def test_the_columns_are_the_contracts_and_all_are_strings() -> None:
    table = build_samples_table([row("007"), row("b")], Path("x"))
    assert list(table.columns) == COLUMNS == ["id", "image", "mask", "split", "group", "stratum"]
    assert table["id"].tolist() == ["007", "b"]
    assert all(isinstance(value, str) for value in table.to_numpy().ravel())


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(FoldsegError, match="somewhere: holds no images"):
        build_samples_table([], Path("somewhere"))


def test_repeated_ids_are_named() -> None:
    with pytest.raises(FoldsegError, match=r"1 id\(s\) occur twice, e\.g\. a"):
        build_samples_table([row("a"), row("b"), row("a")], Path("x"))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        ("../a", "begins with a dot, as hidden files do"),
        ("a/b", "holds a slash"),
        ("a\\b", "holds a slash"),
        (".hidden", "begins with a dot, as hidden files do"),
        ("a\x1b[2J", "holds a character that cannot be printed"),
        ("a\udcff", "holds a character that cannot be printed"),
        ("ä" * 101, "has 202 bytes; 200 are possible"),
    ],
)
def test_an_id_that_cannot_be_a_file_name_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(FoldsegError, match=rf"^x: the id .* {why}; ids become names of files"):
        build_samples_table([row("fine"), row(name)], Path("x"))


@pytest.mark.parametrize("name", ["0006R0_f00930", "a.b", "A-1", "x+y", "a b", "IMG (1)", "-a", "ä", "ä" * 100])
def test_an_id_that_is_a_plain_file_name_is_taken(name: str) -> None:
    assert build_samples_table([row(name)], Path("x"))["id"].tolist() == [name]


def test_pairs_are_made_by_stem_not_by_order() -> None:
    """Defect 24: rows that are aligned by the order of two listings."""
    images, masks = [Path("i/b.jpg"), Path("i/a.jpg")], [Path("m/a.png"), Path("m/b.png")]
    assert pair_by_stem(Listing(Path("i"), images), Listing(Path("m"), masks)) == [
        (images[0], masks[1]),
        (images[1], masks[0]),
    ]


@pytest.mark.parametrize(
    ("images", "masks", "says"),
    [
        (["i/a.jpg", "i/b.jpg"], ["m/a.png"], r"i/b\.jpg: has no mask in m \(1 such image\(s\)\)"),
        (["i/a.jpg"], ["m/a.png", "m/c.png"], r"m/c\.png: is a mask without an image \(1 such mask\(s\)\)"),
    ],
)
def test_what_has_no_partner_is_named(images: list[str], masks: list[str], says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        pair_by_stem(*(Listing(Path(names[0][0]), [Path(name) for name in names]) for names in (images, masks)))


def test_check_files_adds_the_sizes(camvid_root: Path) -> None:
    checked = check_files(camvid.scan(camvid_root), camvid_root)
    assert set(checked["height"]) == {48}
    assert set(checked["width"]) == {64}


def test_a_mask_of_another_size_is_named(camvid_root: Path) -> None:
    path = camvid_root / "valannot" / "0016E5_08003.png"
    cv2.imwrite(str(path), np.zeros((48, 60), np.uint8))
    with pytest.raises(FoldsegError, match=r"0016E5_08003\.png: is 60x48, its image .*val/0016E5_08003\.png is 64x48"):
        check_files(camvid.scan(camvid_root), camvid_root)


@pytest.mark.parametrize("folder", ["test", "testannot"])
def test_a_file_cut_short_is_found_before_training(camvid_root: Path, folder: str) -> None:
    path = camvid_root / folder / "Seq05VD_f00060.png"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FoldsegError, match=rf"{folder}/Seq05VD_f00060\.png: is cut short"):
        check_files(camvid.scan(camvid_root), camvid_root)


def test_a_listed_image_that_is_missing_is_named(camvid_root: Path) -> None:
    (camvid_root / "train" / "0001TP_000060.png").unlink()
    with pytest.raises(FoldsegError, match=r"train\.txt: 1 of its 8 image\(s\) are not in .*train: 0001TP_000060$"):
        camvid.scan(camvid_root)


@pytest.mark.parametrize(
    ("items", "expected"),
    [([], ""), ("ab", "a, b"), (range(5), "0, 1, 2, 3, 4"), (range(7), "0, 1, 2, 3, 4 and 2 more")],
)
def test_shorten(items: list[object], expected: str) -> None:
    assert shorten(items) == expected


def test_a_data_set_goes_from_its_folder_to_a_folds_file(camvid_root: Path, tmp_path: Path) -> None:
    data = Data(dataset=CamVid(), root=camvid_root, folds=tmp_path / "f.csv", fold_count=2, labels=("car",))
    made = make_folds_file(data)
    table = DataSet(data).samples
    assert len(made) == 8  # train only
    assert load_folds(data.folds, table[table["split"] == "train"]).equals(made)
    assert DataSet(data).labels.names == ["background", "car"]
