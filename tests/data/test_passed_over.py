"""What commands say of files, images and masks of a data set that they do not use, or cannot use."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from command.line import CommandLine, Finished

CONFIG = "configs/data/signate.yaml"
TINY = ("model.encoder=resnet18", "model.encoder_weights=null", "workers=0", "schedule.epochs=1", "validate_every=1")


def make_folds(command_line: CommandLine, root: Path, *words: str, config: str = CONFIG, count: int = 2) -> Finished:
    folds = f"data.folds={root.parent / 'folds.csv'}"
    return command_line.run("folds", config, f"data.root={root}", folds, f"data.fold_count={count}", *words)


def failed(done: Finished) -> str:
    """Its one message."""
    assert done.status == 1 and "Traceback" not in done.said, done.said
    assert done.stderr.count("error: ") == 1
    return done.stderr.partition("error: ")[2]


def folded(root: Path) -> pd.DataFrame:
    return pd.read_csv(root.parent / "folds.csv")


def drive(root: Path, index: int, route: str, frame: int) -> None:
    """Make one of the frames of `signate_root`, which has eight, anew as frame number `index`."""
    name, facts = f"train_{index:04d}", {"attributes": {"route": route, "timeofday": "day"}, "frameIndex": frame}
    for folder, suffix in (("seg_train_images", ".jpg"), ("seg_train_annotations", ".png")):
        (root / folder / f"{name}{suffix}").write_bytes((root / folder / f"train_0000{suffix}").read_bytes())
    (root / "seg_train_annotations" / f"{name}.json").write_text(json.dumps(facts))


def test_suffixes_of_every_case_are_taken_and_the_rest_is_counted(command_line: CommandLine, signate_root: Path):
    images, tests = signate_root / "seg_train_images", signate_root / "seg_test_images"
    (images / "train_0001.jpg").rename(images / "train_0001.JPG")
    (images / "train_0002.jpg").rename(images / "train_0002.jpeg")
    (signate_root / "seg_train_annotations/train_0001.png").rename(
        signate_root / "seg_train_annotations/train_0001.PNG"
    )
    (tests / "test_001.jpg").rename(tests / "test_001.JPEG")
    (images / "._train_0001.JPG").write_bytes(b"\0\5\x16\7")
    (tests / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (images / "readme.txt").write_text("mine")
    done = make_folds(command_line, signate_root)
    assert done.status == 0, done.said
    assert sorted(folded(signate_root)["id"]) == [f"train_{index:04d}" for index in range(8)]
    assert "2 of 8 files are taken, too, although their names do not end in .jpg: train_0001.JPG, train" in done.stderr
    assert "1 of 2 files are taken, too, although their names do not end in .jpg: test_001.JPEG" in done.stderr
    assert "1 hidden or of the operating system (._train_0001.JPG), 1 of another kind (readme.txt)" in done.stderr
    assert done.stderr.count("passed over") == 2  # once for each of the two folders, however often they are read


@pytest.mark.parametrize(("name", "is_folder"), [("test_001.heic", False), ("test_001.avif", False), ("more", True)])
def test_a_test_picture_that_would_be_left_out_is_an_error(
    command_line: CommandLine, signate_root: Path, name: str, is_folder: bool
):
    path = signate_root / "seg_test_images" / name
    path.mkdir() if is_folder else path.write_bytes(b"x")
    said = failed(make_folds(command_line, signate_root))
    assert f"1 picture(s) or folder(s) would be left out: {name}" in said


def test_two_images_of_one_name_are_an_error(command_line: CommandLine, signate_root: Path):
    images = signate_root / "seg_train_images"
    (images / "train_0003.jpeg").write_bytes((images / "train_0003.jpg").read_bytes())
    assert "train_0003.jpeg and train_0003.jpg have one name, train_0003" in failed(
        make_folds(command_line, signate_root)
    )


def test_a_mask_that_is_no_png_is_named_with_its_image(command_line: CommandLine, signate_root: Path):
    masks = signate_root / "seg_train_annotations"
    (masks / "train_0003.png").rename(masks / "train_0003.jpg")
    said = failed(make_folds(command_line, signate_root))
    assert "train_0003.jpg: has no mask in" in said and "seg_train_annotations/train_0003.jpg is no .png" in said


def test_names_with_dots_blanks_and_accents_are_taken(command_line: CommandLine, signate_root: Path):
    for old, new in (("train_0001", "a.b.c"), ("train_0002", "IMG (2)"), ("train_0003", "été")):
        for folder, suffix in (("images", ".jpg"), ("annotations", ".png"), ("annotations", ".json")):
            path = signate_root / f"seg_train_{folder}" / f"{old}{suffix}"
            path.rename(path.with_name(f"{new}{suffix}"))
    assert make_folds(command_line, signate_root).status == 0
    assert {"a.b.c", "IMG (2)", "été"} < set(folded(signate_root)["id"])
    assert make_folds(command_line, signate_root).status == 0  # the file is read back


def test_masks_of_another_size_are_found_when_folds_are_made(command_line: CommandLine, signate_root: Path):
    cv2.imwrite(str(signate_root / "seg_train_annotations/train_0005.png"), np.zeros((48, 60, 3), np.uint8))
    said = failed(make_folds(command_line, signate_root))
    assert "train_0005.png: is 60x48" in said and "64x48" in said
    assert not (signate_root.parent / "folds.csv").exists()


def test_no_fold_is_empty_and_their_sizes_are_said(command_line: CommandLine, signate_root: Path):
    """Six drives of 7, 7, 1, 4, 11 and 8 frames: six folds were announced and five written."""
    index = 0
    for number, (route, frames) in enumerate([("r0", 7), ("r1", 7), ("r0", 1), ("r1", 4), ("r0", 11), ("r1", 8)]):
        for frame in range(frames):
            drive(signate_root, index, route, 1000 * number + frame)
            index += 1
    done = make_folds(command_line, signate_root, count=6)
    assert done.status == 0 and "38 images in 6 folds (11, 8, 7, 7, 4, 1)" in done.stderr
    assert folded(signate_root)["fold"].value_counts().sort_index().tolist() == [11, 8, 7, 7, 4, 1]
    assert "strata cannot be balanced over 6 folds" in done.stderr
    assert "group r0/day/4000 alone has 11 of 38; data.fold_count=3 is the most that it allows" in done.stderr


def test_drives_on_routes_of_their_own_are_folded(command_line: CommandLine, signate_root: Path):
    for index in range(12):
        drive(signate_root, index, f"r{index // 2}", index)
    done = make_folds(command_line, signate_root, count=3)
    assert done.status == 0 and "12 images in 3 folds (4, 4, 4)" in done.stderr
    assert "each of the 6 strata has fewer than 3 images; they are taken as one" in done.stderr


def test_too_many_folds_are_refused_with_the_number_that_is_possible(command_line: CommandLine, signate_root: Path):
    said = failed(make_folds(command_line, signate_root, count=4))
    assert said.startswith("3 group(s) (") and "data.fold_count can be 3 at most" in said


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ("[train,tset]", "data.fold_splits: signate has no split tset; it has train, test"),
        ("[]", "data.fold_splits: is empty; signate has train, test"),
        (
            "[train,test]",
            "data.fold_splits: 2 image(s) of test have no mask and cannot be trained on: test_000, test_001",
        ),
    ],
)
def test_splits_that_cannot_be_folded_are_refused(
    command_line: CommandLine, signate_root: Path, splits: str, says: str
):
    assert says in failed(make_folds(command_line, signate_root, f"data.fold_splits={splits}"))


def test_a_list_is_compared_with_its_folder(command_line: CommandLine, camvid_root: Path):
    path = camvid_root / "train.txt"
    lines = path.read_text().splitlines()
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines[:-1]).encode())
    done = make_folds(command_line, camvid_root, config="configs/data/camvid.yaml")
    assert done.status == 0 and "7 images in 2 folds" in done.stderr
    assert "1 image(s) of" in done.stderr and "are not in the list: 0006R0_f01330; they are neither" in done.stderr
    path.write_text("\n".join([*lines[:-1], "x/0001TP_000031.png"]))
    said = failed(make_folds(command_line, camvid_root, config="configs/data/camvid.yaml"))
    assert "1 of its 8 image(s) are not in" in said and "train: 0001TP_000031; 1 image(s) of" in said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: "\ufeff" + text.replace("\n", "\r\n"), ""),
        (lambda text: text.replace(",", ";"), "separated by commas; it is separated by ';'"),
        (
            lambda text: text.replace(",", ",x,"),
            "should have the columns id, fold, group, stratum, separated by commas",
        ),
        (lambda text: text.replace(",0,", ",0.5,", 1), "is '0.5'; expected fold being whole numbers from 0 (1 such"),
        (lambda text: text.replace(",0,", ",,", 1), "is ''; expected fold being whole numbers from 0 (1 such row(s))"),
        (lambda text: text + text.splitlines()[-1], "1 id(s) are in it twice"),
    ],
    ids=["from Windows", "semicolons", "more columns", "half a fold", "no fold", "twice"],
)
def test_a_folds_file_that_was_edited_is_read_or_explained(
    command_line: CommandLine, signate_root: Path, change: object, says: str
):
    assert make_folds(command_line, signate_root).status == 0
    path = signate_root.parent / "folds.csv"
    path.write_bytes(change(path.read_text()).encode())  # type: ignore[operator]
    words = f"data.root={signate_root}", f"data.folds={path}", "data.dataset=signate"
    picture = signate_root.parent / "batch.png"
    done = command_line.run("show-batch", "configs/experiments/toy_full.yaml", *words, "--out", picture)
    assert (done.status == 0, says in done.stderr) == (not says, True), done.said
    assert "Traceback" not in done.said


def test_unknown_colours_of_any_mask_are_found_before_the_first_epoch(command_line: CommandLine, signate_root: Path):
    assert make_folds(command_line, signate_root).status == 0
    for index in (2, 6):
        path = signate_root / f"seg_train_annotations/train_{index:04d}.png"
        mask = cv2.imread(str(path))
        mask[0, 0] = (1, 2, 3)
        cv2.imwrite(str(path), mask)
    runs = signate_root.parent / "runs"
    words = f"data.root={signate_root}", f"data.folds={signate_root.parent / 'folds.csv'}", f"runs={runs}"
    train = "train", "configs/experiments/toy_full.yaml", "0", "data.dataset=signate"
    said = failed(command_line.run(*train, *words, *TINY))
    assert "2 of 10 images cannot be used:\n  " in said
    assert "train_0002.png: holds 1 unknown colour(s), e.g. RGB (3, 2, 1)" in said
    assert "and 1 more: train_0006" in said
    assert not (runs / "toy_full/fold_0/config.yaml").exists()
