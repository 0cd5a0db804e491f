"""What is on both sides of a border that it may not cross: between folds, or between training and test images.

It is an id, a group, or the same place on two frames. A model that was trained on one side scores better on the other
side than on streets that it has not seen.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.config.schema import Pictures
from foldseg.data.frame_similarity import SAME_PLACE, Descriptors, describe_files, find_nearest
from foldseg.data.reading import AS_SHOWN
from foldseg.data.samples import shorten

TEST = "test"
_EXAMPLES = 3
_BETWEEN = {"folds": "between folds", TEST: "between training and test"}
"""Border -> how messages name it."""


@dataclass(frozen=True)
class Leaks:
    """Ids, groups and places that are on several sides of a border.

    The side of an image is `fold 0`, `fold 1`, ... or `test`. A border is `folds` or `test`.

    - `shared`: a row for each id and group that is on several sides, with the columns kind (`id` or `group`), name,
      border, sides.
    - `nearest`: a row for each image and border with the most similar frame beyond it, whether it shows the same place
      or not. The columns are border, id, side, other, other_side, similarity; the most similar come first.
    """

    shared: pd.DataFrame
    nearest: pd.DataFrame

    @property
    def alike(self) -> pd.DataFrame:
        """The rows of `nearest` that show the same place."""
        return self.nearest[self.nearest["similarity"] >= SAME_PLACE]

    def __bool__(self) -> bool:
        return not self.shared.empty or not self.alike.empty

    def counts(self) -> pd.DataFrame:
        """Return a row per border: images compared, images with one alike beyond it, ids and groups that are shared."""
        borders = pd.Index(["folds", TEST], name="border")
        columns = {
            "images": self.nearest.groupby("border").size(),
            "alike": self.alike.groupby("border").size(),
            "ids": self.shared[self.shared["kind"] == "id"].groupby("border").size(),
            "groups": self.shared[self.shared["kind"] == "group"].groupby("border").size(),
        }
        return pd.DataFrame({key: value.reindex(borders, fill_value=0) for key, value in columns.items()})

    def lines(self) -> list[str]:
        """Say what leaks, with examples: a line per border and kind. Without leaks the list is empty."""
        lines = []
        for (kind, border), part in self.shared.groupby(["kind", "border"]):
            names = [f"{row.name} ({row.sides})" for row in part.itertuples(index=False)]
            lines.append(f"{len(part)} {kind}(s) are shared {_BETWEEN[str(border)]}: {shorten(names, _EXAMPLES)}")
        for border, part in self.alike.groupby("border"):
            total = int((self.nearest["border"] == border).sum())
            lines.append(
                f"{len(part)} of {total} images look like one on the other side, {_BETWEEN[str(border)]}, e.g. "
                + "; ".join(_examples(part))
            )
        return lines


def _examples(alike: pd.DataFrame) -> list[str]:
    """Describe the first pairs of frames. A pair that is there from both of its ends is taken once."""
    ends = [frozenset(pair) for pair in zip(alike["id"], alike["other"], strict=True)]
    pairs = alike[~pd.Series(ends, alike.index).duplicated()]
    return [
        f"{row.id} ({row.side}) and {row.other} ({row.other_side}), similarity {row.similarity:.2f}"
        for row in pairs.head(_EXAMPLES).itertuples(index=False)
    ]


def find_leaks(table: pd.DataFrame, root: Path, pictures: Pictures = AS_SHOWN) -> Leaks:
    """Find ids, groups and places that are on several sides of a border.

    `table` has a row per image: id, image (relative to `root`), group, side. `pictures`: how images are
    read. Every image is read once, large JPEGs at an eighth of their size. FoldsegError for a damaged file.
    """
    table = table.reset_index(drop=True)
    descriptors = describe_files([root / str(image) for image in table["image"]], pictures)
    all_images, fold_images = np.arange(len(table)), np.flatnonzero(table["side"] != TEST)
    between_folds = _find_nearest(table, descriptors, "folds", fold_images)
    to_test = _find_nearest(table, descriptors, TEST, all_images)
    nearest = pd.concat([between_folds, to_test]).sort_values(
        ["similarity", "id"], ascending=[False, True], ignore_index=True
    )
    shared = pd.concat([_find_shared(table, "id"), _find_shared(table, "group")], ignore_index=True)
    return Leaks(shared, nearest)


def _find_nearest(table: pd.DataFrame, descriptors: Descriptors, border: str, images: NDArray[np.intp]) -> pd.DataFrame:
    """Return the rows of `Leaks.nearest` of a border; `images` are the numbers of the rows that are compared."""
    sides = table["side"].to_numpy(np.str_)[images]
    closest = find_nearest(descriptors[images], sides if border == "folds" else sides == TEST)
    has_other = closest.index >= 0
    ours, others = table.iloc[images[has_other]], table.iloc[images[closest.index[has_other]]]
    return pd.DataFrame(
        {
            "border": border,
            "id": ours["id"].to_numpy(),
            "side": ours["side"].to_numpy(),
            "other": others["id"].to_numpy(),
            "other_side": others["side"].to_numpy(),
            "similarity": closest.similarity[has_other].astype(np.float64),
        }
    )


def _find_shared(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the rows of `Leaks.shared` of one kind, `id` or `group`."""
    rows = []
    for name, part in table.groupby(kind):
        sides = sorted(part["side"].unique())
        folds = [side for side in sides if side != TEST]
        if len(folds) > 1:
            rows.append((kind, name, "folds", ", ".join(folds)))
        if folds and TEST in sides:
            rows.append((kind, name, TEST, ", ".join(sides)))
    return pd.DataFrame(rows, columns=["kind", "name", "border", "sides"])
