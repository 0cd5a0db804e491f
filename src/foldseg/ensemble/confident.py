"""Pseudo labels of one image: class indices or class bits where the prediction is confident, void elsewhere.

Imported by worker processes, so neither this module nor what it imports may need torch.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldseg.data.counting import count_classes
from foldseg.data.labels import IGNORE_INDEX, Mask
from foldseg.ensemble.blend import Probabilities
from foldseg.ensemble.image import ImageTask, predict
from foldseg.ensemble.prediction import EnsembleSpec
from foldseg.inference.class_rule import EXCLUSIVE, ClassRule, choose_rule
from foldseg.submission.label_png import write_png


@dataclass(frozen=True)
class LabelingTask:
    """One image to be labelled: how it is predicted, and where its labels go."""

    task: ImageTask
    spec: EnsembleSpec
    path: Path
    min_probability: NDArray[np.float32]
    """(classes,): the lowest probability at which a pixel is labelled as that class."""

    @property
    def id(self) -> str:
        """The image's id."""
        return self.task.id


def confident_labels(
    probabilities: Probabilities, min_probability: NDArray[np.float32], rule: ClassRule = EXCLUSIVE
) -> Mask:
    """Return the most probable class of each pixel, (H, W) uint8, or void where it is below its `min_probability`.

    probabilities (classes, H, W) float32; min_probability (classes,). If classes overlap, every class must be either as
    probable as its `min_probability`, or as improbable; otherwise the pixel is void.
    """
    labels = rule.decide(probabilities)
    if rule is EXCLUSIVE:
        is_confident = probabilities.max(0) >= min_probability[labels]
    else:
        of_decision = rule.to_alternatives(probabilities).max(0)
        is_confident = (of_decision >= min_probability[:, None, None]).all(0)
    return np.where(is_confident, labels, np.uint8(IGNORE_INDEX))


def label_image(labeling: LabelingTask) -> NDArray[np.int64]:
    """Write one image's labels as a PNG; return (classes + 2,) pixels of each class, of void, and of the image."""
    prediction = predict(labeling.task.context(labeling.spec), labeling.task.line)
    classes = labeling.spec.labels
    labels = confident_labels(prediction.as_probabilities(), labeling.min_probability, choose_rule(classes))
    write_png(labeling.path, labels)
    return np.append(count_classes(labels, classes), labels.size)
