"""Predict a video, or a folder of frames, into a video of overlays with a legend. PyAV's wheels bring ffmpeg along."""

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
from foldseg.deploy.clips import Clip, clip_of, import_av
from foldseg.deploy.drawing import overlay, with_legend
from foldseg.deploy.interface import Source
from foldseg.errors import FoldsegError
from foldseg.files import replacing
from foldseg.outputs import check_output

logger = logging.getLogger(__name__)

_QUALITY = {"crf": "20", "preset": "veryfast"}  # of x264: hardly to be told from the frames, in half of medium's time
_FAST_START = {"movflags": "+faststart"}  # plays while it is still being loaded
_BT709, _LIMITED = 1, 1  # ffmpeg's numbers of a colour space (its primaries and transfer function, too) and a range
_SHOWN = 20  # problems


@dataclass(frozen=True)
class Look:
    """How a frame is drawn: share of colour, and whether the frame as it was is on the left."""

    alpha: float = 0.5
    side_by_side: bool = False


def predict_video(source: Source, path: Path, out: Path, look: Look = Look(), fps: float | None = None) -> int:
    """Predict a video or a folder of frames, one by one, into an H.264 video `out`; return the number of frames.

    Frames of a video keep their times, those of a folder are shown `fps` a second (10), by name, with numbers in it by
    their value. Sound is left out. FoldsegError names what is missing; `out` is there once it is complete. Frames that
    are damaged, missing at the end or of another size than the first are left out, and a FoldsegError says so when all
    others have been written.
    """
    check_output(out, ".mp4", [path])
    size: tuple[int, int] | None = None
    count = 0
    with clip_of(path, fps) as clip, _encoder(out, clip) as write:
        for name, image, time in tqdm(
            clip.frames, total=clip.total, desc=out.name, unit="frame", leave=False, disable=None
        ):
            size = size or (image.shape[0], image.shape[1])
            if image.shape[:2] != size:
                clip.problems.append(f"{name}: is {image.shape[:2]}, the frames before it {size} (height, width)")
                continue
            write(drawn(image, source.mask(image), source.labels, look), time)
            count += 1
        if not count:
            raise FoldsegError(f"{path}: holds no frames" + "".join(f"\n  {problem}" for problem in clip.problems[:1]))
    logger.info("%s: %d frames", out, count)
    if clip.problems:
        shown, more = clip.problems[:_SHOWN], len(clip.problems) - _SHOWN
        raise FoldsegError(
            f"{path}: could not be read as a whole; the {count} frames that could be are in {out}:\n  "
            + "\n  ".join([*shown, f"and {more} more"] if more > 0 else shown)
        )
    return count


def drawn(image: Image, mask: Mask, labels: LabelSet, look: Look) -> Image:
    """Draw a frame (H, W, 3) and its class indices (H, W) as a picture of even sides, which H.264 wants."""
    picture = overlay(image, mask, labels, look.alpha)
    if look.side_by_side:
        picture = np.concatenate([image, picture], 1)
    picture = with_legend(picture, labels)
    down, right = picture.shape[0] % 2, picture.shape[1] % 2
    return np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)


@contextmanager
def _encoder(out: Path, clip: Clip) -> Iterator[Callable[[Image, int], None]]:
    """Yield a function that adds a picture, at a time; all are of one size, of even sides."""
    av = import_av()
    with (
        replacing(out) as partial,
        _explained(av.FFmpegError, out),
        av.open(str(partial), "w", format="mp4", options=_FAST_START) as container,
    ):
        stream = container.add_stream("libx264", rate=clip.rate, options=_QUALITY)

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
    """Say of which size frames are, and in which colours, so that no player has to guess."""
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = "yuv420p"  # what every player plays
    context = stream.codec_context
    context.time_base = time_base
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED


@contextmanager
def _explained(error: type[Exception], out: Path) -> Iterator[None]:
    """Turn ffmpeg's errors of writing into a FoldsegError that names the file."""
    try:
        yield
    except error as failed:
        raise FoldsegError(f"{out}: could not be written: {getattr(failed, 'strerror', '') or failed}") from failed
