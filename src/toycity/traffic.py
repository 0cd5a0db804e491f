"""What moves or is parked: vehicles, people, cycles. Metres; speeds in metres per frame."""

from dataclasses import dataclass

import numpy as np

from toycity.style import RGB, Style

_BODY_COLOURS: tuple[RGB, ...] = (
    (225, 226, 228),
    (200, 203, 206),
    (150, 153, 156),
    (100, 102, 106),
    (44, 45, 48),
    (28, 28, 30),
    (150, 24, 26),
    (30, 52, 120),
    (70, 100, 140),
    (120, 104, 84),
    (214, 190, 90),
    (36, 84, 62),
    (176, 176, 170),
)


@dataclass(frozen=True)
class Thing:
    """Something in the street, at (x, z) in the drive's first frame.

    `heading` is the way it faces in radians (0 ahead, pi towards the camera, pi/2 right). `size`, `colour`
    and `seed` are read by the painter of its kind.
    """

    kind: str
    x: float
    z: float
    heading: float = 0.0
    size: float = 1.0
    colour: RGB = (150.0, 150.0, 150.0)
    vx: float = 0.0
    vz: float = 0.0
    seed: int = 0


def place_traffic(
    rng: np.random.Generator,
    style: Style,
    lane_x: float,
    junction: float | None,
    crossings: tuple[float, ...],
) -> list[Thing]:
    """Place all vehicles and people of a drive."""
    things = _driving(rng, style, lane_x)
    things += _parked(rng, style, lane_x, junction)
    things += _people(rng, style, crossings)
    things += _cycles(rng, style)
    if junction is not None and rng.random() < 0.5:
        heading = float(rng.choice([-0.5, 0.5])) * np.pi
        speed = 0.0 if rng.random() < 0.4 else float(rng.uniform(0.3, 1.0))
        x = float(rng.uniform(-0.8, 0.8)) * style.road_half
        z = junction + (2.4 if heading < 0 else 6.4)
        things.append(_vehicle(rng, x, z, heading, vx=float(np.sign(heading)) * speed))
    return things


def _vehicle(rng: np.random.Generator, x: float, z: float, heading: float, vx: float = 0.0, vz: float = 0.0) -> Thing:
    """Return a vehicle of a random kind, mostly cars."""
    kinds = ("sedan", "wagon", "kei", "van", "truck", "bus", "special")
    kind = str(rng.choice(kinds, p=(0.35, 0.24, 0.19, 0.14, 0.045, 0.025, 0.01)))
    colour = np.array(_BODY_COLOURS[int(rng.integers(len(_BODY_COLOURS)))]) * rng.uniform(0.85, 1.1)
    tint = (float(colour[0]), float(colour[1]), float(colour[2]))
    return Thing(kind, x, z, heading, float(rng.uniform(0.95, 1.05)), tint, vx, vz, int(rng.integers(2**31)))


def _driving(rng: np.random.Generator, style: Style, lane_x: float) -> list[Thing]:
    """Place moving traffic: in each lane at distances of 8 m and more, the own lane free for a stretch."""
    things: list[Thing] = []
    width = 2 * style.road_half / style.lanes
    for lane in range(style.lanes):
        x = -style.road_half + width * (lane + 0.5)
        same_way = x < 0
        z = float(rng.uniform(5.5, 16.0)) if abs(x - lane_x) < 1.0 else float(rng.uniform(-2.0, 16.0))
        spacing = 100.0 * style.lanes / (style.driving * 2.2)
        if rng.random() < 0.15:
            z += 30.0
        while z < 95.0:
            heading = 0.0 if same_way else float(np.pi)
            vz = float(rng.uniform(0.5, 1.1)) if same_way else -float(rng.uniform(0.5, 1.3))
            things.append(_vehicle(rng, x + float(rng.normal(0.0, 0.15)), z + 2.5, heading, vz=vz))
            z += 8.0 + float(rng.exponential(spacing))
    return things


def _parked(rng: np.random.Generator, style: Style, lane_x: float, junction: float | None) -> list[Thing]:
    """Place parked vehicles: at the kerb, or with low houses on the plots beside the sidewalk."""
    things: list[Thing] = []
    for side in (-1, 1):
        for _ in range(int(rng.poisson(style.parked))):
            z = float(rng.uniform(3.0, 70.0))
            if junction is not None and junction - 12.0 < z < junction + 21.0:
                continue
            if style.houses:
                x = side * (style.road_half + style.shoulder + style.sidewalk + float(rng.uniform(1.2, 3.0)))
                heading = float(rng.choice([-0.5, 0.5])) * np.pi
            else:
                x = side * (style.road_half + style.shoulder - 1.05)
                heading = 0.0 if side < 0 else float(np.pi)
            if abs(x - lane_x) > 1.6:
                things.append(_vehicle(rng, x, z, heading))
    return things


def _people(rng: np.random.Generator, style: Style, crossings: tuple[float, ...]) -> list[Thing]:
    """Place pedestrians along the sidewalks (some in pairs) and on the crossings."""
    things: list[Thing] = []
    kerb = style.road_half + style.shoulder
    for _ in range(2 + int(rng.poisson(style.pedestrians))):
        side = float(rng.choice([-1.0, 1.0]))
        x = side * (kerb + float(rng.uniform(0.5, style.sidewalk - 0.3)))
        # Most are within 40 m, but the far ones, a few pixels tall, are there as well.
        z = 5.0 + float(rng.gamma(1.8, 12.0))
        vz = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.05, 0.15))
        for k in range(2 if rng.random() < 0.2 else 1):
            things.append(_person(rng, x + side * 0.55 * k, z + 0.1 * k, vz=vz))
    for z in crossings:
        for _ in range(int(rng.poisson(1.6))):
            vx = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.08, 0.18))
            at = z + float(rng.uniform(0.5, 2.6))
            things.append(_person(rng, float(rng.uniform(-kerb, kerb)), at, vx=vx))
    return things


def _person(rng: np.random.Generator, x: float, z: float, vx: float = 0.0, vz: float = 0.0) -> Thing:
    size = float(rng.normal(1.0, 0.06)) * (0.7 if rng.random() < 0.07 else 1.0)
    return Thing("pedestrian", x, z, size=size, vx=vx, vz=vz, seed=int(rng.integers(2**31)))


def _cycles(rng: np.random.Generator, style: Style) -> list[Thing]:
    """Place bicycles and motorbikes at the road's left edge and bicycles on the sidewalks."""
    things: list[Thing] = []
    kerb = style.road_half + style.shoulder
    for kind, mean in (("bicycle", style.cycles), ("motorbike", 0.45 * style.cycles)):
        for _ in range(int(rng.poisson(mean))):
            side = float(rng.choice([-1.0, 1.0]))
            on_walk = kind == "bicycle" and rng.random() < 0.6
            x = side * (kerb + 0.9 if on_walk else style.road_half - 0.5)
            vz = -side * float(rng.uniform(0.2, 0.8))
            heading = 0.0 if vz > 0 else float(np.pi)
            z = 6.0 + float(rng.gamma(2.0, 9.0))
            things.append(Thing(kind, x, z, heading, vz=vz, seed=int(rng.integers(2**31))))
    return things
