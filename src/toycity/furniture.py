"""Painting what stands in the street: signals, signs, lamps, poles, cones."""

import numpy as np

from toycity.canvas import NEAR, Painter, circle, rectangle
from toycity.palette import LABEL
from toycity.style import RGB
from toycity.traffic import Thing

_STEEL: RGB = (138.0, 140.0, 140.0)
# Green, amber and red, as lit.
_LAMPS: tuple[RGB, ...] = ((60.0, 236.0, 190.0), (255.0, 196.0, 50.0), (255.0, 50.0, 36.0))
_STATE_TO_LAMP = (0, 2, 0, 1, 0, 2)


def paint_signal(painter: Painter, thing: Thing) -> None:
    """Paint a signal on an arm that reaches `size` metres over the road, its three lamps side by side."""
    if thing.z - painter.camera.z < 1.5:
        return
    inward = -float(np.sign(thing.x))
    at = (thing.x, 0.0, thing.z)
    painter.upright(rectangle(-0.11, 0.11, 0.0, 6.4), at, _STEEL, LABEL["others"])
    left, right = min(0.0, inward * thing.size), max(0.0, inward * thing.size)
    painter.upright(rectangle(left, right, 5.88, 6.0), at, _STEEL, LABEL["others"])
    _housing(painter, (thing.x + inward * thing.size, 5.45, thing.z - 0.1), thing.seed, upright=False)


def paint_post_signal(painter: Painter, thing: Thing) -> None:
    """Paint a signal on a post, its three lamps above each other."""
    if thing.z - painter.camera.z < 1.5:
        return
    at = (thing.x, 0.0, thing.z)
    painter.upright(rectangle(-0.07, 0.07, 0.0, 4.6), at, _STEEL, LABEL["others"])
    _housing(painter, (thing.x, 3.9, thing.z - 0.1), thing.seed, upright=True)


def _housing(painter: Painter, at: tuple[float, float, float], state: int, upright: bool) -> None:
    """Paint a housing with three lamps around `at`; one of them is lit."""
    label, half, rise = LABEL["signal"], 0.72, 0.27
    tint: RGB = (72.0, 76.0, 76.0) if state % 2 else (44.0, 48.0, 46.0)
    shape = rectangle(-rise, rise, -half, half) if upright else rectangle(-half, half, -rise, rise)
    painter.upright(shape, at, tint, label)
    lit = _STATE_TO_LAMP[state % 6]
    for number, offset in enumerate((-0.46, 0.0, 0.46)):
        x, y = (0.0, offset) if upright else (offset, 0.0)
        on = number == lit
        dull = (_LAMPS[number][0] * 0.25, _LAMPS[number][1] * 0.25, _LAMPS[number][2] * 0.25)
        painter.upright(circle(x, y, 0.2, 10), at, _LAMPS[number] if on else dull, label, 1.0 if on else 0.2)


def paint_walk_signal(painter: Painter, thing: Thing) -> None:
    """Paint a signal for pedestrians: red above, green below."""
    if thing.z - painter.camera.z < 1.5:
        return
    at, label = (thing.x, 0.0, thing.z), LABEL["signal"]
    painter.upright(rectangle(-0.06, 0.06, 0.0, 2.5), at, _STEEL, LABEL["others"])
    painter.upright(rectangle(-0.24, 0.24, 2.4, 3.3), at, (50.0, 52.0, 54.0), label)
    for number, y in ((2, 3.06), (0, 2.64)):
        on = (number == 2) == (thing.seed == 0)
        dull = (_LAMPS[number][0] * 0.2, _LAMPS[number][1] * 0.2, _LAMPS[number][2] * 0.2)
        painter.upright(
            rectangle(-0.17, 0.17, y - 0.17, y + 0.17),
            at,
            _LAMPS[number] if on else dull,
            label,
            1.0 if on else 0.2,
        )


def paint_sign(painter: Painter, thing: Thing) -> None:
    """Paint a traffic sign on a post: a disc, a triangle, a diamond or a plate."""
    if thing.z - painter.camera.z < 1.5:
        return
    rng = np.random.default_rng(thing.seed)
    at, label, y = (thing.x, 0.0, thing.z), LABEL["signs"], float(rng.uniform(2.3, 3.1))
    painter.upright(rectangle(-0.04, 0.04, 0.0, y), at, _STEEL, LABEL["others"])
    red, blue, white = (196.0, 30.0, 34.0), (34.0, 74.0, 160.0), (226.0, 226.0, 224.0)
    kind = int(rng.integers(0, 5))
    if kind == 0:
        painter.upright(circle(0.0, y, 0.38), at, red, label, 0.15)
        painter.upright(circle(0.0, y, 0.27), at, white, label, 0.15)
        painter.upright(rectangle(-0.12, 0.12, y - 0.12, y + 0.12), at, blue, label, 0.15)
    elif kind == 1:
        painter.upright(circle(0.0, y, 0.38), at, blue, label, 0.15)
        painter.upright(rectangle(-0.05, 0.05, y - 0.22, y + 0.22), at, white, label, 0.15)
    elif kind == 2:
        painter.upright(np.array([[-0.44, y + 0.3], [0.44, y + 0.3], [0.0, y - 0.42]]), at, red, label, 0.15)
        painter.upright(np.array([[-0.27, y + 0.2], [0.27, y + 0.2], [0.0, y - 0.2]]), at, white, label, 0.15)
    elif kind == 3:
        painter.upright(circle(0.0, y, 0.45, 4), at, (226.0, 178.0, 40.0), label, 0.15)
        painter.upright(circle(0.0, y, 0.16, 8), at, (30.0, 30.0, 30.0), label)
    else:
        painter.upright(rectangle(-0.32, 0.32, y - 0.32, y + 0.32), at, blue, label, 0.15)
        painter.upright(rectangle(-0.22, 0.22, y - 0.05, y + 0.22), at, white, label, 0.15)
    if rng.random() < 0.3:
        painter.upright(rectangle(-0.28, 0.28, y - 0.7, y - 0.48), at, white, label, 0.15)


