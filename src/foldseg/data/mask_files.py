"""Reading masks: files of ids or of colours, in any form in which people keep them.

Nothing is guessed. Grey edges, mixed colours and lossy files are errors, unless the settings `data.pictures` say how
they are to be read.
"""

import io
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from foldseg.config.schema import Pictures
from foldseg.data.colour_codes import find_raw_ids
from foldseg.data.headers import Header
from foldseg.data.image_decoding import decode_with_opencv
from foldseg.data.labels import IGNORE_INDEX, LARGEST_ID, Image, LabelSet, Mask, RawIds
from foldseg.data.number_files import NPY_START, decode_npy
from foldseg.data.reading import AS_SHOWN, name_errors, orient, read_picture
from foldseg.errors import FoldsegError
from foldseg.notices import say_once

WHITE = 255
_OPAQUE = 255
_LOSSY = ("JPEG",)
_STEP_OF_BITS = {2: 85, 4: 17}
"""Bits of a grey PNG -> the difference of two levels after decoding."""


def read_mask(path: Path, labels: LabelSet, pictures: Pictures = AS_SHOWN) -> Mask:
    """Read a mask file as class indices or class bits (H, W) uint8, void 255.

    Files hold RGB colours if the label set has `raw_colours`. Otherwise they hold ids: of 8 or 16 bits, the index of a
    palette, equal channels, or black and white (0 and 255) of 1 bit. FoldsegError for unknown ids or colours, and for
    damaged files.
    """
    content, header = read_picture(path)
    with name_errors(path, header, 4):
        if labels.raw_colours:
            raw_ids: RawIds = _decode_colours(path, content, header, labels, pictures)
        else:
            raw_ids = _decode_ids(path, content, header, pictures)
        try:
            return labels.encode(orient(raw_ids, header, pictures))
        except ValueError as error:
            raise FoldsegError(f"{path}: {error}{_suggest_cure(raw_ids, labels, pictures)}") from None


def read_index_mask(path: Path, labels: LabelSet, pictures: Pictures = AS_SHOWN) -> Mask:
    """Read a mask file that holds class indices or class bits: (H, W) uint8, void 255.

    FoldsegError for an index that is no class, and for bits of no class.
    """
    content, header = read_picture(path)
    with name_errors(path, header, 1):
        mask = orient(_decode_levels(path, content, header), header, pictures)
    present = np.unique(mask) if mask.dtype != np.uint8 else np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    unknown = present[(present >= labels.number_of_values) & (present != IGNORE_INDEX)].tolist()
    if unknown:
        what = "class bits" if labels.overlapping else "class indices"
        raise FoldsegError(
            f"{path}: holds {unknown}; expected {what} 0 to {labels.number_of_values - 1}, and 255 for void"
        )
    return np.asarray(mask, np.uint8)


def read_plane(path: Path, pictures: Pictures = AS_SHOWN) -> NDArray[np.bool_]:
    """Read the mask file of a single class: (H, W) bool, True where the file is not black.

    FoldsegError if it holds more than black and one other value, unless `pictures.mask_threshold` divides them.
    """
    content, header = read_picture(path)
    with name_errors(path, header, 1):
        levels = orient(_decode_ids(path, content, header, pictures), header, pictures)
    present = np.unique(levels)
    if len(present[present > 0]) > 1:
        raise FoldsegError(
            f"{path}: holds {len(present)} values, expected black and one other (the mask of one class)"
            f"{_suggest_threshold(present)}"
        )
    return np.asarray(levels > 0)


