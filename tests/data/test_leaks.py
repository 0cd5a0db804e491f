"""What crosses a border that it may not cross."""

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from command.line import CommandLine, Finished
from foldseg.config.schema import Data
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import find_fold_leaks, make_folds_file
from foldseg.data.leaks import find_leaks
from foldseg.errors import FoldsegError


def street(seed: int, zoom: float = 1.0) -> np.ndarray:
    """The middle of a picture of soft random shapes, enlarged: what a car sees that is so much further on."""
    rng = np.random.default_rng(seed)
    shapes = cv2.GaussianBlur(rng.normal(0, 1, (180, 240)).astype(np.float32), (0, 0), 6)
    picture = np.clip(128 + 60 * shapes / shapes.std(), 0, 255).astype(np.uint8)
    height, width = round(180 / zoom), round(240 / zoom)
    y, x = (180 - height) // 2, (240 - width) // 2
    return cv2.resize(picture[y : y + height, x : x + width], (240, 180), interpolation=cv2.INTER_CUBIC)


def table_of(root: Path, rows: list[tuple[str, str, str, int, float]]) -> pd.DataFrame:
    """(id, group, side, street, zoom) -> the table, its pictures written."""
    for name, _, _, seed, zoom in rows:
        cv2.imwrite(str(root / f"{name}.png"), street(seed, zoom))
    return pd.DataFrame([(n, f"{n}.png", g, s) for n, g, s, _, _ in rows], columns=["id", "image", "group", "side"])


CLEAN = [
    ("a", "g1", "fold 0", 1, 1.0),
    ("b", "g2", "fold 1", 2, 1.0),
    ("c", "g3", "fold 1", 3, 1.0),
    ("t", "g4", "test", 4, 1.0),
]


def test_where_nothing_is_shared_nothing_is_said(tmp_path: Path):
    leaks = find_leaks(table_of(tmp_path, CLEAN), tmp_path)
    assert not leaks and leaks.lines() == []
    assert leaks.counts().to_dict("list") == {"images": [3, 4], "alike": [0, 0], "ids": [0, 0], "groups": [0, 0]}
    # The nearest are known all the same: of every image, beyond both borders
    assert leaks.nearest.groupby("border")["id"].apply(sorted).to_dict() == {
        "folds": ["a", "b", "c"],
        "test": ["a", "b", "c", "t"],
    }
    assert leaks.nearest["similarity"].is_monotonic_decreasing


def test_the_same_street_in_two_folds_is_found_from_both_ends(tmp_path: Path):
    leaks = find_leaks(table_of(tmp_path, [*CLEAN, ("later", "g5", "fold 0", 2, 1.2)]), tmp_path)
    pairs = leaks.alike[["border", "id", "other", "side", "other_side"]].to_numpy().tolist()
    assert sorted(pairs) == [["folds", "b", "later", "fold 1", "fold 0"], ["folds", "later", "b", "fold 0", "fold 1"]]
    (line,) = leaks.lines()
    pair = r"\w+ \(fold \d\) and \w+ \(fold \d\), similarity 0\.\d\d"
    assert re.fullmatch(r"2 of 4 images look like one on the other side, between folds, e\.g\. " + pair, line)
    assert leaks.counts().loc["folds", "alike"] == 2


def test_frames_of_one_fold_may_be_alike(tmp_path: Path):
    assert not find_leaks(table_of(tmp_path, [*CLEAN, ("later", "g2", "fold 1", 2, 1.2)]), tmp_path)


def test_the_same_street_in_training_and_test_is_found(tmp_path: Path):
    leaks = find_leaks(table_of(tmp_path, [*CLEAN, ("later", "g5", "test", 3, 1.1)]), tmp_path)
    assert leaks.alike["border"].unique().tolist() == ["test"]
    assert {frozenset(pair) for pair in leaks.alike[["id", "other"]].to_numpy().tolist()} == {frozenset({"c", "later"})}
    assert "between training and test" in leaks.lines()[0]


