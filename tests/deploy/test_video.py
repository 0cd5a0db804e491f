"""Videos of overlays: read back frame by frame, they are what was drawn, as large, as many and at the same times."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tiny import COLOURS, Painter, blocks

from foldseg.data import camvid
from foldseg.data.labels import Image
from foldseg.deploy.drawing import legend, overlay
from foldseg.deploy.video import DrawingOptions, draw_frame, predict_video
from foldseg.errors import FoldsegError
from foldseg.submission.label_png import write_png

CLOSE = 3  # of 255; colours of another space are 5 and more off
SIDE = 16  # of squares of one class: H.264 stores colours at half size and blurs their edges


def frame(height: int, width: int, number: int) -> Image:
    return COLOURS[blocks(height, width, seed=number, side=SIDE)]


def folder_of(path: Path, height: int, width: int, count: int = 5) -> Path:
    for number in range(count):
        write_png(path / f"frame_{number}.png", frame(height, width, number)[..., ::-1])
    return path


def video_of(path: Path, frames: list[Image], times: list[int | None] | None = None, turn: int = 0) -> Path:
    """Write frames at `times` in hundredths of a second, 10 a second by default."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "5"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        stream.set_display_rotation(turn)
        for picture, time in zip(frames, times or [10 * n for n in range(len(frames))], strict=True):
            shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
            shown.pts, shown.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
    return path


def by_opencv(path: Path) -> tuple[list[Image], float]:
    """Decode with another program than the one that encoded."""
    video, found = cv2.VideoCapture(str(path)), []
    while True:
        there, picture = video.read()
        if not there:
            return found, video.get(cv2.CAP_PROP_FPS)
        found.append(picture[..., ::-1])


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(shown.pts * shown.time_base) for shown in container.decode(video=0)]


def mean_error(found: Image, expected: Image) -> float:
    """Largest of the three channels' mean differences, off the edges, where colours run into each other."""
    edges = cv2.morphologyEx(expected, cv2.MORPH_GRADIENT, np.ones((9, 9), np.uint8)).any(-1)
    assert (~edges).mean() > 0.1
    return float(np.abs(found.astype(int) - expected)[~edges].mean(0).max())


@pytest.mark.parametrize("size", [(64, 96), (63, 97), (32, 161)])
@pytest.mark.parametrize("drawing", [DrawingOptions(), DrawingOptions(1.0, True)], ids=["overlay", "side by side"])
def test_a_folder_becomes_a_video_of_what_is_drawn(
    tmp_path: Path, size: tuple[int, int], drawing: DrawingOptions
) -> None:
    folder = folder_of(tmp_path / "frames", *size)
    assert predict_video(Painter(), folder, tmp_path / "out.mp4", drawing, fps=7.5) == 5
    found, fps = by_opencv(tmp_path / "out.mp4")
    assert (len(found), fps) == (5, 7.5)
    for number, picture in enumerate(found):
        original = frame(*size, number)
        expected = draw_frame(original, blocks(*size, seed=number, side=SIDE), camvid.LABELS, drawing)
        assert picture.shape == expected.shape
        assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
        assert mean_error(picture, expected) < CLOSE


def test_a_drawn_frame_has_a_legend_below_and_the_frame_on_the_left() -> None:
    image, mask = frame(33, 65, 0), blocks(33, 65, seed=0, side=SIDE)
    found = draw_frame(image, mask, camvid.LABELS, DrawingOptions(0.3, side_by_side=True))
    assert found.shape[1] == 130
    assert np.array_equal(found[:33, :65], image)
    assert np.array_equal(found[:33, 65:], overlay(image, mask, camvid.LABELS, 0.3))
    below = legend(camvid.LABELS, 130)
    assert np.array_equal(found[33 : 33 + len(below)], below)


def test_a_video_keeps_its_frames_and_their_times(tmp_path: Path) -> None:
    """Predicted from the video of a folder, the labels are those of the folder: hardly a pixel's colour is mistaken."""
    frames = [frame(64, 96, number) for number in range(6)]
    source, times = Painter(), [0, 10, 20, 50, 55, 90]  # not at one rate
    video = video_of(tmp_path / "in.mp4", frames, times)
    assert predict_video(source, video, tmp_path / "out.mp4", DrawingOptions(1.0)) == 6
    assert source.seen == [(64, 96, 3)] * 6
    assert times_of(tmp_path / "out.mp4") == pytest.approx(np.divide(times, 100), abs=1e-3)
    found, _ = by_opencv(tmp_path / "out.mp4")
    for picture, expected in zip(found, frames, strict=True):
        assert mean_error(picture[:64, :96], expected) < CLOSE


