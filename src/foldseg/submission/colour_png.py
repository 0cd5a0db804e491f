"""Submissions as a folder of RGB PNGs, `<id>.png`, whose pixels are the colours of classes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from foldseg.config.schema.submissions import ColourPng
from foldseg.data.labels import LabelSet, Mask
from foldseg.submission import label_png
from foldseg.submission.interface import Format
from foldseg.submission.label_png import write_png
from foldseg.submission.picture_folders import find_content, remove_others


def write(path: Path, masks: Iterable[tuple[str, Mask]], labels: LabelSet) -> None:
    """Write (id, mask (H, W) uint8) pairs as RGB PNGs into the folder `path`.

    PNGs of other ids that an earlier call left there are removed.
    """
    with_colours = give_colours(labels)
    colours = np.array(with_colours.raw_colours, np.uint8)[:, ::-1]  # OpenCV's order is BGR
    written = set()
    for name, mask in masks:
        write_png(path / f"{name}.png", colours[with_colours.decode(mask)])
        written.add(path / f"{name}.png")
    remove_others(path, "*.png", written)


def give_colours(labels: LabelSet) -> LabelSet:
    """Return a label set whose masks hold colours: those of the data set's masks, or else those of the classes.

    Of several overlapping classes, a pixel would need a mixture. So there may be one, and black is none.
    """
    if labels.raw_colours:
        return labels
    first = 1 if labels.overlapping else 0
    classes = tuple(replace(label, raw_ids=(index + first,)) for index, label in enumerate(labels.classes))
    colours = [label.colour for label in labels.classes]
    if labels.overlapping:
        return replace(labels, classes=classes, void_ids=(), background_ids=(0,), raw_colours=((0, 0, 0), *colours))
    return replace(labels, classes=classes, void_ids=(), raw_colours=tuple(colours))


class Submission(label_png.Submission):
    """A folder of RGB PNGs that is open for reading. FoldsegError names a PNG that is not valid."""

    def __init__(self, path: Path, labels: LabelSet) -> None:
        super().__init__(path, labels)
        self._labels = give_colours(labels)


def _list_unwritable(_: ColourPng, labels: LabelSet) -> list[str]:
    """Return merged classes, and those whose colour another class has, too."""
    counts = Counter(give_colours(labels).raw_colours)
    return [
        label.name
        for label in labels.classes
        if label.written_id is None or (not labels.raw_colours and counts[label.colour] > 1)
    ]


FORMAT = Format(
    file_name="colours",
    description="a folder of RGB PNGs",
    recognises=lambda path: find_content(path) == "colours",
    may_overlap=lambda _: False,
    list_unwritable=_list_unwritable,
    has_scored_classes_alone=lambda *_: False,
    write=lambda _, path, masks, labels, __: write(path, masks, labels),
    open=lambda _, path, labels, __: Submission(path, labels),
)
