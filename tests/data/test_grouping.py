"""Groups, strata, exclusions and divisions that the settings give to any data set."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from foldseg.config.schema import Data
from foldseg.data.datasets import DataSet
from foldseg.data.folds import ONLY_TRAINED
from foldseg.data.folds_file import make_folds_file
from foldseg.data.grouping import join_groups
from foldseg.errors import FoldsegError


def write_set(root: Path, count: int = 12, alike: bool = False) -> None:
    """Write images `pP_N.png` of three patients and their masks: every second is empty, number 5 alone has class 2."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(exist_ok=True)
    for number in range(count):
        mask = np.zeros((32, 40), np.uint8)
        mask[:16] = number % 2
        if number == 5:
            mask[20:, :4] = 2
        seed = number // 2 if alike else number
        image = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), np.uint8)
        image = cv2.resize(image, (40, 32), interpolation=cv2.INTER_CUBIC)
        image[0, 0] = rng.integers(0, 256, 3)
        name = f"p{number % 3}_{number:02}.png"
        cv2.imwrite(str(root / "images" / name), image)
        cv2.imwrite(str(root / "masks" / name), mask)


def data_of(root: Path, **settings: Any) -> Data:
    files = {"train": {"images": "images/{id}.png", "masks": "masks/{id}.png"}}
    classes = [{"name": "background", "scored": False}, "salt", "gold"]
    dataset = {"kind": "folders", "classes": classes, "splits": files}
    content = {"dataset": dataset, "root": root, "folds": root / "folds.csv", "fold_count": 3, **settings}
    return Data.model_validate(content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_set(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "settings", [{"pattern": r"^(p\d)_"}, {"pattern": r"p\d"}, {"pattern": r"images/(p\d)", "of": "image"}]
)
def test_groups_follow_from_names(root: Path, settings: Any) -> None:
    data = DataSet(data_of(root, groups={"kind": "pattern", **settings}))
    assert data.samples["group"].tolist() == [name[:2] for name in data.samples["id"]]


def test_groups_and_strata_follow_from_a_table(root: Path) -> None:
    rows = [f"p{number % 3}_{number:02}.png;site{number % 3};{number % 2}" for number in range(12)]
    (root / "meta.csv").write_text("\n".join(["name;site;sex", *rows, "other;site9;1"]))
    table = {"kind": "column", "file": root / "meta.csv", "id": "name"}
    data = DataSet(data_of(root, groups={**table, "column": "site"}, strata={**table, "column": "sex"}))
    assert data.samples["group"].tolist() == [f"site{name[1]}" for name in data.samples["id"]]
    assert data.samples["stratum"].tolist() == [str(int(name[-2:]) % 2) for name in data.samples["id"]]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"groups": {"kind": "pattern", "pattern": "^(x)"}}, r"data\.groups\.pattern: .* is not in 12 of 12 ids"),
        ({"strata": {"kind": "column", "file": "meta.csv", "column": "site"}}, r"12 image\(s\) have no row"),
        ({"groups": {"kind": "column", "file": "meta.csv", "column": "town"}}, "has no column 'town'"),
        ({"exclude": "meta.csv"}, r"1 id\(s\) are not in the data: a"),
        ({"exclude": "no_id.csv"}, "needs a column id"),
        ({"division": {"kind": "groups", "validation": ["p9"]}}, "there is no group p9; there are p0_00"),
        ({"division": {"kind": "split", "validation": ["val"]}}, "has no split val"),
    ],
)
def test_what_settings_and_data_do_not_agree_on_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, settings: Any, says: str
) -> None:
    monkeypatch.chdir(root)
    (root / "meta.csv").write_text("id,site\na,x\n")
    (root / "no_id.csv").write_text("name\na\n")
    with pytest.raises(FoldsegError, match=says):
        make_folds_file(data_of(root, **settings))


def test_a_pattern_is_checked_when_settings_are_read(root: Path) -> None:
    for pattern, says in (("(", "no regular expression"), ("(a)(b)", "several groups in brackets")):
        with pytest.raises(ValueError, match=says):
            data_of(root, groups={"kind": "pattern", "pattern": pattern})


