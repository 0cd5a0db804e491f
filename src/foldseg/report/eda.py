"""A first look at a data set: which classes, how many images of what, and what they look like."""

import math

import pandas as pd
from matplotlib.figure import Figure

from foldseg.data.channels import as_rgb
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import find_fold_leaks
from foldseg.data.frame_similarity import SAME_PLACE
from foldseg.data.leaks import Leaks
from foldseg.data.mask_files import read_mask
from foldseg.data.reading import read_image
from foldseg.data.samples import count_mask_pixels
from foldseg.deploy.drawing import overlay
from foldseg.errors import FoldsegError
from foldseg.report.figures import Picture, draw_picture_grid, make_class_legend

VOID_COLUMN = "(void)"
_IMAGE_PIXELS = "image_pixels"
"""Attribute of a table of overlapping classes, whose pixels do not sum to those of an image: pixels of each image."""


def select_spread(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """Return up to `number` rows that are spread over strata and, within a stratum, evenly over ids.

    Strata take turns, so that each has one row before any has two. The choice depends on the table alone.
    """
    parts = {str(name): part.sort_values("id") for name, part in table.groupby("stratum", sort=True)}
    shares = dict.fromkeys(parts, 0)
    for _ in range(min(number, len(table))):
        with_more_rows = [name for name in shares if shares[name] < len(parts[name])]
        smallest = min(with_more_rows, key=shares.__getitem__)
        shares[smallest] += 1
    selected = [parts[name].iloc[_spread_positions(len(parts[name]), share)] for name, share in shares.items()]
    return pd.concat(selected) if selected else table.iloc[:0]


def _spread_positions(length: int, number: int) -> list[int]:
    """Return `number` positions in the middles of equal parts of range(length)."""
    return [int((i + 0.5) * length / number) for i in range(number)]


def count_class_pixels(data: DataSet, most: int | None = None) -> pd.DataFrame:
    """Count the pixels of every class in every mask. Several of the tables below are made from these counts.

    Returns int64 counts with a row per id and a column per class, the last `(void)`. `most`: count only so many masks,
    spread over strata. FoldsegError if there are no masks.
    """
    labels = data.labels
    table = data.samples[data.samples["mask"] != ""]
    if table.empty:
        raise FoldsegError(f"{data.root}: has no masks")
    table = table if most is None else select_spread(table, most)
    names = pd.Index([*labels.names, VOID_COLUMN], name="class")
    counts = count_mask_pixels(table, data.root, labels, data.pictures)
    pixels = pd.DataFrame(counts, pd.Index(table["id"], name="id"), names)
    if labels.overlapping:
        pixels.attrs[_IMAGE_PIXELS] = [math.prod(data.size_of(name)) for name in table["id"]]
    return pixels


def _count_image_pixels(pixels: pd.DataFrame) -> "pd.Series[int]":
    """Return the number of pixels of each image. Of exclusive classes it is the sum of their pixels and of void."""
    if _IMAGE_PIXELS in pixels.attrs:
        return pd.Series(pixels.attrs[_IMAGE_PIXELS], pixels.index)
    return pixels.sum(axis=1)


def find_present_classes(pixels: pd.DataFrame) -> pd.DataFrame:
    """Return whether each class occurs in each image, as bool; `pixels`: from `count_class_pixels`."""
    return pixels > 0


def summarise_classes(pixels: pd.DataFrame) -> pd.DataFrame:
    """Return a row per class; `pixels`: from `count_class_pixels`.

    | column | meaning |
    | --- | --- |
    | `pixel_share` | share of all labelled pixels; of `(void)`, of all pixels |
    | `images` | number of images that have the class |
    | `image_share` | share of the images that have the class |
    | `share_where_present` | mean share of an image's pixels, over the images that have the class |
    """
    image_pixels = _count_image_pixels(pixels)
    total, void = int(image_pixels.sum()), int(pixels[VOID_COLUMN].sum())
    share = pixels.sum() / max(1, total - void)
    share[VOID_COLUMN] = void / total
    present = find_present_classes(pixels)
    within = pixels.div(image_pixels, axis=0).where(present)
    return pd.DataFrame(
        {
            "pixel_share": share,
            "images": present.sum(),
            "image_share": present.mean(),
            "share_where_present": within.mean(),
        }
    )


def count_classes_per_image(pixels: pd.DataFrame) -> "pd.Series[int]":
    """Return how many images have 0, 1, 2, ... classes besides void; `pixels`: from `count_class_pixels`."""
    number = find_present_classes(pixels.drop(columns=VOID_COLUMN)).sum(axis=1)
    return number.value_counts().sort_index().rename_axis("classes").rename("images")


def count_images_by_fold(data: DataSet) -> pd.DataFrame:
    """Return the number of images per stratum (rows) and fold (columns), with sums and the number of groups."""
    folds = data.folded
    counts = pd.crosstab(folds["stratum"], folds["fold"])
    counts.columns = pd.Index([f"fold {name}" for name in counts.columns])
    groups = folds.groupby("stratum")["group"].nunique()
    counts = counts.assign(images=counts.sum(axis=1), groups=groups)
    return pd.concat([counts, counts.sum().to_frame("all").T]).rename_axis("stratum")


def summarise_splits(data: DataSet) -> pd.DataFrame:
    """Return the number of images, images with a mask, groups and strata of every official split."""
    by_split = data.samples.assign(with_mask=lambda t: t["mask"] != "").groupby("split")
    return by_split.agg(
        images=("id", "size"),
        with_mask=("with_mask", "sum"),
        groups=("group", "nunique"),
        strata=("stratum", "nunique"),
    )


def count_images_by_size(data: DataSet) -> pd.DataFrame:
    """Return the number of images per split, height and width in pixels; the most frequent size comes first.

    Sizes are those of the files' headers. FoldsegError if a file is missing or damaged, or a mask has another size than
    its image.
    """
    counts = data.sizes.groupby(["split", "height", "width"]).size().rename("images").reset_index()
    return counts.sort_values("images", ascending=False, ignore_index=True)


def find_leaks(data: DataSet) -> Leaks:
    """Find ids, groups and places that folds share with each other or with the test images. It reads every image."""
    return find_fold_leaks(data, data.folded)


def draw_closest_pairs(data: DataSet, leaks: Leaks, number: int = 4, border: str = "folds") -> Figure:
    """Draw the `number` most similar pairs across a border, `folds` or `test`. They need not show the same place.

    Of pairs from the same two groups only the first is drawn, so that a standing car does not fill the picture.
    """
    group_of = data.samples.set_index("id")["group"].astype(str)
    pictures: list[Picture | None] = []
    drawn_groups: set[frozenset[str]] = set()
    for row in leaks.nearest[leaks.nearest["border"] == border].to_dict("records"):
        groups = frozenset((group_of[row["id"]], group_of[row["other"]]))
        if groups in drawn_groups or len(drawn_groups) == number:
            continue
        drawn_groups.add(groups)
        judgement = "alike" if row["similarity"] >= SAME_PLACE else "not alike"
        for name, side, note in (
            (row["id"], row["side"], f"similarity {row['similarity']:.2f}"),
            (row["other"], row["other_side"], judgement),
        ):
            pictures.append(Picture(as_rgb(read_image(data.images[name], data.pictures)), f"{name} ({side})", note))
    if not pictures:
        raise FoldsegError(f"{data.settings.folds}: there are no images on both sides of the border {border}")
    return draw_picture_grid([pictures[start : start + 4] for start in range(0, len(pictures), 4)])


def draw_examples(data: DataSet, number: int = 6, alpha: float = 0.55) -> Figure:
    """Draw frames that are spread over strata, two per row, each without and with its mask over it."""
    labels = data.labels
    table = data.samples
    pictures: list[Picture | None] = []
    masks = []
    for row in select_spread(table[table["mask"] != ""], number).to_dict("records"):
        image = as_rgb(read_image(data.root / row["image"], data.pictures))
        mask = read_mask(data.root / row["mask"], labels, data.pictures)
        masks.append(mask)
        pictures += [
            Picture(image, row["id"]),
            Picture(overlay(image, mask, labels, alpha), f"stratum {row['stratum']}"),
        ]
    if not pictures:
        raise FoldsegError(f"{data.root}: has no masks")
    rows = [pictures[start : start + 4] for start in range(0, len(pictures), 4)]
    return draw_picture_grid(rows, make_class_legend(labels, masks))
