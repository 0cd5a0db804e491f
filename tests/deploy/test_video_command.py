"""foldseg predict-video as a user runs it: damaged, cut and odd videos, and outputs that would destroy something."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from command.line import CommandLine, Finished, can_mount

HEIGHT, WIDTH, FRAMES = 64, 96, 60  # ten a second


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of six seconds of noise that moves, its index at the beginning; not to be changed."""
    return video(tmp_path_factory.mktemp("video") / "whole.mp4")


def video(path: Path, frames: int = FRAMES, pix_fmt: str = "yuv420p", codec: str = "libx264", **said: object) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH + frames, 3)).astype(np.uint8)
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10, options={"g": "15"} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for name, value in said.items():
            setattr(stream.codec_context, name, value)
        for number in range(frames):
            picture = np.ascontiguousarray(noise[:, number : number + WIDTH])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def half(source: Path, path: Path) -> Path:
    content = source.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def count(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def size_of(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        return container.streams.video[0].width, container.streams.video[0].height


def predicted(command_line: CommandLine, exported: Path, *words: object, **surroundings: object) -> Finished:
    done = command_line.run("predict-video", exported, *words, **surroundings)
    assert "Traceback" not in done.said
    return done


@pytest.mark.parametrize("kind", [".mp4", ".mkv"])
def test_a_cut_video_gives_what_there_is_and_says_both_numbers(
    command_line: CommandLine, exported: Path, whole: Path, tmp_path: Path, kind: str
) -> None:
    source = whole if kind == ".mp4" else video(tmp_path / "whole.mkv")
    cut = half(source, tmp_path / f"cut{kind}")
    done = predicted(command_line, exported, cut, tmp_path / "out.mp4")
    assert done.status == 1
    frames = count(tmp_path / "out.mp4")
    assert FRAMES / 3 < frames < FRAMES * 2 / 3
    assert f"the {frames} frames that could be are in {tmp_path / 'out.mp4'}" in done.stderr
    assert f"is cut short: {frames} of {FRAMES} frames are there" in done.stderr
    assert "of 6.0 s" in done.stderr


def test_a_damaged_place_is_said_with_its_time_and_the_rest_is_predicted(
    command_line: CommandLine, exported: Path, whole: Path, tmp_path: Path
) -> None:
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = np.random.default_rng(1).integers(0, 256, 300, np.uint8).tobytes()
    (tmp_path / "hurt.mp4").write_bytes(content)
    done = predicted(command_line, exported, tmp_path / "hurt.mp4", tmp_path / "out.mp4")
    assert done.status == 1 and "is damaged at " in done.stderr and "cut short" not in done.stderr
    assert FRAMES - 5 < count(tmp_path / "out.mp4") < FRAMES


def test_a_whole_video_is_no_cut_one(command_line: CommandLine, exported: Path, whole: Path, tmp_path: Path) -> None:
    done = predicted(command_line, exported, whole, tmp_path / "out.mp4")
    assert (done.status, count(tmp_path / "out.mp4")) == (0, FRAMES)


def test_pixels_that_are_not_square_are_made_so(command_line: CommandLine, exported: Path, tmp_path: Path) -> None:
    wide = video(tmp_path / "wide.mp4", 3, sample_aspect_ratio=Fraction(4, 3))
    high = video(tmp_path / "high.mp4", 3, sample_aspect_ratio=Fraction(1, 2))
    for source, size in ((wide, (WIDTH * 4 // 3, HEIGHT)), (high, (WIDTH, HEIGHT * 2))):
        done = predicted(command_line, exported, source, tmp_path / "out.mp4")
        assert done.status == 0 and "frames are made square" in done.stderr
        width, height = size_of(tmp_path / "out.mp4")
        assert width == size[0] and height > size[1]  # the legend is below


@pytest.mark.parametrize(
    ("name", "pix_fmt", "codec", "says"),
    [
        ("ten_bits.mp4", "yuv420p10le", "libx264", ""),
        ("alpha.mov", "argb", "qtrle", "without its transparency"),
    ],
)
def test_other_pixel_formats_are_read(
    command_line: CommandLine, exported: Path, tmp_path: Path, name: str, pix_fmt: str, codec: str, says: str
) -> None:
    source = video(tmp_path / name, 3, pix_fmt, codec)
    done = predicted(command_line, exported, source, tmp_path / "out.mp4")
    assert done.status == 0 and says in done.stderr and count(tmp_path / "out.mp4") == 3


def test_sound_is_left_out_with_a_word(command_line: CommandLine, exported: Path, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mkv"), "w") as container:
        pictures = container.add_stream("libx264", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000)
        for number in range(3):
            picture = np.full((HEIGHT, WIDTH, 3), 60 * number, np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(pictures.encode())
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 80000), np.int16), format="s16", layout="mono")  # ten seconds
        wave.sample_rate = 8000
        container.mux(sound.encode(wave))
        container.mux(sound.encode())
    done = predicted(command_line, exported, tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert done.status == 0 and "without its audio" in done.stderr


def test_the_video_that_is_read_is_never_replaced(command_line: CommandLine, exported: Path, tmp_path: Path) -> None:
    drive = video(tmp_path / "drive.mp4", 3)
    before = drive.read_bytes()
    (tmp_path / "linked.mp4").symlink_to(drive)
    os.link(drive, tmp_path / "hard.mp4")
    (tmp_path / "folder").mkdir()
    names = ["drive.mp4", "folder/../drive.mp4", "linked.mp4", "hard.mp4"]
    for name in names:
        done = predicted(command_line, exported, drive, tmp_path / name)
        assert done.status == 1 and "is read by this command" in done.stderr, name
        assert drive.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drive.mp4", "folder", "hard.mp4", "linked.mp4"]


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("notes.mp4", "holds no MP4"),
        ("folder.mp4", "is a folder"),
        ("x.avi", "should end in .mp4"),
        ("file/x.mp4", "is a file"),
    ],
)
def test_what_is_no_video_is_not_written_over(
    command_line: CommandLine, exported: Path, whole: Path, tmp_path: Path, out: str, says: str
) -> None:
    (tmp_path / "notes.mp4").write_text("my notes")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder.mp4").mkdir()
    done = predicted(command_line, exported, whole, tmp_path / out)
    assert done.status == 1 and says in done.stderr and len(done.stderr.splitlines()) == 1
    assert (tmp_path / "notes.mp4").read_text() == "my notes"


def test_a_link_to_a_video_stays_a_link(command_line: CommandLine, exported: Path, tmp_path: Path) -> None:
    source = video(tmp_path / "in.mp4", 3)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out.mp4").symlink_to(tmp_path / "elsewhere/real.mp4")
    done = predicted(command_line, exported, source, tmp_path / "out.mp4")
    assert done.status == 0 and (tmp_path / "out.mp4").is_symlink() and count(tmp_path / "elsewhere/real.mp4") == 3


@pytest.mark.skipif(not can_mount(), reason="mounting wants root")
def test_a_full_disk_is_said_with_the_file(
    command_line: CommandLine, exported: Path, whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    disks = {tmp_path / "disk": 8192}
    done = predicted(command_line, exported, whole, tmp_path / "disk/out.mp4", disks=disks)
    assert done.status == 1 and "disk/out.mp4: could not be written: No space left on device" in done.stderr
