"""The interface of a step after the blend. The modules of `foldseg.ensemble.steps` have one class per kind of step.

Imported by worker processes, so neither this module nor what it imports may need torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import Step
from foldseg.data.labels import LabelSet, Mask
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Params, Prediction
from foldseg.scoring.counts import Counts

StepT = TypeVar("StepT", bound=Step)

Observation = Mapping[str, NDArray[Any]]
"""What a step has to know of one image to be fitted, by name."""


class Operation(ABC, Generic[StepT]):
    """What a step does. Only `apply` has to be written for a step that has nothing to fit.

    A step that fits something on OOF images overrides `is_fitted`, `observe`, `fit` and `describe`, too. `observe` is
    called once for each OOF image, in worker processes; `fit` with the observations of all images, or all but a part.
    `settings` are the step's own. Their class also states what the ensemble has to know (see `config.schema.Step`).
    """

    def __init__(self, settings: StepT) -> None:
        self.settings = settings

    def check(self, config: Ensemble, labels: LabelSet) -> None:
        """Raise FoldsegError if the step cannot be taken in an ensemble with these settings and classes."""
        return

    @property
    def is_fitted(self) -> bool:
        """Whether these settings leave something to fit."""
        return False

    @abstractmethod
    def apply(self, prediction: Prediction, context: ImageContext, params: Params | None) -> Prediction:
        """Take the step. `params` are what `fit` returned, None for a step that is not fitted.

        A step on probabilities returns `Prediction.of_probabilities(...)`. A step on labels returns
        `replace(prediction, labels=...)`, which keeps the maps. If `prediction.masks` is not None, classes overlap. In
        that case only the masks are scored and handed in, so a step on labels has to change them:
        `prediction.with_masks(...)`.
        """

    def observe(self, prediction: Prediction, truth: Mask, context: ImageContext, max_bytes: int) -> Observation:
        """Return what `fit` has to know of an image: `prediction` before the step, and `truth` (H, W) uint8.

        If single pixels are listed, their arrays take at most about `max_bytes`: `sample.observe_pixels` does that, and
        `sample.PixelSample` reads what it returns.
        """
        raise NotImplementedError

    def fit(self, observations: Sequence[Observation], spec: EnsembleSpec) -> Params:
        """Return the parameters of the highest score over the images observed: arrays, 0-d for a number."""
        raise NotImplementedError

    def describe(self, params: Params, spec: EnsembleSpec) -> dict[str, Any]:
        """Return the parameters for a reader: plain numbers by class and member."""
        raise NotImplementedError

    def compare_alternatives(
        self, observations: Sequence[Observation], parts: NDArray[np.intp], before: Counts, spec: EnsembleSpec
    ) -> dict[str, Any]:
        """Return what else score.json says of a fitted step: the scores of alternatives to it. Empty if it has none.

        `parts` (images,): alternatives are scored on each part with what was fitted on the others. `before`: counts of
        the stage before the step, (images, classes, 3).
        """
        return {}


def check_operation(operation: type[Operation[Any]]) -> None:
    """Raise TypeError if a step that can be fitted lacks one of the methods that fitting needs."""
    if operation.is_fitted is Operation.is_fitted:
        return
    missing = [name for name in ("observe", "fit", "describe") if getattr(operation, name) is getattr(Operation, name)]
    if missing:
        raise TypeError(
            f"{operation.__module__}.{operation.__name__}: a step that is fitted has to have {', '.join(missing)}"
        )
