"""CamVid in the layout of the SegNet tutorial: `train/ trainannot/ train.txt`, the same for val and test.

Brostow et al., 2009; the 11-class 480x360 edition of Badrinarayanan et al., 2015. Masks are 8-bit ids.
"""

import re
from pathlib import Path, PurePosixPath

import pandas as pd

from foldseg.data.labels import LabelClass, LabelSet
from foldseg.data.listing import MASKS, Listing, list_files, pair_by_stem
from foldseg.data.samples import existing_folder, samples_table, shorten, shown
from foldseg.errors import FoldsegError
from foldseg.inputs import is_absent, read_text
from foldseg.notices import say_once

SPLITS = ("train", "val", "test")
_COLOURS = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign_symbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
LABELS = LabelSet(
    tuple(LabelClass(name, colour, (raw_id,)) for raw_id, (name, colour) in enumerate(_COLOURS.items())),
    void_ids=(11,),
)

# A group ends where it is 10 seconds long (the videos have 30 frames a second) and the next frame is at least a
# second away. The second condition keeps the val frames, which are every other frame of one clip, in one group.
_GROUP_FRAMES = 300
_SECOND = 30


def scan(root: Path) -> pd.DataFrame:
    """Return the samples table of CamVid below `root`, official splits kept; the stratum is the sequence."""
    existing_folder(root)
    rows = []
    for split in SPLITS:
        pairs = _pairs(root / f"{split}.txt", root / split, root / f"{split}annot")
        rows += [(image.stem, f"{split}/{image.name}", f"{split}annot/{mask.name}", split) for image, mask in pairs]
    groups = _groups([row[0] for row in rows])
    return samples_table([(*row, groups[row[0]], _sequence(row[0])[0]) for row in rows], root)


def _pairs(path: Path, folder: Path, mask_folder: Path) -> list[tuple[Path, Path]]:
    """Images of the list `path`, in its order, with their masks; images that it leaves out are said."""
    names = _names(path)
    images, masks = list_files(folder, usual=".png"), list_files(mask_folder, MASKS)
    there = images.by_stem
    left_out = sorted(set(there) - set(names))
    unknown = [name for name in names if name not in there]
    also = f"{len(left_out)} image(s) of {folder} are not in the list: {shorten(left_out)}"
    if unknown:
        raise FoldsegError(
            f"{path}: {len(unknown)} of its {len(names)} image(s) are not in {folder}: {shorten(unknown)}"
            + (f"; {also}" if left_out else "")
        )
    if left_out:
        say_once(f"{path}: {also}; they are neither trained on nor predicted")
    kept = [mask for stem, mask in masks.by_stem.items() if stem not in set(left_out)]
    return pair_by_stem(Listing(folder, [there[name] for name in names]), Listing(mask_folder, kept, masks.passed_over))


def _names(path: Path) -> list[str]:
    """Names, without suffix, of a list whose lines read `/SegNet/CamVid/train/a.png /SegNet/CamVid/trainannot/a.png`.

    FoldsegError for a line of another form, and one that is there twice.
    """
    if is_absent(path):
        raise FoldsegError(f"{path}: no such file; expected the lists of the SegNet tutorial beside the folders")
    lines = read_text(path).splitlines()
    names: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        stems = [PurePosixPath(word.replace("\\", "/")).stem for word in line.split()]
        if not stems:
            continue
        if len(stems) > 2 or stems[0] != stems[-1]:
            raise FoldsegError(f"{path}: line {number}: {shown(line)} should be an image and its mask, of one name")
        if names.setdefault(stems[0], number) != number:
            raise FoldsegError(f"{path}: line {number}: {shown(stems[0])} is in line {names[stems[0]]}, too")
    return list(names)


def _sequence(name: str) -> tuple[str, int]:
    """`0006R0_f00930` -> ("0006R0", 930)."""
    match = re.fullmatch(r"([^_]+)_f?(\d+)", name)
    if match is None:
        raise FoldsegError(f"{name}: CamVid's frames are named SEQUENCE_NUMBER, e.g. 0006R0_f00930")
    return match[1], int(match[2])


def _groups(names: list[str]) -> dict[str, str]:
    """Group of every frame: a run of neighbouring frames of one sequence, named by its first frame."""
    groups: dict[str, str] = {}
    previous = first = ("", 0)
    for name in sorted(names, key=_sequence):
        sequence, number = _sequence(name)
        long_enough = number - first[1] >= _GROUP_FRAMES and number - previous[1] >= _SECOND
        if sequence != first[0] or long_enough:
            first = (sequence, number)
        groups[name] = f"{first[0]}_{first[1]:06d}"
        previous = (sequence, number)
    return groups
