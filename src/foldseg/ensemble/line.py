"""The line of steps after the blend. OOF images, test images and any other picture take the same code here.

Imported by worker processes, so neither this module nor what it imports may need torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from foldseg.config.schema import Step
from foldseg.ensemble.prediction import ImageContext, Params, Prediction
from foldseg.ensemble.steps import build_operation


class Taken(NamedTuple):
    """A step that was taken for one image."""

    place: int
    """The step's place in the line, from 0 on."""
    before: Prediction
    after: Prediction


@dataclass(frozen=True)
class Line:
    """Steps in their order, the parameters that were fitted for each, and the places of those that are left out."""

    steps: tuple[Step, ...] = ()
    params: tuple[Params | None, ...] = ()
    """One entry per step. None: the step has nothing to fit, or is not fitted yet."""
    left_out: frozenset[int] = frozenset()

    @staticmethod
    def of(steps: Sequence[Step]) -> "Line":
        """Return the line of steps for which nothing is fitted yet."""
        return Line(tuple(steps), (None,) * len(steps))

    @property
    def places(self) -> list[int]:
        """The places of the steps that are taken."""
        return [place for place in range(len(self.steps)) if place not in self.left_out]

    @property
    def taken(self) -> tuple[Step, ...]:
        """The steps that are not left out."""
        return tuple(self.steps[place] for place in self.places)

    def with_params(self, place: int, params: Params) -> "Line":
        """Return the line with these parameters for the step at a place."""
        return replace(self, params=(*self.params[:place], params, *self.params[place + 1 :]))

    def without(self, place: int) -> "Line":
        """Return the line with the step at a place left out."""
        return replace(self, left_out=self.left_out | {place})

    def walk(
        self, prediction: Prediction, context: ImageContext, start: int = 0, end: int | None = None
    ) -> Iterator[Taken]:
        """Take the steps from place `start` up to `end`, without `end`; yield each step that is taken."""
        for place in range(start, len(self.steps) if end is None else end):
            prediction = self.rounded(prediction, place)
            if place in self.left_out:
                continue
            before = prediction
            prediction = self.take(place, before, context, self.params[place])
            yield Taken(place, before, prediction)

    def apply(self, prediction: Prediction, context: ImageContext) -> Prediction:
        """Return the prediction after all steps."""
        for taken in self.walk(prediction, context):
            prediction = taken.after
        return prediction

    def take(self, place: int, prediction: Prediction, context: ImageContext, params: Params | None) -> Prediction:
        """Take the step at a place with given parameters."""
        return build_operation(self.steps[place]).apply(prediction, context, params)

    def rounded(self, prediction: Prediction, place: int) -> Prediction:
        """Return the prediction as the step at a place gets it: rounded where OOF images are read from a store.

        Test images and other pictures are rounded at the same places. So all images are processed alike.
        """
        return prediction.rounded() if place in rounded_places(self.steps) else prediction


def is_fitted(step: Step) -> bool:
    """Whether a step leaves something to fit on OOF images."""
    return build_operation(step).is_fitted


def count_probability_steps(steps: Sequence[Step], place: int) -> int:
    """Return how many steps come before the step at `place` and give probabilities.

    They are the first in the line. Their probabilities are kept while the step is fitted, since they are slow to make.
    The steps after them work on labels, and are quick to take again.
    """
    return sum(step.place.gives_probabilities for step in steps[:place])


def rounded_places(steps: Sequence[Step]) -> set[int]:
    """Return the numbers of steps after which OOF images are kept in a store, which rounds probabilities."""
    return {count_probability_steps(steps, place) for place, step in enumerate(steps) if is_fitted(step)}


def stage_names(members: Sequence[str], steps: Sequence[Step]) -> list[str]:
    """Return the names of what is scored: each member, the blend, and the blend after each of the steps."""
    names = ["blend"]
    for step in steps:
        names.append(f"{names[-1]} + {step.kind}")
    return [*members, *names]
