"""A first look at a data set: which classes, how many images of what, and what they look like."""

import pandas as pd
from matplotlib.figure import Figure

from foldseg.data.datasets import DataSet, find_fold_leaks
from foldseg.data.frame_similarity import SAME_PLACE
from foldseg.data.leaks import Leaks
from foldseg.data.reading import read_image, read_mask
from foldseg.data.samples import count_mask_pixels
from foldseg.deploy.drawing import overlay
from foldseg.errors import FoldsegError
from foldseg.report.figures import Picture, class_legend, picture_grid

VOID_COLUMN = "(void)"


def spread(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """Choose up to `number` rows that are spread over strata and, within a stratum, evenly over ids.

    Strata take turns, so that each has one image before any has two. The choice depends on the table only.
    """
    parts = {str(name): part.sort_values("id") for name, part in table.groupby("stratum", sort=True)}
    shares = dict.fromkeys(parts, 0)
    for _ in range(min(number, len(table))):
        open_ones = [name for name in shares if shares[name] < len(parts[name])]
        shares[min(open_ones, key=shares.__getitem__)] += 1
    chosen = [parts[name].iloc[_evenly(len(parts[name]), share)] for name, share in shares.items()]
    return pd.concat(chosen) if chosen else table.iloc[:0]


def _evenly(length: int, number: int) -> list[int]:
    """Return `number` positions in the middles of equal parts of range(length)."""
    return [int((i + 0.5) * length / number) for i in range(number)]


def count_class_pixels(data: DataSet, most: int | None = None) -> pd.DataFrame:
    """Count the pixels of every class in every mask: the one pass over masks that the tables below share.

    Returns int64 counts, one row per id and one column per class, the last `(void)`. `most` limits the pass to a
    sample that is spread over strata. FoldsegError when there are no masks.
    """
    labels = data.labels
    table = data.samples[data.samples["mask"] != ""]
    if table.empty:
        raise FoldsegError(f"{data.root}: has no masks")
    table = table if most is None else spread(table, most)
    names = pd.Index([*labels.names, VOID_COLUMN], name="class")
    return pd.DataFrame(
        count_mask_pixels(table, data.root, labels, data.pictures), pd.Index(table["id"], name="id"), names
    )


def class_presence(pixels: pd.DataFrame) -> pd.DataFrame:
    """From `count_class_pixels`: whether a class occurs in an image, as bool of the same shape."""
    return pixels > 0


def class_table(pixels: pd.DataFrame) -> pd.DataFrame:
    """Summarise `count_class_pixels` per class.

    Columns: `pixel_share` of all labelled pixels (of all pixels for `(void)`), `images` that have the class,
    `image_share`, `share_where_present` (mean share of an image's pixels among the images that have it).
    """
    labelled = pixels.drop(columns=VOID_COLUMN)
    share = pixels.sum() / max(1, int(labelled.to_numpy().sum()))
    share[VOID_COLUMN] = pixels[VOID_COLUMN].sum() / int(pixels.to_numpy().sum())
    present = class_presence(pixels)
    within = pixels.div(pixels.sum(axis=1), axis=0).where(present)
    return pd.DataFrame(
        {
            "pixel_share": share,
            "images": present.sum(),
            "image_share": present.mean(),
            "share_where_present": within.mean(),
        }
    )


def classes_per_image(pixels: pd.DataFrame) -> "pd.Series[int]":
    """From `count_class_pixels`: number of images that have 0, 1, 2, ... classes (void is none)."""
    number = class_presence(pixels.drop(columns=VOID_COLUMN)).sum(axis=1)
    return number.value_counts().sort_index().rename_axis("classes").rename("images")


def fold_table(data: DataSet) -> pd.DataFrame:
    """Images per stratum (rows) and fold (columns), with the number of groups and the sums of both."""
    folds = data.folded
    counts = pd.crosstab(folds["stratum"], folds["fold"])
    counts.columns = pd.Index([f"fold {name}" for name in counts.columns])
    groups = folds.groupby("stratum")["group"].nunique()
    counts = counts.assign(images=counts.sum(axis=1), groups=groups)
    return pd.concat([counts, counts.sum().to_frame("all").T]).rename_axis("stratum")


def split_table(data: DataSet) -> pd.DataFrame:
    """Images, images with a mask, groups and strata of every official split."""
    by_split = data.samples.assign(with_mask=lambda t: t["mask"] != "").groupby("split")
    return by_split.agg(
        images=("id", "size"),
        with_mask=("with_mask", "sum"),
        groups=("group", "nunique"),
        strata=("stratum", "nunique"),
    )


def size_table(data: DataSet) -> pd.DataFrame:
    """Images per split, height and width in pixels, read from the files' headers; most frequent first.

    Checks on the way that every file is there and whole, and that masks are of their images' size (FoldsegError).
    """
    counts = data.sizes.groupby(["split", "height", "width"]).size().rename("images").reset_index()
    return counts.sort_values("images", ascending=False, ignore_index=True)


def leaks(data: DataSet) -> Leaks:
    """Look for ids, groups and places that the folds of the folds file share with each other or with the test images.

    This reads every image once.
    """
    return find_fold_leaks(data, data.folded)


def closest_pairs(data: DataSet, found: Leaks, number: int = 4, border: str = "folds") -> Figure:
    """Draw the `number` most similar pairs across a border (`folds` or `test`), whether they are alike or not.

    Pairs that show one of the same two groups are drawn once, so that a standing car does not fill the picture.
    """
    table = data.samples.set_index("id")
    rows: list[list[Picture | None]] = []
    seen: set[frozenset[str]] = set()
    for row in found.nearest[found.nearest["border"] == border].to_dict("records"):
        ends = [(row["id"], row["side"]), (row["other"], row["other_side"])]
        groups = frozenset(str(table.loc[name, "group"]) for name, _ in ends)
        if groups not in seen and len(rows) < number:
            seen.add(groups)
            notes = f"similarity {row['similarity']:.2f}", "alike" if row["similarity"] >= SAME_PLACE else "not alike"
            images = [read_image(data.images[name], data.pictures) for name, _ in ends]
            titles = [f"{name} ({side})" for name, side in ends]
            rows.append([Picture(*parts) for parts in zip(images, titles, notes, strict=True)])
    if not rows:
        raise FoldsegError(f"{data.settings.folds}: there are no images on both sides of the border {border}")
    return picture_grid([[p for pair in rows[start : start + 2] for p in pair] for start in range(0, len(rows), 2)])


def example_frames(data: DataSet, number: int = 6, alpha: float = 0.55) -> Figure:
    """Draw frames spread over strata, two to a row: the frame and its mask over it; a legend of their classes."""
    labels = data.labels
    table = data.samples
    pictures: list[Picture | None] = []
    masks = []
    for row in spread(table[table["mask"] != ""], number).to_dict("records"):
        image = read_image(data.root / row["image"], data.pictures)
        mask = read_mask(data.root / row["mask"], labels, data.pictures)
        masks.append(mask)
        pictures += [
            Picture(image, row["id"]),
            Picture(overlay(image, mask, labels, alpha), f"stratum {row['stratum']}"),
        ]
    if not pictures:
        raise FoldsegError(f"{data.root}: has no masks")
    rows = [pictures[start : start + 4] for start in range(0, len(pictures), 4)]
    return picture_grid(rows, class_legend(labels, masks))
