"""The camera, and a canvas on which the picture and its labels are painted with the same geometry."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from toycity.style import RGB, Light

Points = NDArray[np.float64]

_SHIFT = 4  # sub-pixel bits of the coordinates given to OpenCV
NEAR = 0.8  # metres; nothing is painted nearer to the camera


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along the street. World axes in metres: x right, y up, z ahead.

    focal, cx and cy are in pixels; (cx, cy) is where a straight street would vanish. `bend` (1/m) moves what
    is d metres ahead by bend * d * d to the right, which makes the street curve.
    """

    width: int
    height: int
    focal: float
    cx: float
    cy: float
    eye: float
    x: float
    z: float
    bend: float

    def project(self, points: Points) -> Points:
        """Map world points (..., 3) to pixels (..., 2); what is behind the camera is put NEAR before it."""
        depth = np.maximum(points[..., 2] - self.z, NEAR)
        scale = self.focal / depth
        pixels = np.empty((*points.shape[:-1], 2))
        pixels[..., 0] = self.cx + scale * (points[..., 0] - self.x + self.bend * depth * depth)
        pixels[..., 1] = self.cy + scale * (self.eye - points[..., 1])
        return pixels

    def is_in_view(self, x: float, z: float, reach: float) -> bool:
        """Return whether something within `reach` metres of (x, z) can be in the picture."""
        depth = z - self.z
        if depth <= reach + NEAR:
            return depth + reach > NEAR
        scale = self.focal / depth
        middle = self.cx + scale * (x - self.x + self.bend * depth * depth)
        # The near side of it is larger than its middle.
        margin = reach * self.focal / (depth - reach)
        return -margin < middle < self.width + margin

    def depth(self, z: float) -> float:
        """Return how far ahead of the camera a world z lies, in metres (NEAR at least)."""
        return max(z - self.z, NEAR)


class Canvas:
    """A picture (H, W, 3) RGB and its label numbers (H, W), both uint8."""

    def __init__(self, width: int, height: int) -> None:
        self.picture: NDArray[np.uint8] = np.zeros((height, width, 3), dtype=np.uint8)
        self.labels: NDArray[np.uint8] = np.zeros((height, width), dtype=np.uint8)

    def fill(self, polygons: Sequence[Points] | Points, colour: RGB, label: int | None) -> None:
        """Fill polygons, each (N, 2) in pixels; they must not overlap. Without a label, the picture only."""
        fixed = fixed_point(polygons)
        if fixed:
            # The picture is anti-aliased, the labels must not be.
            cv2.fillPoly(self.picture, fixed, colour, cv2.LINE_AA, _SHIFT)
            if label is not None:
                cv2.fillPoly(self.labels, fixed, label, cv2.LINE_8, _SHIFT)

    def lines(self, lines: Sequence[Points] | Points, colour: RGB, label: int | None, width: float) -> None:
        """Draw open lines, each (N, 2) in pixels, `width` pixels wide (at least 1)."""
        fixed = fixed_point(lines)
        if fixed:
            thick = max(1, round(width))
            cv2.polylines(self.picture, fixed, False, colour, thick, cv2.LINE_AA, _SHIFT)
            if label is not None:
                cv2.polylines(self.labels, fixed, False, label, thick, cv2.LINE_8, _SHIFT)

    def discs(self, centres: Points, radii: Points, colours: Points, label: int) -> None:
        """Fill circles one over the other; centres (N, 2) and radii (N,) in pixels, colours (N, 3)."""
        points = np.rint((centres - 0.5) * (1 << _SHIFT)).astype(int).tolist()
        sizes = np.maximum(np.rint(radii * (1 << _SHIFT)), 1).astype(int).tolist()
        for point, size, colour in zip(points, sizes, colours.tolist(), strict=True):
            cv2.circle(self.picture, point, size, colour, -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(self.labels, point, size, label, -1, cv2.LINE_8, _SHIFT)


def fixed_point(polygons: Sequence[Points] | Points) -> list[NDArray[np.int32]]:
    """Turn pixel coordinates into OpenCV's fixed point, whose whole numbers are pixel centres."""
    if isinstance(polygons, np.ndarray):
        return list(np.rint((polygons - 0.5) * (1 << _SHIFT)).astype(np.int32))
    return [np.rint((polygon - 0.5) * (1 << _SHIFT)).astype(np.int32) for polygon in polygons]


@dataclass(frozen=True)
class Painter:
    """Everything needed to paint world geometry: the canvas, the camera and the light."""

    canvas: Canvas
    camera: Camera
    light: Light

    def surface(
        self,
        points: Points,
        albedo: RGB,
        label: int | None,
        normal: RGB = (0.0, 0.0, -1.0),
        glow: float = 0.0,
    ) -> None:
        """Fill flat world polygons (N, 3) or (M, N, 3) that share a colour and a normal."""
        if points.size == 0:
            return
        many = points if points.ndim == 3 else points[None]
        colour = self.light.shade(albedo, normal, self.camera.depth(_middle(many)), glow)
        self.canvas.fill(self.camera.project(many), colour, label)

    def upright(
        self, shape: Points, at: tuple[float, float, float], albedo: RGB, label: int | None, glow: float = 0.0
    ) -> None:
        """Fill a flat shape (N, 2), right and up in metres, that stands at (x, y, z) facing the camera."""
        # All of it is at one depth, which spares the general projection.
        camera = self.camera
        depth = camera.depth(at[2])
        scale = camera.focal / depth
        foot = (
            camera.cx + scale * (at[0] - camera.x + camera.bend * depth * depth),
            camera.cy + scale * (camera.eye - at[1]),
        )
        colour = self.light.shade(albedo, (0.0, 0.0, -1.0), depth, glow)
        self.canvas.fill([shape * np.array((scale, -scale)) + np.array(foot)], colour, label)

    def scale(self, z: float) -> float:
        """Return pixels per metre at a world z."""
        return self.camera.focal / self.camera.depth(z)


def _middle(polygons: Points) -> float:
    """Return the mean z of polygons (M, N, 3); of one polygon, that of two opposite corners."""
    if len(polygons) == 1:
        return 0.5 * (float(polygons[0, 0, 2]) + float(polygons[0, polygons.shape[1] // 2, 2]))
    return float(polygons[..., 2].mean())


def rectangle(left: float, right: float, low: float, high: float) -> Points:
    """Return the corners (4, 2) of an upright rectangle, in metres."""
    return np.array([[left, low], [right, low], [right, high], [left, high]], dtype=np.float64)


def circle(x: float, y: float, radius: float, corners: int = 12) -> Points:
    """Return a regular polygon (corners, 2) around (x, y)."""
    angle = np.linspace(0.0, 2.0 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=-1)
