"""Stacking (Wolpert, 1992): a logistic regression on the probabilities of all members, and on the picture.

There is one regression of exclusive classes, and one for each overlapping class.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import StackStep
from foldseg.data.labels import IGNORE_INDEX, Image, Mask
from foldseg.ensemble.blend import LEAST, Levels
from foldseg.ensemble.operation import Observation, Operation
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Params, Prediction
from foldseg.ensemble.sample import draw_places

_NEVER = -30.0
"""Logit of a class that no pixel of the sample is of."""


class StackOperation(Operation[StackStep]):
    """Put the probabilities of a logistic regression in place of the blend's."""

    @property
    def is_fitted(self) -> bool:
        """Whether there is something to fit: always."""
        return True

    def apply(self, prediction: Prediction, context: ImageContext, params: Params | None) -> Prediction:
        """Multiply each block of features by its coefficients, with one member in memory at a time."""
        assert params is not None
        size = prediction.labels.shape
        coefficients = params["coefficients"].astype(np.float32)
        logits = np.repeat(params["intercept"].astype(np.float32)[:, None], prediction.labels.size, 1)
        first = 0
        for block in self._blocks(context, size):
            logits += coefficients[:, first : first + len(block)] @ block
            first += len(block)
        if context.labels.overlapping:
            probabilities = (np.tanh(logits / 2) + np.float32(1)) / np.float32(2)  # the sigmoid, without overflow
        else:
            logits -= logits.max(0)
            np.exp(logits, out=logits)
            logits /= logits.sum(0)
            probabilities = logits
        return Prediction.of_probabilities(probabilities.reshape(-1, *size), context.labels)

    def _blocks(self, context: ImageContext, size: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of features (features, H * W): log-probabilities of each member, then those of the picture.

        Of overlapping classes they are log-odds.
        """
        for maps in context.read_members():
            logarithms = _logarithms(maps)
            if context.labels.overlapping:
                logarithms -= _logarithms(np.float32(255) - maps)
            yield logarithms
        if self.settings.picture:
            yield _picture(context.read_picture())

    def observe(self, prediction: Prediction, truth: Mask, context: ImageContext, max_bytes: int) -> Observation:
        """Take the features of some pixels, drawn evenly from those that are not void."""
        known = np.flatnonzero(truth.reshape(-1) != IGNORE_INDEX)
        places = known[draw_places(context.id, len(known), self.settings.pixels_per_image)]
        blocks = [block[:, places] for block in self._blocks(context, truth.shape)]
        return {"features": np.concatenate(blocks).T, "truth": truth.reshape(-1)[places]}

    def fit(self, observations: Sequence[Observation], spec: EnsembleSpec) -> Params:
        """Fit on standardised features; return coefficients for the features as they are."""
        features = np.concatenate([observation["features"] for observation in observations])
        truth = np.concatenate([observation["truth"] for observation in observations])
        if not spec.labels.overlapping:
            coefficients, intercept = self._regress(features, truth, len(spec.labels))
            return {"coefficients": coefficients, "intercept": intercept}
        of_classes = [self._regress(features, plane, 2) for plane in spec.labels.class_planes(truth).astype(np.uint8)]
        # The logit of a class is that of its presence above that of its absence
        return {
            "coefficients": np.stack([coefficients[1] - coefficients[0] for coefficients, _ in of_classes]),
            "intercept": np.stack([intercept[1] - intercept[0] for _, intercept in of_classes]),
        }

    def _regress(
        self, features: NDArray[np.float32], truth: NDArray[np.uint8], classes: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return coefficients (classes, features) and intercept (classes,) of the logits of exclusive classes."""
        from sklearn.linear_model import LogisticRegression  # slow to import, and worker processes need none of it
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        coefficients, intercept = np.zeros((classes, features.shape[1])), np.full(classes, _NEVER)
        present = np.unique(truth)
        if len(present) == 1:
            intercept[present] = 0.0
            return coefficients, intercept
        model = make_pipeline(StandardScaler(), LogisticRegression(C=self.settings.regularisation, max_iter=300))
        model.fit(features, truth)
        scaler, regression = model[0], model[1]
        weights, constants = regression.coef_, regression.intercept_
        if len(present) == 2:  # there is one row of coefficients: the second class against the first
            weights, constants = np.vstack([0 * weights, weights]), np.append(0.0, constants)
        coefficients[present] = weights / scaler.scale_
        intercept[present] = constants - (weights * scaler.mean_ / scaler.scale_).sum(1)
        return coefficients, intercept

    def describe(self, params: Params, spec: EnsembleSpec) -> dict[str, Any]:
        """Return member (and "picture") -> class -> norm of its coefficients in the logit of that class."""
        classes = spec.labels.names
        coefficients, width = params["coefficients"], len(classes)
        blocks = {name: coefficients[:, i * width : (i + 1) * width] for i, name in enumerate(spec.members)}
        of_picture = coefficients[:, len(spec.members) * width :]
        if of_picture.size:
            blocks["picture"] = of_picture
        norms = {name: np.linalg.norm(block, axis=1).round(3).tolist() for name, block in blocks.items()}
        return {name: dict(zip(classes, values, strict=True)) for name, values in norms.items()}


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
