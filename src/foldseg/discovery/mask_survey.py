"""What masks hold: ids, colours, black and white; and what is between them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from foldseg.data.labels import Colour, RawIds
from foldseg.data.mask_files import read_raw_mask
from foldseg.errors import FoldsegError

_MOST_MASKS = 64
"""So many masks are read, evenly spread over all."""
_FEW_VALUES = 64
_FEWEST_SOLID = 4
"""A colour is that of a class if so many pixels, of all masks that were read, have it with all their neighbours."""
_FAR = 60.0
"""Distance in RGB from which on a colour is not a mixture of others, but of its own."""
_WHITE, _VOID = 255, 255


@dataclass
class MaskSurvey:
    """What some masks hold."""

    values: Literal["ids", "colors"]
    ids: list[int] = field(default_factory=list)
    """The ids of classes, without those that are off the table."""
    void: list[int] = field(default_factory=list)
    colours: list[Colour] = field(default_factory=list)
    """RGB, the most frequent first."""
    palette: dict[int, Colour] = field(default_factory=dict)
    """Id -> the colour in the palette of the files."""
    threshold: int | None = None
    nearest: int | None = None
    share_off: float = 0.0
    """Share of pixels that are off the table: grey or mixed edges."""
    read: int = 0
    """Number of masks that were read."""
    forms: Counter[str] = field(default_factory=Counter)
    """How files look: `8-bit PNG, 1 channel` -> number of masks."""
    unreadable: list[str] = field(default_factory=list)


def survey_masks(paths: Sequence[Path]) -> MaskSurvey:
    """Read some of the masks and say what they hold. FoldsegError if none can be read."""
    step = max(1, len(paths) // _MOST_MASKS)
    masks, forms, unreadable, palette = list[RawIds](), Counter[str](), list[str](), dict[int, Colour]()
    for path in paths[::step][:_MOST_MASKS]:
        try:
            mask, form = read_raw_mask(path)
        except FoldsegError as error:
            unreadable.append(str(error))
            continue
        masks.append(mask)
        forms[form] += 1
        palette |= _read_palette(path)
    if not masks:
        raise FoldsegError("\n  ".join(["none of the masks can be read:", *unreadable[:5]]))
    has_colours = any(mask.ndim == 3 for mask in masks)
    survey = _survey_colours(masks) if has_colours else _survey_ids(masks, any("JPEG" in form for form in forms))
    survey.read, survey.forms, survey.unreadable, survey.palette = len(masks), forms, unreadable, palette
    return survey


def looks_like_mask(path: Path) -> bool:
    """Whether a picture has few values, or hardly any but a few, as masks have."""
    try:
        mask, _ = read_raw_mask(path)
    except FoldsegError:
        return False
    codes = _encode(mask) if mask.ndim == 3 else mask
    counts = np.sort(np.unique(codes, return_counts=True)[1])[::-1]
    return bool(counts[:_FEW_VALUES].sum() >= 0.97 * codes.size and counts[:8].sum() >= 0.8 * codes.size)


def _read_palette(path: Path) -> dict[int, Colour]:
    """Return the colour of each index that a palette picture uses. Empty for other pictures."""
    try:
        with PillowImage.open(path) as picture:
            table = picture.getpalette() if picture.mode == "P" else None
            used = np.unique(np.array(picture)).tolist() if table else []
    except (OSError, SyntaxError, ValueError):
        return {}
    if not table:
        return {}
    colours = np.array(table, int).reshape(-1, 3)
    return {index: (int(colours[index][0]), int(colours[index][1]), int(colours[index][2])) for index in used}


def _survey_ids(masks: Sequence[RawIds], is_lossy: bool) -> MaskSurvey:
    counts = np.zeros(65536, np.int64)
    in_masks = np.zeros(65536, np.int64)
    for mask in masks:
        present, number = np.unique(mask, return_counts=True)
        counts[present] += number
        in_masks[present] += 1
    present = np.flatnonzero(counts)
    total = int(counts.sum())
    ends = counts[[0, _WHITE]].sum()
    between = int(total - ends)
    is_grey = len(present) > 2 and counts[_WHITE] > 0 and ends >= 0.8 * total and len(present) > 8
    if is_grey or is_lossy:
        return MaskSurvey("ids", [0, _WHITE], threshold=128, share_off=between / total)
    ids = present.tolist()
    void = [_VOID] if len(ids) > 2 and _VOID in ids and max(i for i in ids if i != _VOID) < 254 else []
    return MaskSurvey("ids", [raw_id for raw_id in ids if raw_id not in void], void)


def _survey_colours(masks: Sequence[RawIds]) -> MaskSurvey:
    """Return the colours of areas. A colour that is only at edges is a mixture of others."""
    counts, solid = Counter[int](), Counter[int]()
    for mask in masks:
        picture = mask if mask.ndim == 3 else np.stack([np.asarray(mask, np.uint8)] * 3, -1)
        codes = _encode(picture)
        _add_counts(counts, codes)
        _add_counts(solid, codes[1:-1, 1:-1][_is_solid(codes)])
    main: list[Colour] = []
    for code, count in solid.most_common():
        colour = (code >> 16, code >> 8 & 255, code & 255)
        is_apart = all(np.linalg.norm(np.subtract(colour, other)) >= _FAR for other in main)
        if count >= _FEWEST_SOLID and (is_apart or len(counts) <= _FEW_VALUES):
            main.append(colour)
    total = counts.total()
    on_table = sum(counts[red << 16 | green << 8 | blue] for red, green, blue in main)
    nearest = _choose_nearest(main) if on_table < total else None
    return MaskSurvey("colors", colours=main, nearest=nearest, share_off=1 - on_table / total)


def _add_counts(counts: Counter[int], codes: NDArray[np.uint32]) -> None:
    present, number = np.unique(codes, return_counts=True)
    for code, count in zip(present.tolist(), number.tolist(), strict=True):
        counts[code] += count


def _is_solid(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return where all eight neighbours of a pixel are like it: (H - 2, W - 2) bool."""
    height, width = codes.shape
    middle = codes[1:-1, 1:-1]
    same = np.ones(middle.shape, bool)
    for row in range(3):
        for column in range(3):
            same &= codes[row : height - 2 + row, column : width - 2 + column] == middle
    return same


def _choose_nearest(colours: Sequence[Colour]) -> int:
    """Return half of the largest distance between two colours: so far a mixture of them can be from the nearer one."""
    points = np.array(colours, np.float64)
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return int(np.ceil(distances.max() / 2)) + 1


def _encode(picture: RawIds) -> NDArray[np.uint32]:
    """Return the colours (H, W, 3) RGB as one number each."""
    return np.asarray(picture.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32), np.uint32)
