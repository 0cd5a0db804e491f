"""Painting the sky and what is far away at the horizon."""

import cv2
import numpy as np

from toycity.canvas import Painter
from toycity.palette import LABEL
from toycity.scene import Scene
from toycity.textures import cloud_cover


def paint_sky(painter: Painter, scene: Scene) -> None:
    """Fill the whole canvas with the sky: a gradient and clouds."""
    canvas, light = painter.canvas, painter.light
    height, width = canvas.labels.shape
    canvas.labels[:] = LABEL["sky"]
    bottom = min(height, int(painter.camera.cy) + 2)
    rng = np.random.default_rng([*scene.seed, 4])
    # Clouds are soft: a third of the resolution of a small picture is enough for any size.
    rows, columns = 80, 160
    cover = float(rng.uniform(-0.9, 0.9))
    cloud = np.clip((cloud_cover([*scene.seed, 5], columns, rows) + cover) * 0.8, 0.0, 1.0)
    down = np.linspace(0.0, 1.0, rows, dtype=np.float32)[:, None, None]
    zenith, horizon = np.array(light.zenith, np.float32), np.array(light.horizon, np.float32)
    sky = zenith + (horizon - zenith) * down**1.4
    thick = (cloud * np.float32(rng.uniform(0.45, 0.95)))[..., None] * (1.0 - 0.5 * down)
    sky = sky + (np.array(light.cloud, np.float32) - sky) * thick
    glow = float(rng.uniform(-0.3, 0.3)) * np.linspace(-1.0, 1.0, columns, dtype=np.float32)[None, :, None]
    sky = np.clip(sky * (1.0 + 0.25 * glow), 0.0, 255.0)
    large = cv2.resize(sky.astype(np.float32), (width, bottom), interpolation=cv2.INTER_LINEAR)
    canvas.picture[:bottom] = large


def paint_horizon(painter: Painter, scene: Scene) -> None:
    """Paint the far silhouettes: city blocks, or wooded hills."""
    rng = np.random.default_rng([*scene.seed, 6])
    height = painter.camera.height
    cx, cy = painter.camera.cx, painter.camera.cy + 0.012 * height
    wooded = scene.style.houses
    for layer, depth in enumerate((260.0, 170.0)):
        if wooded:
            count = 60
            x = np.linspace(-1.3, 1.3, count)
            rough = np.convolve(rng.standard_normal(count + 6), np.ones(7) / 7, mode="valid")
            y = 0.035 + 0.05 * (1 - layer) + 0.05 * rough + 0.006 * rng.standard_normal(count)
            ridge = np.stack([cx + x * height, cy - np.maximum(y, 0.006) * height], axis=-1)
            base = np.array([[cx + 1.3 * height, cy], [cx - 1.3 * height, cy]])
            colour = painter.light.shade((62.0, 84.0, 52.0), (0.0, 0.7, -0.7), depth)
            painter.canvas.fill([np.concatenate([ridge, base])], colour, LABEL["natural"])
            continue
        x0 = -1.3
        while x0 < 1.3:
            x1 = x0 + float(rng.uniform(0.03, 0.12))
            tall = float(rng.uniform(0.02, 0.11)) * (1.0 - 0.3 * layer)
            block = np.array([[x0, 0.0], [x1, 0.0], [x1, -tall], [x0, -tall]]) * height + np.array([cx, cy])
            grey = float(rng.uniform(96.0, 176.0))
            colour = painter.light.shade((grey, grey, grey * 1.03), (0.0, 0.0, -1.0), depth)
            painter.canvas.fill([block], colour, LABEL["building"])
            x0 = x1
