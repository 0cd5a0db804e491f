"""Which data, how it is divided, which classes are learned."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Settings, UserPath


class ToyCity(Settings):
    """The built-in data set: how large, how many, which city."""

    width: Annotated[int, Field(ge=64, le=4096)] = 256
    height: Annotated[int, Field(ge=48, le=4096)] = 160
    train_frames: Annotated[int, Field(ge=4)] = 60
    test_frames: Count = 20
    seed: int = 0


class Data(Settings):
    """Which data, where it lies, how it is divided and which classes are learned."""

    dataset: Literal["camvid", "signate", "toy_city"]
    root: UserPath
    folds: UserPath = Field(description="CSV with id, fold, group, stratum; made by scripts/make_folds.py")
    fold_count: Annotated[int, Field(ge=2)] = 5
    fold_splits: tuple[str, ...] = ("train",)  # the official splits whose images are divided into folds
    fold_seed: int = 0
    labels: Literal["all", "scored"] | tuple[str, ...] = "all"  # a list of class names: the rest is background
    toy_city: ToyCity | None = None

    @model_validator(mode="after")
    def _toy_settings_belong_to_toy_city(self) -> Self:
        if self.toy_city is not None and self.dataset != "toy_city":
            raise ValueError(f"`toy_city` settings go with dataset toy_city, not with {self.dataset}")
        return self
