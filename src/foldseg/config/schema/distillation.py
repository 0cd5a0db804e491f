"""Distillation: training a network also on the predictions of a larger one."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Positive, Settings, Weight


class Distillation(Settings):
    """Structured knowledge distillation (Liu et al., 2019, arXiv:1903.04197). Default weights are the paper's."""

    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    """Experiments in `runs`. The run of the same fold teaches, since the others have seen its validation images."""
    pixel: Weight = 10.0
    """Weight of the term that compares the class probabilities of every pixel."""
    pair: Weight = 10.0
    """Weight of the term that compares the similarity of every two places in the encoder's last features."""
    holistic: Weight = 0.0
    """Weight of the adversarial term: a critic tells the student's maps from the teacher's. 0.1 in the paper."""
    temperature: Positive = 1.0
    """Temperature of the softmax in the pixel term."""
    pair_node: Count = 2
    """Side of a place, in cells of the features."""
    critic_lr: Positive = 4e-4
    """Learning rate of the critic."""

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        if not any((self.pixel, self.pair, self.holistic)):
            raise ValueError("distillation: all terms are 0; give at least one of pixel, pair, holistic")
        return self
