"""Which frames show the same place: made-up streets, and CamVid's own neighbours where CamVid is there."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldseg.data import camvid, frame_similarity
from foldseg.data.frame_similarity import SAME_PLACE, compare_frames, describe_files, describe_frame, find_nearest
from foldseg.errors import FoldsegError

CAMVID = Path(__file__).parents[2] / "data" / "camvid"


def street(seed: int) -> np.ndarray:
    """A picture (360, 480) of soft random shapes, light above and dark below, as streets are."""
    rng = np.random.default_rng(seed)
    shapes = cv2.GaussianBlur(rng.normal(0, 1, (360, 480)).astype(np.float32), (0, 0), 12)
    light = np.linspace(60, -60, 360)[:, None]
    return np.clip(128 + light + 60 * shapes / shapes.std(), 0, 255).astype(np.uint8)


def part(picture: np.ndarray, zoom: float, left: float = 0.5, top: float = 0.5) -> np.ndarray:
    """A part of a picture, enlarged to its size; left and top from 0 to 1."""
    height, width = round(360 / zoom), round(480 / zoom)
    y, x = round((360 - height) * top), round((480 - width) * left)
    return cv2.resize(picture[y : y + height, x : x + width], (480, 360), interpolation=cv2.INTER_CUBIC)


def alike_by(first: np.ndarray, second: np.ndarray) -> float:
    return float(compare_frames(describe_frame(first)[None], describe_frame(second)[None])[0, 0])


def test_a_frame_is_like_itself_and_not_like_others():
    streets = np.stack([describe_frame(street(seed)) for seed in range(12)])
    table = compare_frames(streets, streets)
    assert np.diag(table) == pytest.approx(np.ones(12), abs=1e-5)
    assert table[~np.eye(12, dtype=bool)].max() < SAME_PLACE
    assert table == pytest.approx(table.T, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: np.clip(p * 0.6 + 20, 0, 255).astype(np.uint8),  # darker, with less contrast
        lambda p: np.clip(p + np.random.default_rng(0).normal(0, 8, p.shape), 0, 255).astype(np.uint8),
        lambda p: cv2.resize(p, (1936, 1216), interpolation=cv2.INTER_CUBIC),
        lambda p: part(p, 1.1),  # the car is further on
        lambda p: part(p, 1.3),
        lambda p: part(p, 1.22, left=0.0),  # and turns
        lambda p: part(p, 1.4, left=1.0),
    ],
)
def test_the_same_place_a_little_later_is_found(change):
    for seed in range(4):
        picture = street(seed)
        assert alike_by(picture, change(picture)) > SAME_PLACE
        assert alike_by(change(picture), picture) > SAME_PLACE  # from either end


def test_a_picture_of_one_colour_is_like_nothing():
    assert alike_by(np.full((90, 120), 7, np.uint8), street(0)) == 0


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_large_files_are_read_small_and_look_the_same(tmp_path: Path, suffix: str):
    paths = []
    for seed in range(3):
        paths.append(tmp_path / f"{seed}{suffix}")
        picture = cv2.resize(street(seed), (1936, 1216), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(paths[-1]), cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    found = describe_files(paths)
    assert found.shape == (3, 10, 1200)
    own = np.stack([describe_frame(street(seed)) for seed in range(3)])
    assert np.diag(compare_frames(found, own)).min() > 0.98


def test_a_damaged_file_is_named(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100))
    with pytest.raises(FoldsegError, match=r"a\.jpg: is cut short"):
        describe_files([tmp_path / "a.jpg"])


@given(seed=st.integers(0, 999), frames=st.integers(0, 12), sides=st.integers(1, 4))
def test_nearest_is_that_of_the_whole_table(seed: int, frames: int, sides: int):
    """Against the table of all pairs, though it is made in blocks of three."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(frames, 3, 5)).astype(np.float16)
    side = rng.integers(0, sides, frames)
    block, frame_similarity._BLOCK = frame_similarity._BLOCK, 3
    try:
        got = find_nearest(found, side)
    finally:
        frame_similarity._BLOCK = block
    table = np.where(side[:, None] != side, compare_frames(found, found), -np.inf) if frames else np.zeros((0, 1))
    for index in range(frames):
        if (side == side[index]).all():
            assert got.index[index] == -1
        else:
            assert got.similarity[index] == pytest.approx(table[index].max(), abs=1e-5)
            assert table[index, got.index[index]] == pytest.approx(table[index].max(), abs=1e-5)


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not there")
def test_camvids_neighbours_are_alike_and_its_streets_are_not():
    """Frames 1/15 s apart (val) all; a second apart (train) mostly; of other drives never."""
    table = camvid.scan(CAMVID)
    table = table.assign(drive=table["stratum"], number=table["id"].str.extract(r"_f?(\d+)$")[0].astype(int))
    val = table[table["split"] == "val"].sort_values("number").iloc[:12]
    train = table[(table["split"] == "train") & (table["drive"] == "0001TP")].sort_values("number").iloc[:20]
    other = table[table["drive"].isin(["Seq05VD", "0006R0"])].iloc[::12]
    chosen = pd.concat([val, train, other])
    found = describe_files([CAMVID / image for image in chosen["image"]])
    pairs = compare_frames(found, found)
    follows = np.flatnonzero(np.diff(chosen["number"]) > 0)
    ones = [i for i in follows if chosen["drive"].iloc[i] == chosen["drive"].iloc[i + 1]]
    clip = [i for i in ones if i < 11]
    second = [i for i in ones if 12 <= i < 31]
    assert len(clip) == 11 and min(pairs[i, i + 1] for i in clip) > SAME_PLACE + 0.2
    assert len(second) == 19 and np.mean([pairs[i, i + 1] > SAME_PLACE for i in second]) > 0.6
    apart = chosen["drive"].to_numpy()[:, None] != chosen["drive"].to_numpy()
    assert apart.sum() > 1000 and pairs[apart].max() < SAME_PLACE - 0.05
