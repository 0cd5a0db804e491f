"""A proposal for annotations of a tool, which are imported for it."""

from pathlib import Path
from typing import Any

from foldseg.discovery.groups import propose_groups
from foldseg.discovery.proposal import Proposal, propose_view, survey_images
from foldseg.errors import FoldsegError
from foldseg.table_files import read_table


def propose_import(root: Path, name: str, source: Path, images: Path | None) -> Proposal:
    """Import annotations into the folder `root`, and return a proposal for them. FoldsegError as `foldseg import`."""
    from foldseg.importing.annotations import ImportSettings
    from foldseg.importing.importer import import_annotations

    result = import_annotations(source, root, ImportSettings(images), name=name)
    dataset: dict[str, Any] = {
        "kind": "table",
        "file": result.table.name,
        "classes": [dict(entry) for entry in result.classes],
    }
    if result.void:
        dataset["void"] = result.void
    if result.overlapping:
        dataset |= {"overlapping": True, "background": result.background}
    proposal = Proposal(name, root, dataset)
    splits = ", ".join(f"{split} {count}" for split, count in result.splits.items())
    proposal.found.append(f"{source}: {result.format}, {result.images} images ({splits})")
    proposal.found.append(f"{result.with_mask} images have a mask")
    proposal.found.append(f"look at {result.report}, whether masks and images fit")
    proposal.unseen += result.warnings
    table = read_table(result.table)
    divided = table[(table["split"] != "test") & (table["mask"] != "")]
    if divided.empty:
        raise FoldsegError(f"{source}: no image has a mask")
    if set(divided["split"]) != {"train"}:
        proposal.data["fold_splits"] = sorted(set(divided["split"]))
        proposal.options.append("division: {kind: split, validation: [val]}  # with fold_splits: [train]")
    files = {str(row["id"]): root / str(row["image"]) for row in divided.to_dict("records")}
    survey = survey_images(list(files.values()))
    proposal.found += survey.sentences
    proposal.view = propose_view(survey.sizes)
    proposal.data["strata"] = "classes"
    proposal.score = "image_mean_dice" if result.overlapping else "dataset_miou"
    proposal.submission = "binary_png" if result.overlapping else "label_png"
    if table["group"].nunique() < len(table):
        proposal.found.append(f"groups: the column group ({table['group'].nunique()} groups)")
    propose_groups(proposal, files, ())
    proposal.group_count = min(proposal.group_count, divided["group"].nunique())
    return proposal
