"""Videos and folders of frames, frame by frame: upright, with square pixels, and what could not be read is told."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from foldseg.data.labels import Image
from foldseg.data.listing import PICTURES, list_files
from foldseg.data.reading import read_image
from foldseg.errors import FoldsegError

logger = logging.getLogger(__name__)

Frames = Iterator[tuple[str, Image, int]]
"""What a frame is called, its picture (H, W, 3) uint8 RGB, upright, and its time in units of a time base."""

_FPS = 10  # of folders
_AV_SECOND = 1_000_000  # time units of a container
_LENGTH = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")  # hours, minutes, seconds
_HDR = {16: "PQ", 18: "HLG"}  # ffmpeg's numbers of transfer functions
_MOST_SQUEEZED = 4  # a wider or higher pixel is a mistake of whoever wrote the video


@dataclass(frozen=True)
class Clip:
    """An open video or folder of frames. `time_base` is in seconds; `total` is None where a video does not say.

    problems: what could not be read, as far as `frames` have been taken.
    """

    frames: Frames
    total: int | None
    rate: Fraction
    time_base: Fraction
    problems: list[str] = field(default_factory=list)


@contextmanager
def clip_of(path: Path, fps: float | None) -> Iterator[Clip]:
    """Open a video or a folder of frames, which are shown `fps` a second (10). FoldsegError when it is neither."""
    if path.is_dir():
        yield _folder(path, _FPS if fps is None else fps)
        return
    if fps is not None:
        raise FoldsegError(f"{path}: a video has times of its own; --fps is for a folder of frames")
    if not path.is_file():
        raise FoldsegError(f"{path}: no such video or folder of frames")
    try:
        container = import_av().open(str(path))
    except import_av().FFmpegError as error:
        raise FoldsegError(f"{path}: is no video, or a damaged one ({error.strerror})") from error
    with container:
        if not container.streams.video:
            raise FoldsegError(f"{path}: has sound only")
        yield _Video(path, container).clip()


class _Video:
    """The best stream of pictures of an open container."""

    def __init__(self, path: Path, container: Any) -> None:
        self._path, self._container = path, container
        self._stream = container.streams.best("video") or container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._rate = self._stream.average_rate or self._stream.guessed_rate or Fraction(_FPS)
        self._problems: list[str] = []
        self._square = _square(path, self._stream)

    def clip(self) -> Clip:
        """Return its frames; what is left out of them is logged."""
        others = [name for name in ("audio", "subtitles") if getattr(self._container.streams, name)]
        if others:
            logger.info("%s: is predicted without its %s", self._path, " and ".join(others))
        if (videos := len(self._container.streams.video)) > 1:
            logger.info("%s: has %d streams of pictures, of which one is predicted", self._path, videos)
        stated = self._stream.frames or round((self._length() or 0) * self._rate) or None
        return Clip(self._frames(stated), stated, self._rate, self._stream.time_base, self._problems)

    def _frames(self, stated: int | None) -> Frames:
        """Yield what can be decoded; add to the problems what cannot, and what is missing at the end."""
        step = max(1, round(1 / (self._rate * self._stream.time_base)))
        number, start, time, end = 0, None, -step, 0
        for frame in self._decoded():
            if number == 0:
                self._say_what_is_lost(frame)
            # Some videos have no times, or one twice, which the encoder would refuse
            start = frame.pts if start is None else start
            time = time + step if frame.pts is None or start is None else max(frame.pts - start, time + 1)
            end = time + (frame.duration or step)
            yield f"{self._path}, frame {number}", self._picture(frame), time
            number += 1
        self._check_end(number, stated, float(end * self._stream.time_base))

    def _decoded(self) -> Iterator[Any]:
        """Yield frames; a packet that cannot be decoded is a problem, and the next one is tried."""
        damage = import_av().FFmpegError
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except damage as error:
                self._problems.append(f"nothing can be read after {self._seconds(None)} ({error.strerror})")
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except damage as error:
                self._problems.append(f"is damaged at {self._seconds(packet.pts)} ({error.strerror})")
                continue
            yield from frames

    def _seconds(self, pts: int | None) -> str:
        if pts is None:
            return "an unknown time"
        return f"{float((pts - (self._stream.start_time or 0)) * self._stream.time_base):.1f} s"

    def _check_end(self, number: int, stated: int | None, end: float) -> None:
        """Add a problem when the frames end earlier than the video says of itself.

        Fewer frames alone are none: phones cut videos by telling players what to leave out.
        """
        length = self._length()
        if length is None or number == 0 or number >= (stated or 0):
            return
        if length - end > max(0.5, 2 / float(self._rate)):
            self._problems.append(
                f"is cut short: {number} of {stated} frames are there, {end:.1f} of {length:.1f} s; "
                "get the file again, if there is a longer one"
            )

    def _length(self) -> float | None:
        """Return how many seconds of pictures a video says it has."""
        stream, tagged = self._stream, _LENGTH.match(self._stream.metadata.get("DURATION", ""))
        if tagged:
            return int(tagged[1]) * 3600 + int(tagged[2]) * 60 + float(tagged[3])
        # Where a stream does not say its own length, ffmpeg gives it that of the longest one, which may be sound
        is_own = bool(stream.frames) or len(self._container.streams) == 1
        if is_own and stream.duration:
            return float(stream.duration * stream.time_base)
        return self._container.duration / _AV_SECOND if is_own and self._container.duration else None

    def _picture(self, frame: Any) -> Image:
        """(H, W, 3) uint8 RGB, with square pixels, upright."""
        picture = frame.to_ndarray(format="rgb24")
        if self._square is not None:
            height, width = self._square(picture.shape[0], picture.shape[1])
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))

    def _say_what_is_lost(self, frame: Any) -> None:
        if frame.interlaced_frame:
            logger.warning("%s: is interlaced; what moves has combed edges, which networks are not used to", self._path)
        if (transfer := _HDR.get(int(frame.color_trc or 0))) is not None:
            logger.warning("%s: is of high dynamic range (%s); its colours are pale to a network", self._path, transfer)
        if any(part.is_alpha for part in frame.format.components):
            logger.info("%s: is predicted without its transparency", self._path)


def _square(path: Path, stream: Any) -> Any:
    """Return a function from (height, width) as stored to the size with square pixels; None if they are square.

    Nothing is made smaller.
    """
    ratio = stream.sample_aspect_ratio
    if not ratio or ratio == 1:
        return None
    if not 1 / _MOST_SQUEEZED <= ratio <= _MOST_SQUEEZED:
        logger.warning("%s: says that its pixels are %s times as wide as high; taken for a mistake", path, ratio)
        return None
    logger.info("%s: its pixels are %s:%s; frames are made square", path, *ratio.as_integer_ratio())

    def size(height: int, width: int) -> tuple[int, int]:
        return (height, round(width * ratio)) if ratio > 1 else (round(height / ratio), width)

    return size


def _folder(path: Path, fps: float) -> Clip:
    rate = Fraction(fps).limit_denominator(1_000_000)
    if not rate:
        raise FoldsegError(f"--fps {fps}: is too slow for a video")
    files = sorted(list_files(path).by_stem.values(), key=lambda file: _natural(file.name))
    if not files:
        raise FoldsegError(f"{path}: holds no frames ({', '.join(PICTURES)})")
    problems: list[str] = []

    def frames() -> Frames:
        for time, file in enumerate(files):
            try:
                yield str(file), read_image(file), time
            except FoldsegError as error:
                problems.append(str(error))

    return Clip(frames(), len(files), rate, 1 / rate, problems)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort frame_2 before frame_10."""
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def import_av() -> Any:
    """Import PyAV. FoldsegError that says how to get it."""
    try:
        import av
    except ImportError as error:
        raise FoldsegError("PyAV is needed for videos and is not installed: pip install -e '.[video]'") from error
    return av
