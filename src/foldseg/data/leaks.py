"""What is on both sides of a border that it may not cross: between folds, and between training and test images.

An id, a group, or frames of the same place. A model that was trained on the one scores better on the other than on
streets that it has not seen.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.data.alike import ALIKE, Prints, nearest, prints
from foldseg.data.samples import shorten

TEST = "test"
_EXAMPLES = 3


@dataclass(frozen=True)
class Leaks:
    """What was found. `side` of an image is `fold 0`, `fold 1`, ... or `test`; `border` is `folds` or `test`.

    `shared`: ids and groups that are on several sides: kind (`id`, `group`), name, border, sides. `nearest`: for each
    image and border the most similar frame beyond it: border, id, side, other, other_side, similarity; most similar
    first, whether it is alike or not.
    """

    shared: pd.DataFrame
    nearest: pd.DataFrame

    @property
    def alike(self) -> pd.DataFrame:
        """The rows of `nearest` that show the same place."""
        return self.nearest[self.nearest["similarity"] >= ALIKE]

    def __bool__(self) -> bool:
        return not self.shared.empty or not self.alike.empty

    def counts(self) -> pd.DataFrame:
        """Per border: images that were compared, images with one that is alike beyond it, ids and groups shared."""
        borders = pd.Index(["folds", TEST], name="border")
        columns = {
            "images": self.nearest.groupby("border").size(),
            "alike": self.alike.groupby("border").size(),
            "ids": self.shared[self.shared["kind"] == "id"].groupby("border").size(),
            "groups": self.shared[self.shared["kind"] == "group"].groupby("border").size(),
        }
        return pd.DataFrame({key: value.reindex(borders, fill_value=0) for key, value in columns.items()})

    def lines(self) -> list[str]:
        """Say what leaks, with examples, a line per border and kind; nothing if nothing does."""
        where = {"folds": "between folds", TEST: "between training and test"}
        found = []
        for (kind, border), part in self.shared.groupby(["kind", "border"]):
            names = [f"{row.name} ({row.sides})" for row in part.itertuples(index=False)]
            found.append(f"{len(part)} {kind}(s) are shared {where[str(border)]}: {shorten(names, _EXAMPLES)}")
        for border, part in self.alike.groupby("border"):
            ends = [frozenset(pair) for pair in zip(part["id"], part["other"], strict=True)]
            pairs = part[~pd.Series(ends, part.index).duplicated()]  # most are found from both of their ends
            examples = [
                f"{row.id} ({row.side}) and {row.other} ({row.other_side}), similarity {row.similarity:.2f}"
                for row in pairs.head(_EXAMPLES).itertuples(index=False)
            ]
            total = int((self.nearest["border"] == border).sum())
            found.append(
                f"{len(part)} of {total} images look like one on the other side, {where[str(border)]}, e.g. "
                + "; ".join(examples)
            )
        return found


def find_leaks(table: pd.DataFrame, root: Path) -> Leaks:
    """Look for ids, groups and places that are on several sides of a border.

    `table` has a row per image: id, image (relative to `root`), group, side. Every image is read once, large JPEGs at
    an eighth of their size. FoldsegError for a damaged file.
    """
    table = table.reset_index(drop=True)
    found = prints([root / str(image) for image in table["image"]])
    everything, folds = np.arange(len(table)), np.flatnonzero(table["side"] != TEST)
    parts = [_nearest(table, found, "folds", folds), _nearest(table, found, TEST, everything)]
    ordered = pd.concat(parts).sort_values(["similarity", "id"], ascending=[False, True], ignore_index=True)
    return Leaks(pd.concat([_shared(table, "id"), _shared(table, "group")], ignore_index=True), ordered)


def _nearest(table: pd.DataFrame, found: Prints, border: str, members: NDArray[np.intp]) -> pd.DataFrame:
    """Rows of `Leaks.nearest` of a border, for the images `members`."""
    sides = table["side"].to_numpy(np.str_)[members]
    closest = nearest(found[members], sides if border == "folds" else sides == TEST)
    known = closest.index >= 0
    own, other = table.iloc[members[known]], table.iloc[members[closest.index[known]]]
    return pd.DataFrame(
        {
            "border": border,
            "id": own["id"].to_numpy(),
            "side": own["side"].to_numpy(),
            "other": other["id"].to_numpy(),
            "other_side": other["side"].to_numpy(),
            "similarity": closest.similarity[known].astype(np.float64),
        }
    )


def _shared(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Ids or groups that several sides have, once per border."""
    rows = []
    for name, part in table.groupby(kind):
        sides = sorted(part["side"].unique())
        folds = [side for side in sides if side != TEST]
        if len(folds) > 1:
            rows.append((kind, name, "folds", ", ".join(folds)))
        if folds and TEST in sides:
            rows.append((kind, name, TEST, ", ".join(sides)))
    return pd.DataFrame(rows, columns=["kind", "name", "border", "sides"])
