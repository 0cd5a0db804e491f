"""Painting one frame of a scene: the picture and its label numbers."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from toycity import furniture, people, roadside
from toycity.buildings import paint_building
from toycity.canvas import Canvas, Painter
from toycity.ground import paint_ground
from toycity.palette import LABEL
from toycity.scene import Scene
from toycity.shadows import footprints, shadow_mask
from toycity.sky import paint_horizon, paint_sky
from toycity.textures import blotches, grain
from toycity.traffic import Thing
from toycity.vehicles import SHAPES, paint_vehicle

_PAINTERS: dict[str, Callable[[Painter, Thing], None]] = {
    "pedestrian": people.paint_pedestrian,
    "bicycle": people.paint_bicycle,
    "motorbike": people.paint_motorbike,
    "signal": furniture.paint_signal,
    "post signal": furniture.paint_post_signal,
    "walk signal": furniture.paint_walk_signal,
    "sign": furniture.paint_sign,
    "board": furniture.paint_board,
    "lamp": furniture.paint_lamp,
    "pole": furniture.paint_pole,
    "tree": roadside.paint_tree,
    "hedge": roadside.paint_stretch,
    "wall": roadside.paint_stretch,
    "rail": roadside.paint_stretch,
    "cone": furniture.paint_cone,
    **dict.fromkeys(SHAPES, paint_vehicle),
}

# Metres from its place within which all of a thing lies; 6 where nothing is said.
_REACH = {
    "pedestrian": 1.0,
    "bicycle": 1.0,
    "motorbike": 1.0,
    "pole": 32.0,
    "cone": 1.0,
    "sign": 1.0,
    "tree": 4.0,
}

# How strongly the dirt and grain of its surface shows in each class; 0.04 where nothing is said.
_ROUGHNESS = {
    "natural": 0.24,
    "building": 0.05,
    "wall": 0.09,
    "ground": 0.09,
    "sky": 0.006,
    "signal": 0.02,
    "lane": 0.015,
    "sidewalk": 0.03,
    "own": 0.015,
    "pedestrian": 0.06,
}


def render_frame(
    scene: Scene, step: int, frame_seed: tuple[int, ...], width: int, height: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint frame number `step` of a drive: RGB picture (H, W, 3) and label numbers (H, W), both uint8."""
    canvas = Canvas(width, height)
    painter = Painter(canvas, scene.camera(step, width, height), scene.light)
    things = [replace(t, x=t.x + t.vx * step, z=t.z + t.vz * step) for t in scene.things]
    things.sort(key=lambda thing: -thing.z)
    paint_sky(painter, scene)
    shades = shadow_mask(painter, footprints(scene, things, painter.camera.z))
    paint_ground(painter, scene, shades)
    paint_horizon(painter, scene)
    for house in sorted(scene.buildings, key=lambda house: -house.z0):
        paint_building(painter, house)
    for thing in things:
        if painter.camera.is_in_view(thing.x, thing.z, _REACH.get(thing.kind, 6.0)):
            _PAINTERS[thing.kind](painter, thing)
    if scene.style.bonnet:
        _paint_bonnet(painter, scene)
    return _develop(painter, scene, np.random.default_rng(list(frame_seed))), canvas.labels


def _paint_bonnet(painter: Painter, scene: Scene) -> None:
    """Paint the own bonnet along the lower edge of the picture (class own)."""
    camera = painter.camera
    rng = np.random.default_rng([*scene.seed, 7])
    grey = float(rng.uniform(40.0, 190.0))
    x = np.linspace(-1.0, 1.0, 33)
    rise = scene.style.bonnet * (1.0 - 0.6 * np.abs(x) ** 3)
    for share, tint in ((1.0, grey), (0.72, grey * 1.12), (0.4, grey * 0.92)):
        curve = np.stack([camera.width * (0.5 + 0.56 * x), camera.height * (1.0 - share * rise)], axis=-1)
        floor = np.array([[camera.width * 1.1, camera.height + 4.0], [-camera.width * 0.1, camera.height + 4.0]])
        # The windscreen's reflections never leave it quite dark.
        colour = painter.light.shade((tint, tint, tint * 1.03), (0.0, 0.95, -0.3), 60.0)
        painter.canvas.fill([np.concatenate([curve, floor])], colour, LABEL["own"])


def _develop(painter: Painter, scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn the canvas into a photograph: surface grain, glow of lamps, blur, exposure, sensor noise."""
    canvas, light = painter.canvas, painter.light
    height, width = canvas.labels.shape
    picture = canvas.picture.astype(np.float32)
    picture *= _surface(scene, canvas.labels)[..., None]
    picture += _glow(canvas.picture, 0.6 if light.is_night else 0.12)
    sigma = max(0.45, 0.0007 * height) * float(rng.uniform(0.8, 1.4))
    picture = cv2.GaussianBlur(picture, (0, 0), sigma).astype(np.float32)
    drive_rng = np.random.default_rng([*scene.seed, 8])
    exposure = float(drive_rng.uniform(0.86, 1.12)) * float(rng.uniform(0.98, 1.02))
    x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    picture *= ((1.0 - 0.09 * (x * x + y * y)) * np.float32(exposure))[..., None]
    noise = rng.standard_normal((height, width), dtype=np.float32) * np.float32(light.noise)
    half = rng.standard_normal(((height + 1) // 2, (width + 1) // 2, 3), dtype=np.float32)
    tinted = cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)
    picture += noise[..., None]
    picture += tinted * np.float32(light.noise * 0.7)
    return np.clip(picture, 0.0, 255.0, out=picture).astype(np.uint8)


def _surface(scene: Scene, labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the brightness (H, W), 1 on average, of the grain and dirt of each class's surface."""
    height, width = labels.shape
    table = np.full(len(LABEL), 0.04, dtype=np.float32)
    for name, strength in _ROUGHNESS.items():
        table[LABEL[name]] = strength
    # The pattern is as fine as a 160th of the height, whatever the resolution, with finer grain on top.
    tile = 0.7 * grain([*scene.seed, 9], 320) + 0.6 * blotches([*scene.seed, 10], 320, 64)
    coarse = cv2.resize(tile, (height * 2, height * 2), interpolation=cv2.INTER_LINEAR)
    pattern = np.tile(coarse, (1, -(-width // coarse.shape[1])))[:height, :width]
    return np.float32(1.0) + pattern * cv2.LUT(labels, _table256(table))


def _table256(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pad a table to the 256 entries that OpenCV wants: (1, 256)."""
    full = np.zeros((1, 256), dtype=np.float32)
    full[0, : len(table)] = table
    return full


def _glow(picture: NDArray[np.uint8], strength: float) -> NDArray[np.float32]:
    """Return the light that bright spots spread around them: (H, W, 3)."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (max(1, 160 * width // height), 160), interpolation=cv2.INTER_AREA).astype(np.float32)
    bright = np.maximum(small - 170.0, 0.0)
    spread = cv2.GaussianBlur(bright, (0, 0), 2.0) * 0.7 + cv2.GaussianBlur(bright, (0, 0), 7.0) * 0.6
    large: NDArray[np.float32] = cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)
    return large * np.float32(strength)
