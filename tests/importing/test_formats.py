"""Every format of the registry is recognised by itself alone, and imported to the same masks."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from foldseg.importing.annotation_formats import FORMATS, choose_format, find_formats
from foldseg.importing.importer import import_annotations
from importing.trees import COLOURS, TREES, read_mask, read_table, truth


def test_every_format_has_a_tree() -> None:
    assert set(TREES) == set(FORMATS)


@pytest.mark.parametrize("name", TREES)
def test_a_source_is_recognised_by_its_own_format_alone(tmp_path: Path, name: str) -> None:
    source = TREES[name](tmp_path)
    assert [entry.name for entry in find_formats(source)] == [name]
    assert choose_format(source).name == name


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_recognises_other_things(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.json").write_text("[]")
    (tmp_path / "b.json").write_text("")
    (tmp_path / "c.txt").write_text("x")
    paths = [tmp_path, *tmp_path.iterdir(), tmp_path / "none"]
    assert not any(FORMATS[name].recognises(path) for path in paths)


@pytest.mark.parametrize("name", TREES)
def test_masks_classes_and_splits(tmp_path: Path, name: str) -> None:
    source, out = TREES[name](tmp_path / "source"), tmp_path / "out"
    result = import_annotations(source, out)
    assert result.format == name
    rows = [row for row in read_table(out) if row["mask"]]
    assert len(rows) == result.with_mask
    by_shift = {0: 0, 5: 0}
    for row in rows:
        assert (out / row["image"]).is_file()
        mask = read_mask(out, row)
        for shift in by_shift:
            by_shift[shift] += int(np.array_equal(mask, truth(shift)))
    expected = {0: 2, 5: 2} if name == "roboflow" else {0: 1, 5: 1}
    if name == "coco":  # its rule for polygons leaves the right and lower edge out
        assert sum(by_shift.values()) == 0
        for row in rows:
            shift = 5 if row["split"] == "val" else 0
            edges = (read_mask(out, row) != truth(shift)) & (truth(shift) != 1)
            assert not edges.any()
    else:
        assert by_shift == expected
    stored = yaml.safe_load((out / "classes.yaml").read_text())
    assert stored["classes"] == result.classes
    if name not in ("ade20k", "mmsegmentation", "bdd100k", "bdd100k_drivable"):
        assert [entry["name"] for entry in result.classes] == ["background", "box", "disc"]
        assert [entry["ids"] for entry in result.classes] == [[0], [1], [2]]
    if name in ("cvat_xml", "cvat_masks", "supervisely", "mapillary"):
        assert [tuple(entry["color"]) for entry in result.classes] == list(COLOURS.values())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_splits_are_called_as_everywhere(tmp_path: Path) -> None:
    splits = {}
    for name in ("coco", "roboflow", "ade20k", "bdd100k", "mapillary", "nnunet", "mmsegmentation", "cvat_masks"):
        result = import_annotations(TREES[name](tmp_path / name), tmp_path / f"{name}_out")
        splits[name] = result.splits
    assert splits == {
        "coco": {"train": 1, "val": 1},
        "roboflow": {"train": 2, "val": 2},
        "ade20k": {"train": 1, "val": 1},
        "bdd100k": {"train": 1, "val": 1, "test": 1},
        "mapillary": {"train": 1, "val": 1, "test": 1},
        "nnunet": {"train": 2, "test": 1},
        "mmsegmentation": {"train": 1, "val": 1},
        "cvat_masks": {"train": 1, "val": 1},
    }