def read_raw_mask(path: Path) -> tuple[RawIds, str]:
    """Return what a mask file holds, whatever it is, and the form of the file: `8-bit PNG, 1 channel`.

    It is ids (H, W) uint8 or uint16, of a palette the index; or colours (H, W, 3) uint8 RGB, if channels differ.
    """
    content, header = read_picture(path)
    with name_errors(path, header, 4):
        if header.paletted or header.bits == 1:
            form = "palette" if header.paletted else "1 bit"
            return _decode_levels(path, content, header), f"{header.kind}, {form}"
        picture = _decode_integers(path, content, header)
        channels = 1 if picture.ndim == 2 else picture.shape[2]
        form = f"{picture.dtype.itemsize * 8}-bit {header.kind}, {channels} channel{'s' if channels > 1 else ''}"
        if picture.ndim == 3:
            picture = _drop_alpha(path, picture)
            are_equal = (picture == picture[..., :1]).all()
            if not are_equal and picture.dtype == np.uint8:
                return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8), form
            picture = _take_equal_channel(path, picture)
        if header.kind == "PNG" and header.bits in _STEP_OF_BITS:
            return np.asarray(picture // _STEP_OF_BITS[header.bits], np.uint8), form
        return picture, form


def fit_size(mask: Mask, size: tuple[int, int], pictures: Pictures) -> Mask:
    """Return a mask (H, W) at another size, (height, width), if `pictures.resize_masks` says so; otherwise itself."""
    if not pictures.resize_masks or mask.shape == size:
        return mask
    return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def _decode_ids(path: Path, content: bytes, header: Header, pictures: Pictures) -> RawIds:
    """Return the ids (H, W) uint8 or uint16 of a mask file; 0 and 255 if they are divided by a threshold."""
    threshold = pictures.mask_threshold
    if threshold is None:
        if header.kind in _LOSSY:
            raise FoldsegError(
                f"{path}: is a {header.kind}, which changes the values of pixels; if it is black and white, set "
                "data.pictures.mask_threshold=128"
            )
        return _decode_levels(path, content, header)
    levels = _decode_grey(path, content, header)
    between = np.count_nonzero((levels > 0) & (levels < levels.max(initial=0)))
    if between:
        say_once(
            f"{path}: {between / levels.size:.2%} of its pixels are between black and white; those from "
            f"{threshold} on are white (data.pictures.mask_threshold). Other masks are read likewise",
            kind="mask_threshold",
        )
    return np.where(levels >= threshold, WHITE, 0).astype(np.uint8)


def _decode_levels(path: Path, content: bytes, header: Header) -> RawIds:
    """Return what a mask file holds, (H, W) uint8 or uint16: the index where there is a palette."""
    if header.paletted:
        return np.array(_open_with_pillow(path, content), np.uint8)  # OpenCV would replace the index by its colour
    if header.bits == 1:
        return np.array(_open_with_pillow(path, content).convert("L"), np.uint8)
    picture = _decode_integers(path, content, header)
    if picture.ndim == 3:
        picture = _take_equal_channel(path, picture)
    if header.kind == "PNG" and header.bits in _STEP_OF_BITS:
        return np.asarray(picture // _STEP_OF_BITS[header.bits], np.uint8)
    return picture


def _decode_grey(path: Path, content: bytes, header: Header) -> RawIds:
    """Return a mask file as it looks in grey, (H, W) uint8 or uint16. A palette is replaced by its colours."""
    if header.paletted or header.bits == 1:
        return np.array(_open_with_pillow(path, content).convert("L"), np.uint8)
    picture = _decode_integers(path, content, header)
    if picture.ndim == 2:
        return picture
    picture = _drop_alpha(path, picture)
    return picture[..., 0] if picture.shape[2] == 1 else cast(RawIds, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))


def _decode_integers(path: Path, content: bytes, header: Header) -> RawIds:
    """Decode a picture with the channels that it has, (H, W) or (H, W, channels) BGR, uint8 or uint16."""
    if header.kind == "PNG" and header.bits <= 8:  # of damage, OpenCV would print lines that name no file
        rgb = np.array(_open_with_pillow(path, content), np.uint8)
        return rgb if rgb.ndim == 2 else _swap_red_and_blue(rgb)
    if content.startswith(NPY_START):
        return _decode_array(path, content)
    picture = decode_with_opencv(content, cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
    if picture.dtype not in (np.uint8, np.uint16):
        raise FoldsegError(f"{path}: holds numbers of the type {picture.dtype}; a mask holds 8 or 16 bits, unsigned")
    return cast(RawIds, picture)


def _swap_red_and_blue(rgb: Image) -> RawIds:
    """Return RGB as BGR, with alpha if it has one; grey with alpha as it is."""
    if rgb.shape[2] == 2:
        return rgb
    code = cv2.COLOR_RGB2BGR if rgb.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return np.asarray(cv2.cvtColor(rgb, code), np.uint8)


def _decode_array(path: Path, content: bytes) -> RawIds:
    """Return the ids (H, W) uint8 or uint16 of a NumPy file."""
    numbers = decode_npy(path, content)
    if numbers.shape[2] != 1 or numbers.dtype.kind not in "biu":
        raise FoldsegError(f"{path}: has the shape {numbers.shape} and the type {numbers.dtype}; expected ids (H, W)")
    low, high = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    if low < 0 or high > LARGEST_ID:
        raise FoldsegError(f"{path}: holds ids from {low} to {high}; they are 0 to {LARGEST_ID}")
    ids = numbers[..., 0]
    return ids.astype(np.uint8) if high < 256 else ids.astype(np.uint16)


def _take_equal_channel(path: Path, picture: RawIds) -> RawIds:
    """Return the first of the channels (H, W, channels), which have to be equal. An opaque alpha is dropped."""
    picture = _drop_alpha(path, picture)
    first = picture[..., 0]
    if not (picture == first[..., None]).all():
        raise FoldsegError(
            f"{path}: has {picture.shape[2]} channels that differ; expected ids, in one channel or in equal ones. "
            "If it holds colours, set data.dataset.mask_values=colors"
        )
    return cast(RawIds, np.ascontiguousarray(first))


def _drop_alpha(path: Path, picture: RawIds) -> RawIds:
    """Return a picture (H, W, channels) without its alpha channel. FoldsegError if a pixel is transparent."""
    if picture.shape[2] not in (2, 4):
        return picture
    opaque = np.iinfo(picture.dtype).max
    transparent = int(np.count_nonzero(picture[..., -1] != opaque))
    if transparent:
        raise FoldsegError(
            f"{path}: {transparent} of its pixels are transparent, and which class they show is not known; "
            "save the mask without transparency"
        )
    return cast(RawIds, np.ascontiguousarray(picture[..., :-1]))


def _open_with_pillow(path: Path, content: bytes) -> PillowImage.Image:
    try:
        picture = PillowImage.open(io.BytesIO(content))
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise FoldsegError(f"{path}: is damaged: {error}") from error
    return picture


def _decode_colours(path: Path, content: bytes, header: Header, labels: LabelSet, pictures: Pictures) -> Mask:
    """Return the raw ids (H, W) uint8 of a mask that holds RGB colours."""
    if header.kind in _LOSSY and pictures.nearest_color is None:
        raise FoldsegError(
            f"{path}: is a {header.kind}, which changes colours; to take the nearest colour of a class, set "
            "data.pictures.nearest_color=100 (the largest distance in RGB)"
        )
    rgb = _decode_rgb(path, content, header)
    if pictures.nearest_color is not None:
        rgb = _take_nearest(path, rgb, np.array(labels.raw_colours), pictures.nearest_color)
    try:
        return find_raw_ids(rgb, labels.raw_colours)
    except ValueError as error:
        hint = _suggest_nearest(rgb, labels)
        if pictures.nearest_color is not None:
            hint = f"; they are further than {pictures.nearest_color:g} from all colours (data.pictures.nearest_color)"
        if (rgb == rgb[..., :1]).all():
            hint = "; its channels are equal, as of one channel; if it holds ids, set data.dataset.mask_values=ids"
        raise FoldsegError(f"{path}: {error}{hint}") from None


def _decode_rgb(path: Path, content: bytes, header: Header) -> Image:
    """Decode a mask of colours as (H, W, 3) uint8 RGB. A palette is replaced by its colours."""
    if header.paletted:
        return np.array(_open_with_pillow(path, content).convert("RGB"), np.uint8)
    picture = _decode_integers(path, content, header)
    if picture.dtype != np.uint8:
        raise FoldsegError(f"{path}: is a 16-bit mask; colours have 8 bits per channel")
    if picture.ndim == 2:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8)
    picture = _drop_alpha(path, picture)
    if picture.shape[2] == 1:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _take_nearest(path: Path, rgb: Image, colours: NDArray[np.int64], most: float) -> Image:
    """Return a picture whose colours are replaced by the nearest of `colours` (n, 3), if it is not further than `most`.

    The distance is the Euclidean one in RGB. Only the different colours are compared, which are few.
    """
    code = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    codes, place = np.unique(code, return_inverse=True)
    present = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1).astype(np.int64)
    distances = np.sqrt(((present[:, None] - colours[None]) ** 2).sum(-1))
    nearest, distance = distances.argmin(1), distances.min(1)
    is_near = distance <= most
    table = np.where(is_near[:, None], colours[nearest], present).astype(np.uint8)
    place = place.reshape(code.shape)
    changed = np.count_nonzero((is_near & (distance > 0))[place])
    if changed:
        say_once(
            f"{path}: {changed / code.size:.2%} of its pixels are of the nearest colour of a class "
            "(data.pictures.nearest_color). Other masks are read likewise",
            kind="nearest_color",
        )
    return table[place]