@pytest.mark.parametrize(("turn", "quarters"), [(90, 1), (180, 2), (270, 3)])
def test_a_video_is_turned_upright(tmp_path: Path, turn: int, quarters: int) -> None:
    """As OpenCV turns it."""
    video = video_of(tmp_path / "in.mp4", [frame(64, 96, number) for number in range(2)], turn=turn)
    upright = by_opencv(video)[0][0]
    assert mean_error(upright, np.rot90(frame(64, 96, 0), quarters)) < CLOSE
    predict_video(Painter(), video, tmp_path / "out.mp4", DrawingOptions(0.0))
    found = by_opencv(tmp_path / "out.mp4")[0][0]
    assert mean_error(found[: upright.shape[0]], upright) < CLOSE


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", 32, 48, count=12)
    (folder / "frame_3.png").rename(folder / "frame_003.png")
    predict_video(Painter(), folder, tmp_path / "out.mp4", DrawingOptions(0.0))
    for number, picture in enumerate(by_opencv(tmp_path / "out.mp4")[0]):
        assert mean_error(picture[:32], frame(32, 48, number)) < CLOSE


@pytest.mark.parametrize(
    ("name", "fps", "says"),
    [
        ("nowhere", None, "nowhere: no such video or folder of frames"),
        ("empty", None, "empty: holds no frames"),
        ("notes.mp4", None, r"notes\.mp4: is no video, or a damaged one"),
        ("whole.mp4", 5.0, "a video has times of its own; --fps is for a folder"),
        ("rotten", None, r"rotten: holds no frames\n  .*frame_0\.png: is not a readable image"),
    ],
)
def test_what_cannot_be_predicted_is_told_and_nothing_is_left(
    tmp_path: Path, name: str, fps: float | None, says: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.mp4").write_text("no video")
    video_of(tmp_path / "whole.mp4", [frame(32, 48, 0)])
    for picture in folder_of(tmp_path / "rotten", 32, 48).iterdir():
        picture.write_bytes(b"rotten")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FoldsegError, match=says):
        predict_video(Painter(), tmp_path / name, tmp_path / "out.mp4", fps=fps)
    assert sorted(tmp_path.iterdir()) == before


def test_frames_that_cannot_be_read_are_left_out_and_told(tmp_path: Path) -> None:
    write_png(folder_of(tmp_path / "in", 32, 48) / "z.png", frame(40, 48, 0))
    half = tmp_path / "in/frame_1.png"
    half.write_bytes(half.read_bytes()[:-20])
    with pytest.raises(FoldsegError, match=r"in: could not be read as a whole; the 4 frames that could be") as error:
        predict_video(Painter(), tmp_path / "in", tmp_path / "out.mp4")
    assert "frame_1.png: is cut short" in str(error.value)
    assert "z.png: is (40, 48), the frames before it (32, 48)" in str(error.value)
    assert times_of(tmp_path / "out.mp4") == pytest.approx([0, 0.2, 0.3, 0.4])  # the others have kept theirs


def test_a_video_with_a_hole_is_told(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 96, 3), dtype=np.uint8)
    video = video_of(tmp_path / "in.mp4", list(noise))
    content = bytearray(video.read_bytes())
    middle = content.index(b"mdat") + len(content) // 4
    content[middle : middle + len(content) // 2] = bytes(len(content) // 2)
    video.write_bytes(content)
    with pytest.raises(FoldsegError, match=r"in\.mp4: could not be read as a whole(.|\n)*is damaged at \d+\.\d s"):
        predict_video(Painter(), video, tmp_path / "out.mp4")


def test_only_mp4_is_written(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"out\.avi: should end in \.mp4"):
        predict_video(Painter(), tmp_path, tmp_path / "out.avi")


def test_without_pyav_one_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "frames", 32, 48)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(FoldsegError, match=r"PyAV is needed .* pip install -e '\.\[video\]'"):
        predict_video(Painter(), folder, tmp_path / "out.mp4")
