"""What an import found, added up over images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from foldseg.data.labels import Mask
from foldseg.data.reading import read_small_grey
from foldseg.errors import FoldsegError
from foldseg.importing.mask_fit import CLEAR_FIT, WIDTH, PictureEdges, mirror
from foldseg.importing.one_image import ImageOutcome
from foldseg.importing.plan import ClassPlan, count_classes
from foldseg.importing.raw_masks import read_raw_ids

_MOST_COMPARED = 30
"""So many suspected masks are compared with each other's images."""
_USUAL_SHARE = 0.3
"""If more masks than this share do not fit, the pictures have no clear edges, and none is suspected by itself."""
_MOST_EXAMPLES = 12


@dataclass
class Suspect:
    """A mask whose borders do not lie on edges of its image. `better`: what would fit, in words, if that is known."""

    outcome: ImageOutcome
    better: str = ""


@dataclass
class Summary:
    """Counts over all images with a mask."""

    plan: ClassPlan
    images: int = 0
    with_mask: int = 0
    pixels: Counter[str] = field(default_factory=Counter)
    images_of_class: Counter[str] = field(default_factory=Counter)
    void_pixels: int = 0
    all_pixels: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    hidden: Counter[str] = field(default_factory=Counter)
    painted_over: Counter[tuple[str, str]] = field(default_factory=Counter)
    compared: int = 0
    """Masks whose fit could be told."""
    badly_fitting: int = 0
    worst: str = ""
    """The image whose mask fits worst of all."""
    suspects: list[Suspect] = field(default_factory=list)

    @staticmethod
    def of(plan: ClassPlan, outcomes: Sequence[ImageOutcome]) -> "Summary":
        """Add up the outcomes of all images."""
        summary = Summary(plan, images=len(outcomes))
        for outcome in outcomes:
            if outcome.mask is None:
                continue
            summary.with_mask += 1
            summary.all_pixels += sum(outcome.pixels.values())
            summary.void_pixels += sum(outcome.pixels.get(value, 0) for value in plan.void_ids)
            counts = count_classes(plan, outcome.pixels)
            summary.pixels.update(counts)
            summary.images_of_class.update(name for name, count in counts.items() if count)
            if outcome.painting is not None:
                summary.objects.update(outcome.painting.objects)
                summary.hidden.update(outcome.painting.hidden)
                summary.painted_over.update(outcome.painting.painted_over)
        summary._find_suspects([outcome for outcome in outcomes if outcome.fit is not None])
        return summary

    @property
    def absent_classes(self) -> list[str]:
        """Classes without a pixel in any mask."""
        return [item.name for item in self.plan.classes if not self.pixels[item.name]]

    def _find_suspects(self, outcomes: Sequence[ImageOutcome]) -> None:
        self.compared = len(outcomes)
        bad = sorted((outcome for outcome in outcomes if (outcome.fit or 0) < 0), key=lambda outcome: outcome.fit or 0)
        self.badly_fitting, self.worst = len(bad), bad[0].task.id if bad else ""
        if len(bad) <= max(1, _USUAL_SHARE * len(outcomes)):
            self.suspects = [Suspect(outcome) for outcome in bad]
            _explain_suspects(self.suspects[:_MOST_COMPARED])


def _explain_suspects(suspects: Sequence[Suspect]) -> None:
    """Look whether the mask would fit if it were mirrored, or whether another suspect's mask fits."""
    masks = dict[str, Mask]()
    for suspect in suspects:
        path = suspect.outcome.mask
        assert path is not None
        mask = read_raw_ids(path)[0].astype("uint8")
        scale = WIDTH / mask.shape[1]
        size = (WIDTH, max(1, round(mask.shape[0] * scale)))
        small = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
        masks[suspect.outcome.task.id] = np.asarray(small, np.uint8)
    for suspect in suspects:
        file = suspect.outcome.file
        assert file is not None
        try:
            edges = PictureEdges.of(read_small_grey(file, WIDTH))
        except FoldsegError:  # it was compared before, so it has changed since
            continue
        own = masks[suspect.outcome.task.id]
        candidates = {f"the mask fits if it is {words}": mask for words, mask in mirror(own).items()}
        candidates |= {
            f"the mask of {name} fits": mask
            for name, mask in masks.items()
            if name != suspect.outcome.task.id and mask.shape == own.shape
        }
        fits = {words: edges.fit(mask) or 0.0 for words, mask in candidates.items()}
        words, fit = max(fits.items(), key=lambda item: item[1])
        if fit > CLEAR_FIT:
            suspect.better = words


def choose_examples(plan: ClassPlan, outcomes: Sequence[ImageOutcome]) -> list[ImageOutcome]:
    """Return images to look at: for each class the one with most of its pixels, the rarest class first; then others."""
    with_mask = [outcome for outcome in outcomes if outcome.mask is not None]
    counts = [count_classes(plan, outcome.pixels) for outcome in with_mask]
    totals = Counter[str]()
    for count in counts:
        totals.update(count)
    chosen = dict[int, None]()
    for name, total in sorted(totals.items(), key=lambda item: item[1]):
        if total and len(chosen) < _MOST_EXAMPLES:
            chosen[max(range(len(with_mask)), key=lambda index: counts[index][name])] = None
    step = max(1, len(with_mask) // _MOST_EXAMPLES)
    for index in range(0, len(with_mask), step):
        if len(chosen) < _MOST_EXAMPLES:
            chosen[index] = None
    return [with_mask[index] for index in chosen]
