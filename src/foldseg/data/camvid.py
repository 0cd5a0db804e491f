"""CamVid in the layout of the SegNet tutorial: `train/ trainannot/ train.txt`, the same for val and test.

Brostow et al., 2009; the 11-class 480x360 edition of Badrinarayanan et al., 2015. Masks are 8-bit ids.
"""

import re
from pathlib import Path, PurePosixPath

import pandas as pd

from foldseg.data.labels import LabelClass, LabelSet
from foldseg.data.listing import MASKS, Listing, list_files, pair_by_stem
from foldseg.data.samples import build_samples_table, quote, require_folder, shorten
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

# A group ends when it is 10 seconds long and the next frame is at least a second away. The videos have 30 frames a
# second. The second condition keeps the val frames in one group: they are every other frame of one clip.
_GROUP_FRAMES = 300
_SECOND = 30


def scan(root: Path) -> pd.DataFrame:
    """Return the samples table of CamVid below `root`. It has the official splits; the stratum is the sequence."""
    require_folder(root)
    rows = []
    for split in SPLITS:
        pairs = _pair_listed_files(root / f"{split}.txt", root / split, root / f"{split}annot")
        rows += [(image.stem, f"{split}/{image.name}", f"{split}annot/{mask.name}", split) for image, mask in pairs]
    groups = _find_groups([name for name, *_ in rows])
    return build_samples_table([(*row, groups[row[0]], _parse_name(row[0])[0]) for row in rows], root)


def _pair_listed_files(path: Path, folder: Path, mask_folder: Path) -> list[tuple[Path, Path]]:
    """Return the images of the list `path`, in its order, with their masks. Logs which images are not in the list."""
    names = _read_names(path)
    masks = list_files(mask_folder, MASKS)
    image_of = list_files(folder, usual=".png").by_stem
    left_out = sorted(set(image_of) - set(names))
    unknown = [name for name in names if name not in image_of]
    note = f"{len(left_out)} image(s) of {folder} are not in the list: {shorten(left_out)}"
    if unknown:
        raise FoldsegError(
            f"{path}: {len(unknown)} of its {len(names)} image(s) are not in {folder}: {shorten(unknown)}"
            + (f"; {note}" if left_out else "")
        )
    if left_out:
        say_once(f"{path}: {note}; they are neither trained on nor predicted")
    listed_images = [image_of[name] for name in names]
    listed_masks = [mask for stem, mask in masks.by_stem.items() if stem not in set(left_out)]
    return pair_by_stem(Listing(folder, listed_images), Listing(mask_folder, listed_masks, masks.passed_over))


def _read_names(path: Path) -> list[str]:
    """Return the names, without suffix, of the images in a list.

    A line reads `/SegNet/CamVid/train/a.png /SegNet/CamVid/trainannot/a.png`. FoldsegError for a line of another form,
    and for a name that is there twice.
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
            raise FoldsegError(f"{path}: line {number}: {quote(line)} should be an image and its mask, of one name")
        if names.setdefault(stems[0], number) != number:
            raise FoldsegError(f"{path}: line {number}: {quote(stems[0])} is in line {names[stems[0]]}, too")
    return list(names)


def _parse_name(name: str) -> tuple[str, int]:
    """Return sequence and number of a frame: `0006R0_f00930` -> ("0006R0", 930)."""
    match = re.fullmatch(r"([^_]+)_f?(\d+)", name)
    if match is None:
        raise FoldsegError(f"{name}: CamVid's frames are named SEQUENCE_NUMBER, e.g. 0006R0_f00930")
    return match[1], int(match[2])


def _find_groups(names: list[str]) -> dict[str, str]:
    """Return the group of every frame: neighbouring frames of one sequence. It is named by its first frame."""
    groups: dict[str, str] = {}
    previous = first = ("", 0)
    for name in sorted(names, key=_parse_name):
        sequence, number = _parse_name(name)
        is_long_enough = number - first[1] >= _GROUP_FRAMES and number - previous[1] >= _SECOND
        if sequence != first[0] or is_long_enough:
            first = (sequence, number)
        groups[name] = f"{first[0]}_{first[1]:06d}"
        previous = (sequence, number)
    return groups
