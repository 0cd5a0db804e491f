"""Reads videos and folders of frames, frame by frame: upright, with square pixels. Faults are collected as problems."""

import logging
import re
from collections.abc import Callable, Iterator
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

VideoFrames = Iterator[tuple[str, Image, int]]
"""Frames of a video: name, picture (H, W, 3) uint8 RGB, upright, and time in units of the time base."""

_FOLDER_FPS = 10
_CONTAINER_UNITS_PER_SECOND = 1_000_000
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")  # hours, minutes, seconds
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}  # by ffmpeg's numbers
_LARGEST_PIXEL_ASPECT = 4  # if pixels are wider or higher, the video states them by mistake


@dataclass(frozen=True)
class Clip:
    """An open video or folder of frames.

    `total`: the number of frames, or None where a video does not say. `rate`: frames per second. `time_base`: the unit
    of times, in seconds. `problems`: what could not be read in the frames that were taken so far.
    """

    frames: VideoFrames
    total: int | None
    rate: Fraction
    time_base: Fraction
    problems: list[str] = field(default_factory=list)


@contextmanager
def open_clip(path: Path, fps: float | None) -> Iterator[Clip]:
    """Open a video, or a folder of frames at `fps` frames per second (default 10). FoldsegError if it is neither."""
    if path.is_dir():
        yield _open_folder(path, _FOLDER_FPS if fps is None else fps)
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
    """The best video stream of an open container."""

    def __init__(self, path: Path, container: Any) -> None:
        self._path, self._container = path, container
        self._stream = container.streams.best("video") or container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._rate = self._stream.average_rate or self._stream.guessed_rate or Fraction(_FOLDER_FPS)
        self._problems: list[str] = []
        self._square_size = _square_size_of(path, self._stream)

    def clip(self) -> Clip:
        """Return the frames as a clip. Log which other streams are left out."""
        others = [name for name in ("audio", "subtitles") if getattr(self._container.streams, name)]
        if others:
            logger.info("%s: is predicted without its %s", self._path, " and ".join(others))
        if (videos := len(self._container.streams.video)) > 1:
            logger.info("%s: has %d streams of pictures, of which one is predicted", self._path, videos)
        stated = self._stream.frames or round((self._length() or 0) * self._rate) or None
        return Clip(self._frames(stated), stated, self._rate, self._stream.time_base, self._problems)

    def _frames(self, stated: int | None) -> VideoFrames:
        """Yield all frames that can be decoded. Add to the problems what cannot be, and what is missing at the end."""
        step = max(1, round(1 / (self._rate * self._stream.time_base)))
        number, start, time, end = 0, None, -step, 0
        for frame in self._decode():
            if number == 0:
                self._warn_of_losses(frame)
            # Some videos have no times, or the same time twice, which the encoder would refuse
            start = frame.pts if start is None else start
            time = time + step if frame.pts is None or start is None else max(frame.pts - start, time + 1)
            end = time + (frame.duration or step)
            yield f"{self._path}, frame {number}", self._picture_of(frame), time
            number += 1
        self._check_end(number, stated, float(end * self._stream.time_base))

    def _decode(self) -> Iterator[Any]:
        """Yield decoded frames. A packet that cannot be decoded is added to the problems, and the next one is tried."""
        damage = import_av().FFmpegError
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except damage as error:
                self._problems.append(f"nothing can be read after {self._describe_time(None)} ({error.strerror})")
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except damage as error:
                self._problems.append(f"is damaged at {self._describe_time(packet.pts)} ({error.strerror})")
                continue
            yield from frames

    def _describe_time(self, pts: int | None) -> str:
        if pts is None:
            return "an unknown time"
        return f"{float((pts - (self._stream.start_time or 0)) * self._stream.time_base):.1f} s"

    def _check_end(self, number: int, stated: int | None, end: float) -> None:
        """Add a problem if the frames end earlier than the video says.

        Fewer frames than stated are no problem by themselves: phones cut a video by telling players what to leave out.
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
        """Return how many seconds the stream lasts by what the video says, or None if that is not known."""
        stream, tag = self._stream, _DURATION.match(self._stream.metadata.get("DURATION", ""))
        if tag:
            return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
        # If a stream does not state its own length, ffmpeg gives it that of the longest stream, which may be sound
        is_own_length = bool(stream.frames) or len(self._container.streams) == 1
        if not is_own_length:
            return None
        if stream.duration:
            return float(stream.duration * stream.time_base)
        return self._container.duration / _CONTAINER_UNITS_PER_SECOND if self._container.duration else None

    def _picture_of(self, frame: Any) -> Image:
        """Return a frame as (H, W, 3) uint8 RGB, with square pixels, upright."""
        picture = frame.to_ndarray(format="rgb24")
        if self._square_size is not None:
            height, width = self._square_size(picture.shape[0], picture.shape[1])
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))

    def _warn_of_losses(self, frame: Any) -> None:
        """Log what of the video the network does not see as it is meant to be seen."""
        if frame.interlaced_frame:
            logger.warning("%s: is interlaced; what moves has combed edges, which networks are not used to", self._path)
        if (transfer := _HDR_TRANSFERS.get(int(frame.color_trc or 0))) is not None:
            logger.warning("%s: is of high dynamic range (%s); its colours are pale to a network", self._path, transfer)
        if any(part.is_alpha for part in frame.format.components):
            logger.info("%s: is predicted without its transparency", self._path)


def _square_size_of(path: Path, stream: Any) -> Callable[[int, int], tuple[int, int]] | None:
    """Return a function of the stored (height, width) to the size with square pixels; None if they are square already.

    Neither side becomes smaller.
    """
    ratio = stream.sample_aspect_ratio
    if not ratio or ratio == 1:
        return None
    if not 1 / _LARGEST_PIXEL_ASPECT <= ratio <= _LARGEST_PIXEL_ASPECT:
        logger.warning("%s: says that its pixels are %s times as wide as high; taken for a mistake", path, ratio)
        return None
    logger.info("%s: its pixels are %s:%s; frames are made square", path, *ratio.as_integer_ratio())

    def square_size(height: int, width: int) -> tuple[int, int]:
        return (height, round(width * ratio)) if ratio > 1 else (round(height / ratio), width)

    return square_size


def _open_folder(path: Path, fps: float) -> Clip:
    rate = Fraction(fps).limit_denominator(1_000_000)
    if not rate:
        raise FoldsegError(f"--fps {fps}: is too slow for a video")
    files = sorted(list_files(path).by_stem.values(), key=lambda file: _natural_key(file.name))
    if not files:
        raise FoldsegError(f"{path}: holds no frames ({', '.join(PICTURES)})")
    problems: list[str] = []

    def frames() -> VideoFrames:
        for time, file in enumerate(files):
            try:
                yield str(file), read_image(file), time
            except FoldsegError as error:
                problems.append(str(error))

    return Clip(frames(), len(files), rate, 1 / rate, problems)


def _natural_key(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts frame_2 before frame_10."""
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def import_av() -> Any:
    """Import PyAV. FoldsegError that says how to get it."""
    try:
        import av
    except ImportError as error:
        raise FoldsegError("PyAV is needed for videos and is not installed: pip install -e '.[video]'") from error
    return av
