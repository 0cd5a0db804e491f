"""Finds the dialect of a contest's run-length strings: direction, number of the first pixel, absolute or relative.

A dialect is refuted by a string that cannot be decoded with it. Dialects that remain are told apart by the true masks,
if there are any. Otherwise the shapes decide: a wrong dialect tears them apart, so their borders are longer. In a
square picture a wrong direction only mirrors the shape. There the image decides: its edges follow the right borders.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.rle_segments import Size
from foldseg.data.rle_text import RleDialect, decode_text, is_empty_text

DIALECTS = (
    RleDialect(),
    RleDialect(rows_first=True),
    RleDialect(base=0, relative=True),
    RleDialect(base=0),
    RleDialect(rows_first=True, base=0),
    RleDialect(rows_first=True, base=0, relative=True),
    RleDialect(relative=True),
    RleDialect(rows_first=True, relative=True),
)
"""All dialects, those that are met most often first."""

_CLEAR_CONTRAST = 1.05
"""How many times the contrast of the other direction a direction needs for the images to decide."""

Masks = list[NDArray[np.bool_]]


@dataclass(frozen=True)
class DialectGuess:
    """The dialects that decode all strings, and what tells the first of them from the others."""

    dialects: list[RleDialect]
    """Most plausible first."""
    evidence: list[str]
    """A sentence each for the direction, the base, and whether starts are relative."""
    undecided: list[str]
    """Those of `rows_first`, `base` and `relative` for which nothing speaks but that it is usual."""

    @property
    def best(self) -> RleDialect:
        """The most plausible dialect."""
        return self.dialects[0]


@dataclass
class _Candidate:
    """A dialect, with what is measured of the masks that it gives."""

    dialect: RleDialect
    masks: Masks = field(default_factory=list)
    refuted: str = ""
    """Which string it cannot decode, and why; empty if there is none."""
    iou: float = 0.0
    borders: int = 0
    """Pairs of neighbouring pixels of which one is in a mask."""
    contrast: float = 0.0
    """Mean difference of the image between the pixels of such pairs, in grey levels."""


def guess_dialect(
    texts: Sequence[str],
    sizes: Sequence[Size],
    masks: Sequence[NDArray[np.bool_]] | None = None,
    images: Sequence[NDArray[np.uint8]] | None = None,
) -> DialectGuess:
    """Return the dialects in which all strings can be decoded, most plausible first, and what decided.

    `sizes`: (height, width) of each string's picture. `masks`: the true masks (H, W) bool, if they are known.
    `images`: the images, (H, W) or (H, W, channels) uint8, if they are at hand. Strings of empty masks are passed
    over. ValueError if all are empty, or if no dialect decodes the others.
    """
    useful = [index for index, text in enumerate(texts) if not is_empty_text(text)]
    if not useful:
        raise ValueError(f"none of {len(texts)} run-length strings has a pixel; the dialect cannot be found")
    candidates = [_decode(dialect, texts, sizes, useful) for dialect in DIALECTS]
    remaining = [candidate for candidate in candidates if not candidate.refuted]
    if not remaining:
        raise ValueError(f"the run-length strings fit no dialect; {candidates[0].dialect}: {candidates[0].refuted}")
    for candidate in remaining:
        _measure(candidate, useful, masks, images)
    remaining.sort(key=lambda candidate: (-candidate.iou, candidate.borders))  # stable: usual ones stay first
    if images is not None:
        _put_clear_direction_first(remaining)
    best = remaining[0]
    sentences = {aspect: _explain(best, remaining, candidates, aspect) for aspect in _ASPECTS}
    undecided = [aspect for aspect, (_, is_decided) in sentences.items() if not is_decided]
    return DialectGuess([c.dialect for c in remaining], [sentence for sentence, _ in sentences.values()], undecided)


_ASPECTS = {
    "rows_first": ("down the columns", "along the rows"),
    "base": ("from 0", "from 1"),
    "relative": ("absolute", "relative"),
}
"""Field of a dialect -> its two values in words, the one that is 0 or False first."""


def _decode(dialect: RleDialect, texts: Sequence[str], sizes: Sequence[Size], useful: list[int]) -> _Candidate:
    candidate = _Candidate(dialect)
    for index in useful:
        try:
            candidate.masks.append(decode_text(texts[index], sizes[index], dialect))
        except ValueError as error:
            candidate.refuted = f"string {index + 1} {error}"
            break
    return candidate


def _measure(
    candidate: _Candidate,
    useful: list[int],
    masks: Sequence[NDArray[np.bool_]] | None,
    images: Sequence[NDArray[np.uint8]] | None,
) -> None:
    if masks is not None:
        pairs = [(mask, masks[index]) for mask, index in zip(candidate.masks, useful, strict=True)]
        shared = sum(np.count_nonzero(mask & true) for mask, true in pairs)
        candidate.iou = shared / max(sum(np.count_nonzero(mask | true) for mask, true in pairs), 1)
    change = 0.0
    for mask, index in zip(candidate.masks, useful, strict=True):
        image = None if images is None else images[index]
        borders, change_of_image = _measure_borders(mask, image)
        candidate.borders += borders
        change += change_of_image
    candidate.contrast = change / max(candidate.borders, 1)


def _measure_borders(mask: NDArray[np.bool_], image: NDArray[np.uint8] | None) -> tuple[int, float]:
    """Return how many pairs of neighbours are on both sides of a border, and the sum of the image's changes there."""
    below, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    count = int(np.count_nonzero(below) + np.count_nonzero(right))
    if image is None:
        return count, 0.0
    grey = (image if image.ndim == 2 else image.mean(2)).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (5, 5), 0)  # noise is no edge
    change = np.abs(grey[1:] - grey[:-1])[below].sum() + np.abs(grey[:, 1:] - grey[:, :-1])[right].sum()
    return count, float(change)


