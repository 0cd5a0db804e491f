"""Dense CRF on the blend. pydensecrf is built from C++ source, so it is imported only when an ensemble uses it."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import CrfStep
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.ensemble.blend import Probabilities
from foldseg.ensemble.operation import Observation, Operation
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Params, Prediction
from foldseg.inference.class_rule import choose_rule

_FLOOR = 1e-5
"""Smallest probability: 0 would be an infinite energy."""
_LIKELY = 0.05
"""A class that is nowhere more probable than this cannot win a pixel."""
_AROUND = 2.0
"""Pixels this close to unsure ones take part, too, in units of smooth_std."""

_KERNEL = ("smooth_std", "smooth_weight", "appearance_std", "appearance_colour_std", "appearance_weight")
Kernel = Mapping[str, float]
"""One value for each name of `_KERNEL`."""


class CrfOperation(Operation[CrfStep]):
    """Refine the probabilities by the edges of the picture."""

    @property
    def is_fitted(self) -> bool:
        """Whether a value is to be chosen from a list."""
        return any(isinstance(getattr(self.settings, key), tuple) for key in _KERNEL)

    def apply(self, prediction: Prediction, context: ImageContext, params: Params | None) -> Prediction:
        """Refine the probabilities with the kernel that is given or fitted."""
        kernel = kernels(self.settings)[0] if params is None else {key: float(params[key]) for key in _KERNEL}
        refined = self._refine(prediction.as_probabilities(), context.read_picture(), kernel, context.labels)
        return Prediction.of_probabilities(refined, context.labels)

    def _refine(self, probabilities: Probabilities, image: Image, kernel: Kernel, labels: LabelSet) -> Probabilities:
        """Refine the probabilities (classes, H, W). Each overlapping class is refined against its absence."""
        if not labels.overlapping:
            return dense_crf(probabilities, image, self.settings, kernel)
        pairs = choose_rule(labels).to_alternatives(probabilities)
        return np.stack([dense_crf(pairs[:, i], image, self.settings, kernel)[0] for i in range(len(labels))])

    def observe(self, prediction: Prediction, truth: Mask, context: ImageContext, max_bytes: int) -> Observation:
        """Count with every combination of listed values: (combinations, classes, 3)."""
        probabilities, image = prediction.as_probabilities(), context.read_picture()
        counts = []
        for kernel in kernels(self.settings):
            refined = self._refine(probabilities, image, kernel, context.labels)
            counts.append(Prediction.of_probabilities(refined, context.labels).count(truth, context.labels))
        return {"counts": np.stack(counts)}

    def fit(self, observations: Sequence[Observation], spec: EnsembleSpec) -> Params:
        """Choose the combination of the highest score."""
        counts = np.stack([observation["counts"] for observation in observations], 1)
        best = int(np.argmax([spec.value(of_combination) for of_combination in counts]))
        return {key: np.array(value) for key, value in kernels(self.settings)[best].items()}

    def describe(self, params: Params, spec: EnsembleSpec) -> dict[str, Any]:
        """Return the chosen values."""
        return {key: round(float(params[key]), 6) for key in _KERNEL}


def kernels(settings: CrfStep) -> list[Kernel]:
    """Return every combination of the values that are given or listed."""
    values = [getattr(settings, key) for key in _KERNEL]
    lists = [value if isinstance(value, tuple) else (value,) for value in values]
    return [dict(zip(_KERNEL, combination, strict=True)) for combination in product(*lists)]


def dense_crf(
    probabilities: Probabilities, image: Image, settings: CrfStep, kernel: Kernel | None = None
) -> Probabilities:
    """Refine class probabilities with the picture's edges (Krähenbühl and Koltun, 2011, arXiv:1210.5644).

    probabilities (classes, H, W) float32 and image (H, W, 3) uint8 RGB -> (classes, H, W) float32 that sum to 1.
    Cost is proportional to pixels times classes, so only the classes that are likely somewhere take part, on a picture
    of `settings.scale`, and there the pixels that are less probable than `settings.sure` and those around them. The
    others keep their probabilities; a class that is nowhere likely becomes 0. `kernel`: None for the first of
    `kernels(settings)`.
    """
    kernel = kernel or kernels(settings)[0]
    likely = np.flatnonzero(probabilities.max((1, 2)) > _LIKELY)
    if len(likely) < 2:
        return probabilities
    part = probabilities[likely]
    part /= np.maximum(part.sum(0), _FLOOR)
    size = part.shape[1:]
    small = max(1, round(size[0] * settings.scale)), max(1, round(size[1] * settings.scale))
    planes, picture = _resize_planes(part, small, cv2.INTER_AREA), image
    if small != size:
        picture = np.asarray(cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    scaled = {**kernel, **{key: kernel[key] * settings.scale for key in ("smooth_std", "appearance_std")}}
    is_unsure = _find_unsure(planes, settings.sure, scaled["smooth_std"])
    if is_unsure.any():
        planes = planes.copy() if planes is part else planes
        planes[:, is_unsure] = _infer(planes[:, is_unsure], is_unsure, picture, settings.iterations, scaled)
        if small != size:
            refined = _resize_planes(planes, size, cv2.INTER_LINEAR)
            is_unsure = cv2.resize(is_unsure.view(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT).view(
                np.bool_
            )
            planes = refined if is_unsure.all() else np.where(is_unsure, refined, part)
    else:
        planes = part
    result = np.zeros_like(probabilities)
    result[likely] = planes
    return result


def _resize_planes(planes: Probabilities, size: tuple[int, ...], interpolation: int) -> Probabilities:
    if planes.shape[1:] == size:
        return planes
    return np.stack([cv2.resize(plane, (size[1], size[0]), interpolation=interpolation) for plane in planes])


def _find_unsure(planes: Probabilities, sure: float, smooth_std: float) -> NDArray[np.bool_]:
    """Return the pixels (H, W) bool of maps (classes, H, W) that are unsure, and those around them."""
    if sure == 1.0:
        return np.ones(planes.shape[1:], bool)
    unsure = (planes.max(0) < sure).view(np.uint8)
    side = 2 * round(_AROUND * smooth_std) + 1
    return cv2.dilate(unsure, np.ones((side, side), np.uint8)).view(np.bool_)


def _infer(
    values: Probabilities, where: NDArray[np.bool_], image: Image, iterations: int, kernel: Kernel
) -> Probabilities:
    """Return the probabilities (classes, n) of the pixels `where` (H, W), refined by each other."""
    from pydensecrf.densecrf import DenseCRF

    rows, columns = np.nonzero(where)
    place = np.stack([columns, rows]).astype(np.float32)
    colour = image[where].T / np.float32(kernel["appearance_colour_std"])
    field = DenseCRF(values.shape[1], len(values))
    field.setUnaryEnergy(np.ascontiguousarray(-np.log(np.maximum(values, _FLOOR)), np.float32))
    field.addPairwiseEnergy(place / np.float32(kernel["smooth_std"]), compat=kernel["smooth_weight"])
    features = np.concatenate([place / np.float32(kernel["appearance_std"]), colour])
    field.addPairwiseEnergy(np.ascontiguousarray(features, np.float32), compat=kernel["appearance_weight"])
    return np.array(field.inference(iterations), np.float32).reshape(values.shape)
