"""What the steps share that empty a class in an image: which limits are tried, and what each would count."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import ScoreName
from foldseg.data.labels import LabelSet
from foldseg.ensemble.prediction import Prediction, find_best_unscored
from foldseg.scoring.candidates import Choice, choose_candidates, score_candidates, select_candidates
from foldseg.scoring.counts import TRUTH

_ROUNDING = 1e-12


def empty_classes(prediction: Prediction, is_emptied: NDArray[np.bool_], labels: LabelSet) -> Prediction:
    """Return a prediction without some of the scored classes; `is_emptied` (scored classes,).

    If classes are exclusive, their pixels become the most probable class that is not scored.
    """
    emptied = np.flatnonzero(labels.scored)[is_emptied]
    if len(emptied) == 0:
        return prediction
    if labels.overlapping or prediction.masks is not None:
        masks = prediction.find_masks(labels).copy()
        masks[emptied] = False
        return prediction.with_masks(masks, labels)
    maps = prediction.quantised()
    rest = find_best_unscored(maps, labels)
    mask = np.where(np.isin(prediction.labels, emptied), rest, prediction.labels)
    return Prediction(mask, maps=maps, rule=prediction.rule)


def count_emptied(counts: NDArray[np.integer], is_emptied: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Return the counts (images, classes, candidates, 3) if classes are emptied, (images, classes, candidates).

    `counts`: (images, classes, 3) of classes that are not emptied, or (images, classes, candidates, 3).
    """
    if counts.ndim == 3:
        counts = counts[:, :, None]
    curves = counts * ~is_emptied[..., None]
    curves[..., TRUTH] = counts[..., TRUTH]
    return curves


def choose_gentlest(name: ScoreName, curves: NDArray[np.integer], labels: LabelSet) -> Choice:
    """Return the best candidate of each scored class (see `choose_candidates`), or the first if it is as good.

    The first candidate is to empty nothing.
    """
    choice = choose_candidates(name, curves, labels)
    best = _score_choice(name, curves, choice, labels)
    for index in range(len(choice)):
        gentler = np.where(np.arange(len(choice)) == index, 0, choice)
        if _score_choice(name, curves, gentler, labels) >= best - _ROUNDING:
            choice = gentler
    return choice


def _score_choice(name: ScoreName, curves: NDArray[np.integer], choice: Choice, labels: LabelSet) -> float:
    value = score_candidates(name, select_candidates(curves, choice, labels)[None], labels)[0]
    return float(np.nan_to_num(value))


def list_area_limits(areas: NDArray[np.integer], most: int) -> NDArray[np.int64]:
    """Return areas below which a class may be emptied, for areas (images, ...): (`most` + 1, ...), 0 first.

    Each one but the first empties the class in one more share of the images that have it.
    """
    flat = areas.reshape(len(areas), -1)
    limits = np.zeros((most + 1, flat.shape[1]), np.int64)
    for column, values in enumerate(flat.T):
        present = np.sort(values[values > 0])
        if len(present):
            places = np.linspace(0, len(present) - 1, most).round().astype(np.intp)
            limits[1:, column] = present[places] + 1
    return limits.reshape(most + 1, *areas.shape[1:])


def describe_by_class(labels: LabelSet, values: NDArray[Any], scale: float = 1.0) -> dict[str, Any]:
    """Return scored class -> value / scale, rounded, as plain numbers."""
    names = [label.name for label in labels.classes if label.scored]
    numbers = (values / scale).round(4).tolist() if scale != 1.0 else values.tolist()
    return dict(zip(names, numbers, strict=True))
