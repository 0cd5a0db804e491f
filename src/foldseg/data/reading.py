"""Reading images and masks; a file that is missing, cut short or of the wrong kind is named in the error."""

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from foldseg.data.labels import IGNORE_INDEX, Image, LabelSet, Mask, ids_of_colours
from foldseg.errors import FoldsegError

_PNG_HEAD, _PNG_TAIL = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_JPEG_HEAD, _JPEG_TAIL = b"\xff\xd8\xff", b"\xff\xd9"
_PNG_PALETTE = 3  # colour type in a PNG's header
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8), (4, cv2.IMREAD_REDUCED_GRAYSCALE_4), (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)  # fmt: skip
_TAIL_BYTES = 64  # some writers append a few bytes after the end marker


def read_image(path: Path, *, upright: bool = False) -> Image:
    """Read a picture as RGB (H, W, 3) uint8: on its stored pixel grid, as masks are, or `upright`, as its EXIF says.

    16 bits become 8 (65535 becomes 255), grey is three equal channels, transparency is left out.
    """
    content = _read(path)
    flags = cv2.IMREAD_COLOR_RGB | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:  # more pixels than OpenCV decodes
        raise FoldsegError(f"{path}: cannot be decoded: {error.err or error}") from error
    if picture is None:
        raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
    return np.asarray(picture, np.uint8)


def read_small_grey(path: Path, width: int) -> NDArray[np.uint8]:
    """Read a picture as grey (H, W) uint8, at least `width` pixels wide if it is so; JPEGs are decoded that small.

    At an eighth of its size one of 1936x1216 takes a fifth of the time that it takes in colours and in full.
    """
    shrink = image_size(path)[1] // width
    flags = cv2.IMREAD_GRAYSCALE
    content = _read(path)
    if content.startswith(_JPEG_HEAD):
        flags = next((flag for factor, flag in _REDUCED if factor <= shrink), flags)
    return _decode(path, content, flags | cv2.IMREAD_IGNORE_ORIENTATION)


def read_mask(path: Path, labels: LabelSet) -> Mask:
    """Read a mask file as class indices (H, W) uint8, void 255.

    Files hold RGB colours if the label set has `raw_colours`, otherwise 8-bit ids, grey or paletted (the palette's
    index is the id). FoldsegError for 16-bit masks, for unknown ids or colours, for damaged files.
    """
    content = _read(path)
    raw = _colour_mask(path, content, labels) if labels.raw_colours else _id_mask(path, content)
    try:
        return labels.encode(raw)
    except ValueError as error:
        raise FoldsegError(f"{path}: {error}") from None


def read_index_mask(path: Path, classes: int) -> Mask:
    """Read a mask file of class indices (H, W) uint8, void 255; FoldsegError for an index that is no class."""
    mask = _id_mask(path, _read(path))
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    unknown = present[(present >= classes) & (present != IGNORE_INDEX)].tolist()
    if unknown:
        raise FoldsegError(f"{path}: holds {unknown}; expected class indices 0 to {classes - 1}, and 255 for void")
    return mask


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) from the file's header, having checked that the file is not cut short."""
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_PNG_HEAD))
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            _check_whole(path, head, stream.read())
        with PillowImage.open(path) as picture:
            return picture.height, picture.width
    except FileNotFoundError as error:
        raise FoldsegError(f"{path}: no such file") from error
    except (UnidentifiedImageError, OSError) as error:
        raise FoldsegError(f"{path}: is not a readable image ({error})") from error


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror}") from error
    _check_whole(path, content[: len(_PNG_HEAD)], content[-_TAIL_BYTES:])
    return content


def _check_whole(path: Path, head: bytes, tail: bytes) -> None:
    """OpenCV fills up a truncated file with grey and says nothing; the end markers tell."""
    for magic, end in ((_PNG_HEAD, _PNG_TAIL), (_JPEG_HEAD, _JPEG_TAIL)):
        if head.startswith(magic) and end not in tail:
            raise FoldsegError(f"{path}: is cut short (its end marker is missing); copy or download it again")
    if not head:
        raise FoldsegError(f"{path}: is empty")


def _decode(path: Path, content: bytes, flags: int) -> Image:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if picture is None:
        raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
    if picture.dtype != np.uint8:
        raise FoldsegError(f"{path}: is a {picture.dtype.itemsize * 8}-bit mask; expected 8 bits per channel")
    return np.asarray(picture, np.uint8)


def _colour_mask(path: Path, content: bytes, labels: LabelSet) -> Mask:
    picture = _decode(path, content, cv2.IMREAD_UNCHANGED)
    if picture.ndim != 3 or picture.shape[2] != 3:
        channels = 1 if picture.ndim == 2 else picture.shape[2]
        raise FoldsegError(f"{path}: has {channels} channel(s); expected a mask of 3 (RGB colours)")
    try:
        return ids_of_colours(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False), labels.raw_colours)
    except ValueError as error:
        raise FoldsegError(f"{path}: {error}") from None


def _id_mask(path: Path, content: bytes) -> Mask:
    if content.startswith(_PNG_HEAD) and content[25] == _PNG_PALETTE:
        # OpenCV would replace the ids by the palette's colours
        try:
            with PillowImage.open(io.BytesIO(content)) as picture:
                return np.array(picture, np.uint8)
        except (OSError, SyntaxError, ValueError) as error:
            raise FoldsegError(f"{path}: is damaged: {error}") from error
    if content.startswith(_PNG_HEAD) and content[24] < 8:
        raise FoldsegError(f"{path}: is a {content[24]}-bit mask, whose ids would be stretched; expected 8 bits")
    mask = _decode(path, content, cv2.IMREAD_UNCHANGED)
    if mask.ndim != 2:
        raise FoldsegError(f"{path}: has {mask.shape[2]} channels; expected a mask of one (8-bit ids)")
    return mask
