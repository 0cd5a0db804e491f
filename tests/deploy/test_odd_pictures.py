"""Pictures as phones, cameras, tools and broken disks leave them, predicted as a user does."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import odd_pictures
from command.line import CommandLine, Finished

NOISE = ("Traceback", "Corrupt JPEG", "libpng", "WARN:", "ERROR:", "DecompressionBomb")


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files, each into a folder of its own name, so that results differ in name."""
    for name, content in files.items():
        (folder / name).mkdir(parents=True)
        (folder / name / name).write_bytes(content)
    return folder


def said_of(done: Finished, name: str) -> str:
    """The line of a picture among those that could not be predicted."""
    lines = [line for line in done.stderr.splitlines() if f"/{name}: " in line]
    assert len(lines) == 1, done.stderr
    return lines[0].split(f"/{name}: ", 1)[1]


@pytest.fixture
def predict(command_line: CommandLine, exported: Path, tmp_path: Path):
    """Predict a folder as colours, into `out`; nothing is said by a library."""

    def run(folder: Path, *words: object, **surroundings: object) -> Finished:
        words = (exported, folder, "--out", tmp_path / "out", "--as", "colours", *words)
        done = command_line.run("predict-images", *words, **surroundings)
        assert not [text for text in NOISE if text in done.stderr.replace("(Corrupt JPEG", "(")], done.stderr
        return done

    return run


def test_what_is_whole_is_predicted(predict, tmp_path: Path) -> None:
    whole = odd_pictures.whole_pictures()
    done = predict(fill(tmp_path / "in", whole))
    assert done.status == 0, done.stderr
    results = {name: cv2.imread(str(tmp_path / "out" / name / f"{Path(name).stem}.png")) for name in whole}
    assert {name: result.shape for name, result in results.items()} == dict.fromkeys(whole, (96, 128, 3))
    exact = [name for name in whole if name.endswith((".png", ".tif", ".webp")) or name.startswith("bmp")]
    for name in exact:
        assert np.array_equal(results[name], results["trailing.png"]), name


def test_what_is_broken_is_named_with_its_reason_and_the_others_are_predicted(predict, tmp_path: Path) -> None:
    broken = odd_pictures.broken_pictures()
    files = {name: content for name, (content, _) in broken.items()}
    good = {"good.jpg": odd_pictures.encoded(odd_pictures.scene())}
    halves = dict(list(files.items())[:14]), dict(list(files.items())[14:])  # no more than 20 are shown
    for number, part in enumerate(halves):
        folder = fill(tmp_path / f"in{number}", {**part, **good})
        done = predict(folder, "--out", tmp_path / f"out{number}")
        assert done.status == 1
        assert f"error: {len(part)} of {len(part) + 1} pictures could not be predicted" in done.stderr
        for name in part:
            assert broken[name][1] in said_of(done, name)
        written = {path.name for path in (tmp_path / f"out{number}").rglob("*.png")}
        assert written == {"good.png"}


def test_what_is_no_file_is_named_and_not_waited_for(predict, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", {"good.jpg": odd_pictures.encoded(odd_pictures.scene())})
    strange = odd_pictures.strange_files(folder)
    done = predict(folder, seconds=60)
    assert done.status == 1
    for name, reason in strange.items():
        assert reason in said_of(done, name)
    assert (tmp_path / "out/good.jpg/good.png").is_file()


def test_the_white_level_of_pictures_of_12_bits_can_be_given(predict, tmp_path: Path) -> None:
    content = odd_pictures.by_opencv(".png", odd_pictures.scene().astype(np.uint16) * 16)
    folder = fill(tmp_path / "in", {"a.png": content, "b.png": odd_pictures.encoded(odd_pictures.scene(), "PNG")})
    assert "--white-level 4095" in said_of(predict(folder), "a.png")
    done = predict(folder, "--white-level", "4080", "--out", tmp_path / "told")
    assert done.status == 0, done.stderr
    results = [cv2.imread(str(tmp_path / f"told/{name}.png/{name}.png")) for name in "ab"]
    assert np.array_equal(*results)


def test_a_picture_too_large_for_memory_does_not_end_the_others(predict, tmp_path: Path) -> None:
    large = odd_pictures.encoded(np.full((9000, 9000, 3), 90, np.uint8), "PNG")
    small = odd_pictures.encoded(odd_pictures.scene())
    folder = fill(tmp_path / "in", {"a.jpg": small, "b.png": large, "c.jpg": small})
    done = predict(folder, limits={"RLIMIT_DATA": 2 << 30})
    assert done.status == 1
    assert "9000x9000" in said_of(done, "b.png") and "memory" in said_of(done, "b.png")
    assert [(tmp_path / f"out/{name}.jpg/{name}.png").is_file() for name in "ac"] == [True, True]


def test_a_name_with_escape_codes_does_not_reach_the_terminal(predict, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", {"red\x1b[31m.jpg": b"nothing"})
    done = predict(folder)
    assert done.status == 1 and "\x1b" not in done.stderr and r"red\x1b[31m.jpg: is not a readable" in done.stderr
