"""What an import writes besides masks: the samples table, and the classes as the YAML of a data set has them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from foldseg.data.samples import build_samples_table
from foldseg.files import write_text
from foldseg.importing.annotations import UNLABELLED
from foldseg.importing.one_image import ImageOutcome
from foldseg.importing.plan import ClassPlan

TABLE, CLASSES = "samples.csv", "classes.yaml"


def write_table(folder: Path, source: Path, outcomes: Sequence[ImageOutcome]) -> dict[str, int]:
    """Write samples.csv, and return the number of images of each split."""
    rows = []
    for outcome in outcomes:
        image, mask = outcome.task.image, outcome.mask
        assert outcome.file is not None
        split = image.split if mask is not None or image.split == "test" else UNLABELLED
        rows.append(
            (
                outcome.task.id,
                _relative(outcome.file, folder),
                _relative(mask, folder) if mask else "",
                split,
                image.group or outcome.task.id,
                "",
            )
        )
    table = build_samples_table(rows, source)
    write_text(folder / TABLE, table.to_csv(index=False, lineterminator="\n"))
    return {str(split): int(count) for split, count in table["split"].value_counts().items()}


def _relative(path: Path, folder: Path) -> str:
    """Return a path as seen from the imported folder, which will lie beside `folder`.

    Links on the way are followed, since `..` leads out of the folder that a link points to.
    """
    real = path.parent.resolve() / path.name
    return Path(os.path.relpath(real, folder.resolve())).as_posix()


def write_classes(folder: Path, plan: ClassPlan) -> None:
    """Write classes.yaml: `classes`, `void` and what else the settings of a data set say of its classes."""
    block: dict[str, Any] = {"classes": plan.entries}
    if plan.void_ids:
        block["void"] = list(plan.void_ids)
    if plan.overlapping:
        block["overlapping"] = True
        if plan.background_ids != (0,):
            block["background"] = list(plan.background_ids)
    text = yaml.safe_dump(block, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    write_text(folder / CLASSES, text)
