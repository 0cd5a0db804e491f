"""One image of an ensemble: its files, the stores that predict it, and its prediction by the blend and the steps.

Imported by worker processes, so neither this module nor what it imports may need torch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Pictures
from foldseg.data.channels import as_rgb
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.data.mask_files import read_mask
from foldseg.data.reading import AS_SHOWN, read_image
from foldseg.ensemble.blend import Levels, merge_classes, weighted_sum
from foldseg.ensemble.line import Line
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Prediction
from foldseg.inference.class_rule import choose_rule
from foldseg.inference.store import PredictionStore

_CACHE_BYTES = 256 << 20
"""Members' maps of an image are kept in memory if all together are no larger. Otherwise they are read again."""


@dataclass(frozen=True)
class MemberStores:
    """The stores in which a member has predicted an image, and where its classes belong in the blend."""

    stores: tuple[PredictionStore, ...]
    """One for an OOF image: of the fold that did not see it. Those of all folds for a test image."""
    into: NDArray[np.intp]
    """(member's classes,): index of each class in the classes that are blended."""

    def read(self, name: str) -> Levels:
        """Return the mean over the stores, (classes, H, W) float32, 255 p. FoldsegError if one lacks the image."""
        share = 1 / len(self.stores)
        return weighted_sum(((merge_classes(store.read(name), self.into), share) for store in self.stores), name)


@dataclass(frozen=True)
class ImageTask:
    """One image on its way through an ensemble. It is small, since it is sent to worker processes."""

    id: str
    image: Path
    mask: Path | None
    """The true mask, None where it is not known."""
    members: tuple[MemberStores, ...]
    line: Line
    """The steps. For an OOF image their parameters were fitted without its part."""
    pictures: Pictures = AS_SHOWN
    """How image and mask are read."""
    is_observed: bool = True
    """Whether the next step is fitted on this image."""

    def context(self, spec: EnsembleSpec) -> ImageContext:
        """Return what the steps may know of the image."""
        readers = [partial(member.read, self.id) for member in self.members]
        read_picture = partial(_read_rgb, self.image, self.pictures)
        return ImageContext(self.id, spec, read_picture, cached_members(readers, _CACHE_BYTES))

    def read_truth(self, labels: LabelSet) -> Mask | None:
        """Read the true mask, (H, W) uint8 class indices or class bits, 255 for void. None where it is not known."""
        return None if self.mask is None else read_mask(self.mask, labels, self.pictures)


def _read_rgb(path: Path, pictures: Pictures) -> Image:
    """Read an image as it is drawn, RGB (H, W, 3), whatever its channels are."""
    return as_rgb(read_image(path, pictures))


def cached_members(readers: Sequence[Callable[[], Levels]], max_bytes: int) -> Callable[[], Iterator[Levels]]:
    """Return a function that yields each member's maps, from one reader per member.

    Maps are cached if all of them together fit into `max_bytes`. Otherwise they are read again on each call.
    """
    cache: list[Levels] = []

    def read_members() -> Iterator[Levels]:
        if len(cache) == len(readers):
            yield from cache
            return
        cache.clear()
        for read in readers:
            maps = read()
            if maps.nbytes * len(readers) <= max_bytes:
                cache.append(maps)
            yield maps

    return read_members


def blend_members(context: ImageContext, see_member: Callable[[Mask], object] = lambda labels: None) -> Prediction:
    """Return the blend of the members with their given weights, before any step.

    `see_member` is called with the labels (H, W) of each member by itself, in order.
    """
    blender, rule = context.spec.blender(), choose_rule(context.labels)
    for maps, weight in zip(context.read_members(), context.spec.weights, strict=True):
        labels = rule.decide(maps, 255.0)
        see_member(labels)
        blender.add(maps, weight, labels, context.id)
    return Prediction.of_probabilities(blender.finish(), context.labels)


def predict(context: ImageContext, line: Line) -> Prediction:
    """Blend the members and take all steps: the prediction of a test image, or of any other picture."""
    return line.apply(blend_members(context), context)
