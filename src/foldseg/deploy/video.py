"""Predict a video, or a folder of frames, into a video of overlays with a legend. PyAV's wheels bring ffmpeg along."""

import logging
import re
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
from foldseg.data.listing import PICTURES, list_files
from foldseg.data.reading import read_image
from foldseg.deploy.drawing import overlay, with_legend
from foldseg.deploy.sources import Source
from foldseg.errors import FoldsegError
from foldseg.files import replacing

logger = logging.getLogger(__name__)

Frames = Iterator[tuple[str, Image, int]]
"""What a frame is called, its picture (H, W, 3) uint8 RGB, upright, and its time in units of a time base."""

_FPS = 10  # of folders
_QUALITY = {"crf": "20", "preset": "veryfast"}  # of x264: hardly to be told from the frames, in half of medium's time
_FAST_START = {"movflags": "+faststart"}  # plays while it is still being loaded
_BT709, _LIMITED = 1, 1  # ffmpeg's numbers of a colour space (its primaries and transfer function, too) and a range
_AV_SECOND = 1_000_000  # time units of a container


@dataclass(frozen=True)
class Look:
    """How a frame is drawn: share of colour, and whether the frame as it was is on the left."""

    alpha: float = 0.5
    side_by_side: bool = False


@dataclass(frozen=True)
class Clip:
    """An open video or folder of frames. `time_base` is in seconds; `total` is None where a video does not say."""

    frames: Frames
    total: int | None
    rate: Fraction
    time_base: Fraction


def predict_video(source: Source, path: Path, out: Path, look: Look = Look(), fps: float | None = None) -> int:
    """Predict a video or a folder of frames, one by one, into an H.264 video `out`; return the number of frames.

    Frames of a video keep their times, those of a folder are shown `fps` a second (10), by name, with numbers in it by
    their value. Sound is left out. FoldsegError names what is missing or damaged; `out` is there once it is complete.
    """
    if out.suffix != ".mp4":
        raise FoldsegError(f"{out}: should end in .mp4")
    size: tuple[int, int] | None = None
    count = 0
    with _clip(path, fps) as clip, _encoder(out, clip) as write:
        for name, image, time in tqdm(
            clip.frames, total=clip.total, desc=out.name, unit="frame", leave=False, disable=None
        ):
            size = size or (image.shape[0], image.shape[1])
            if image.shape[:2] != size:
                raise FoldsegError(f"{name}: is {image.shape[:2]}, the frames before it {size} (height, width)")
            write(drawn(image, source.mask(image), source.labels, look), time)
            count += 1
        if not count:
            raise FoldsegError(f"{path}: holds no frames")
    logger.info("%s: %d frames", out, count)
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
def _clip(path: Path, fps: float | None) -> Iterator[Clip]:
    """Open a video or a folder of frames. FoldsegError when it is neither."""
    if path.is_dir():
        yield _folder(path, Fraction(_FPS if fps is None else fps).limit_denominator(1000))
        return
    if fps is not None:
        raise FoldsegError(f"{path}: a video has times of its own; --fps is for a folder of frames")
    if not path.is_file():
        raise FoldsegError(f"{path}: no such video or folder of frames")
    try:
        container = _av().open(str(path))
    except _av().FFmpegError as error:
        raise FoldsegError(f"{path}: is no video, or a damaged one ({error.strerror})") from error
    with container:
        if not container.streams.video:
            raise FoldsegError(f"{path}: has sound only")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate or Fraction(_FPS)
        yield Clip(_decoded(container, stream, rate, path), _total(container, stream, rate), rate, stream.time_base)


def _total(container: Any, stream: Any, rate: Fraction) -> int | None:
    """Return how many frames a video says or seems to have."""
    seconds = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / _AV_SECOND
    return stream.frames or round(seconds * rate) or None


def _decoded(container: Any, stream: Any, rate: Fraction, path: Path) -> Frames:
    damage = _av().FFmpegError
    step = max(1, round(1 / (rate * stream.time_base)))
    number, start, time = 0, None, -step
    try:
        for frame in container.decode(stream):
            # Some videos have no times, or one twice, which the encoder would refuse
            start = frame.pts if start is None else start
            time = time + step if frame.pts is None or start is None else max(frame.pts - start, time + 1)
            picture = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
            yield f"{path}, frame {number}", np.ascontiguousarray(picture), time
            number += 1
    except damage as error:
        raise FoldsegError(f"{path}: is damaged at frame {number} ({error.strerror})") from error


def _folder(path: Path, rate: Fraction) -> Clip:
    files = sorted(list_files(path).by_stem.values(), key=lambda file: _natural(file.name))
    if not files:
        raise FoldsegError(f"{path}: holds no frames ({', '.join(PICTURES)})")
    frames = ((str(file), read_image(file), time) for time, file in enumerate(files))
    return Clip(frames, len(files), rate, 1 / rate)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort frame_2 before frame_10."""
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


@contextmanager
def _encoder(out: Path, clip: Clip) -> Iterator[Callable[[Image, int], None]]:
    """Yield a function that adds a picture, at a time; all are of one size, of even sides."""
    av = _av()
    with replacing(out) as partial, av.open(str(partial), "w", format="mp4", options=_FAST_START) as container:
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


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise FoldsegError("PyAV is needed for videos and is not installed: pip install -e '.[video]'") from error
    return av
