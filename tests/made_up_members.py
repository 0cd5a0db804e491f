"""Made-up members and pictures for the steps of an ensemble."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from foldseg.config.schema import Blend, MeanBlend
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.data.reading import read_image
from foldseg.ensemble.blend import Planes, Probabilities, argmax, normalise, weighted_sum
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Prediction

CLASSES = 4
LABELS = LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (i,), scored=i > 0) for i in range(CLASSES)))


def truth_of(seed: int, size: tuple[int, int] = (24, 30)) -> np.ndarray:
    """Blocks of the four classes, the last of them rare, and a void strip."""
    rng = np.random.default_rng(seed)
    blocks = rng.choice(CLASSES, (size[0] // 6, size[1] // 6), p=[0.5, 0.25, 0.2, 0.05]).astype(np.uint8)
    truth = blocks.repeat(6, 0).repeat(6, 1)
    truth[:, :2] = 255
    return truth


def member_of(truth: np.ndarray, seed: int, skill: float) -> np.ndarray:
    """(classes, H, W) uint8 probabilities of a member that knows the truth with some skill and guesses otherwise."""
    rng = np.random.default_rng(seed)
    guess = rng.dirichlet(np.full(CLASSES, 0.4), truth.shape).transpose(2, 0, 1)
    maps = skill * (np.arange(CLASSES)[:, None, None] == truth) + (1 - skill) * guess
    maps /= maps.sum(0)
    return (maps * 255 + 0.5).astype(np.uint8)


def spec_of(members: int, blend: Blend | None = None, score: str = "dataset_miou") -> EnsembleSpec:
    """An ensemble of the members a, b, c, ... with equal weights."""
    names = tuple("abcdefgh"[:members])
    return EnsembleSpec(names, np.ones(members), blend or MeanBlend(), LABELS, score)


def context_of(
    name: str, maps: list[np.ndarray], blend: Blend | None = None, image: Path = Path("none.png")
) -> ImageContext:
    """An image of which `maps` are the members' predictions."""
    levels = [of_member.astype(np.float32) for of_member in maps]
    return ImageContext(name, spec_of(len(maps), blend), lambda: read_image(image), lambda: levels)


def blended(context: ImageContext, weights: np.ndarray) -> Prediction:
    blender = context.spec.blender()
    for maps, weight in zip(context.read_members(), weights, strict=True):
        blender.add(maps, weight, argmax(maps), context.id)
    return Prediction.of_probabilities(blender.finish())


def mean_of(maps: Iterable[tuple[Planes, float]], name: str = "") -> Probabilities:
    """The weighted mean of quantised maps."""
    return normalise(weighted_sum(maps, name))


def write_picture(path: Path, truth: np.ndarray) -> Path:
    """A picture whose grey tells the class."""
    grey = np.where(truth == 255, 0, 40 + 60 * (truth % CLASSES)).astype(np.uint8)
    assert cv2.imwrite(str(path), grey[..., None].repeat(3, 2))
    return path
