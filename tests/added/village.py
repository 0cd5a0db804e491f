"""A data set of two folders: `images/<split>_<n>.png` and `masks/<split>_<n>.png`, 8-bit ids."""

from pathlib import Path

import pandas as pd

from foldseg.data.labels import LabelClass, LabelSet
from foldseg.data.listing import MASKS, list_files, pair_by_stem
from foldseg.data.samples import build_samples_table, require_folder

LABELS = LabelSet(
    (
        LabelClass("meadow", (0, 128, 0), (0,), scored=False),
        LabelClass("house", (128, 0, 0), (1,)),
        LabelClass("path", (128, 128, 0), (2,)),
    ),
    void_ids=(9,),
)


def scan(root: Path) -> pd.DataFrame:
    """Return the samples table of a village."""
    folders = [list_files(require_folder(root / name), MASKS) for name in ("images", "masks")]
    rows = [
        (image.stem, f"images/{image.name}", f"masks/{mask.name}", image.stem.split("_")[0], image.stem, "")
        for image, mask in pair_by_stem(*folders)
    ]
    return build_samples_table(rows, root)
