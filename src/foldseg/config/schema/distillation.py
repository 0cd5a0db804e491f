"""Learning from a larger network."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Positive, Settings, Weight


class Distillation(Settings):
    """Structured knowledge distillation (Liu et al., 2019, arXiv:1903.04197); the weights are the paper's."""

    # Experiments in `runs`. Of each the run of the same fold teaches: the others have seen its validation images
    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    pixel: Weight = 10.0  # class probabilities of every pixel, labelled or not
    pair: Weight = 10.0  # likeness of every two places of the encoder's last features
    holistic: Weight = 0.0  # a critic that tells the student's maps from the teacher's (adversarial; 0.1 in the paper)
    temperature: Positive = 1.0  # of the softmax of the pixel term
    pair_node: Count = 2  # cells of the features, on a side, that are one place
    critic_lr: Positive = 4e-4

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        if not any((self.pixel, self.pair, self.holistic)):
            raise ValueError("distillation: all terms are 0; give at least one of pixel, pair, holistic")
        return self
