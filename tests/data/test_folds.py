"""Folds: complete, disjoint, group-safe, the same for ever; and what is said of a file that is not."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldseg.data.folds import (
    FOLD_COLUMNS,
    count_images_per_fold,
    describe_unevenness,
    format_folds,
    load_folds,
    make_folds,
)
from foldseg.errors import FoldsegError

COMMITTED = Path(__file__).parents[2] / "folds" / "camvid_5fold.csv"


def samples(groups: int, size: int = 3, strata: int = 2) -> pd.DataFrame:
    """Groups of `size` images each; group g has stratum g % strata."""
    rows = [(f"im{g:03d}_{i}", f"g{g:03d}", f"s{g % strata}") for g in range(groups) for i in range(size)]
    return pd.DataFrame(rows, columns=["id", "group", "stratum"], dtype="str").assign(split="train", image="", mask="")


@pytest.fixture
def table() -> pd.DataFrame:
    return samples(20)


@given(groups=st.integers(5, 25), size=st.integers(1, 4), count=st.integers(2, 5), seed=st.integers(0, 9))
def test_folds_are_complete_disjoint_and_group_safe(groups: int, size: int, count: int, seed: int) -> None:
    """Defect 34: frames of one drive were spread over folds."""
    given_table = samples(groups, size, strata=1)
    folds = make_folds(given_table, count, seed)
    assert sorted(folds["id"]) == sorted(given_table["id"])  # every image once
    assert set(folds["fold"]) == set(range(count))
    assert (folds.groupby("group")["fold"].nunique() == 1).all()


def test_folds_depend_on_nothing_but_table_count_and_seed(table: pd.DataFrame) -> None:
    np.random.seed(1)  # noqa: NPY002  (a state that must not matter)
    first = make_folds(table, 5, 3)
    np.random.seed(2)  # noqa: NPY002
    assert make_folds(table.sample(frac=1, random_state=4), 5, 3).equals(first)
    assert not make_folds(table, 5, 4).equals(first)


def test_strata_and_sizes_are_balanced(table: pd.DataFrame) -> None:
    counts = make_folds(table, 5, 0).groupby(["fold", "stratum"]).size()
    # 10 groups of 3 images in each of 2 strata, 5 folds: 6 images of each stratum in each fold
    assert counts.tolist() == [6] * 10


@pytest.mark.parametrize("seed", range(3))
def test_strata_that_are_all_smaller_than_the_folds_count_as_one(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Twelve drives of two frames, each on a route of its own: scikit-learn raises a ValueError about "classes"."""
    folds = make_folds(samples(12, size=2, strata=12), 3, seed)
    assert count_images_per_fold(folds) == [8, 8, 8]
    assert "each of the 12 strata has fewer than 3 images; they are taken as one" in caplog.text


@given(
    sizes=st.lists(st.integers(1, 12), min_size=2, max_size=9),
    strata=st.integers(1, 9),
    count=st.integers(2, 9),
    seed=st.integers(0, 3),
)
def test_no_fold_is_empty_however_uneven_groups_are(sizes: list[int], strata: int, count: int, seed: int) -> None:
    rows = [(f"g{g}", f"s{g % strata}") for g, size in enumerate(sizes) for _ in range(size)]
    table = pd.DataFrame(rows, columns=["group", "stratum"]).assign(id=[f"i{n:03d}" for n in range(len(rows))])
    count = min(count, len(sizes))
    folds = make_folds(table, count, seed)
    assert sorted(folds["fold"].unique()) == list(range(count))
    assert (folds.groupby("group")["fold"].nunique() == 1).all()
    assert sorted(folds["id"]) == sorted(table["id"])


@pytest.mark.parametrize(
    ("sizes", "folds", "says"),
    [
        ([10, 10, 10, 14], 4, ""),
        ([40, 4, 4], 3, "40, 4, 4 images, since group g0 alone has 40 of 48; no number of folds would be even"),
        ([20, 8, 8, 4], 4, r"20, 8, 8, 4 images, since group g0 alone has 20 of 40; data\.fold_count=2 is the most"),
        ([9, 9, 2], 3, r"9, 9, 2 images, since group g0 alone has 9 of 20; data\.fold_count=2 is the most"),
    ],
)
def test_uneven_folds_are_explained(sizes: list[int], folds: int, says: str) -> None:
    rows = [(fold, f"g{fold}") for fold, size in enumerate(sizes) for _ in range(size)]
    found = describe_unevenness(pd.DataFrame(rows, columns=["fold", "group"]))
    assert re.search(says, found) if says else found == ""


def test_a_stratum_that_is_smaller_than_the_folds_does_not_matter_beside_a_larger_one() -> None:
    rare = samples(1).assign(group="rare", stratum="x", id=["a", "b", "c"])
    folds = make_folds(pd.concat([samples(12, strata=1), rare]), 5, 0)
    assert set(folds["fold"]) == {0, 1, 2, 3, 4}
    assert (folds.groupby("group")["fold"].nunique() == 1).all()


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(
        FoldsegError, match=r"4 group\(s\) \(g000, .*\) cannot be .* into 5 folds .*; data\.fold_count can be 4"
    ):
        make_folds(samples(4), 5, 0)


