"""The AI Edge Contest's JSON from a folder of RGB PNGs, `<id>.png`, and back, as the organisers' converter did.

The PNGs show every class in the colour of its annotations. Black is "no category": a JSON says nothing of those pixels,
nor of classes that are not scored.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from foldseg.data.datasets import DataSet
from foldseg.data.labels import IGNORE_INDEX, Colour, LabelSet, Mask
from foldseg.data.listing import MASKS, list_files
from foldseg.data.reading import read_image_size, read_mask
from foldseg.data.rle import Rle, decode_rle
from foldseg.data.samples import quote, shorten
from foldseg.errors import FoldsegError
from foldseg.outputs import check_output, claim
from foldseg.submission import label_png, signate_json
from foldseg.submission.format import Size, Sizes
from foldseg.submission.formats import check_submission, missing_ids, open_submission
from foldseg.submission.sizes import check_given_size, known_sizes

BLACK: Colour = (0, 0, 0)

logger = logging.getLogger(__name__)


def convert(source: Path, destination: Path, data: DataSet, size: Size = None, check: bool = True) -> None:
    """Make a JSON from a folder of PNGs, or a folder of PNGs from a submission that is a file, whichever `source` is.

    With `check`, ids and sizes must be those of the test images of `data`, if they are there. `size` (height, width) is
    that of images of a JSON which are not there; FoldsegError when it is not that of an image that is.
    """
    wanted = _test_sizes(data) if check else None
    if source.is_dir():
        if destination.suffix == ".json":
            check_output(destination, ".json", [data.root], begins=signate_json.BEGIN)
        write_json(source, destination, data.labels, wanted, size)
    else:
        known = wanted if wanted is not None else known_sizes(data)
        write_pngs(source, destination, data.labels, size, known, complete=wanted is not None)


def write_json(folder: Path, path: Path, labels: LabelSet, wanted: Sizes | None = None, size: Size = None) -> None:
    """Write the contest's JSON from a folder of RGB PNGs, and read it back.

    `wanted` maps ids to (height, width), None for whatever there is. FoldsegError, before anything is written, for
    another id or size and a PNG that is cut short; while it is written, and an old file stays, for an unknown colour.
    """
    if path.suffix != ".json":
        raise FoldsegError(f"{path}: should end in .json, since {folder} is a folder of PNGs")
    check_output(path, ".json", begins=signate_json.BEGIN)
    files = label_png.Submission(folder, labels).files
    if not files:
        raise FoldsegError(f"{folder}: holds no PNGs")
    sizes = {name: read_image_size(file) for name, file in files.items()}
    check_given_size(size, {str(files[name]): found for name, found in sizes.items()})
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


def write_pngs(
    path: Path, folder: Path, labels: LabelSet, size: Size = None, known: Sizes | None = None, complete: bool = True
) -> None:
    """Write the images of a submission as RGB PNGs into `folder`; where categories overlap, the later class is shown.

    `known` maps ids to (height, width); other images are of `size`. FoldsegError for anything that is not valid, for an
    image of which neither says the size, and when the folder holds files that were not written by an earlier call, or
    PNGs of other images: they would be taken for a part of it.
    With `complete` the images must be those of `known`, if there is any.
    """
    if folder.suffix == ".json":
        raise FoldsegError(f"{folder}: should be a folder, for the PNGs of {path}")
    submission = open_submission(path, labels)
    if known is not None and complete:
        missing_ids(path, submission.names, known)
    _check_names(path, folder, submission.names)
    sizes = _sizes(path, submission.names, known or {}, size)
    claim(folder, "colour PNGs of a submission")
    overlaps = []
    for name in tqdm(submission.names, desc=f"writing {folder.name}", unit="image", leave=False, disable=None):
        image = submission.read(name, sizes[name])
        indices, overlap = flatten(image, sizes[name]) if isinstance(image, list) else (image, 0)
        label_png.write_png(folder / f"{name}.png", labels.colourise(indices)[..., ::-1])  # OpenCV's order is BGR
        overlaps.append(overlap)
    logger.info("%s: %d images", folder, len(overlaps))
    if any(overlaps):
        logger.warning(
            "%s: categories overlap in %d pixels of %d image(s); there the PNGs show the last in the order %s",
            path, sum(overlaps), np.count_nonzero(overlaps), ", ".join(c.name for c in labels.classes if c.scored),
        )  # fmt: skip


def _sizes(path: Path, names: list[str], known: Sizes, size: Size) -> Sizes:
    """Id -> (height, width): of the image, or `size` where that is not at hand."""
    check_given_size(size, {name: known[name] for name in names if name in known})
    unknown = [name for name in names if name not in known]
    if unknown and size is None:
        raise FoldsegError(
            f"{path}: a JSON does not say how large its images are, and {len(unknown)} of {len(names)} are not at "
            f"hand: {shorten(unknown)}; say whose they are (--data, data.root=...), or --size WxH"
        )
    return {name: known.get(name, size or (0, 0)) for name in names}


def flatten(categories: Sequence[Rle], size: tuple[int, int]) -> tuple[Mask, int]:
    """RLE of every class -> class indices (H, W) uint8, void where there is no class, and pixels with several.

    Later classes are painted over earlier ones.
    """
    indices = np.full(size, IGNORE_INDEX, np.uint8)
    overlap = np.zeros(size, bool)
    for index, runs in enumerate(categories):
        if len(runs):
            mask = decode_rle(runs, size)
            overlap |= mask & (indices != IGNORE_INDEX)
            indices[mask] = index
    return indices, int(np.count_nonzero(overlap))


def _with_black(labels: LabelSet) -> LabelSet:
    """Return the label set with black as one more colour, which is void."""
    if not labels.raw_colours:
        raise FoldsegError("data: the masks of this data set hold ids; only those of colours can be converted")
    return LabelSet(labels.classes, (*labels.void_ids, len(labels.raw_colours)), (*labels.raw_colours, BLACK))


def _test_sizes(data: DataSet) -> Sizes | None:
    """Id -> (height, width) of the test images; None, said in the log, when the data set is not there."""
    if not data.root.exists():
        logger.warning("%s: no such folder, so ids and sizes are not checked against the test images", data.root)
        return None
    test = known_sizes(data, "test")
    if not test:
        raise FoldsegError(f"{data.root}: has no test images to check against; --no-check goes without")
    return test


def _check_names(path: Path, folder: Path, names: list[str]) -> None:
    """FoldsegError unless these are names of files, at least one, and the only PNGs in the folder."""
    if not names:
        raise FoldsegError(f"{path}: holds no images")
    for name in names:
        if Path(name).name != name or not name.isprintable():
            raise FoldsegError(f"{path}: image {quote(name)} cannot be the name of a file")
    there = list_files(folder, MASKS).files if folder.is_dir() else []
    if others := {file.name for file in there} - {f"{name}.png" for name in names}:
        raise FoldsegError(f"{folder}: holds {len(others)} PNG(s) of other images, e.g. {min(others)}")
