"""Stacking (Wolpert, 1992): a logistic regression on what all members say of a pixel, and on the picture."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import StackStep
from foldseg.data.labels import IGNORE_INDEX, Image, LabelSet, Mask
from foldseg.ensemble.blend import LEAST, Levels
from foldseg.ensemble.sample import Arrays, subset
from foldseg.ensemble.scene import Params, Result, Scene, Target
from foldseg.scoring.counts import Counts

_NEVER = -30.0  # logit of a class that no pixel of the sample is of


def check(settings: StackStep, config: Ensemble, labels: LabelSet) -> None:
    """Accept every ensemble."""


def is_fitted(settings: StackStep) -> bool:
    """Return that it always is."""
    return True


def apply(settings: StackStep, params: Params | None, result: Result, scene: Scene) -> Result:
    """Sum each block of features with its coefficients, one member in memory at a time."""
    assert params is not None
    coefficients = params["coefficients"].astype(np.float32)
    logits = np.repeat(params["intercept"].astype(np.float32)[:, None], result.labels.size, 1)
    first = 0
    for block in _blocks(settings, scene, result.labels.shape):
        logits += coefficients[:, first : first + len(block)] @ block
        first += len(block)
    logits -= logits.max(0)
    np.exp(logits, out=logits)
    logits /= logits.sum(0)
    return Result.of(logits.reshape(-1, *result.labels.shape))


def _blocks(settings: StackStep, scene: Scene, size: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
    """Blocks of features (features, H * W): each member's log-probabilities, then the picture's."""
    for maps in scene.members():
        yield _logarithms(maps)
    if settings.picture:
        yield _picture(scene.picture())


def _logarithms(maps: Levels) -> NDArray[np.float32]:
    return np.log(np.maximum(maps, np.float32(LEAST)) / np.float32(255)).reshape(len(maps), -1)


def _picture(image: Image) -> NDArray[np.float32]:
    """Red, green, blue in 0..1; row and column in 0..1, and their squares."""
    height, width = image.shape[:2]
    features = np.empty((7, height, width), np.float32)
    features[:3] = image.transpose(2, 0, 1) / np.float32(255)
    features[3] = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    features[4] = np.linspace(0, 1, width, dtype=np.float32)
    features[5:] = features[3:5] ** 2
    return features.reshape(7, -1)


def observe(
    settings: StackStep, result: Result, truth: Mask, scene: Scene, target: Target, most: int
) -> dict[str, NDArray[Any]]:
    """Take the features of some pixels, drawn evenly from those that are not void."""
    known = np.flatnonzero(truth.reshape(-1) != IGNORE_INDEX)
    places = known[subset(scene.id, len(known), settings.pixels_per_image)]
    blocks = [block[:, places] for block in _blocks(settings, scene, truth.shape)]
    return {"features": np.concatenate(blocks).T, "truth": truth.reshape(-1)[places]}


def fit(settings: StackStep, observations: Sequence[Arrays], target: Target) -> Params:
    """Fit on standardised features; return coefficients for the features as they are."""
    from sklearn.linear_model import LogisticRegression  # blending processes need none of it
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.concatenate([one["features"] for one in observations])
    truth = np.concatenate([one["truth"] for one in observations])
    classes, number = len(target.labels), features.shape[1]
    coefficients, intercept = np.zeros((classes, number)), np.full(classes, _NEVER)
    present = np.unique(truth)
    if len(present) == 1:
        intercept[present] = 0.0
        return {"coefficients": coefficients, "intercept": intercept}
    model = make_pipeline(StandardScaler(), LogisticRegression(C=settings.regularisation, max_iter=300))
    model.fit(features, truth)
    scaler, regression = model[0], model[1]
    weights, constants = regression.coef_, regression.intercept_
    if len(present) == 2:  # one row of coefficients: the second class against the first
        weights, constants = np.vstack([0 * weights, weights]), np.append(0.0, constants)
    coefficients[present] = weights / scaler.scale_
    intercept[present] = constants - (weights * scaler.mean_ / scaler.scale_).sum(1)
    return {"coefficients": coefficients, "intercept": intercept}


def describe(params: Params, target: Target, members: Sequence[str]) -> dict[str, Any]:
    """Member (and "picture") -> class -> norm of the coefficients that it has in that class's logit."""
    classes = target.labels.names
    coefficients = params["coefficients"]
    blocks = [coefficients[:, i * len(classes) : (i + 1) * len(classes)] for i in range(len(members))]
    rest = coefficients[:, len(members) * len(classes) :]
    named = dict(zip(members, blocks, strict=True)) | ({"picture": rest} if rest.size else {})
    return {
        name: dict(zip(classes, np.linalg.norm(block, axis=1).round(3).tolist(), strict=True))
        for name, block in named.items()
    }


def compare(
    settings: StackStep, observations: Sequence[Arrays], parts: NDArray[np.intp], before: Counts, target: Target
) -> dict[str, Any]:
    """Return nothing: there are no alternatives."""
    return {}
