"""Annotated shapes, and the pixels that each of them covers.

Coordinates are in pixels, x to the right and y down. A coordinate is rounded to the nearest pixel, and the pixels on
the edge belong to the shape (OpenCV's fillPoly; labelme and Supervisely do the same). So the rectangle (1,1) (6,1)
(6,4) (1,4) covers 24 pixels. COCO's own rule covers 15 of them: `fill_like_coco`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.rle_text import decode_coco_text

Points = NDArray[np.float64]
"""Corners (n, 2): x, y."""
Pixels = NDArray[np.bool_]
Size = tuple[int, int]
"""Height and width."""

_COCO_MARGIN = 2
_FARTHEST = 1e6
"""Coordinates beyond this are a mistake."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """Areas within corners. `parts` are united, then `holes` are taken away."""

    parts: Sequence[Points]
    holes: Sequence[Points] = ()


@dataclass(frozen=True)
class Ellipse:
    """An ellipse with the centre (x, y) and the radii (across, down), turned clockwise by `angle` in degrees."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    angle: float = 0.0


@dataclass(frozen=True, eq=False)
class Line:
    """A line through points, `width` pixels wide. None: it covers nothing unless the user gives a width."""

    points: Points
    width: int | None


@dataclass(frozen=True, eq=False)
class Bitmap:
    """Pixels (h, w) bool whose first one lies at (left, top) of the picture."""

    pixels: Pixels
    left: int = 0
    top: int = 0


Form = Polygon | Ellipse | Line | Bitmap


@dataclass(frozen=True, eq=False)
class Shape:
    """A shape and its class. `entry` is its place in the source, for messages: `annotation 17`."""

    label: str
    form: Form
    entry: str


@dataclass(frozen=True, eq=False)
class Patch:
    """Pixels of a shape within the picture: `pixels` (h, w) bool, whose first one is at (top, left)."""

    pixels: Pixels
    top: int
    left: int

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the picture that `pixels` take."""
        height, width = self.pixels.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


PolygonRule = Callable[[Polygon, Size], Patch | None]


def read_points(values: object) -> Points:
    """Return corners from a list of numbers x, y, x, y, ... or of pairs. ValueError if they are no finite pairs."""
    try:
        points = np.array(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError("has coordinates that are no numbers") from None
    if points.size % 2 or points.ndim not in (1, 2) or (points.ndim == 2 and points.shape[1] != 2):
        raise ValueError("has coordinates that are no pairs of x and y")
    if not np.isfinite(points).all() or np.abs(points).max(initial=0) > _FARTHEST:
        raise ValueError("has coordinates that are not finite, or a million pixels away")
    return points.reshape(-1, 2)


def box_polygon(left: float, top: float, right: float, bottom: float, angle: float = 0.0) -> Polygon:
    """Return a box, turned clockwise by `angle` in degrees around its centre. ValueError as `read_points`."""
    _check_angle(angle)
    corners = read_points([[left, top], [right, top], [right, bottom], [left, bottom]])
    return Polygon([turn_points(corners, corners.mean(0), angle)])


def make_ellipse(centre: Sequence[float], radii: Sequence[float], angle: float = 0.0) -> Ellipse:
    """Return an ellipse with a centre (x, y). ValueError as `read_points`, and for radii below 0."""
    _check_angle(angle)
    ((x, y), (across, down)) = read_points([list(centre), list(radii)]).tolist()
    if min(across, down) < 0:
        raise ValueError("has a radius below 0")
    return Ellipse((x, y), (across, down), angle)


def _check_angle(angle: float) -> None:
    if not np.isfinite(angle):
        raise ValueError("has an angle that is no number")


def turn_points(points: Points, centre: NDArray[np.float64], angle: float) -> Points:
    """Turn points clockwise around `centre` by `angle` in degrees."""
    if angle % 360 == 0:
        return points
    turn = np.deg2rad(angle)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (points - centre) @ matrix + centre


def cover(form: Form, size: Size, fill: PolygonRule, line_width: int | None = None) -> Patch | None:
    """Return the pixels of a shape in a picture of `size`, or None if it has none there.

    `fill`: the rule for polygons. `line_width`: of all lines, instead of their own.
    """
    if isinstance(form, Polygon):
        return fill(form, size)
    if isinstance(form, Ellipse):
        return _cover_ellipse(form, size)
    if isinstance(form, Line):
        return _cover_line(form, size, line_width or form.width)
    return clip_bitmap(form, size)


def fill_polygon(polygon: Polygon, size: Size) -> Patch | None:
    """Return the pixels of a polygon by OpenCV's rule: edges belong to it; the edges of holes belong to the holes."""
    rounded = [np.rint(points).astype(np.int32) for points in polygon.parts]
    canvas = _Canvas.of(rounded, size)
    if canvas is None:
        return None
    for points in rounded:  # one call for all would leave what two of them share empty
        canvas.fill(points, 1)
    for hole in polygon.holes:
        canvas.fill(np.rint(hole).astype(np.int32), 0)
    return canvas.patch()


