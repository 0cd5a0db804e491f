"""Whether classes overlap: some images of several classes are decoded and counted."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Pictures
from foldseg.config.schema.own_data import RunLengths
from foldseg.data.drawn_masks import decode_runs
from foldseg.data.mask_files import read_plane
from foldseg.data.reading import read_image_size
from foldseg.discovery.proposal import Proposal
from foldseg.errors import FoldsegError

_MOST_IMAGES = 40
_MOST_OVERLAPPING = 7
_READING = Pictures(mask_threshold=128)
"""Grey edges are no overlap."""
Part = TypeVar("Part")


def propose_overlap_of_files(proposal: Proposal, images: Iterable[Sequence[Path]], classes: int) -> None:
    """Say whether mask files of several classes overlap. `images`: the files of each image's mask."""
    _propose(proposal, [list(files) for files in images], lambda path: read_plane(path, _READING), classes)


def propose_overlap_of_runs(proposal: Proposal, images: Iterable[tuple[Path, Sequence[str]]], classes: int) -> None:
    """Say whether run lengths of several classes overlap. `images`: each image, and the run lengths of its classes."""
    settings = RunLengths.model_validate(proposal.dataset.get("run_lengths", {}))
    parts = [[(image, text) for text in texts] for image, texts in images]
    _propose(proposal, parts, lambda part: decode_runs(part[1], read_image_size(part[0]), settings), classes)


def _propose(
    proposal: Proposal, images: list[list[Part]], read: Callable[[Part], NDArray[np.bool_]], classes: int
) -> None:
    several = [parts for parts in images if len(parts) > 1]
    step = max(1, len(several) // _MOST_IMAGES)
    looked_at, overlapping = 0, 0
    for parts in several[::step][:_MOST_IMAGES]:
        try:
            planes: Any = np.stack([read(part) for part in parts])
        except (FoldsegError, ValueError):
            continue
        looked_at += 1
        overlapping += bool((planes.sum(0) > 1).any())
    if classes > _MOST_OVERLAPPING:
        proposal.dataset["overlapping"] = False
        proposal.found.append(f"{overlapping} of {looked_at} images of several classes have some that overlap")
        return
    proposal.dataset["overlapping"] = True
    if overlapping:
        proposal.found.append(f"classes overlap in {overlapping} of {looked_at} images that were looked at")
    else:
        proposal.unseen.append(
            f"whether classes overlap: none did in {looked_at} images. They may (overlapping: true), until you set it "
            "to false; then each pixel has one class"
        )
