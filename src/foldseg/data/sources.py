"""More images to train on than the data set has: external, coarsely labelled, pseudo-labelled."""

import logging
from collections.abc import Collection
from pathlib import Path

from foldseg.config.schema import Source
from foldseg.data.frames import FileFrames
from foldseg.data.labels import LabelSet
from foldseg.data.samples import check_files, existing_folder, pair_by_stem, samples_table, shorten
from foldseg.errors import FoldsegError
from foldseg.files import read_record

logger = logging.getLogger(__name__)

DESCRIPTION = "pseudo.json"
"""Beside pseudo labels: which fold may be trained on them, their `classes`, and the division into folds they are of."""

_IMAGES = (".jpg", ".jpeg", ".png")


def source_frames(
    source: Source, fold: int, labels: LabelSet, held_out: Collection[str], data_fingerprint: str
) -> FileFrames:
    """Return the frames of a source for training `fold`; images whose id is `held_out` are left out.

    FoldsegError when a folder is missing, images and masks do not pair, a file is damaged, nothing is left, or pseudo
    labels belong to another fold, other classes or another division into folds than that of `data_fingerprint`.
    """
    images, masks = (existing_folder(_of_fold(path, fold)) for path in (source.images, source.masks))
    if (masks / DESCRIPTION).is_file():
        _check_pseudo(masks / DESCRIPTION, fold, labels, data_fingerprint)
    files = sorted(path for path in images.iterdir() if path.suffix.lower() in _IMAGES)
    pairs = pair_by_stem(files, sorted(masks.glob("*.png")))
    kept = [pair for pair in pairs if pair[0].stem not in held_out]
    if len(kept) < len(pairs):
        left_out = [image.stem for image, _ in pairs if image.stem in held_out]
        logger.info("%s: %d images are not trained on in fold %d: %s", images, len(left_out), fold, shorten(left_out))
    if not kept:
        raise FoldsegError(f"sampling.sources: {images}: holds no image that fold {fold} may be trained on")
    table = samples_table([(image.stem, str(image), str(mask), "train", "", "") for image, mask in kept], images)
    check_files(table, Path())
    return FileFrames.of(table, Path(), labels, source.encoding == "index")


def _of_fold(path: Path, fold: int) -> Path:
    return Path(str(path).replace("{fold}", str(fold)))


def _check_pseudo(path: Path, fold: int, labels: LabelSet, data_fingerprint: str) -> None:
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
