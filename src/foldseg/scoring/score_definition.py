"""What every score states: the type of the entries of `scores.py: SCORES`, and of scores of one's own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from foldseg.data.labels import LabelSet
from foldseg.scoring.class_values import ClassValue
from foldseg.scoring.counts import Counts
from foldseg.scoring.intervals import Ratios


@dataclass(frozen=True)
class ScoreDefinition:
    """How a score is computed, and what other code needs to know about it.

    A score is a mean of ratios of sums over images (see `intervals.Ratios`): then it has intervals.
    """

    ratios: Callable[[Counts, LabelSet], Ratios]
    """What is summed over images, a function of counts (images, classes, 3) and their label set."""
    class_value: ClassValue
    """The value that each class has by itself. It is shown beside the score."""
    classes: Literal["all", "scored"]
    """The classes that the score depends on."""
    has_term_per_class: bool = False
    """Whether its terms are its classes, in their order, and each depends on no other class's prediction. Then every
    class has its best threshold by itself; otherwise thresholds are fitted in turns."""
    if_both_empty: Literal["left_out", "right"] = "left_out"
    """What an image counts for a class that neither its truth nor its prediction has: nothing, or 1."""
    counts_excess: bool = True
    """Whether it falls if a class is predicted for more pixels, and other classes stay as they are. If not,
    thresholds cannot be fitted for it: the lowest would be the best."""