def _put_clear_direction_first(remaining: list[_Candidate]) -> None:
    """Of dialects that are as good as the first one otherwise, put those of the clearly better direction first."""
    tied = [c for c in remaining if (c.iou, c.borders) == (remaining[0].iou, remaining[0].borders)]
    other = [c for c in tied if c.dialect.rows_first != tied[0].dialect.rows_first]
    if other and _has_clear_contrast(other[0], tied[0]):
        remaining[: len(tied)] = sorted(tied, key=lambda c: c.dialect.rows_first != other[0].dialect.rows_first)


def _has_clear_contrast(candidate: _Candidate, other: _Candidate) -> bool:
    return candidate.contrast > _CLEAR_CONTRAST * other.contrast


def _explain(
    best: _Candidate, remaining: list[_Candidate], candidates: list[_Candidate], aspect: str
) -> tuple[str, bool]:
    """Return a sentence that says why the best dialect has its value of a field, and whether anything decided it."""
    value = getattr(best.dialect, aspect)
    this, that = _ASPECTS[aspect][int(value)], _ASPECTS[aspect][1 - int(value)]
    others = [c for c in remaining if getattr(c.dialect, aspect) != value]
    if not others:
        only_this_differs = replace(best.dialect, **{aspect: type(value)(1 - value)})
        refuted = next(c for c in candidates if c.dialect == only_this_differs)
        return f"{this}: {that}, {refuted.refuted}", True
    other = others[0]
    if best.iou > other.iou:
        return f"{this}: its masks have an IoU of {best.iou:.3f} with the true ones, {that} {other.iou:.3f}", True
    if best.borders < other.borders:
        return f"{this}: the shapes have borders of {best.borders} pixels, {that} {other.borders}", True
    if aspect == "rows_first" and _has_clear_contrast(best, other):
        contrasts = f"{best.contrast:.1f} grey levels at the borders, {that} {other.contrast:.1f}"
        return f"{this}: the images change by {contrasts}", True
    return f"{this} or {that}: nothing tells which; {this} is what most contests do", False
