"""CamVid's folder and lists."""

from pathlib import Path

import pytest

from foldseg.data import camvid
from foldseg.errors import FoldsegError


def test_the_official_splits_are_kept(camvid_root: Path) -> None:
    """Defect 32: sizes come from the lists, and val is not test."""
    table = camvid.scan(camvid_root)
    assert table["split"].value_counts().to_dict() == {"train": 8, "val": 2, "test": 2}
    assert table.loc[table["split"] == "test", "id"].tolist() == ["Seq05VD_f00030", "Seq05VD_f00060"]


def test_paths_are_relative_to_the_root_and_exist(camvid_root: Path) -> None:
    table = camvid.scan(camvid_root)
    first = table.iloc[0]
    assert (first["image"], first["mask"]) == ("train/0001TP_000030.png", "trainannot/0001TP_000030.png")
    assert all((camvid_root / path).is_file() for path in [*table["image"], *table["mask"]])


def test_the_stratum_is_the_sequence(camvid_root: Path) -> None:
    table = camvid.scan(camvid_root).set_index("id")
    assert table.loc["0006R0_f00930", "stratum"] == "0006R0"
    assert table.loc["0016E5_08001", "stratum"] == "0016E5"


@pytest.mark.parametrize(
    ("numbers", "groups"),
    [
        ([0, 30, 60], [0, 0, 0]),
        ([0, 299], [0, 0]),  # less than 300 frames long
        ([0, 300], [0, 300]),
        ([0, 290, 310], [0, 0, 0]),  # long enough, but the next frame is 20 away
        ([0, 290, 310, 340], [0, 0, 0, 340]),
        ([0, 300, 330, 600], [0, 300, 300, 600]),  # a group's length counts from its own first frame
        ([8001, 8003, 8005], [8001, 8001, 8001]),
    ],
)
def test_groups_end_after_ten_seconds_at_a_gap_of_a_second(numbers: list[int], groups: list[int]) -> None:
    found = camvid._find_groups([f"A_{number:05d}" for number in numbers])
    assert [found[f"A_{number:05d}"] for number in numbers] == [f"A_{group:06d}" for group in groups]


def test_sequences_are_never_in_one_group() -> None:
    found = camvid._find_groups(["A_00001", "B_00002"])
    assert found["A_00001"] != found["B_00002"]


def test_a_missing_list_is_named(camvid_root: Path) -> None:
    (camvid_root / "val.txt").unlink()
    with pytest.raises(FoldsegError, match=r"val\.txt: no such file; expected the lists"):
        camvid.scan(camvid_root)


@pytest.mark.parametrize("folder", ["", "train", "testannot"])
def test_a_missing_folder_is_named(camvid_root: Path, folder: str) -> None:
    wrong = camvid_root / folder if folder else camvid_root
    wrong.rename(wrong.with_name("elsewhere"))
    with pytest.raises(FoldsegError, match=rf"{wrong.name}: no such folder"):
        camvid.scan(camvid_root)


def test_an_image_without_mask_is_named(camvid_root: Path) -> None:
    (camvid_root / "trainannot" / "0001TP_000060.png").unlink()
    with pytest.raises(FoldsegError, match=r"train/0001TP_000060\.png: has no mask"):
        camvid.scan(camvid_root)


def test_frames_that_the_list_leaves_out_are_said(camvid_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = (camvid_root / "train.txt").read_text().splitlines()
    (camvid_root / "train.txt").write_text("\n".join(text[:-1]))
    assert (camvid.scan(camvid_root)["split"] == "train").sum() == 7
    assert "train.txt: 1 image(s) of" in caplog.text and "are not in the list: 0006R0_f01330; they are" in caplog.text


def test_a_mask_without_any_image_is_named(camvid_root: Path) -> None:
    text = (camvid_root / "train.txt").read_text().splitlines()
    (camvid_root / "train.txt").write_text("\n".join(text[:-1]))
    (camvid_root / "train/0006R0_f01330.png").unlink()
    with pytest.raises(FoldsegError, match=r"0006R0_f01330\.png: is a mask without an image"):
        camvid.scan(camvid_root)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"x/0001TP_000030.png y/0001TP_000030.png", r"train\.txt: line 9: '0001TP_000030' is in line 1, too"),
        (b"x/0001TP_000030.png y/0001TP_000060.png", r"line 9: .* should be an image and its mask, of one name"),
        (b"a b c", r"line 9: 'a b c' should be an image and its mask"),
        (b"x/0001TP_009999.png", r"1 of its 9 image\(s\) are not in .*train: 0001TP_009999$"),
        (b"\xff\xfe", r"train\.txt: is not text in UTF-8"),
    ],
)
def test_a_wrong_line_of_a_list_is_named(camvid_root: Path, line: bytes, says: str) -> None:
    with (camvid_root / "train.txt").open("ab") as stream:
        stream.write(line + b"\n")
    with pytest.raises(FoldsegError, match=says):
        camvid.scan(camvid_root)


def test_a_list_from_windows_is_read(camvid_root: Path) -> None:
    """A byte order mark, CRLF, backslashes, blank lines, and names alone."""
    expected = camvid.scan(camvid_root)
    lines = (camvid_root / "train.txt").read_text().replace("/", "\\").splitlines()
    lines[0] = lines[0].split()[0].rpartition("\\")[2]
    (camvid_root / "train.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join([*lines, "  "]).encode())
    assert camvid.scan(camvid_root).equals(expected)


def test_empty_lists_hold_no_images(camvid_root: Path) -> None:
    for split in camvid.SPLITS:
        (camvid_root / f"{split}.txt").write_text("\n")
        for mask in (camvid_root / f"{split}annot").iterdir():
            mask.unlink()
    with pytest.raises(FoldsegError, match="holds no images"):
        camvid.scan(camvid_root)


def test_a_frame_without_number_is_named() -> None:
    with pytest.raises(FoldsegError, match="holiday: CamVid's frames are named SEQUENCE_NUMBER"):
        camvid._find_groups(["holiday"])