def _suggest_cure(raw_ids: RawIds, labels: LabelSet, pictures: Pictures) -> str:
    """Say how a mask of unknown ids may be meant. "" if there is no idea."""
    present = np.unique(raw_ids)
    known = sorted({raw_id for label in labels.classes for raw_id in label.raw_ids} | set(labels.background_ids))
    if pictures.mask_threshold is None and 255 in present and 255 not in known and len(known) == 1:
        return "; if it is black and white, the class needs `ids: 255`"
    if pictures.mask_threshold is None and len(known) == 2:
        if present.tolist() == [0, 255] and known == [0, 1]:
            return "; it is black and white: give the classes the ids 0 and 255"
        if known == [0, 255]:
            return _suggest_threshold(present)
    return ""


def _suggest_threshold(present: NDArray[np.generic]) -> str:
    if len(present) <= 2:
        return ""
    return (
        f"; {len(present)} values from black to white look like grey edges: set data.pictures.mask_threshold=128, and "
        "pixels from 128 on are white"
    )


def _suggest_nearest(rgb: Image, labels: LabelSet) -> str:
    """Say that mixed colours at edges can be read as the nearest colour, if most pixels have the colour of a class."""
    code = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    known = [red << 16 | green << 8 | blue for red, green, blue in labels.raw_colours]
    share = 1 - np.isin(code, known).mean()
    if share > 0.5:
        return ""
    return (
        f"; these are {share:.2%} of its pixels, which look like mixed edges: set data.pictures.nearest_color=100 to "
        "take the nearest colour of a class"
    )