def fill_like_coco(polygon: Polygon, size: Size) -> Patch | None:
    """Return the pixels of a polygon by the rule of COCO, as pycocotools draws it."""
    from pycocotools import mask as coco_mask

    corners = [points for points in polygon.parts if len(points) > 2]
    if not corners:
        return None
    low = np.floor(np.min([points.min(0) for points in corners], axis=0)).astype(int) - _COCO_MARGIN
    high = np.ceil(np.max([points.max(0) for points in corners], axis=0)).astype(int) + _COCO_MARGIN
    left, top = np.maximum(low, 0).tolist()  # the rule does not depend on shifts by whole pixels
    width, height = (np.minimum(high, [size[1], size[0]]) - [left, top]).tolist()
    if min(width, height) < 1:
        return None
    flat = [(points - [left, top]).ravel().tolist() for points in corners]
    counts = coco_mask.merge(coco_mask.frPyObjects(flat, height, width))["counts"]
    pixels = decode_coco_text(counts.decode("ascii"), (height, width))
    return Patch(pixels, top, left) if pixels.any() else None


def clip_bitmap(bitmap: Bitmap, size: Size) -> Patch | None:
    """Return the part of a bitmap that lies in the picture."""
    height, width = bitmap.pixels.shape
    top, left = max(0, bitmap.top), max(0, bitmap.left)
    bottom, right = min(size[0], bitmap.top + height), min(size[1], bitmap.left + width)
    if top >= bottom or left >= right:
        return None
    pixels = bitmap.pixels[top - bitmap.top : bottom - bitmap.top, left - bitmap.left : right - bitmap.left]
    return Patch(pixels, top, left) if pixels.any() else None


def _cover_ellipse(ellipse: Ellipse, size: Size) -> Patch | None:
    """Take the pixels whose coordinates are within the ellipse."""
    radius = max(ellipse.radii)
    (x, y), (across, down) = ellipse.centre, (max(value, 0.5) for value in ellipse.radii)
    top, bottom = max(0, int(y - radius - 1)), min(size[0], int(y + radius + 2))
    left, right = max(0, int(x - radius - 1)), min(size[1], int(x + radius + 2))
    if top >= bottom or left >= right:
        return None
    rows, columns = np.mgrid[top:bottom, left:right]
    turn = np.deg2rad(ellipse.angle)
    along = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    beside = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
    pixels = (along / across) ** 2 + (beside / down) ** 2 <= 1
    return Patch(pixels, top, left) if pixels.any() else None


def _cover_line(line: Line, size: Size, width: int | None) -> Patch | None:
    if not width:
        return None
    points: NDArray[np.int32] = np.rint(line.points).astype(np.int32)
    canvas = _Canvas.of([points - np.int32(width), points + np.int32(width)], size)
    if canvas is None:
        return None
    cv2.polylines(canvas.pixels, [points - canvas.offset], False, 1, width)
    return canvas.patch()


@dataclass(frozen=True, eq=False)
class _Canvas:
    """A part of the picture to draw on. `offset` is its first pixel: x, y."""

    pixels: NDArray[np.uint8]
    offset: NDArray[np.int32]

    @staticmethod
    def of(points: Sequence[NDArray[np.int32]], size: Size) -> "_Canvas | None":
        """Return the smallest canvas that holds all points that lie in the picture; None if it would be empty."""
        filled = [part for part in points if len(part)]
        if not filled:
            return None
        low = np.maximum(np.min([part.min(0) for part in filled], axis=0), 0)
        high = np.minimum(np.max([part.max(0) for part in filled], axis=0) + 1, [size[1], size[0]])
        if (low >= high).any():
            return None
        return _Canvas(np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8), low.astype(np.int32))

    def fill(self, points: NDArray[np.int32], value: int) -> None:
        """Fill a polygon."""
        if len(points):
            cv2.fillPoly(self.pixels, [points - self.offset], value)

    def patch(self) -> Patch | None:
        """Return what was drawn, or None if that is nothing."""
        pixels = self.pixels.view(np.bool_)
        return Patch(pixels, int(self.offset[1]), int(self.offset[0])) if pixels.any() else None