def test_excluded_images_are_gone_and_their_reasons_are_said(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "bad.csv").write_text("id,reason\np0_00,blurred\np1_01,blurred\np2_02,wrong mask\n")
    with caplog.at_level("INFO"):
        data = DataSet(data_of(root, exclude=root / "bad.csv"))
        assert len(data.samples) == 9
    assert "3 image(s) are excluded: 2 blurred, 1 wrong mask" in caplog.text


def test_images_that_look_alike_are_one_group(tmp_path: Path) -> None:
    write_set(tmp_path, alike=True)
    folds = make_folds_file(data_of(tmp_path, groups="alike")).set_index("id")
    pairs = [(f"p{n % 3}_{n:02}", f"p{(n + 1) % 3}_{n + 1:02}") for n in range(0, 12, 2)]
    assert all(folds.loc[a, "group"] == folds.loc[b, "group"] for a, b in pairs)
    assert folds["group"].nunique() == 6
    assert len(DataSet(data_of(tmp_path, groups="alike")).folded) == 12


def test_groups_of_the_data_are_joined_with_what_is_alike() -> None:
    groups = np.array([0, 0, 1, 2, 3])
    assert join_groups(groups, np.array([[1, 2]])).tolist() == [0, 0, 0, 1, 2]
    assert join_groups(groups, np.zeros((0, 2), np.intp)).tolist() == [0, 0, 1, 2, 3]


def test_strata_are_the_rarest_class_or_the_share_of_foreground(root: Path) -> None:
    by_class = make_folds_file(data_of(root, strata="classes", folds=root / "a.csv")).set_index("id")["stratum"]
    assert by_class["p2_05"] == "gold"
    assert by_class["p0_03"] == "salt"
    assert by_class["p0_00"] == "background"
    shares = {"kind": "foreground", "steps": 4}
    by_share = make_folds_file(data_of(root, strata=shares, folds=root / "b.csv")).set_index("id")["stratum"]
    assert by_share["p0_00"] == "0"
    assert by_share["p0_03"] == "3"


@pytest.mark.parametrize(
    ("division", "held_out"),
    [
        ({"kind": "groups", "validation": ["p1"]}, 4),
        ({"kind": "fraction", "share": 0.25}, 4),
        ({"kind": "fraction", "share": 0.7}, 8),
    ],
)
def test_a_hold_out_is_fold_0_and_the_others_are_only_trained_on(root: Path, division: Any, held_out: int) -> None:
    settings = data_of(root, groups={"kind": "pattern", "pattern": "^p."}, division=division)
    folds = make_folds_file(settings)
    assert folds["fold"].value_counts().to_dict() == {0: held_out, ONLY_TRAINED: 12 - held_out}
    data = DataSet(settings)
    assert data.folds == [0]
    assert len(data.folded) == 12
    assert pd.read_csv(root / "folds.csv")["fold"].min() == ONLY_TRAINED


def test_a_hold_out_does_not_divide_groups(root: Path) -> None:
    write_set(root / "val") if (root / "val").mkdir() is None else None
    splits = {
        "train": {"images": "images/{group}_{n}.png", "masks": "masks/{group}_{n}.png"},
        "val": {"images": "val/images/{group}_{n}.png", "masks": "val/masks/{group}_{n}.png"},
    }
    dataset = {"kind": "folders", "classes": ["background", "salt", "gold"], "splits": splits, "id": "{group}_{n}"}
    with pytest.raises(
        FoldsegError, match=r"3 group\(s\) would be trained and validated on: p0, p1, p2; .*groups=none"
    ):
        make_folds_file(data_of(root, dataset=dataset, division="split"))
    folds = make_folds_file(data_of(root, dataset=dataset, division="split", groups="none"))
    assert folds["fold"].value_counts().to_dict() == {ONLY_TRAINED: 12, 0: 12}


def test_official_splits_are_one_division(root: Path) -> None:
    write_set(root / "val") if (root / "val").mkdir() is None else None
    splits = {
        "train": {"images": "images/{id}.png", "masks": "masks/{id}.png"},
        "val": {"images": "val/images/{id}.png", "masks": "val/masks/{id}.png"},
    }
    dataset = {"kind": "folders", "classes": ["background", "salt", "gold"], "splits": splits}
    folds = make_folds_file(data_of(root, dataset=dataset, division="split"))
    assert folds["fold"].value_counts().to_dict() == {ONLY_TRAINED: 12, 0: 12}
    assert set(folds.loc[folds["fold"] == 0, "id"].str[:4]) == {"val_"}
