"""make_submission and score_submission, as a user runs them: sizes that are known, and images that are not there."""

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from command.line import CommandLine, Finished
from foldseg.data import signate
from foldseg.data.reading import read_image

CAR = signate.LABELS.colours[0][::-1]  # as OpenCV orders it


def failed(done: Finished) -> str:
    """Its one message."""
    assert done.status == 1 and "Traceback" not in done.said, done.said
    assert done.stderr.count("error: ") == 1 and done.stdout == ""
    return done.stderr


def value(done: Finished, name: str = "dataset_miou_scored") -> str:
    assert done.status == 0, done.said
    return next(line.split()[1] for line in done.stdout.splitlines() if line.startswith(f"{name} "))


@pytest.fixture
def prediction(camvid_root: Path, tmp_path: Path) -> Path:
    """The truth of CamVid's test frames, without void: a folder of PNGs."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for mask in (camvid_root / "testannot").iterdir():
        ids = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(folder / mask.name), np.where(ids == 11, 3, ids))
    return folder


def test_the_readmes_command_takes_the_size_from_the_masks(
    command_line: CommandLine, camvid_root: Path, prediction: Path
):
    done = command_line.run("score", "configs/data/camvid.yaml", prediction, f"data.root={camvid_root}")
    assert value(done) == "1.0000000" and "not checked" not in done.stderr


def test_a_size_that_contradicts_the_masks_is_an_error(command_line: CommandLine, camvid_root: Path, prediction: Path):
    words = "configs/data/camvid.yaml", prediction, f"data.root={camvid_root}", "--size"
    assert value(command_line.run("score", *words, "64x48")) == "1.0000000"
    said = failed(command_line.run("score", *words, "1936x1216"))
    assert "--size: 1936x1216 is given, and Seq05VD_f00030 is 64x48 (width x height); leave --size out" in said


def test_a_missing_image_scores_nothing_although_its_mask_has_void(
    command_line: CommandLine, camvid_root: Path, prediction: Path
):
    masks = sorted((camvid_root / "testannot").iterdir())
    truths = [cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) for mask in masks]
    assert all((truth == 11).any() for truth in truths)
    (prediction / masks[0].name).unlink()
    words = "configs/data/camvid.yaml", prediction, f"data.root={camvid_root}"
    assert "1 image(s) are missing" in failed(command_line.run("score", *words))
    valid, right = (sum((truth < 11).sum() for truth in part) for part in (truths, truths[1:]))
    done = command_line.run("score", *words, "--allow-missing")
    assert value(done, "pixel_accuracy") == f"{right / valid:.7f}"


@pytest.mark.parametrize("rows", [{"0": [[0, 3], [60, 190]]}, {"1200": [[0, 50]]}])
def test_columns_outside_of_frames_at_hand_are_refused(
    command_line: CommandLine, signate_root: Path, tmp_path: Path, rows: dict
):
    guess = {f"train_{index:04d}.jpg": {} for index in range(8)}
    (tmp_path / "s.json").write_text(json.dumps(guess | {"train_0003.jpg": {"car": rows}}))
    said = failed(
        command_line.run("score", "configs/data/signate.yaml", tmp_path / "s.json", f"data.root={signate_root}")
    )
    assert "train_0003.jpg, car, row" in said and ("64 wide" in said or "48 high" in said)


def test_sizes_that_nothing_tells_are_said_to_be_unchecked(command_line: CommandLine, tmp_path: Path):
    (tmp_path / "s.json").write_text('{"a.jpg":{"car":{"0":[[0,3],[100,1900]]}}}')
    words = tmp_path / "s.json", tmp_path / "s.json", "data.root=nowhere"
    done = command_line.run("score", *words)
    assert value(done) == "1.0000000"
    assert "1 of 1 images are not at hand and no --size is given, so rows and columns are not checked" in done.stderr
    assert "outside of an image 96 wide" in failed(command_line.run("score", *words, "--size", "96x64"))


@pytest.mark.parametrize("truth", ["json", "folder"])
@pytest.mark.parametrize("guess", ["json", "folder"])
def test_without_images_nothing_is_scored(command_line: CommandLine, tmp_path: Path, truth: str, guess: str):
    paths = {"json": tmp_path / "empty.json", "folder": tmp_path / "empty"}
    paths["json"].write_text("{}")
    paths["folder"].mkdir()
    said = failed(command_line.run("score", paths[truth], paths[guess], "data.root=nowhere"))
    assert said.endswith(f"error: {paths[truth]}: holds no images\n")


def test_images_without_categories_and_one_image_alone_are_scored(command_line: CommandLine, tmp_path: Path):
    (tmp_path / "s.json").write_text('{"a.jpg":{}}')
    done = command_line.run("score", tmp_path / "s.json", tmp_path / "s.json", "data.root=nowhere")
    assert done.status == 0 and "1 of 1 image(s) have no scored class in their truth" in done.stdout
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("after", [b"\x0c", b"\xc2\xa0"])
def test_what_is_no_blank_of_json_is_refused(command_line: CommandLine, tmp_path: Path, after: bytes):
    (tmp_path / "s.json").write_bytes(b'{"a.jpg":{}}\n' + after)
    said = failed(command_line.run("score", tmp_path / "s.json", tmp_path / "s.json", "data.root=nowhere"))
    assert "s.json: is not a JSON mapping of images (expected nothing after the mapping, found" in said


def test_a_repeated_row_among_many_is_found_at_once(command_line: CommandLine, tmp_path: Path):
    rows = ",".join(f'"{row}":[[0,1]]' for row in [*range(60_000), 59_999])
    (tmp_path / "s.json").write_text(f'{{"a.jpg":{{"car":{{{rows}}}}}}}')
    start = time.monotonic()
    said = failed(command_line.run("score", tmp_path / "s.json", tmp_path / "s.json", "data.root=nowhere"))
    assert "a.jpg, car: '59999' is there more than once" in said
    assert time.monotonic() - start < 20  # it took a minute


def test_a_name_with_dots_and_blanks_is_one(command_line: CommandLine, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.b", "v1.0 (2)", "ä"):
        cv2.imwrite(str(folder / "x.png"), np.full((3, 4, 3), CAR, np.uint8))
        (folder / "x.png").rename(folder / f"{name}.png")
    done = command_line.run("convert", folder, tmp_path / "s.json", "data.root=nowhere")
    assert done.status == 0, done.said
    assert sorted(json.loads((tmp_path / "s.json").read_bytes())) == ["a.b.jpg", "v1.0 (2).jpg", "ä.jpg"]
    words = tmp_path / "s.json", tmp_path / "out", "data.root=nowhere", "--size", "4x3"
    assert command_line.run("convert", *words).status == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["a.b.png", "v1.0 (2).png", "ä.png"]


@pytest.fixture
def colours(signate_root: Path, tmp_path: Path) -> Path:
    """PNGs of two test frames, one of them with a suffix in capitals; what else is in the folder is none."""
    folder = tmp_path / "pngs"
    folder.mkdir()
    for name in ("test_000.png", "test_001.PNG"):
        cv2.imwrite(str(folder / name), np.full((48, 64, 3), CAR, np.uint8))
    (folder / "._test_000.png").write_bytes(b"\0\5\x16\7")
    (folder / "notes.txt").write_text("mine")
    return folder


@pytest.mark.parametrize("check", [[], ["--no-check"]])
def test_pngs_are_taken_whatever_the_case_of_their_suffix(
    command_line: CommandLine, signate_root: Path, colours: Path, tmp_path: Path, check: list[str]
):
    words = colours, tmp_path / "s.json", f"data.root={signate_root}", *check
    done = command_line.run("convert", *words)
    assert done.status == 0, done.said
    assert sorted(json.loads((tmp_path / "s.json").read_bytes())) == ["test_000.jpg", "test_001.jpg"]
    assert "1 hidden or of the operating system (._test_000.png)" in done.stderr
    assert "1 of another kind (notes.txt)" in done.stderr and done.stderr.count("passed over") == 1


def test_a_submission_that_lacks_a_test_image_is_refused_unless_asked_for(
    command_line: CommandLine, signate_root: Path, colours: Path, tmp_path: Path
):
    (colours / "test_001.PNG").rename(colours / "test_001.bmp")
    words = colours, tmp_path / "s.json", f"data.root={signate_root}"
    done = command_line.run("convert", *words)
    assert "1 image(s) are missing (test_001)" in failed(done) and "test_001.bmp" in done.stderr
    assert not (tmp_path / "s.json").exists()
    assert "test_001.bmp" in command_line.run("convert", *words, "--no-check").stderr


def test_two_pngs_of_one_name_are_an_error(command_line: CommandLine, colours: Path, tmp_path: Path):
    (colours / "test_001.png").write_bytes((colours / "test_001.PNG").read_bytes())
    said = failed(command_line.run("convert", colours, tmp_path / "s.json", "data.root=nowhere", "--no-check"))
    assert "test_001.PNG and test_001.png have one name, test_001; remove or rename one" in said


def test_pngs_of_a_json_have_the_size_of_the_images_at_hand(
    command_line: CommandLine, signate_root: Path, tmp_path: Path
):
    (tmp_path / "s.json").write_text('{"test_000.jpg":{},"test_001.jpg":{"car":{"0":[[0,63]]}}}')
    words = tmp_path / "s.json", tmp_path / "out", f"data.root={signate_root}"
    for check in ([], ["--no-check"]):
        assert command_line.run("convert", *words, *check).status == 0
        assert read_image(tmp_path / "out/test_001.png").shape == (48, 64, 3)
    said = failed(command_line.run("convert", *words, "--size", "1936x1216"))
    assert "--size: 1936x1216 is given, and test_000 is 64x48" in said


def test_pngs_of_a_json_whose_images_are_not_there_need_a_size(command_line: CommandLine, tmp_path: Path):
    """The demo's JSON, and the contest's data that nobody has here: 1936x1216 was taken for them."""
    (tmp_path / "s.json").write_text('{"test_000.jpg":{}}')
    words = tmp_path / "s.json", tmp_path / "out", "data.root=nowhere"
    said = failed(command_line.run("convert", *words))
    assert "1 of 1 are not at hand: test_000; say whose they are (--data, data.root=...), or --size WxH" in said
    assert not (tmp_path / "out").exists()
    assert command_line.run("convert", *words, "--size", "6x4").status == 0
    assert read_image(tmp_path / "out/test_000.png").shape == (4, 6, 3)
