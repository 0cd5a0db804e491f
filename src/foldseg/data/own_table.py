"""Images in a CSV or Parquet file, with masks as files or as run lengths. See `config.schema.Table`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from foldseg.config.schema import Data, Table
from foldseg.data.drawn_masks import MaskPart, MaskParts, draw_masks, get_drawn_folder
from foldseg.data.own_classes import list_classes, make_label_set
from foldseg.data.own_ids import drop_picture_suffix, make_safe_ids
from foldseg.data.own_paths import relative_to_root
from foldseg.data.patterns import Match, compile_patterns, find_matches
from foldseg.data.samples import build_samples_table, quote, require_folder, shorten
from foldseg.errors import FoldsegError
from foldseg.notices import say_once
from foldseg.table_files import read_table

TRAIN, TEST = "train", "test"
_FIELDS = ("image", "mask", "split", "group", "stratum")
"""Columns that say the same in all rows of an image."""


def scan(data: Data) -> pd.DataFrame:
    """Return the samples table of images in a table.

    FoldsegError if the table or a column is missing, if rows contradict each other, and if run lengths do not fit the
    size of their image.
    """
    settings, root = data.dataset, data.root
    assert isinstance(settings, Table)
    require_folder(root)
    path = root / settings.file
    rows = _read_rows(path, settings)
    images = _collect_images(rows, path)
    matches = _find_images(settings, settings.images, root)
    tests = _find_images(settings, settings.test_images, root)
    image_of_name = _locate_images(images, matches, path, settings)
    names = [*image_of_name, *tests]
    repeated = sorted(set(image_of_name) & set(tests))
    if repeated:
        raise FoldsegError(f"{path}: {len(repeated)} id(s) are also those of test images: {shorten(repeated)}")
    ids = make_safe_ids(names, str(path))
    masks = _find_masks(rows, images, image_of_name, ids, data)
    samples = []
    for name, image in image_of_name.items():
        fields = images.get(name, {})
        group, stratum = fields.get("group") or ids[name], fields.get("stratum", "")
        samples.append((ids[name], image, masks.get(name, ""), fields.get("split") or TRAIN, group, stratum))
    for name, match in tests.items():
        samples.append((ids[name], relative_to_root(match.path, root), "", TEST, ids[name], ""))
    return build_samples_table(samples, path)


def _read_rows(path: Path, settings: Table) -> pd.DataFrame:
    """Return the table with our names of columns: id, and those of label, runs and `_FIELDS` that it has."""
    table = read_table(path)
    columns = settings.columns
    rows = pd.DataFrame(index=table.index)
    if columns.id_and_label is not None:
        both = _get_column(table, columns.id_and_label, "id_and_label", path).str.rpartition("_")
        undivided = table.index[both[1] == ""]
        if len(undivided):
            value = str(both.loc[undivided[0], 2])
            raise FoldsegError(f"{path}: {quote(value)} has no underscore between an id and a label")
        rows["id"], rows["label"] = both[0], both[2]
    for name in ("id", "label", "runs", *_FIELDS):
        column = getattr(columns, name)
        if column is None and (name == "runs" or name in rows or name not in table.columns):
            continue
        rows[name] = _get_column(table, column or name, name, path)
    if "id" not in rows and "image" not in rows:
        raise FoldsegError(
            f"{path}: which column has the ids is not known; it has {', '.join(table.columns)}. Set "
            "data.dataset.columns.id"
        )
    if "id" not in rows:
        rows["id"] = rows["image"].map(lambda image: drop_picture_suffix(Path(str(image)).name))
    rows["id"] = rows["id"].map(lambda name: drop_picture_suffix(str(name)))
    if (rows["id"] == "").any():
        raise FoldsegError(f"{path}: row {int((rows['id'] == '').to_numpy().argmax()) + 1} has no id")
    return rows


def _get_column(table: pd.DataFrame, column: str, key: str, path: Path) -> pd.Series:
    if column.strip() not in table.columns:
        raise FoldsegError(
            f"{path}: has no column {quote(column)} (data.dataset.columns.{key}); it has {', '.join(table.columns)}"
        )
    return table[column.strip()]


def _collect_images(rows: pd.DataFrame, path: Path) -> dict[str, dict[str, str]]:
    """Return the fields of each image by id. FoldsegError if rows of one image contradict each other."""
    fields = [name for name in _FIELDS if name in rows]
    unique = rows[["id", *fields]].drop_duplicates()
    contradicting = unique["id"][unique["id"].duplicated()].unique().tolist()
    if contradicting:
        of_first = unique[unique["id"] == contradicting[0]]
        column = next(name for name in fields if of_first[name].nunique() > 1)
        values = " and ".join(map(quote, of_first[column].unique()[:2]))
        raise FoldsegError(
            f"{path}: rows of one image contradict each other: {contradicting[0]} has the {column} {values} "
            f"({len(contradicting)} such image(s))"
        )
    return {row["id"]: row for row in unique.to_dict("records")}  # type: ignore[misc]


def _find_images(settings: Table, patterns: tuple[str, ...], root: Path) -> dict[str, Match]:
    """Return the images that patterns find, by the id without the suffix of a picture."""
    key = "data.dataset.images"
    found = find_matches(root, compile_patterns(patterns, key, settings.id), get_drawn_folder(settings, root))
    images: dict[str, Match] = {}
    for match in found:
        name = drop_picture_suffix(match.fields["id"])
        if name in images:
            raise FoldsegError(f"{key}: {images[name].path} and {match.path} have one id, {name}; rename one of them")
        images[name] = match
    if patterns and not images:
        raise FoldsegError(f"{key}: no image below {root} is like {' or '.join(patterns)}")
    return images


def _locate_images(
    images: Mapping[str, Mapping[str, str]], matches: Mapping[str, Match], path: Path, settings: Table
) -> dict[str, str]:
    """Return the path of each image, relative to the root, by id.

    With run lengths, images without a row are taken, too: their masks are empty.
    """
    root = path.parents[len(Path(settings.file).parts) - 1]
    if not settings.images:
        without = [name for name, fields in images.items() if not fields.get("image")]
        if without:
            raise FoldsegError(
                f"{path}: {len(without)} image(s) have no path: {shorten(without)}; name the column that has it "
                "(data.dataset.columns.image), or say where images lie (data.dataset.images: 'folder/{id}.jpg')"
            )
        return {name: str(fields["image"]).replace("\\", "/") for name, fields in images.items()}
    unknown = [name for name in images if name not in matches]
    if unknown:
        raise FoldsegError(
            f"{path}: {len(unknown)} of its {len(images)} image(s) are not like {' or '.join(settings.images)} below "
            f"{root}: {shorten(unknown)}"
        )
    without_row = [name for name in matches if name not in images]
    if without_row and settings.draws_masks:
        say_once(f"{path}: {len(without_row)} image(s) have no row, so their masks are empty: {shorten(without_row)}")
    elif without_row:
        say_once(f"{path}: {len(without_row)} image(s) have no row and are passed over: {shorten(without_row)}")
    names = matches if settings.draws_masks else images
    return {name: relative_to_root(matches[name].path, root) for name in names}


@dataclass(frozen=True)
class _ClassFinder:
    """Finds the class of a row by its label."""

    index_of_label: Mapping[str, int]
    only_index: int | None
    """The class of rows without a label; None if there are several."""

    @staticmethod
    def of(settings: Table) -> "_ClassFinder":
        classes = list_classes(settings)
        index_of_label = {entry.label or entry.name: index for index, entry in enumerate(classes)}
        named = [index for index, entry in enumerate(classes) if entry.name.lower() != "background"]
        return _ClassFinder(index_of_label, named[0] if len(named) == 1 else None)

    def find(self, label: str | None, path: Path, row: int) -> int:
        """Return the index of a row's class. FoldsegError if it is not known."""
        if label is None:
            if self.only_index is None:
                raise FoldsegError(
                    f"{path}: which class a row is of is not known; name the column (data.dataset.columns.label or "
                    "id_and_label)"
                )
            return self.only_index
        if label not in self.index_of_label:
            raise FoldsegError(
                f"{path}: row {row}: there is no class {quote(label)}; labels are {', '.join(self.index_of_label)} "
                "(data.dataset.classes, or `label` of a class)"
            )
        return self.index_of_label[label]


