"""How images are grouped, balanced and divided: settings that any data set may have."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field

from foldseg.config.schema.base import Count, UserPath
from foldseg.config.schema.choice import Choice


def _compile(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if groups > 1:
        raise ValueError("has several groups in brackets; at most one, which is what is taken")
    return text


Regex = Annotated[str, AfterValidator(_compile)]


class Grouping(Choice):
    """Which images are a group, which is never divided between folds."""


class GroupsByPattern(Grouping):
    """Images whose ids, or paths, have a part in common."""

    kind: Literal["pattern"] = "pattern"
    pattern: Regex
    """A regular expression. What its brackets match (or all of it) is the name of the group."""
    of: Literal["id", "image"] = "id"
    """What is searched: the id, or the path of the image."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return (cls(pattern="^(.)"),)


class GroupsByColumn(Grouping):
    """Images with the same value in a column of a table."""

    kind: Literal["column"] = "column"
    file: UserPath
    """The CSV or Parquet file."""
    column: str
    """The column with the groups."""
    id: str = "id"
    """The column with the ids of images, which may have a suffix of a picture."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return (cls.model_validate({"file": "patients.csv", "column": "patient"}),)


class NoGroups(Grouping):
    """Each image is a group of its own, whatever the data set says."""

    kind: Literal["none"] = "none"


class GroupsOfAlike(Grouping):
    """Images that look like each other: copies, neighbours of a video, overlapping tiles."""

    kind: Literal["alike"] = "alike"
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.42
    """From this similarity on, two images are of one group. `foldseg folds` warns from 0.42 on."""


class Strata(Choice):
    """What folds balance."""


class StrataByPattern(Strata):
    """Images whose ids, or paths, have a part in common."""

    kind: Literal["pattern"] = "pattern"
    pattern: Regex
    """A regular expression. What its brackets match (or all of it) is the name of the stratum."""
    of: Literal["id", "image"] = "id"
    """What is searched: the id, or the path of the image."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return (cls(pattern="^(.)"),)


class StrataByColumn(Strata):
    """Images with the same value in a column of a table."""

    kind: Literal["column"] = "column"
    file: UserPath
    """The CSV or Parquet file."""
    column: str
    """The column with the strata."""
    id: str = "id"
    """The column with the ids of images, which may have a suffix of a picture."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return (cls.model_validate({"file": "sites.csv", "column": "site"}),)


class StrataOfClasses(Strata):
    """The rarest class that an image has, so that each fold has its share of rare classes."""

    kind: Literal["classes"] = "classes"


class StrataOfForeground(Strata):
    """The share of pixels that are of a scored class, in steps. Images without such pixels are a stratum."""

    kind: Literal["foreground"] = "foreground"
    steps: Count = 10
    """Number of steps of equal width."""


class Division(Choice):
    """Which images are validated on. `foldseg folds` writes it to `data.folds`."""

    first_is_default = True

    @property
    def validation_splits(self) -> tuple[str, ...]:
        """The splits besides `data.fold_splits` that are divided."""
        return ()


class CrossValidation(Division):
    """Every image once: in `data.fold_count` folds that balance strata and do not divide groups."""

    kind: Literal["folds"] = "folds"


class SplitDivision(Division):
    """The images of official splits. Those of `data.fold_splits` are trained on."""

    kind: Literal["split"] = "split"
    validation: Annotated[tuple[str, ...], Field(min_length=1)] = ("val",)
    """The splits that are validated on."""

    @property
    def validation_splits(self) -> tuple[str, ...]:
        """The splits that are validated on."""
        return self.validation


class GroupDivision(Division):
    """The images of some groups, e.g. cities."""

    kind: Literal["groups"] = "groups"
    validation: Annotated[tuple[str, ...], Field(min_length=1)]
    """The groups that are validated on."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        values: dict[str, Any] = {"validation": ["b1", "b2"]}
        return (cls.model_validate(values),)


class FractionDivision(Division):
    """A share of the images, which balances strata and does not divide groups."""

    kind: Literal["fraction"] = "fraction"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """The share of the images that is validated on, about."""
