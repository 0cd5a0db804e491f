"""A proposal for images and masks in folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foldseg.config.class_files import read_class_file
from foldseg.data.own_ids import drop_picture_suffix, make_safe_id
from foldseg.data.patterns import Pattern
from foldseg.discovery.groups import propose_groups
from foldseg.discovery.layout import FoundLayout, FoundSplit, find_layout
from foldseg.discovery.mask_survey import MaskSurvey, survey_masks
from foldseg.discovery.overlaps import propose_overlap_of_files
from foldseg.discovery.proposal import (
    Proposal,
    describe_masks,
    propose_classes,
    propose_pictures,
    propose_view,
    survey_images,
)
from foldseg.errors import FoldsegError

_CLASS_FILES = (
    "labelmap.txt", "label_colors.txt", "_classes.csv", "class_dict.csv", "config.json", "dataset_meta.json",
    "objectInfo150.txt", "classes.csv",
)  # fmt: skip
"""Names of files in which tools list classes."""
_ENOUGH_CLASSES = 0.9


def propose_folders(root: Path, name: str, tables: Sequence[Path]) -> Proposal:
    """Return a proposal for the pictures below a folder. FoldsegError if there are none, or if no mask can be read."""
    layout = find_layout(root)
    masks = [mask for _, files in layout.pairs for mask in files]
    survey = survey_masks(masks) if masks else None
    proposal = Proposal(name, root, {"kind": "folders"})
    _describe_layout(proposal, layout)
    proposal.dataset |= _propose_all_classes(proposal, survey, layout, root)
    proposal.dataset["splits"] = {split.name: _make_split(split) for split in layout.splits}
    if layout.id != "{id}":
        proposal.dataset["id"] = layout.id
    _propose_unmasked(proposal, layout)
    pictures = propose_pictures(survey)
    if pictures:
        proposal.data["pictures"] = pictures
    _propose_division(proposal, layout)
    _propose_training(proposal, layout, survey)
    propose_groups(proposal, _list_divided(layout, root), tables)
    return proposal


def _describe_layout(proposal: Proposal, layout: FoundLayout) -> None:
    for split in layout.splits:
        with_mask = sum(bool(files) for _, files in split.pairs)
        masks = f", {with_mask} with a mask ({' and '.join(split.masks)})" if split.masks else ", without masks"
        proposal.found.append(f"split {split.name}: {len(split.pairs)} images ({' and '.join(split.images)}){masks}")
    if layout.passed_over:
        proposal.unseen.append(
            f"what {len(layout.passed_over)} pictures are, e.g. {layout.passed_over[0]}: they belong to no image, and "
            "no mask belongs to them"
        )


def _propose_all_classes(
    proposal: Proposal, survey: MaskSurvey | None, layout: FoundLayout, root: Path
) -> dict[str, Any]:
    if layout.labels:
        proposal.found.append(f"a mask for each class: {', '.join(layout.labels)}")
        proposal.dataset["classes"] = list(layout.labels)
        propose_overlap_of_files(proposal, (files for _, files in layout.pairs), len(layout.labels))
        return {}
    if survey is None:
        proposal.unseen.append("where the masks are, and the classes; write both")
        proposal.has_masks = False
        return {"classes": [{"name": "background", "scored": False}, "object"]}
    proposal.found += describe_masks(survey)
    if any("{part}" in pattern for split in layout.splits for pattern in split.masks):
        proposal.unseen.append("the name of the class; it is called `object`")
        return {"classes": ["object"]}
    listed = _find_class_file(root, survey, proposal)
    if listed is None:
        proposal.unseen.append("the names of the classes; write them in place of those that were made up")
    if listed is None and survey.values == "colors":
        proposal.unseen.append("whether one of the colours is void, which counts nowhere (void: ['#e0e0c0'])")
    if listed is None and survey.values == "ids" and len(survey.ids) > 2:
        proposal.unseen.append(
            f"whether {survey.ids[0]} is background, which is not scored; and whether one of the ids is void, which "
            "counts nowhere (void: [255])"
        )
    return propose_classes(survey, listed)


def _find_class_file(root: Path, survey: MaskSurvey, proposal: Proposal) -> Any:
    """Return the classes of a file of the data that lists what masks hold; None if there is none."""
    for name in _CLASS_FILES:
        for path in [root / name, *sorted(root.glob(f"*/{name}"))]:
            if not path.is_file():
                continue
            try:
                entries = read_class_file(path)
            except FoldsegError as error:
                proposal.unseen.append(f"the classes of {path}: {error}")
                continue
            if _fits(entries, survey):
                proposal.found.append(f"the names of {len(entries)} classes are in {path}")
                return entries
    return None


def _fits(entries: Sequence[Any], survey: MaskSurvey) -> bool:
    """Whether listed classes are those that masks hold."""
    if survey.values == "colors":
        known = {tuple(entry["color"]) for entry in entries if "color" in entry}
        return sum(colour in known for colour in survey.colours) >= _ENOUGH_CLASSES * len(survey.colours)
    ids = {raw_id for index, entry in enumerate(entries) for raw_id in entry.get("ids", [index])}
    return set(survey.ids) <= ids


def _make_split(split: FoundSplit) -> Any:
    """Return the settings of a split; a single pattern stands for images without masks."""
    images = split.images[0] if len(split.images) == 1 else split.images
    if not split.masks:
        return images
    return {"images": images, "masks": split.masks[0] if len(split.masks) == 1 else split.masks}


def _propose_unmasked(proposal: Proposal, layout: FoundLayout) -> None:
    unmasked = [image for split in layout.splits if split.masks for image, files in split.pairs if not files]
    if not unmasked:
        return
    proposal.dataset["unmasked"] = "test"
    proposal.unseen.append(
        f"why {len(unmasked)} images have no mask, e.g. {unmasked[0]}; they are predicted as test images (unmasked: "
        "test). If they show none of the classes, write background; to leave them out, leave_out"
    )


def _propose_division(proposal: Proposal, layout: FoundLayout) -> None:
    names = [split.name for split in layout.splits if split.masks]
    if "val" in names and "train" in names:
        proposal.data["fold_splits"] = ["train", "val"]
        proposal.options.append("division: {kind: split, validation: [val]}  # with fold_splits: [train]")
        proposal.unseen.append(
            "whether to keep the official train and val. Now folds divide both; the line `division` keeps them"
        )


def _propose_training(proposal: Proposal, layout: FoundLayout, survey: MaskSurvey | None) -> None:
    images = survey_images([image for image, _ in layout.pairs])
    proposal.found += images.sentences
    proposal.view = propose_view(images.sizes)
    is_binary = survey is not None and survey.values == "ids" and len(survey.ids) == 2 and not layout.labels
    proposal.data["strata"] = "foreground" if is_binary else "classes"
    if proposal.overlapping:
        proposal.score, proposal.submission = "image_mean_dice", "binary_png"
    elif is_binary or "{part}" in str(proposal.dataset):
        proposal.score, proposal.submission = "dataset_mean_dice_scored", "label_png"
    if survey is not None and survey.values == "colors":
        proposal.submission = "colour_png"


def _list_divided(layout: FoundLayout, root: Path) -> dict[str, Path]:
    """Return the images that are divided into folds, by id."""
    images = {}
    for split in layout.splits:
        if split.name == "test" and len(layout.splits) > 1:
            continue
        patterns = [Pattern(text, layout.id) for text in split.images]
        for image, files in split.pairs:
            relative = image.relative_to(root).as_posix()
            fields = next(filter(None, (pattern.match(relative) for pattern in patterns)), None)
            if fields is not None and (files or not split.masks):
                images[drop_picture_suffix(make_safe_id(fields["id"]))] = image
    return images
