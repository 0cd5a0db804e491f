"""What steps work on, and what every step has."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import Blend, ScoreName
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.ensemble.blend import Levels, Probabilities, argmax
from foldseg.ensemble.sample import Arrays
from foldseg.inference.map_file import Quantised, quantise_array
from foldseg.scoring.counts import Counts
from foldseg.scoring.scores import score

Params = Mapping[str, NDArray[Any]]
"""What was fitted for a step, by name."""


@dataclass(frozen=True)
class Scene:
    """What a step may know of an image besides what the steps before made of it."""

    id: str
    picture: Callable[[], Image]
    labels: LabelSet
    blend: Blend
    members: Callable[[], Iterable[Levels]]  # of each, in their order; big ones are read again every time


@dataclass(frozen=True)
class Result:
    """What an image has come to: class indices, and masks (classes, H, W) bool as well if categories may overlap.

    There are either probabilities or, once they have been thresholded or kept, quantised maps.
    """

    labels: Mask
    probabilities: Probabilities | None = None
    maps: Quantised | None = None
    masks: NDArray[np.bool_] | None = None

    @staticmethod
    def of(probabilities: Probabilities) -> "Result":
        """Return what probabilities (classes, H, W) come to: the most probable class of each pixel."""
        return Result(argmax(probabilities), probabilities)

    @staticmethod
    def of_maps(maps: Quantised) -> "Result":
        """Return what quantised probabilities (classes, H, W) come to."""
        return Result(argmax(maps), maps=maps)

    def rounded(self) -> "Result":
        """Return the result as a store keeps it: labels and masks stay, probabilities become quantised maps."""
        return replace(self, probabilities=None, maps=self.quantised())

    def quantised(self) -> Quantised:
        """Return round(255 p), (classes, H, W) uint8, with the argmax of the probabilities."""
        if self.maps is not None:
            return self.maps
        assert self.probabilities is not None
        return quantise_array(self.probabilities)

    def as_probabilities(self) -> Probabilities:
        """Return probabilities (classes, H, W) float32 that sum to 1."""
        if self.probabilities is not None:
            return self.probabilities
        assert self.maps is not None
        maps = self.maps.astype(np.float32)
        maps /= maps.sum(0)
        return maps


@dataclass(frozen=True)
class Target:
    """What an ensemble is of, and what is fitted for."""

    score: ScoreName
    labels: LabelSet
    blend: Blend
    weights: NDArray[np.float64]  # (members,) as given

    def value(self, counts: NDArray[Any]) -> float:
        """Score of counts (images, classes, 3); 0 where it is undefined."""
        value = score(self.score, counts, self.labels).value
        return 0.0 if np.isnan(value) else value


class StepModule(Protocol):
    """The functions that a module of `foldseg.ensemble.steps` has to have.

    `settings` are the step's own (see `foldseg.config.schema.Step` for what these state). `params` are
    what `fit` returned, None for a step that is not fitted. A step that has nothing to fit never comes to `observe`,
    `fit` and `describe`.
    """

    def check(self, settings: Any, config: Ensemble, labels: LabelSet) -> None:
        """FoldsegError when the step cannot be taken in an ensemble with these settings and classes."""

    def is_fitted(self, settings: Any) -> bool:
        """Is there something to fit?"""

    def apply(self, settings: Any, params: Params | None, result: Result, scene: Scene) -> Result:
        """Take the step.

        Probabilities are given back by `Result.of`. What works on labels keeps the maps: `replace(result, labels=...)`.
        """

    def observe(
        self, settings: Any, result: Result, truth: Mask, scene: Scene, target: Target, most: int
    ) -> dict[str, NDArray[Any]]:
        """Return what `fit` needs to know of an image; of its pixels, where these are listed, at most so many bytes."""

    def fit(self, settings: Any, observations: Sequence[Arrays], target: Target) -> Params:
        """Return the best parameters for the images observed."""

    def describe(self, params: Params, target: Target, members: Sequence[str]) -> dict[str, Any]:
        """Return the parameters as they are told to a reader: plain numbers by class and member."""

    def compare(
        self, settings: Any, observations: Sequence[Arrays], parts: NDArray[np.intp], before: Counts, target: Target
    ) -> dict[str, Any]:
        """Return what else score.json says of the step: how alternatives to it score. Empty if there are none.

        `parts` (images,): an image is scored with what was fitted on the other parts. `before`: counts of the stage
        before the step, (images, classes, 3).
        """
