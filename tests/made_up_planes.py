"""Made-up truths and members of overlapping classes, for the steps of an ensemble."""

from pathlib import Path

import numpy as np

from foldseg.config.schema import Blend, MeanBlend
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.data.reading import read_image
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Prediction
from foldseg.inference.class_rule import OVERLAPPING

CLASSES = 3
LABELS = LabelSet(
    tuple(
        LabelClass(f"c{i}", (80 * i + 40, 0, 0), tuple(value for value in range(8) if value >> i & 1))
        for i in range(CLASSES)
    ),
    void_ids=(255,),
    overlapping=True,
)


def truth_of(seed: int, size: tuple[int, int] = (24, 30)) -> np.ndarray:
    """Blocks of class bits, of which the last class is in half of the images only, and a void strip."""
    rng = np.random.default_rng(seed)
    blocks = rng.random((CLASSES, size[0] // 6, size[1] // 6)) < np.array([0.5, 0.3, 0.3])[:, None, None]
    if seed % 2:
        blocks[2] = False
    truth = LABELS.pack_planes(blocks.repeat(6, 1).repeat(6, 2))
    truth[:, :2] = 255
    return truth


def member_of(truth: np.ndarray, seed: int, skill: float) -> np.ndarray:
    """(classes, H, W) uint8 probabilities of a member that knows the truth with some skill and guesses otherwise."""
    guess = np.random.default_rng(seed).beta(0.5, 0.8, (CLASSES, *truth.shape))
    return ((skill * LABELS.class_planes(truth) + (1 - skill) * guess) * 255 + 0.5).astype(np.uint8)


def spec_of(members: int, blend: Blend | None = None, score: str = "image_mean_dice") -> EnsembleSpec:
    """An ensemble of the members a, b, c, ... with equal weights."""
    names = tuple("abcdefgh"[:members])
    return EnsembleSpec(names, np.ones(members), blend or MeanBlend(), LABELS, score)  # type: ignore[arg-type]


def context_of(
    name: str, maps: list[np.ndarray], blend: Blend | None = None, image: Path = Path("none.png")
) -> ImageContext:
    """An image of which `maps` are the members' predictions."""
    levels = [of_member.astype(np.float32) for of_member in maps]
    return ImageContext(name, spec_of(len(maps), blend), lambda: read_image(image), lambda: levels)


def blended(context: ImageContext, weights: np.ndarray) -> Prediction:
    blender = context.spec.blender()
    for maps, weight in zip(context.read_members(), weights, strict=True):
        blender.add(maps, weight, OVERLAPPING.decide(maps, 255.0), context.id)
    return Prediction.of_probabilities(blender.finish(), LABELS)