def _find_masks(
    rows: pd.DataFrame,
    images: Mapping[str, Mapping[str, str]],
    image_of_name: Mapping[str, str],
    ids: Mapping[str, str],
    data: Data,
) -> dict[str, str]:
    """Return the mask of each image, relative to the root, by name. Run lengths are drawn."""
    settings, root = data.dataset, data.root
    assert isinstance(settings, Table)
    if not settings.draws_masks:
        return {name: str(fields.get("mask", "")).replace("\\", "/") for name, fields in images.items()}
    path = root / settings.file
    finder = _ClassFinder.of(settings)
    labels = rows["label"] if "label" in rows else [None] * len(rows)
    parts: dict[str, list[MaskPart]] = {name: [] for name in image_of_name}
    for number, (name, label, runs) in enumerate(zip(rows["id"], labels, rows["runs"], strict=True), 1):
        index = finder.find(label, path, number)
        parts[name].append(MaskPart(index, runs, f"{path}: row {number} ({name})"))
    to_draw = []
    for name, image in image_of_name.items():
        if images.get(name, {}).get("split") != TEST:
            to_draw.append(MaskParts(ids[name], root / image, tuple(parts[name])))
    drawn = draw_masks(to_draw, settings, make_label_set(settings), root, data.pictures, settings.run_lengths)
    return {name: relative_to_root(drawn[ids[name]], root) for name in image_of_name if ids[name] in drawn}
