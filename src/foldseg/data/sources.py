"""More images to train on than the data set has: external, coarsely labelled, pseudo-labelled."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from foldseg.config.schema import Pictures, Source
from foldseg.data.content import count_of, file_hashes
from foldseg.data.frames import FileFrames
from foldseg.data.labels import LabelSet, label_changes
from foldseg.data.listing import MASKS, list_files, pair_by_stem
from foldseg.data.reading import AS_SHOWN
from foldseg.data.samples import check_files, check_mask_values, existing_folder, samples_table, shorten
from foldseg.errors import FoldsegError
from foldseg.files import read_record
from foldseg.inputs import is_absent
from foldseg.notices import say_once

logger = logging.getLogger(__name__)

DESCRIPTION = "pseudo.json"
"""Beside pseudo labels: which fold may be trained on them, their `classes`, and the division into folds they are of."""


def source_frames(
    source: Source,
    fold: int,
    labels: LabelSet,
    held_out: Collection[str],
    data_fingerprint: str,
    pictures: Pictures = AS_SHOWN,
) -> FileFrames:
    """Return the frames of a source for training `fold`; images whose id is `held_out` are left out.

    FoldsegError when a folder is missing, images and masks do not pair, a file is damaged, nothing is left, or pseudo
    labels belong to another fold, other classes or another division into folds than that of `data_fingerprint`.
    """
    images, masks = _folders(source, fold)
    pairs = source_pairs(source, fold)
    if not is_absent(masks / DESCRIPTION):
        _check_pseudo(masks / DESCRIPTION, fold, labels, data_fingerprint, [image for image, _ in pairs])
    kept = [pair for pair in pairs if pair[0].stem not in held_out]
    if len(kept) < len(pairs):
        left_out = [image.stem for image, _ in pairs if image.stem in held_out]
        logger.info("%s: %d images are not trained on in fold %d: %s", images, len(left_out), fold, shorten(left_out))
    if not kept:
        raise FoldsegError(f"sampling.sources: {images}: holds no image that fold {fold} may be trained on")
    table = samples_table([(image.stem, str(image), str(mask), "train", "", "") for image, mask in kept], images)
    check_files(table, Path(), pictures)
    encoded = source.encoding == "index"
    check_mask_values(table, Path(), labels, pictures, encoded)
    return FileFrames.of(table, Path(), labels, encoded, pictures)


def source_pairs(source: Source, fold: int, held_out: Collection[str] = ()) -> list[tuple[Path, Path]]:
    """Return the image and mask files of a source, without those of images whose id is `held_out`.

    FoldsegError when a folder is missing and when images and masks do not pair.
    """
    images, masks = (existing_folder(folder) for folder in _folders(source, fold))
    pairs = pair_by_stem(list_files(images), list_files(masks, (*MASKS, ".json")).only(MASKS))
    return [pair for pair in pairs if pair[0].stem not in held_out]


def has_folders(source: Source, fold: int) -> bool:
    """Whether both folders of a source are there."""
    return all(folder.is_dir() for folder in _folders(source, fold))


def _folders(source: Source, fold: int) -> tuple[Path, Path]:
    return _of_fold(source.images, fold), _of_fold(source.masks, fold)


def _of_fold(path: Path, fold: int) -> Path:
    return Path(str(path).replace("{fold}", str(fold)))


def _check_pseudo(path: Path, fold: int, labels: LabelSet, data_fingerprint: str, images: Sequence[Path]) -> None:
    """Labels by models that have seen a validation image would make its OOF score a lie."""
    facts = read_record(path, {"fold": int, "classes": list[str], "data_fingerprint": str})
    if facts["fold"] != fold:
        raise FoldsegError(
            f"{path}: these labels are for fold {facts['fold']}, their models have seen what fold {fold} is validated "
            "on; write {fold} in sampling.sources.masks"
        )
    if facts["classes"] != labels.names:
        raise FoldsegError(
            f"{path}: is of the classes {', '.join(facts['classes'])}; expected {', '.join(labels.names)}"
        )
    if facts["data_fingerprint"] != data_fingerprint:
        raise FoldsegError(f"{path}: its models were trained on another division into folds; label anew")
    if changes := label_changes(facts.get("labels", labels.facts), labels.facts):
        raise FoldsegError(f"{path}: the label set was another when these labels were made: {changes[0]}; label anew")
    _check_labelled(path, facts.get("pictures"), images)


def _check_labelled(path: Path, pictures: Mapping[str, str] | None, images: Sequence[Path]) -> None:
    """FoldsegError when an image is not the one that was labelled; `pictures`: id -> SHA-256, None in older files."""
    if pictures is None:
        say_once(f"{path}: which pictures were labelled was not recorded", kind="pseudo labels without contents")
        return
    hashes = zip(images, file_hashes(images), strict=True)
    changed = [image for image, found in hashes if pictures.get(image.stem, found) != found]
    if changed:
        raise FoldsegError(
            f"{path}: {count_of(changed, 'image')} changed after being labelled, e.g. {changed[0]}; label anew with "
            "foldseg pseudo-labels"
        )
