"""Converts a folder of RGB PNGs, `<id>.png`, into the AI Edge Contest's JSON and back, as its organisers did.

The PNGs show every class in the colour of its annotations. Black means "no category": a JSON does not mention these
pixels, nor classes that are not scored.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from foldseg.config.schema.submissions import SubmissionKind
from foldseg.data.datasets import DataSet
from foldseg.data.labels import IGNORE_INDEX, Colour, LabelSet, Mask
from foldseg.data.listing import MASKS, list_files
from foldseg.data.mask_files import read_mask
from foldseg.data.reading import read_image_size
from foldseg.data.rle import Rle, decode_rle
from foldseg.data.samples import quote, shorten
from foldseg.errors import FoldsegError
from foldseg.outputs import check_output, claim
from foldseg.submission import label_png, signate_json
from foldseg.submission.formats import check_submission, find_missing_ids, open_submission
from foldseg.submission.interface import KnownImages, Size, Sizes, Submission
from foldseg.submission.sizes import check_size_option, read_sizes

BLACK: Colour = (0, 0, 0)

logger = logging.getLogger(__name__)


def convert_submission(
    source: Path,
    destination: Path,
    data: DataSet,
    size: Size = None,
    check: bool = True,
    settings: SubmissionKind | None = None,
) -> None:
    """Convert a folder of PNGs into a JSON, or a submission that is a file into a folder of PNGs.

    With `check`, ids and sizes must be those of the test images of `data`, if its folder exists. `size`: (height,
    width) of images that have no file. FoldsegError if it differs from the size of a file. `settings`: those of the
    format of a submission that is a file; None: they are found.
    """
    expected_sizes = _read_test_sizes(data) if check else None
    if source.is_dir():
        if destination.suffix == ".json":
            check_output(destination, ".json", [data.root], begins=signate_json.BEGIN)
        convert_to_json(source, destination, data.labels, expected_sizes, size)
    else:
        sizes = expected_sizes if expected_sizes is not None else read_sizes(data)
        known = KnownImages(data.images if data.root.exists() else {})
        submission = open_submission(source, data.labels, settings, known)
        convert_to_pngs(
            source, destination, data.labels, size, sizes, complete=expected_sizes is not None, submission=submission
        )


def convert_to_json(
    folder: Path, path: Path, labels: LabelSet, expected_sizes: Sizes | None = None, size: Size = None
) -> None:
    """Write the contest's JSON from a folder of RGB PNGs, and read it back.

    `expected_sizes` maps the expected ids to (height, width); None: any images are accepted. FoldsegError, before
    anything is written, for another id or size and for a PNG that is cut short. FoldsegError also for an unknown
    colour; an older file stays then.
    """
    if path.suffix != ".json":
        raise FoldsegError(f"{path}: should end in .json, since {folder} is a folder of PNGs")
    check_output(path, ".json", begins=signate_json.BEGIN)
    files = label_png.Submission(folder, labels).files
    if not files:
        raise FoldsegError(f"{folder}: holds no PNGs")
    sizes = {name: read_image_size(file) for name, file in files.items()}
    check_size_option(size, {str(files[name]): file_size for name, file_size in sizes.items()})
    if expected_sizes is not None:
        find_missing_ids(folder, files, expected_sizes)
        for name, file in files.items():
            if sizes[name] != expected_sizes[name]:
                raise FoldsegError(f"{file}: is {sizes[name]}, the image {expected_sizes[name]} (height, width)")
    labels_with_black = _add_black(labels)
    bar = tqdm(files.items(), desc=f"reading {folder.name}", unit="image", leave=False, disable=None)
    signate_json.write(path, ((name, read_mask(file, labels_with_black)) for name, file in bar), labels)
    check_submission(path, sizes, labels)
    logger.info("%s: %d images, read back and valid", path, len(files))


def convert_to_pngs(
    path: Path,
    folder: Path,
    labels: LabelSet,
    size: Size = None,
    sizes: Sizes | None = None,
    complete: bool = True,
    submission: Submission | None = None,
) -> None:
    """Write the images of a submission as RGB PNGs into `folder`. Where categories overlap, the later class is shown.

    `submission`: the open submission; None: it is opened. If it has a size of its own, so have the PNGs.
    `sizes` maps ids to (height, width); other images have `size`. With `complete` the images must be exactly those of
    `sizes`, if it is given. FoldsegError for anything that is not valid, and for an image whose size is not known.
    FoldsegError also if the folder holds files that no earlier call has written, or PNGs of other images: these would
    look like a part of the submission.
    """
    if folder.suffix == ".json":
        raise FoldsegError(f"{folder}: should be a folder, for the PNGs of {path}")
    submission = submission or open_submission(path, labels)
    if sizes is not None and complete:
        find_missing_ids(path, submission.names, sizes)
    _check_names(path, folder, submission.names)
    all_sizes = _complete_sizes(path, submission.names, sizes or {}, size)
    claim(folder, "colour PNGs of a submission")
    overlaps = []
    for name in tqdm(submission.names, desc=f"writing {folder.name}", unit="image", leave=False, disable=None):
        image = submission.read(name, all_sizes[name])
        drawn_size = submission.size or all_sizes[name]
        mask, overlap = _merge(image, drawn_size, labels) if isinstance(image, list) else (image, 0)
        label_png.write_png(folder / f"{name}.png", labels.colourise(mask)[..., ::-1])  # OpenCV's order is BGR
        overlaps.append(overlap)
    logger.info("%s: %d images", folder, len(overlaps))
    if any(overlaps):
        logger.warning(
            "%s: categories overlap in %d pixels of %d image(s); there the PNGs show the last in the order %s",
            path, sum(overlaps), np.count_nonzero(overlaps), ", ".join(c.name for c in labels.classes if c.scored),
        )  # fmt: skip


def _complete_sizes(path: Path, names: list[str], sizes: Sizes, size: Size) -> Sizes:
    """Return id -> (height, width) of all images: from `sizes`, or `size` for images that it does not have."""
    check_size_option(size, {name: sizes[name] for name in names if name in sizes})
    unknown = [name for name in names if name not in sizes]
    if unknown and size is None:
        raise FoldsegError(
            f"{path}: the file does not say how large its images are, and {len(unknown)} of {len(names)} are not at "
            f"hand: {shorten(unknown)}; say whose they are (--data, data.root=...), or --size WxH"
        )
    return {name: sizes.get(name, size or (0, 0)) for name in names}


def _merge(rles: Sequence[Rle], size: tuple[int, int], labels: LabelSet) -> tuple[Mask, int]:
    """Return a mask (H, W) uint8 of the RLE of every class, and how many pixels do not show all of their classes."""
    if labels.overlapping:
        return labels.pack_planes(np.stack([decode_rle(rle, size) for rle in rles])), 0
    return merge_categories(rles, size)


def merge_categories(categories: Sequence[Rle], size: tuple[int, int]) -> tuple[Mask, int]:
    """Return class indices (H, W) uint8 from the RLE of every class, and the number of pixels with several classes.

    Later classes are painted over earlier ones. Pixels without a class are void.
    """
    indices = np.full(size, IGNORE_INDEX, np.uint8)
    overlap = np.zeros(size, bool)
    for index, rle in enumerate(categories):
        if len(rle):
            mask = decode_rle(rle, size)
            overlap |= mask & (indices != IGNORE_INDEX)
            indices[mask] = index
    return indices, int(np.count_nonzero(overlap))


def _add_black(labels: LabelSet) -> LabelSet:
    """Return the label set with black as one more colour, which is void."""
    if not labels.raw_colours:
        raise FoldsegError("data: the masks of this data set hold ids; only those of colours can be converted")
    return LabelSet(labels.classes, (*labels.void_ids, len(labels.raw_colours)), (*labels.raw_colours, BLACK))


def _read_test_sizes(data: DataSet) -> Sizes | None:
    """Return id -> (height, width) of the test images. None, with a warning, if the data set is not there."""
    if not data.root.exists():
        logger.warning("%s: no such folder, so ids and sizes are not checked against the test images", data.root)
        return None
    test_sizes = read_sizes(data, "test")
    if not test_sizes:
        raise FoldsegError(f"{data.root}: has no test images to check against; --no-check goes without")
    return test_sizes


def _check_names(path: Path, folder: Path, names: list[str]) -> None:
    """Raise FoldsegError unless there are names, all can be names of files, and the folder holds no other PNGs."""
    if not names:
        raise FoldsegError(f"{path}: holds no images")
    for name in names:
        if Path(name).name != name or not name.isprintable():
            raise FoldsegError(f"{path}: image {quote(name)} cannot be the name of a file")
    present = list_files(folder, MASKS).files if folder.is_dir() else []
    if others := {file.name for file in present} - {f"{name}.png" for name in names}:
        raise FoldsegError(f"{folder}: holds {len(others)} PNG(s) of other images, e.g. {min(others)}")
