"""The AI Edge Contest's JSON from a folder of RGB PNGs, `<id>.png`, and back, as the organisers' converter did.

The PNGs show every class in the colour of its annotations. Black is "no category": a JSON says nothing of those pixels,
nor of classes that are not scored.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from foldseg.config import Data
from foldseg.data.datasets import label_set, load_samples
from foldseg.data.labels import IGNORE_INDEX, Colour, LabelSet, Mask
from foldseg.data.reading import image_size, read_mask
from foldseg.data.runs import Runs, mask_of_runs
from foldseg.errors import FoldsegError
from foldseg.outputs import check_output, claim
from foldseg.submission import label_png, signate_json
from foldseg.submission.formats import Sizes, check_submission, format_of, missing_ids

BLACK: Colour = (0, 0, 0)

logger = logging.getLogger(__name__)


def convert(source: Path, destination: Path, data: Data, size: tuple[int, int], check: bool = True) -> None:
    """Make a JSON from a folder of PNGs, or a folder of PNGs from a JSON, whichever `source` is.

    With `check`, ids and sizes must be those of the test images of `data`, if they are there. Otherwise the images of
    a JSON are taken to be of `size` (height, width).
    """
    wanted = _test_sizes(data) if check else None
    if format_of(source) is signate_json:
        write_pngs(source, destination, label_set(data), size, wanted)
    else:
        if destination.suffix == ".json":
            check_output(destination, ".json", [data.root])
        write_json(source, destination, label_set(data), wanted)


def write_json(folder: Path, path: Path, labels: LabelSet, wanted: Sizes | None = None) -> None:
    """Write the contest's JSON from a folder of RGB PNGs, and read it back.

    `wanted` maps ids to (height, width), None for whatever there is. FoldsegError, before anything is written, for
    another id or size and a PNG that is cut short; while it is written, and an old file stays, for an unknown colour.
    """
    if path.suffix != ".json":
        raise FoldsegError(f"{path}: should end in .json, since {folder} is a folder of PNGs")
    check_output(path, ".json")
    files = {name: folder / f"{name}.png" for name in label_png.Submission(folder, labels).names}
    if not files:
        raise FoldsegError(f"{folder}: holds no PNGs")
    sizes = {name: image_size(file) for name, file in files.items()}
    if wanted is not None:
        missing_ids(folder, files, wanted)
        for name, file in files.items():
            if sizes[name] != wanted[name]:
                raise FoldsegError(f"{file}: is {sizes[name]}, the image {wanted[name]} (height, width)")
    known = _with_black(labels)
    bar = tqdm(files.items(), desc=f"reading {folder.name}", unit="image", leave=False, disable=None)
    signate_json.write(path, ((name, read_mask(file, known)) for name, file in bar), labels)
    check_submission(path, sizes, labels)
    logger.info("%s: %d images, read back and valid", path, len(files))


def write_pngs(path: Path, folder: Path, labels: LabelSet, size: tuple[int, int], wanted: Sizes | None = None) -> None:
    """Write the images of a JSON as RGB PNGs into `folder`; where categories overlap, the later class is shown.

    `wanted` maps ids to (height, width), None for whatever there is, of `size` each. FoldsegError for other images,
    for anything that is not valid, and when the folder holds files that were not written by an earlier call, or PNGs of
    other images: they would be taken for a part of it.
    """
    if folder.suffix == ".json":
        raise FoldsegError(f"{folder}: should be a folder, for the PNGs of {path}")
    submission = signate_json.Submission(path, labels)
    sizes = dict.fromkeys(submission.names, size) if wanted is None else wanted
    missing_ids(path, submission.names, sizes)
    _check_names(path, folder, submission.names)
    claim(folder, "colour PNGs of a submission")
    overlaps = []
    for name in tqdm(submission.names, desc=f"writing {folder.name}", unit="image", leave=False, disable=None):
        indices, overlap = flatten(submission.read(name, sizes[name]), sizes[name])
        label_png.write_png(folder / f"{name}.png", labels.colourise(indices)[..., ::-1])  # OpenCV's order is BGR
        overlaps.append(overlap)
    logger.info("%s: %d images", folder, len(overlaps))
    if any(overlaps):
        logger.warning(
            "%s: categories overlap in %d pixels of %d image(s); there the PNGs show the last in the order %s",
            path, sum(overlaps), np.count_nonzero(overlaps), ", ".join(c.name for c in labels.classes if c.scored),
        )  # fmt: skip


def flatten(categories: Sequence[Runs], size: tuple[int, int]) -> tuple[Mask, int]:
    """Runs of every class -> class indices (H, W) uint8, void where there is no class, and pixels with several.

    Later classes are painted over earlier ones.
    """
    indices = np.full(size, IGNORE_INDEX, np.uint8)
    overlap = np.zeros(size, bool)
    for index, runs in enumerate(categories):
        if len(runs):
            mask = mask_of_runs(runs, size)
            overlap |= mask & (indices != IGNORE_INDEX)
            indices[mask] = index
    return indices, int(np.count_nonzero(overlap))


def _with_black(labels: LabelSet) -> LabelSet:
    """Return the label set with black as one more colour, which is void."""
    if not labels.raw_colours:
        raise FoldsegError("data: the masks of this data set hold ids; only those of colours can be converted")
    return LabelSet(labels.classes, (*labels.void_ids, len(labels.raw_colours)), (*labels.raw_colours, BLACK))


def _test_sizes(data: Data) -> Sizes | None:
    """Id -> (height, width) of the test images; None, said in the log, when the data set is not there."""
    if not data.root.exists():
        logger.info("%s: no such folder, so ids and sizes are not checked against the test images", data.root)
        return None
    table = load_samples(data)
    test = table[table["split"] == "test"]
    if test.empty:
        raise FoldsegError(f"{data.root}: has no test images to check against; --no-check goes without")
    return {str(row.id): image_size(data.root / str(row.image)) for row in test.itertuples()}


def _check_names(path: Path, folder: Path, names: list[str]) -> None:
    """FoldsegError unless these are names of files, at least one, and the only PNGs in the folder."""
    if not names:
        raise FoldsegError(f"{path}: holds no images")
    for name in names:
        if Path(name).name != name or not name.isprintable():
            raise FoldsegError(f"{path}: image {name!r} cannot be the name of a file")
    if others := {file.name for file in folder.glob("*.png")} - {f"{name}.png" for name in names}:
        raise FoldsegError(f"{folder}: holds {len(others)} PNG(s) of other images, e.g. {min(others)}")