def paint_board(painter: Painter, thing: Thing) -> None:
    """Paint a large direction board on an arm over the road."""
    if thing.z - painter.camera.z < 1.5:
        return
    rng = np.random.default_rng(thing.seed)
    at, label = (thing.x, 0.0, thing.z), LABEL["signs"]
    painter.upright(rectangle(-0.14, 0.14, 0.0, 7.4), at, _STEEL, LABEL["others"])
    painter.upright(rectangle(0.0, 4.6, 6.5, 6.65), at, _STEEL, LABEL["others"])
    tint: RGB = (28.0, 72.0, 152.0) if rng.random() < 0.7 else (24.0, 110.0, 74.0)
    painter.upright(rectangle(1.2, 4.6, 5.2, 7.3), at, tint, label, 0.15)
    for y in (6.7, 6.2, 5.6):
        end = float(rng.uniform(2.6, 4.2))
        painter.upright(rectangle(1.5, end, y - 0.13, y + 0.13), at, (222.0, 224.0, 226.0), label, 0.15)


def paint_lamp(painter: Painter, thing: Thing) -> None:
    """Paint a street lamp (class others), with its arm over the road."""
    if thing.z - painter.camera.z < 1.0:
        return
    inward = -float(np.sign(thing.x))
    at, label, tall = (thing.x, 0.0, thing.z), LABEL["others"], 7.5 * thing.size
    painter.upright(rectangle(-0.09, 0.09, 0.0, tall), at, _STEEL, label)
    left, right = min(0.0, inward * 1.9), max(0.0, inward * 1.9)
    painter.upright(rectangle(left, right, tall - 0.1, tall), at, _STEEL, label)
    left, right = inward * 1.8 - 0.5, inward * 1.8 + 0.5
    night = painter.light.is_night
    head: RGB = (255.0, 232.0, 176.0) if night else (180.0, 182.0, 184.0)
    painter.upright(rectangle(left, right, tall - 0.25, tall - 0.08), at, head, label, 1.0 if night else 0.0)


def paint_pole(painter: Painter, thing: Thing) -> None:
    """Paint a concrete pole (class others) and its wires, which like real ones are not in the labels."""
    camera = painter.camera
    if thing.z - camera.z < 1.0:
        return
    at, tall = (thing.x, 0.0, thing.z), 9.5
    concrete = (146.0, 142.0, 134.0)
    painter.upright(rectangle(-0.15, 0.15, 0.0, tall), at, concrete, LABEL["others"])
    painter.upright(rectangle(-0.9, 0.9, tall - 0.9, tall - 0.8), at, concrete, LABEL["others"])
    if painter.light.is_night:
        painter.upright(circle(-0.4 * np.sign(thing.x), 5.2, 0.2, 8), at, (250.0, 240.0, 206.0), LABEL["others"], 1.0)
    sag = np.linspace(-1.0, 1.0, 9)
    for offset, y in ((-0.8, tall - 0.8), (0.8, tall - 0.8), (0.0, 7.6)):
        z = thing.z - 15.0 + 15.0 * sag
        points = np.stack([np.full(9, thing.x + offset), y - 0.7 * (1.0 - sag**2), z], axis=-1)
        points = points[points[:, 2] > camera.z + NEAR]
        if len(points) > 1:
            colour = painter.light.shade((40.0, 40.0, 42.0), (0.0, 0.0, -1.0), camera.depth(thing.z))
            painter.canvas.lines(camera.project(points)[None], colour, None, 0.03 * painter.scale(thing.z))


def paint_cone(painter: Painter, thing: Thing) -> None:
    """Paint a traffic cone (class obstacle)."""
    if thing.z - painter.camera.z < 1.5:
        return
    at, label = (thing.x, 0.0, thing.z), LABEL["obstacle"]
    painter.upright(rectangle(-0.24, 0.24, 0.0, 0.06), at, (60.0, 56.0, 56.0), label)
    painter.upright(np.array([[-0.18, 0.05], [0.18, 0.05], [0.03, 0.8], [-0.03, 0.8]]), at, (226.0, 84.0, 34.0), label)
    painter.upright(
        np.array([[-0.12, 0.3], [0.12, 0.3], [0.08, 0.48], [-0.08, 0.48]]), at, (232.0, 232.0, 230.0), label
    )
