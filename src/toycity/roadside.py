"""Painting what lines the street: trees, hedges, walls and guard rails."""

import numpy as np

from toycity.canvas import Painter, Points, rectangle
from toycity.palette import LABEL
from toycity.style import RGB
from toycity.traffic import Thing

_STRETCH = 4.0  # length of a piece of hedge, wall or rail


def paint_tree(painter: Painter, thing: Thing) -> None:
    """Paint a tree: a trunk and a crown of many leafy clumps, the lower ones darker."""
    if thing.z - painter.camera.z < 2.0:
        return
    rng = np.random.default_rng(thing.seed)
    label, size = LABEL["natural"], thing.size
    at = (thing.x, 0.1, thing.z)
    tall, spread = float(rng.uniform(4.2, 7.0)) * size, float(rng.uniform(1.1, 1.9)) * size
    painter.upright(rectangle(-0.13, 0.13, 0.0, 0.6 * tall), at, (92.0, 74.0, 58.0), label)
    leaf = np.array([float(rng.uniform(48, 100)), float(rng.uniform(92, 132)), float(rng.uniform(36, 62))])
    clumps = 46
    angle, out = rng.uniform(0.0, 2 * np.pi, clumps), np.sqrt(rng.uniform(0.0, 1.0, clumps))
    x = spread * out * np.cos(angle)
    y = 0.7 * tall + 0.33 * tall * out * np.sin(angle)
    radius = spread * rng.uniform(0.2, 0.42, clumps)
    jitter = rng.uniform(0.72, 1.25, clumps)
    centres = painter.camera.project(np.stack([thing.x + x, at[1] + y, np.full(clumps, thing.z)], axis=-1))
    height = (y - 0.37 * tall) / (0.66 * tall)
    toward = 0.5 + 0.5 * (x / spread) * np.sign(painter.light.sun_from[0])
    gain = jitter * (0.5 + 0.4 * height + 0.25 * toward)
    order = np.argsort(y)
    colours = _shades(painter, leaf, gain, (0.0, 0.7, -0.7), thing.z)
    painter.canvas.discs(centres[order], radius[order] * painter.scale(thing.z), colours[order], label)


def _shades(painter: Painter, leaf: Points, gain: Points, normal: RGB, z: float) -> Points:
    """Return the colours (N, 3) of leaves at a world z, `gain` (N,) times as bright as `leaf` (3,)."""
    depth = painter.camera.depth(z)
    black = np.array(painter.light.shade((0.0, 0.0, 0.0), normal, depth))
    plain = np.array(painter.light.shade((float(leaf[0]), float(leaf[1]), float(leaf[2])), normal, depth))
    return np.asarray(np.minimum(black + gain[:, None] * (plain - black), 255.0))


def paint_stretch(painter: Painter, thing: Thing) -> None:
    """Paint a 4 m piece, along the street, of a hedge (natural), a wall or a guard rail (both wall)."""
    if thing.z + _STRETCH < painter.camera.z + 1.2:
        return
    rng = np.random.default_rng(thing.seed)
    side = float(np.sign(thing.x))
    normal = (-side, 0.0, 0.0)
    z0, z1 = thing.z, thing.z + _STRETCH
    if thing.kind == "rail":
        for low, high in ((0.45, 0.6), (0.72, 0.87)):
            _panel(painter, thing.x, z0, z1, low, high, (206.0, 208.0, 204.0), "wall", normal)
        for z in (z0 + 0.3, z0 + 2.3):
            _panel(painter, thing.x, z, z + 0.1, 0.1, 0.9, (180.0, 182.0, 180.0), "wall", normal)
        return
    if thing.kind == "wall":
        block = float(rng.uniform(0.95, 1.05))
        tall, tint = 1.5, (160.0 * block, 156.0 * block, 148.0 * block)
        _panel(painter, thing.x, z0, z1, 0.1, tall, tint, "wall", normal)
        for y in (0.5, 0.85, 1.2):
            _panel(painter, thing.x, z0, z1, y, y + 0.04, (118.0, 116.0, 112.0), "wall", normal)
        _panel(painter, thing.x, z0, z1, tall - 0.1, tall, (182.0, 180.0, 174.0), "wall", normal)
        return
    leaf = np.array([66.0, 100.0, 46.0]) * rng.uniform(0.85, 1.15)
    green = (float(leaf[0]), float(leaf[1]), float(leaf[2]))
    _panel(painter, thing.x, z0, z1, 0.1, 1.15, green, "natural", normal)
    # Leafy clumps, the far ones first.
    along = np.linspace(z1, z0, 14)
    up, radius, gain = rng.uniform(0.35, 1.15, 14), rng.uniform(0.2, 0.34, 14), rng.uniform(0.7, 1.3, 14)
    seen = along - painter.camera.z > 2.0
    centres = painter.camera.project(np.stack([np.full(14, thing.x), up, along], axis=-1)[seen])
    sizes = radius[seen] * painter.camera.focal / (along[seen] - painter.camera.z)
    colours = _shades(painter, leaf, gain[seen], normal, z0)
    painter.canvas.discs(centres, sizes, colours, LABEL["natural"])


def _panel(
    painter: Painter,
    x: float,
    z0: float,
    z1: float,
    low: float,
    high: float,
    albedo: RGB,
    label: str,
    normal: RGB,
) -> None:
    """Paint an upright rectangle along the street."""
    corners = np.array([[x, low, z0], [x, low, z1], [x, high, z1], [x, high, z0]])
    painter.surface(corners, albedo, LABEL[label], normal)