def test_a_saved_file_loads_back_equal(table: pd.DataFrame, tmp_path: Path) -> None:
    folds = make_folds(table, 5, 0)
    (tmp_path / "f.csv").write_text(format_folds(folds))
    assert load_folds(tmp_path / "f.csv", table).equals(folds)


def test_ids_that_look_like_numbers_and_nothing_stay_strings(tmp_path: Path) -> None:
    rows = [("007", "1e3", "NA"), ("008", "2", ""), ("nan", "3", "null")]
    table = pd.DataFrame(rows, columns=["id", "group", "stratum"], dtype="str")
    (tmp_path / "f.csv").write_text(format_folds(table.assign(fold=[0, 1, 1])))
    loaded = load_folds(tmp_path / "f.csv", table)
    assert loaded[["id", "group", "stratum"]].to_numpy().tolist() == [list(row) for row in rows]


def edited(folds: pd.DataFrame, **cells: object) -> pd.DataFrame:
    """Change the first row."""
    folds = folds.copy()
    for column, value in cells.items():
        folds.loc[folds.index[0], column] = value
    return folds


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.iloc[1:], r"1 image\(s\) have no fold: im000_0"),
        (lambda f: edited(f, id="stranger"), r"im000_0; 1 id\(s\) are not in the data: stranger"),
        (lambda f: pd.concat([f, f.iloc[:1]]), r"1 id\(s\) are in it twice: im000_0"),
        (lambda f: edited(f, fold=(f["fold"][0] + 1) % 5), r"1 group\(s\) of the file are divided .*: g000"),
        (lambda f: edited(f, fold=(f["fold"][0] + 1) % 5, group="new"), r"group\(s\) of the data are divided .*: g000"),
        (lambda f: f.assign(fold=f["fold"].replace(2, 7)), r"numbered 0, 1, 2, \.\.\.; found 0, 1, 3, 4, 7"),
        (lambda f: f.assign(fold=f["fold"] + 1), r"numbered 0, 1, 2, \.\.\.; found 1, 2, 3, 4, 5"),
        (lambda f: f.assign(fold=0), "should be numbered"),
        (
            lambda f: f.assign(fold=f["fold"] + 0.5),
            r"the fold of 'im000_0' is '\d\.5'; expected fold being whole numbers",
        ),
        (lambda f: edited(f.astype({"fold": "str"}), fold="x"), "fold being whole numbers"),
        (lambda f: f.rename(columns={"group": "drive"}), "should have the columns id, fold, group, stratum"),
        (lambda f: f.drop(columns="stratum"), "should have the columns id, fold, group, stratum"),
    ],
)
def test_a_wrong_file_is_explained(table: pd.DataFrame, tmp_path: Path, change: object, says: str) -> None:
    change(make_folds(table, 5, 0)).to_csv(tmp_path / "f.csv", index=False)  # type: ignore[operator]
    with pytest.raises(FoldsegError, match=rf"f\.csv: .*{says}"):
        load_folds(tmp_path / "f.csv", table)


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n\x00\x00\xff", b'id,fold\n"a,0\n', b"id,fold,group,stratum\na,0,g,s,5,6\n"]
)
def test_a_file_that_is_no_such_csv_is_named(table: pd.DataFrame, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(
        FoldsegError, match=r"f\.csv: (is not text|is not a CSV|should have the columns|has rows of more)"
    ):
        load_folds(tmp_path / "f.csv", table)


def test_a_missing_file_is_named(table: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"f\.csv: no such folds file; make it with foldseg folds"):
        load_folds(tmp_path / "f.csv", table)


def test_the_committed_folds_never_divide_neighbouring_frames() -> None:
    """Two frames of one sequence that are less than a second (30 frames) apart show the same street."""
    folds = pd.read_csv(COMMITTED)
    assert list(folds.columns) == FOLD_COLUMNS
    parts = folds["id"].str.extract(r"^([^_]+)_f?(\d+)$")
    ordered = folds.assign(sequence=parts[0], number=parts[1].astype(int)).sort_values(["sequence", "number"])
    following = ordered.groupby("sequence")[["number", "fold"]].shift(-1)
    near = following["number"] - ordered["number"] <= 29
    divided = ordered[near & (following["fold"] != ordered["fold"])]
    assert divided["id"].tolist() == []
    assert (folds.groupby("group")["fold"].nunique() == 1).all()


def test_the_committed_folds_hold_the_official_train_frames() -> None:
    folds = pd.read_csv(COMMITTED)
    assert len(folds) == 367
    assert folds["id"].is_unique
    assert sorted(folds["fold"].unique()) == [0, 1, 2, 3, 4]
    assert folds["fold"].value_counts().between(60, 90).all()
