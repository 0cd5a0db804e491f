"""Painting the ground: road, marks, sidewalks, their texture, and the light and shadows that lie on them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from toycity.canvas import Painter, Points
from toycity.palette import LABEL
from toycity.scene import CROSS_ROAD, Scene, is_in_junction
from toycity.style import RGB
from toycity.textures import blotches, grain

_FAR = 260.0
_MARK: RGB = (222.0, 222.0, 216.0)
_KERB = 0.15


def paint_ground(painter: Painter, scene: Scene, shadows: NDArray[np.uint8]) -> None:
    """Paint all that lies flat. `shadows` (H, W) is 0 in the light, 255 in the deepest shade."""
    camera, canvas, style = painter.camera, painter.canvas, scene.style
    rng = np.random.default_rng([*scene.seed, 1])
    top = max(0, int(camera.cy))
    soil = (118.0, 116.0, 108.0) if not style.houses else (112.0, 122.0, 78.0)
    canvas.picture[top:] = soil
    canvas.labels[top:] = LABEL["ground"] if not style.houses or rng.random() < 0.4 else LABEL["natural"]
    kerb = style.road_half + style.shoulder
    grey = float(rng.uniform(86.0, 122.0))
    road = (grey, grey + float(rng.uniform(-3.0, 4.0)), grey + float(rng.uniform(-3.0, 6.0)))
    pave = np.array([float(rng.uniform(128.0, 172.0))] * 3) + rng.uniform(-12.0, 12.0, size=3)
    walk = (float(pave[0]), float(pave[1]), float(pave[2]))
    edge = (grey + float(rng.uniform(4.0, 24.0)),) * 3
    for side in (-1, 1):
        out = kerb + style.sidewalk
        _strip(painter, side * kerb, side * out, walk, "sidewalk", height=_KERB)
        if not style.houses:
            for near, far in _without_junction(scene, 2.0):
                _strip(
                    painter,
                    side * (kerb + 1.5),
                    side * (kerb + 1.8),
                    (176.0, 156.0, 72.0),
                    "sidewalk",
                    near,
                    far,
                    _KERB,
                )
        _strip(painter, side * style.road_half, side * kerb, edge, "roadshoulder")
        stone = np.array([[side * kerb, 0.0], [side * kerb, _KERB]])
        _ribbon(painter, stone, (168.0, 168.0, 164.0), "sidewalk")
    if scene.junction is not None:
        _crossing_street(painter, scene, road)
    _strip(painter, -style.road_half, style.road_half, road, "lane")
    _marks(painter, scene, rng)
    _finish(painter, scene, shadows, top)


def _distances(near: float, far: float) -> Points:
    """Return z values from near to far, closer together where they are nearer (a bent street needs them)."""
    count = 2 if far - near < 8.0 else 20
    return np.geomspace(1.0, 1.0 + far - near, count) - 1.0 + near


def _strip(
    painter: Painter,
    x0: float,
    x1: float,
    albedo: RGB,
    label: str,
    near: float = 0.5,
    far: float = _FAR,
    height: float = 0.0,
) -> None:
    """Paint the strip between x0 and x1 for z from near to far (both ahead of the drive's first frame)."""
    _ribbon(painter, np.array([[x0, height], [x1, height]]), albedo, label, near, far)


def _ribbon(painter: Painter, ends: Points, albedo: RGB, label: str, near: float = 0.5, far: float = _FAR) -> None:
    """Paint the surface swept along z by a line between two points (x, y)."""
    z = _distances(max(near, painter.camera.z + 0.5), max(far, painter.camera.z + 0.6))
    if far <= painter.camera.z + 0.8:
        return
    first = np.stack([np.full_like(z, ends[0, 0]), np.full_like(z, ends[0, 1]), z], axis=-1)
    second = np.stack([np.full_like(z, ends[1, 0]), np.full_like(z, ends[1, 1]), z], axis=-1)
    outline = np.concatenate([first, second[::-1]])
    # The plain albedo: light and haze come at the end, over all of the ground at once.
    painter.canvas.fill(painter.camera.project(outline)[None], albedo, LABEL[label])


def _without_junction(scene: Scene, margin: float) -> list[tuple[float, float]]:
    """Return the stretches of z that remain when the crossing street is left out."""
    if scene.junction is None:
        return [(0.0, _FAR)]
    return [(0.0, scene.junction - margin), (scene.junction + CROSS_ROAD + margin, _FAR)]


def _crossing_street(painter: Painter, scene: Scene, road: RGB) -> None:
    """Paint the street that crosses, with a strip of sidewalk on both its sides."""
    assert scene.junction is not None
    z, reach = scene.junction, 90.0
    for start, end, albedo, label in (
        (z - 1.8, z + CROSS_ROAD + 1.8, (150.0, 148.0, 144.0), "sidewalk"),
        (z, z + CROSS_ROAD, road, "lane"),
    ):
        _strip(painter, -reach, reach, albedo, label, start, end)
    middle = z + CROSS_ROAD / 2
    for side in (-1, 1):
        kerb = scene.style.road_half + scene.style.shoulder
        _strip(painter, side * (kerb + 1.0), side * reach, _MARK, "lane", middle - 0.08, middle + 0.08)


def _marks(painter: Painter, scene: Scene, rng: np.random.Generator) -> None:
    """Paint the marks, all of class lane: edges, dashes, centre line, zebras, stop lines; and seams."""
    style, camera = scene.style, painter.camera
    width = 2 * style.road_half / style.lanes
    centre = (214.0, 168.0, 60.0) if rng.random() < 0.3 else _MARK
    worn = float(rng.uniform(0.78, 1.0))
    mark = (_MARK[0] * worn, _MARK[1] * worn, _MARK[2] * worn)
    seam = float(rng.uniform(-0.6, 0.6)) * style.road_half
    _strip(painter, seam, seam + 0.07, (62.0, 62.0, 64.0), "lane")
    for near, far in _without_junction(scene, 5.0):
        for side in (-1, 1):
            _strip(
                painter,
                side * (style.road_half - 0.2),
                side * (style.road_half - 0.05),
                mark,
                "lane",
                near,
                far,
            )
        if style.lanes > 2:
            _strip(painter, -0.08, 0.08, centre, "lane", near, far)
        for number in range(1, style.lanes):
            x = -style.road_half + number * width
            if abs(x) < 0.1 and style.lanes > 2:
                continue
            for z in np.arange(near, min(far, 110.0), 9.0):
                if z + 5.0 < far and z + 5.0 > camera.z:
                    _strip(painter, x - 0.08, x + 0.08, mark, "lane", float(z), float(z) + 5.0)
    for z in scene.crossings:
        for x in np.arange(-style.road_half + 0.4, style.road_half - 0.4, 0.95):
            _strip(painter, float(x), float(x) + 0.48, mark, "lane", z, z + 3.0)
    if scene.crossings:
        stop = scene.crossings[0] - 2.2
        _strip(painter, -style.road_half + 0.2, 0.0, mark, "lane", stop, stop + 0.4)
    for _ in range(4):
        x, z, radius = float(rng.uniform(-1, 1)) * style.road_half, float(rng.uniform(4.0, 40.0)), 0.33
        if not is_in_junction(z, scene.junction):
            angle = np.linspace(0.0, 2.0 * np.pi, 14)
            lid = np.stack([x + radius * np.cos(angle), np.zeros(14), z + radius * np.sin(angle)], axis=-1)
            if z - radius > camera.z + 1.0 and abs(x) + radius < style.road_half:
                painter.canvas.fill(camera.project(lid)[None], (74.0, 72.0, 70.0), LABEL["lane"])


def _finish(painter: Painter, scene: Scene, shadows: NDArray[np.uint8], top: int) -> None:
    """Give the flat colours below row `top` their texture, light, shadows and haze."""
    camera, light, picture = painter.camera, painter.light, painter.canvas.picture
    rows = np.arange(top, camera.height, dtype=np.float32) + 0.5
    depth = camera.focal * camera.eye / np.maximum(rows - camera.cy, 0.25)
    depth = np.minimum(depth, 400.0).astype(np.float32)[:, None]
    columns = (np.arange(camera.width, dtype=np.float32) + 0.5 - camera.cx)[None, :]
    across = columns * (depth / camera.focal) + np.float32(camera.x) - np.float32(camera.bend) * depth * depth
    along = np.broadcast_to(depth + np.float32(camera.z), across.shape)
    gain = _texture(scene, across, along, depth, painter.canvas.labels[top:])
    gain *= 1.0 - shadows[top:].astype(np.float32) * np.float32(1.0 / 255.0)
    pools = _lamp_light(scene, painter, across, along) if light.is_night else None
    veil = 1.0 - np.exp(-depth / np.float32(light.haze_length))
    part = picture[top:]
    up = max(0.0, light.sun_from[1])
    for channel in range(3):
        level = np.float32(light.ambient[channel] + light.sun[channel] * up)
        strength = gain * level if pools is None else gain * (level + pools * (1.0, 0.9, 0.72)[channel])
        lit = part[..., channel] * strength
        lit += (np.float32(light.haze[channel]) - lit) * veil
        part[..., channel] = np.clip(lit, 0.0, 255.0)


def _texture(
    scene: Scene,
    across: NDArray[np.float32],
    along: NDArray[np.float32],
    depth: NDArray[np.float32],
    labels: NDArray[np.uint8],
) -> NDArray[np.float32]:
    """Return the brightness (1 on average) of the ground's texture at world (across, along): (rows, W)."""
    fine = grain([*scene.seed, 2], 256)
    rough = blotches([*scene.seed, 3], 256, 16)
    # 256 texels span 5 m for the grain and 30 m for the patches; they repeat.
    far_fade = np.exp(-depth / np.float32(14.0))
    small = _sample(fine, across, along, 256 / 5.0)
    large = _sample(rough, across, along, 256 / 30.0)
    gain = 1.0 + small * (far_fade * np.float32(0.15)) + large * np.float32(0.10)
    walk = labels == LABEL["sidewalk"]
    if walk.any():
        joint = (np.mod(across, np.float32(0.6)) < 0.07) | (np.mod(along, np.float32(0.6)) < 0.07)
        gain -= (joint & walk) * (far_fade * np.float32(0.22))
    grass = labels == LABEL["natural"]
    if grass.any():
        gain += np.where(grass, small * np.float32(0.25), np.float32(0.0))
    return np.asarray(gain, dtype=np.float32)


def _sample(
    tile: NDArray[np.float32], across: NDArray[np.float32], along: NDArray[np.float32], per_metre: float
) -> NDArray[np.float32]:
    """Look a repeating square tile up at world positions."""
    size = np.float32(tile.shape[0])
    x = np.mod(across * np.float32(per_metre), size).astype(np.float32)
    y = np.mod(along * np.float32(per_metre), size).astype(np.float32)
    return np.asarray(cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), dtype=np.float32)


def _lamp_light(
    scene: Scene, painter: Painter, across: NDArray[np.float32], along: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the extra light at night: from the own headlights and pools beneath the street lamps."""
    camera = painter.camera
    ahead = along - np.float32(camera.z)
    aside = (across - np.float32(camera.x)) / (1.6 + 0.16 * ahead)
    light = painter.light.headlights * np.exp(-(aside * aside)) * np.exp(-ahead / 15.0)
    for thing in scene.things:
        if thing.kind in ("lamp", "pole") and 0.0 < thing.z - camera.z < 90.0:
            square = (across - np.float32(0.7 * thing.x)) ** 2 + (along - np.float32(thing.z)) ** 2
            light += np.float32(0.42) * np.exp(-square / np.float32(36.0))
    return np.asarray(light, dtype=np.float32)
