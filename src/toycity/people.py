"""Painting people, bicycles and motorbikes: flat figures that face the camera."""

import numpy as np

from toycity.canvas import Painter, circle, rectangle
from toycity.palette import LABEL
from toycity.style import RGB
from toycity.traffic import Thing

_SKIN: RGB = (206.0, 164.0, 136.0)
_HAIR: RGB = (40.0, 34.0, 32.0)
_CLOTHES: tuple[RGB, ...] = (
    (34, 36, 44),
    (58, 62, 84),
    (216, 214, 208),
    (150, 144, 134),
    (122, 40, 44),
    (60, 92, 130),
    (176, 160, 120),
    (96, 98, 98),
    (60, 84, 62),
    (200, 120, 130),
    (24, 24, 26),
    (220, 190, 90),
)


def paint_pedestrian(painter: Painter, thing: Thing) -> None:
    """Paint a walking person."""
    if thing.z - painter.camera.z < 1.5:
        return
    rng = np.random.default_rng(thing.seed)
    # Walking: the legs open and close as the person moves on.
    walked = abs(thing.x) * abs(np.sign(thing.vx)) + thing.z * abs(np.sign(thing.vz))
    stride = 0.26 * float(np.sin(2.2 * walked + rng.uniform(0.0, 6.0)))
    base = 0.15 if thing.vx == 0.0 else 0.0
    _person(painter, thing, rng, "pedestrian", base, stride)


def _person(painter: Painter, thing: Thing, rng: np.random.Generator, label: str, base: float, stride: float) -> None:
    """Paint legs, torso, arms and head of a person whose feet are `base` metres above the road."""
    number, size, at = LABEL[label], thing.size, (thing.x, base, thing.z)
    top = _clothes(rng)
    legs = _clothes(rng)
    wide = float(rng.uniform(0.19, 0.27))
    side_on = thing.vx != 0.0
    wide *= 0.8 if side_on else 1.0
    step = stride if side_on else 0.35 * stride
    skirt, bag = bool(rng.random() < 0.2), bool(rng.random() < 0.35)
    for foot, dark in ((step, 0.85), (-step, 1.0)):
        spread = 0.02 if side_on else (0.08 if foot >= 0 else -0.08)
        leg = np.array(
            [
                [foot + spread - 0.08, 0.0],
                [foot + spread + 0.1, 0.0],
                [spread + 0.1, 0.88],
                [spread - 0.1, 0.88],
            ]
        )
        painter.upright(leg * size, at, (legs[0] * dark, legs[1] * dark, legs[2] * dark), number)
    if skirt:
        painter.upright(np.array([[-0.24, 0.5], [0.24, 0.5], [0.15, 0.95], [-0.15, 0.95]]) * size, at, legs, number)
    torso = np.array([[-wide * 0.8, 0.82], [wide * 0.8, 0.82], [wide, 1.36], [0.1, 1.46], [-0.1, 1.46], [-wide, 1.36]])
    painter.upright(torso * size, at, top, number)
    sleeve = (top[0] * 0.82, top[1] * 0.82, top[2] * 0.82)
    swing = 0.5 * step
    for side in (-1.0, 1.0):
        shoulder = 0.0 if side_on else side * wide
        hand = shoulder + side * swing + (0.0 if side_on else 0.04 * side)
        arm = np.array([[hand - 0.05, 0.8], [hand + 0.05, 0.8], [shoulder + 0.06, 1.36], [shoulder - 0.06, 1.36]])
        painter.upright(arm * size, at, sleeve, number)
    if bag:
        painter.upright(rectangle(wide * 0.7, wide * 0.7 + 0.2, 0.75, 1.05) * size, at, _clothes(rng), number)
    painter.upright(circle(0.0, 1.57, 0.125) * size, at, _SKIN, number)
    hair = circle(0.0, 1.57, 0.135)
    low = 1.52 if thing.heading == 0.0 and thing.vz > 0 else 1.62
    hair[:, 1] = np.maximum(hair[:, 1], low)
    painter.upright(hair * size, at, _HAIR, number)


def paint_bicycle(painter: Painter, thing: Thing) -> None:
    """Paint a bicycle and who rides it, from ahead or behind; both carry the class bicycle."""
    if thing.z - painter.camera.z < 1.5:
        return
    rng = np.random.default_rng(thing.seed)
    label, at = LABEL["bicycle"], (thing.x, 0.0, thing.z)
    frame = _clothes(rng)
    painter.upright(rectangle(-0.035, 0.035, 0.0, 0.68), at, (30.0, 30.0, 32.0), label)
    painter.upright(rectangle(-0.06, 0.06, 0.5, 0.62), at, frame, label)
    _person(painter, thing, rng, "bicycle", 0.28, 0.1)
    painter.upright(rectangle(-0.28, 0.28, 1.0, 1.05), at, (60.0, 60.0, 62.0), label)
    if thing.heading != 0.0:
        painter.upright(rectangle(-0.18, 0.18, 0.78, 1.02), at, (96.0, 92.0, 86.0), label)
    if painter.light.is_night:
        lamp = (255.0, 250.0, 226.0) if thing.heading != 0.0 else (230.0, 30.0, 26.0)
        painter.upright(circle(0.0, 0.72, 0.06, 8), at, lamp, label, 1.0)


def paint_motorbike(painter: Painter, thing: Thing) -> None:
    """Paint a motorbike and its rider, from ahead or behind; both carry the class motorbike."""
    if thing.z - painter.camera.z < 1.5:
        return
    rng = np.random.default_rng(thing.seed)
    label, at = LABEL["motorbike"], (thing.x, 0.0, thing.z)
    body = _clothes(rng)
    painter.upright(rectangle(-0.08, 0.08, 0.0, 0.62), at, (24.0, 24.0, 26.0), label)
    hull = np.array([[-0.16, 0.4], [0.16, 0.4], [0.24, 0.7], [0.18, 0.98], [-0.18, 0.98], [-0.24, 0.7]])
    _person(painter, thing, rng, "motorbike", 0.22, 0.3)
    painter.upright(hull, at, body, label)
    painter.upright(rectangle(-0.4, 0.4, 1.0, 1.06), at, (40.0, 40.0, 42.0), label)
    painter.upright(circle(0.0, 1.8, 0.16), at, _clothes(rng), label)
    front, night = thing.heading != 0.0, painter.light.is_night
    lamp = (255.0, 250.0, 230.0) if front else (216.0, 26.0, 24.0)
    painter.upright(circle(0.0, 0.84, 0.09, 8), at, lamp, label, 1.0 if night else 0.3)


def _clothes(rng: np.random.Generator) -> RGB:
    colour = np.array(_CLOTHES[int(rng.integers(len(_CLOTHES)))]) * rng.uniform(0.8, 1.15)
    return float(colour[0]), float(colour[1]), float(min(255.0, colour[2]))
