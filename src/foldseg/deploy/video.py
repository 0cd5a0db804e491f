"""Predict a video, or a folder of frames, into a video of overlays with a legend. PyAV's wheels contain ffmpeg."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.deploy.clips import Clip, import_av, open_clip
from foldseg.deploy.drawing import overlay, with_legend
from foldseg.deploy.interface import Source
from foldseg.errors import FoldsegError
from foldseg.files import replacing
from foldseg.outputs import check_output

logger = logging.getLogger(__name__)

_X264_OPTIONS = {"crf": "20", "preset": "veryfast"}  # almost like the frames, in half the time of preset medium
_FAST_START = {"movflags": "+faststart"}  # the video can be played before it is loaded completely
_BT709 = 1  # ffmpeg's number of this colour space, and of its primaries and transfer function
_LIMITED = 1  # ffmpeg's number of the limited colour range
_SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class DrawingOptions:
    """How frames are drawn: the share of colour, and whether the original frame is shown on the left."""

    alpha: float = 0.5
    side_by_side: bool = False


def predict_video(
    source: Source, path: Path, out: Path, drawing: DrawingOptions = DrawingOptions(), fps: float | None = None
) -> int:
    """Predict a video or a folder of frames, one by one, into an H.264 video `out`. Return the number of frames.

    Frames of a video keep their times. Frames of a folder are sorted by name (frame_2 before frame_10) and shown at
    `fps` frames per second (default 10). Sound is left out. `out` appears when it is complete.

    FoldsegError if something is missing. Frames that are damaged, missing at the end, or of another size than the first
    one are left out; a FoldsegError says so when all others have been written.
    """
    check_output(out, ".mp4", [path])
    if source.reading.channels != 3:
        raise FoldsegError(
            f"{path}: a video has 3 channels, and the network takes {source.reading.channels} "
            "(data.pictures.channels); predict its frames as files, with foldseg predict-images"
        )
    size: tuple[int, int] | None = None
    count = 0
    with open_clip(path, fps) as clip, _open_encoder(out, clip) as write:
        for name, image, time in tqdm(
            clip.frames, total=clip.total, desc=out.name, unit="frame", leave=False, disable=None
        ):
            size = size or (image.shape[0], image.shape[1])
            if image.shape[:2] != size:
                clip.problems.append(f"{name}: is {image.shape[:2]}, the frames before it {size} (height, width)")
                continue
            write(draw_frame(image, source.predict_label_map(image), source.labels, drawing), time)
            count += 1
        if not count:
            raise FoldsegError(f"{path}: holds no frames" + "".join(f"\n  {problem}" for problem in clip.problems[:1]))
    logger.info("%s: %d frames", out, count)
    if clip.problems:
        shown, more = clip.problems[:_SHOWN_PROBLEMS], len(clip.problems) - _SHOWN_PROBLEMS
        raise FoldsegError(
            f"{path}: could not be read as a whole; the {count} frames that could be are in {out}:\n  "
            + "\n  ".join([*shown, f"and {more} more"] if more > 0 else shown)
        )
    return count


def draw_frame(image: Image, mask: Mask, labels: LabelSet, drawing: DrawingOptions) -> Image:
    """Draw a frame (H, W, 3) with its class indices (H, W). The picture has even sides, as H.264 needs them."""
    picture = overlay(image, mask, labels, drawing.alpha)
    if drawing.side_by_side:
        picture = np.concatenate([image, picture], 1)
    picture = with_legend(picture, labels)
    down, right = picture.shape[0] % 2, picture.shape[1] % 2
    return np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)


@contextmanager
def _open_encoder(out: Path, clip: Clip) -> Iterator[Callable[[Image, int], None]]:
    """Yield a function that adds a picture at a time. All pictures have the same size, with even sides."""
    av = import_av()
    with (
        replacing(out) as partial,
        _explain_errors(av.FFmpegError, out),
        av.open(str(partial), "w", format="mp4", options=_FAST_START) as container,
    ):
        stream = container.add_stream("libx264", rate=clip.rate, options=_X264_OPTIONS)

        def write(picture: Image, time: int) -> None:
            if not stream.codec_context.is_open:
                _configure(stream, picture, clip.time_base)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED)
            frame.pts, frame.time_base = time, clip.time_base
            container.mux(stream.encode(frame))

        yield write
        container.mux(stream.encode())


def _configure(stream: Any, picture: Image, time_base: Fraction) -> None:
    """Write down the size and the colour space of the frames, so that no player has to guess them."""
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = "yuv420p"  # the format that every player can play
    context = stream.codec_context
    context.time_base = time_base
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED


@contextmanager
def _explain_errors(ffmpeg_error: type[Exception], out: Path) -> Iterator[None]:
    """Turn ffmpeg's errors of writing into a FoldsegError that names the file."""
    try:
        yield
    except ffmpeg_error as error:
        raise FoldsegError(f"{out}: could not be written: {getattr(error, 'strerror', '') or error}") from error
