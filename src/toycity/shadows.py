"""The shadows on the ground: those that the sun casts, and the dark beneath whatever stands on it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from toycity.canvas import Painter, Points, fixed_point
from toycity.scene import Scene
from toycity.traffic import Thing
from toycity.vehicles import SHAPES


def footprints(scene: Scene, things: list[Thing], camera_z: float) -> list[tuple[Points, float, bool]]:
    """Return what shades the ground: (corners as x and z (4, 2), height, whether it lies close to it)."""
    shades: list[tuple[Points, float, bool]] = []
    for house in scene.buildings:
        if camera_z - 20.0 < house.z1 and house.z0 < camera_z + 90.0:
            back = house.x + house.side * house.depth
            corners = [[house.x, house.z0], [house.x, house.z1], [back, house.z1], [back, house.z0]]
            shades.append((np.array(corners), house.height * 0.6, False))
    for thing in things:
        if not 0.0 < thing.z - camera_z + 4.0 < 90.0:
            continue
        half, deep, tall = 0.2, 0.15, 1.7
        if thing.kind in SHAPES:
            shape = SHAPES[thing.kind]
            half, deep, tall = shape.width / 2, shape.length / 2, shape.height * 0.9
            if abs(np.sin(thing.heading)) > 0.5:
                half, deep = deep, half
        elif thing.kind == "tree":
            half, deep, tall = 0.9, 0.9, 5.0
        elif thing.kind not in ("pedestrian", "bicycle", "motorbike", "cone"):
            continue
        corners = [[thing.x + a * half, thing.z + b * deep] for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        shades.append((np.array(corners), tall, thing.kind != "tree"))
    return shades


def shadow_mask(painter: Painter, footprints: list[tuple[Points, float, bool]]) -> NDArray[np.uint8]:
    """Return the shade (H, W) on the ground beneath and beside what stands on it.

    A footprint is (corners (N, 2) as x and z, height in metres, whether it lies close to the ground).
    """
    camera, light = painter.camera, painter.light
    mask = np.zeros((camera.height, camera.width), dtype=np.uint8)
    right, up, ahead = light.sun_from
    reach = min(2.2, 1.0 / max(up, 0.1))
    casts = light.shadow > 0.05
    for corners, height, _ in footprints:
        if casts:
            shift = -np.array([right, ahead]) * reach * height
            both = np.concatenate([corners, corners + shift])
            _shade(mask, painter, both, round(255 * light.shadow))
    for corners, _, close in footprints:
        if close:
            _shade(mask, painter, corners, 165)
    sigma = max(0.4, 0.0035 * camera.height)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), dtype=np.uint8)


def _shade(mask: NDArray[np.uint8], painter: Painter, corners: Points, value: int) -> None:
    """Fill the convex hull of ground points (N, 2) as x and z."""
    if corners[:, 1].max() < painter.camera.z + 1.0:
        return
    points = np.stack([corners[:, 0], np.zeros(len(corners)), corners[:, 1]], axis=-1)
    fixed = fixed_point(painter.camera.project(points)[None])[0]
    cv2.fillConvexPoly(mask, cv2.convexHull(fixed), value, cv2.LINE_AA, 4)