def test_ids_and_groups_on_both_sides_are_named(tmp_path: Path):
    table = table_of(tmp_path, CLEAN)
    table.loc[table["id"] == "b", "group"] = "g1"  # with a, which is in another fold
    table.loc[table["id"] == "t", ["id", "group"]] = ["c", "g3"]
    leaks = find_leaks(table, tmp_path)
    assert leaks.shared.to_numpy().tolist() == [
        ["id", "c", "test", "fold 1, test"],
        ["group", "g1", "folds", "fold 0, fold 1"],
        ["group", "g3", "test", "fold 1, test"],
    ]
    assert leaks.lines() == [
        "1 group(s) are shared between folds: g1 (fold 0, fold 1)",
        "1 group(s) are shared between training and test: g3 (fold 1, test)",
        "1 id(s) are shared between training and test: c (fold 1, test)",
    ]


@pytest.fixture
def drives(tmp_path: Path) -> Data:
    """CamVid's layout: one drive, of which four groups of three neighbouring frames; two of them are in one street."""
    root = tmp_path / "camvid"
    frames = {"train": [], "val": [("V1_f00030", 50, 1.0)], "test": [("T1_f00030", 60, 1.0)]}
    for group, seed in enumerate([1, 1, 3, 4]):
        zooms = (1.0, 1.1, 1.22) if group != 1 else (1.1, 1.22, 1.3)
        frames["train"] += [(f"S1_f{1000 * group + 30 * i:05d}", seed, zoom) for i, zoom in enumerate(zooms)]
    for split, rows in frames.items():
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        (root / f"{split}.txt").write_text(
            "".join(f"/SegNet/CamVid/{split}/{name}.png {name}.png\n" for name, _, _ in rows)
        )
        for name, seed, zoom in rows:
            cv2.imwrite(str(root / split / f"{name}.png"), street(seed, zoom))
            cv2.imwrite(str(root / f"{split}annot" / f"{name}.png"), np.zeros((180, 240), np.uint8))
    settings = {"dataset": "camvid", "root": root, "folds": tmp_path / "folds.csv", "fold_count": 4}
    return Data.model_validate(settings)


def test_a_careless_division_is_found_and_a_careful_one_is_not(drives: Data):
    data = DataSet(drives)
    train = data.samples[data.samples["split"] == "train"].sort_values("id", ignore_index=True)
    careless = train.assign(fold=train.index % 3)
    found = find_fold_leaks(data, careless)
    assert found.counts().loc["folds"].to_dict() == {"images": 12, "alike": 12, "ids": 0, "groups": 4}
    by_street = train.assign(fold=train["id"].str[4].map({"0": 0, "1": 0, "2": 1, "3": 2}))
    assert not find_fold_leaks(data, by_street)


def test_make_folds_warns_of_a_place_that_two_groups_share(drives: Data, caplog: pytest.LogCaptureFixture):
    make_folds_file(drives)
    assert drives.folds.is_file()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    (warning,) = [message for message in warnings if message.startswith(str(drives.folds))]
    assert any("2 image(s) are exact copies of others" in message for message in warnings)
    assert re.search(
        r"folds\.csv: 6 of 12 images look like one on the other side, between folds, e\.g\. S1_f0", warning
    )


def test_strict_writes_nothing(drives: Data):
    with pytest.raises(FoldsegError, match=r"folds\.csv: is not written, because of what is shared:\n  6 of 12 images"):
        make_folds_file(drives, strict=True)
    assert not drives.folds.is_file()


def test_the_script_warns_or_fails(drives: Data, command_line: CommandLine, tmp_path: Path):
    config = tmp_path / "data.yaml"
    config.write_text(yaml.safe_dump({"data": drives.model_dump(mode="json")}))

    def run(*words: str) -> Finished:
        return command_line.run("folds", config, *words)

    strict = run("--strict")
    assert strict.status == 1 and not drives.folds.exists()
    assert "error: " in strict.stderr and "6 of 12 images look like one" in strict.stderr
    done = run()
    assert done.status == 0 and drives.folds.is_file()
    assert "6 of 12 images look like one" in done.stderr
