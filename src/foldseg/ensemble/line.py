"""The line of an ensemble's steps: who takes them, OOF images, test images or any picture, takes them here.

Imported by worker processes, so neither this module nor what it imports may need torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foldseg.config.schema import Step
from foldseg.ensemble.scene import Params, Result, Scene
from foldseg.ensemble.steps import STEPS


@dataclass(frozen=True)
class Line:
    """Steps in their order, what was fitted for each of them, and the places of those that are left out."""

    steps: tuple[Step, ...] = ()
    params: tuple[Params | None, ...] = ()  # of every step; None: it is not fitted, or not yet
    left_out: frozenset[int] = frozenset()

    @staticmethod
    def of(steps: Sequence[Step]) -> "Line":
        """Return the line of steps for which nothing is fitted yet."""
        return Line(tuple(steps), (None,) * len(steps))

    @property
    def taken(self) -> tuple[Step, ...]:
        """The steps that are not left out."""
        return tuple(step for place, step in enumerate(self.steps) if place not in self.left_out)

    def walk(
        self, result: Result, scene: Scene, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[int, Result, Result]]:
        """Take the steps from place `first` up to, but without, `last`.

        Yield, for each step that is taken, its place, the result that it was given and what it made of it.
        """
        for place in range(first, len(self.steps) if last is None else last):
            result = self.rounded(result, place)
            if place not in self.left_out:
                given, result = result, self.take(place, result, scene, self.params[place])
                yield place, given, result

    def take(self, place: int, given: Result, scene: Scene, params: Params | None) -> Result:
        """Take one step, with parameters of its kind."""
        step = self.steps[place]
        return STEPS[type(step)].apply(step, params, given, scene)

    def rounded(self, result: Result, place: int) -> Result:
        """Return what the step at a place is given: where OOF passes keep probabilities, these are rounded.

        Test images and pictures are rounded at the same places, so all images are processed alike.
        """
        return result.rounded() if place in kept_after(self.steps) else result


def kept_after(steps: Sequence[Step]) -> list[int]:
    """Return, for each step that is fitted, after how many steps (0: the blend) its OOF pass keeps the probabilities.

    These are all steps before it that give probabilities; they come first. What follows them is quick to take again.
    """
    return [
        sum(one.place.gives_probabilities for one in steps[:place])
        for place, step in enumerate(steps)
        if STEPS[type(step)].is_fitted(step)
    ]
