"""The AI Edge Contest's folder and its JSONs."""

import json
from pathlib import Path

import pytest

from foldseg.data import signate
from foldseg.data.mask_files import read_mask
from foldseg.errors import FoldsegError


def test_train_has_masks_and_test_has_none(signate_root: Path) -> None:
    table = signate.scan(signate_root)
    assert table["split"].tolist() == ["train"] * 8 + ["test"] * 2
    assert (table["mask"] == "").tolist() == [False] * 8 + [True] * 2
    assert table["image"].iloc[-1] == "seg_test_images/test_001.jpg"


def test_masks_read_as_their_classes(signate_root: Path) -> None:
    mask = read_mask(signate_root / signate.scan(signate_root)["mask"][0], signate.LABELS.select("scored"))
    # background, car and signal; street() puts a car at (28..39, 4..17) and a signal at (20..23, 50..53)
    assert (mask[0, 0], mask[30, 10], mask[21, 51]) == (0, 1, 4)


def test_groups_are_runs_of_frames_within_a_drive(signate_root: Path) -> None:
    """Defect 34: frames of one drive were spread over folds."""
    table = signate.scan(signate_root)
    assert table["group"].tolist()[:8] == (["Tokyo/day/0"] * 4 + ["Saitama/night/4"] * 2 + ["Saitama/night/40"] * 2)
    assert table["stratum"].tolist()[:8] == ["Tokyo/day"] * 4 + ["Saitama/night"] * 4


def test_every_test_image_is_a_group_of_its_own(signate_root: Path) -> None:
    table = signate.scan(signate_root)
    assert table["group"].tolist()[8:] == ["test_000", "test_001"]


def test_groups_follow_the_frame_index_not_the_file_name(signate_root: Path) -> None:
    for name, frame in (("train_0000", 3), ("train_0003", 0)):
        path = signate_root / "seg_train_annotations" / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"frameIndex": frame}))
    assert signate.scan(signate_root)["group"].tolist()[:4] == ["Tokyo/day/0"] * 4


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", "should hold attributes.route"),
        ('{"attributes": {"route": "a"}, "frameIndex": 1}', "should hold attributes.route"),
        ('{"attributes": {"route": "a", "timeofday": "b"}, "frameIndex": null}', "should hold attributes.route"),
        ('{"attributes": {"route": "a", "timeofday": "b"}, "frameIndex": "x"}', "should hold attributes.route"),
    ],
)
def test_a_json_that_lacks_something_is_named(signate_root: Path, content: str, says: str) -> None:
    (signate_root / "seg_train_annotations" / "train_0003.json").write_text(content)
    with pytest.raises(FoldsegError, match=rf"train_0003\.json: {says}"):
        signate.scan(signate_root)


def test_a_missing_json_is_named(signate_root: Path) -> None:
    (signate_root / "seg_train_annotations" / "train_0002.json").unlink()
    with pytest.raises(FoldsegError, match=r"train_0002\.json: no such file"):
        signate.scan(signate_root)


@pytest.mark.parametrize("folder", ["seg_train_images", "seg_train_annotations", "seg_test_images"])
def test_a_missing_folder_is_named(signate_root: Path, folder: str) -> None:
    (signate_root / folder).rename(signate_root / "elsewhere")
    with pytest.raises(FoldsegError, match=f"{folder}: no such folder"):
        signate.scan(signate_root)


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match="nowhere: no such folder"):
        signate.scan(tmp_path / "nowhere")


def test_an_image_without_mask_and_a_mask_without_image_are_named(signate_root: Path) -> None:
    mask = signate_root / "seg_train_annotations" / "train_0005.png"
    mask.rename(mask.with_name("spare.png"))
    with pytest.raises(FoldsegError, match=r"train_0005\.jpg: has no mask"):
        signate.scan(signate_root)
    mask.write_bytes(mask.with_name("spare.png").read_bytes())
    with pytest.raises(FoldsegError, match=r"spare\.png: is a mask without an image"):
        signate.scan(signate_root)


def test_an_empty_folder_holds_no_images(signate_root: Path) -> None:
    for folder in ("seg_train_images", "seg_train_annotations"):
        for path in (signate_root / folder).iterdir():
            path.unlink()
    with pytest.raises(FoldsegError, match="seg_train_images: holds no images"):
        signate.scan(signate_root)


def test_an_id_of_both_train_and_test_is_named(signate_root: Path) -> None:
    image = signate_root / "seg_test_images" / "test_000.jpg"
    image.rename(image.with_name("train_0000.jpg"))
    with pytest.raises(FoldsegError, match=r"occur twice, e\.g\. train_0000"):
        signate.scan(signate_root)
