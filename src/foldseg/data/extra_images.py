"""Images that are trained on besides the data set's own, `sampling.sources`: external, coarsely or pseudo-labelled."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from foldseg.config.schema import Pictures, Source
from foldseg.data.frames import FileFrames
from foldseg.data.hashes import format_count, hash_files
from foldseg.data.labels import LabelSet, describe_label_changes
from foldseg.data.listing import MASKS, list_files, pair_by_stem
from foldseg.data.reading import AS_SHOWN
from foldseg.data.samples import build_samples_table, check_files, check_mask_values, require_folder, shorten
from foldseg.errors import FoldsegError
from foldseg.files import read_record
from foldseg.inputs import is_absent
from foldseg.notices import say_once

logger = logging.getLogger(__name__)

DESCRIPTION = "pseudo.json"
"""Name of the file beside pseudo labels. It says which fold may be trained on them, and with which classes and folds
the models were trained that made them."""


def open_source_frames(
    source: Source,
    fold: int,
    labels: LabelSet,
    held_out: Collection[str],
    data_fingerprint: str,
    pictures: Pictures = AS_SHOWN,
) -> FileFrames:
    """Return the frames of a source for training `fold`. Images whose id is in `held_out` are left out.

    `data_fingerprint`: that of the data set, which pseudo labels must be made for. FoldsegError if

    - a folder is missing, images and masks do not pair, or a file is damaged;
    - no image is left;
    - pseudo labels are for another fold, of other classes, or of another division into folds.
    """
    images, masks = _folders(source, fold)
    pairs = pair_source_files(source, fold)
    if not is_absent(masks / DESCRIPTION):
        _check_pseudo(masks / DESCRIPTION, fold, labels, data_fingerprint, [image for image, _ in pairs])
    trained_on = [(image, mask) for image, mask in pairs if image.stem not in held_out]
    left_out = [image.stem for image, _ in pairs if image.stem in held_out]
    if left_out:
        logger.info("%s: %d images are not trained on in fold %d: %s", images, len(left_out), fold, shorten(left_out))
    if not trained_on:
        raise FoldsegError(f"sampling.sources: {images}: holds no image that fold {fold} may be trained on")
    rows = [(image.stem, str(image), str(mask), "train", "", "") for image, mask in trained_on]
    table = build_samples_table(rows, images)
    check_files(table, Path(), pictures)
    encoded = source.encoding == "index"
    check_mask_values(table, Path(), labels, pictures, encoded)
    return FileFrames.of(table, Path(), labels, encoded, pictures)


def pair_source_files(source: Source, fold: int, held_out: Collection[str] = ()) -> list[tuple[Path, Path]]:
    """Return the image and mask files of a source, in pairs. Images whose id is in `held_out` are left out.

    FoldsegError if a folder is missing, or images and masks do not pair.
    """
    images, masks = (require_folder(folder) for folder in _folders(source, fold))
    pairs = pair_by_stem(list_files(images), list_files(masks, (*MASKS, ".json")).only(MASKS))
    return [(image, mask) for image, mask in pairs if image.stem not in held_out]


def has_folders(source: Source, fold: int) -> bool:
    """Return whether both folders of a source exist."""
    return all(folder.is_dir() for folder in _folders(source, fold))


def _folders(source: Source, fold: int) -> tuple[Path, Path]:
    """Return the folders of images and masks; `{fold}` in their paths becomes the number of the fold."""
    images, masks = (Path(str(path).replace("{fold}", str(fold))) for path in (source.images, source.masks))
    return images, masks


def _check_pseudo(path: Path, fold: int, labels: LabelSet, data_fingerprint: str, images: Sequence[Path]) -> None:
    """Raise FoldsegError if pseudo labels may not be used for training `fold`, as their description `path` says.

    Their models must not have seen an image that the fold is validated on, or its OOF score would be too good.
    """
    description = read_record(path, {"fold": int, "classes": list[str], "data_fingerprint": str})
    if description["fold"] != fold:
        raise FoldsegError(
            f"{path}: these labels are for fold {description['fold']}, their models have seen what fold {fold} is "
            "validated on; write {fold} in sampling.sources.masks"
        )
    if description["classes"] != labels.names:
        raise FoldsegError(
            f"{path}: is of the classes {', '.join(description['classes'])}; expected {', '.join(labels.names)}"
        )
    if description["data_fingerprint"] != data_fingerprint:
        raise FoldsegError(f"{path}: its models were trained on another division into folds; label anew")
    changes = describe_label_changes(description.get("labels", labels.definition), labels.definition)
    if changes:
        raise FoldsegError(f"{path}: the label set was another when these labels were made: {changes[0]}; label anew")
    _check_pictures_are_the_same(path, description.get("pictures"), images)


def _check_pictures_are_the_same(path: Path, pictures: Mapping[str, str] | None, images: Sequence[Path]) -> None:
    """Raise FoldsegError if an image has changed since it was labelled.

    `pictures`: id -> SHA-256 of the image that was labelled. None in older files: the images are not checked then.
    """
    if pictures is None:
        say_once(f"{path}: which pictures were labelled was not recorded", kind="pseudo labels without contents")
        return
    hashes = zip(images, hash_files(images), strict=True)
    changed = [image for image, digest in hashes if pictures.get(image.stem, digest) != digest]
    if changed:
        raise FoldsegError(
            f"{path}: {format_count(changed, 'image')} changed after being labelled, e.g. {changed[0]}; label anew "
            "with foldseg pseudo-labels"
        )
