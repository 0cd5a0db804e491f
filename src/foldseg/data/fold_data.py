"""What one fold of a data set is trained and validated on."""

from dataclasses import dataclass

import pandas as pd

from foldseg.data.datasets import DataSet
from foldseg.data.labels import LabelSet


@dataclass(frozen=True)
class FoldData:
    """What one fold is trained and validated on: rows of the data set's `folded`.

    A debug mode may repeat rows of `train`.
    """

    data: DataSet
    fold: int
    train: pd.DataFrame
    validation: pd.DataFrame

    @property
    def labels(self) -> LabelSet:
        """The classes that are learned."""
        return self.data.labels

    @property
    def held_out(self) -> set[str]:
        """Ids of the images of the data set that are not trained on."""
        return set(self.data.folded["id"]) - set(self.train["id"])
