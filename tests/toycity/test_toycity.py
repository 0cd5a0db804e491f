"""The made-up street scenes: layout, determinism, labels, drives."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from foldseg.data.signate import SIGNATE_COLOURS
from toycity import generate_toy_city, write
from toycity.palette import COLOURS
from toycity.plan import plan_split
from toycity.render import render_frame
from toycity.scene import build_scene

TINY = {"width": 96, "height": 60}
SCORED = ("car", "pedestrian", "lane", "signal")


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy") / "city"
    generate_toy_city(root, **TINY, train_frames=12, test_frames=3, seed=5)
    return root


def test_classes_are_the_contests() -> None:
    assert list(COLOURS.items()) == list(SIGNATE_COLOURS.items())


def test_layout_is_the_contests(city: Path) -> None:
    expected = {"toy_city.json"} | {f"seg_test_images/test_{i:03d}.jpg" for i in range(3)}
    for i in range(12):
        expected.add(f"seg_train_images/train_{i:04d}.jpg")
        expected |= {f"seg_train_annotations/train_{i:04d}.{ending}" for ending in ("png", "json")}
    assert set(contents(city)) == expected
    assert not city.with_name("city.partial").exists()


def test_json_holds_the_tags(city: Path) -> None:
    for path in (city / "seg_train_annotations").glob("*.json"):
        tags = json.loads(path.read_text(encoding="utf-8"))
        assert set(tags) == {"attributes", "frameIndex"}
        assert set(tags["attributes"]) == {"route", "timeofday"}
        assert tags["attributes"]["route"] in {"Tokyo1", "Tokyo2", "Saitama"}
        assert tags["attributes"]["timeofday"] in {"morning", "day", "night"}
        assert type(tags["frameIndex"]) is int


def test_labels_hold_known_colours_and_all_scored_classes(city: Path) -> None:
    known, seen = set(SIGNATE_COLOURS.values()), set()
    for path in (city / "seg_train_annotations").glob("*.png"):
        truth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        image = cv2.imread(str(city / "seg_train_images" / f"{path.stem}.jpg"), cv2.IMREAD_UNCHANGED)
        assert truth.shape == image.shape == (60, 96, 3)
        assert truth.dtype == image.dtype == np.uint8
        seen |= {tuple(colour) for colour in np.unique(truth.reshape(-1, 3), axis=0)[:, ::-1].tolist()}
    assert seen <= known
    assert {SIGNATE_COLOURS[name] for name in SCORED} <= seen


def test_bytes_depend_on_the_seed_but_not_on_the_workers(city: Path, tmp_path: Path) -> None:
    generate_toy_city(tmp_path / "two", **TINY, train_frames=12, test_frames=3, seed=5, workers=2)
    assert contents(tmp_path / "two") == contents(city)
    generate_toy_city(tmp_path / "other", **TINY, train_frames=2, test_frames=1, seed=6)
    mine, other = contents(city), contents(tmp_path / "other")
    assert all(other[name] != mine[name] for name in other if name.endswith((".jpg", ".png")))


def test_a_frame_does_not_depend_on_those_made_before_it() -> None:
    later, labels = render_frame(build_scene(1, 0, 3, "Tokyo2", "night"), 2, (1, 0, 2, 3, 2), 96, 60)
    for step in range(3):
        again, labels_again = render_frame(build_scene(1, 0, 3, "Tokyo2", "night"), step, (1, 0, 2, 3, step), 96, 60)
    assert np.array_equal(later, again)
    assert np.array_equal(labels, labels_again)


@pytest.mark.parametrize("frames", [1, 4, 40, 60, 333])
def test_frames_come_in_runs(frames: int) -> None:
    plans = plan_split(0, 0, frames)
    assert [plan.number for plan in plans] == list(range(frames))
    last: dict[str, int] = {}
    for before, plan in zip([None, *plans], plans, strict=False):
        if before is not None and before.drive == plan.drive:
            assert (plan.route, plan.timeofday) == (before.route, before.timeofday)
            assert (plan.frame_index, plan.step) == (before.frame_index + 1, before.step + 1)
        else:
            assert plan.step == 0
            assert plan.frame_index - last.get(plan.route, -1000) >= 50
        last[plan.route] = plan.frame_index
    if frames >= 40:
        lengths = np.bincount([plan.drive for plan in plans])
        assert lengths.min() >= 4
        assert lengths.max() <= 6


def test_forty_frames_have_all_hours_of_the_main_routes() -> None:
    for seed in range(5):
        tags = {(plan.route, plan.timeofday) for plan in plan_split(seed, 0, 40)}
        hours = ("morning", "day", "night")
        assert {(route, hour) for route in ("Tokyo1", "Saitama") for hour in hours} <= tags
        assert "Tokyo2" in {route for route, _ in tags}


def test_neighbouring_frames_are_alike_and_runs_are_not() -> None:
    def labels(drive: int, step: int) -> np.ndarray:
        return render_frame(build_scene(0, 0, drive, "Tokyo1", "day"), step, (0, 0, 2, drive, step), 128, 80)[1]

    same = np.mean([(labels(drive, 0) == labels(drive, 1)).mean() for drive in range(4)])
    different = np.mean([(labels(drive, 0) == labels(drive + 1, 0)).mean() for drive in range(4)])
    assert same > different + 0.05


def test_a_scene_looks_the_same_at_any_size() -> None:
    scene = build_scene(0, 0, 1, "Saitama", "morning")
    small = render_frame(scene, 0, (0,), 128, 80)[1]
    large = render_frame(scene, 0, (0,), 512, 320)[1]
    assert (large[2::4, 2::4] == small).mean() > 0.9


def test_night_is_darker() -> None:
    means = {
        hour: render_frame(build_scene(0, 0, 0, "Tokyo1", hour), 0, (0,), 96, 60)[0].mean()
        for hour in ("morning", "day", "night")
    }
    assert means["night"] < 0.7 * min(means["morning"], means["day"])


def test_an_error_while_writing_leaves_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, written = tmp_path / "city", []

    def failing(path: Path, picture: np.ndarray) -> None:
        written.append(path)
        if len(written) == 3:
            raise OSError("disk full")
        path.write_bytes(b"")

    with monkeypatch.context() as patch:
        patch.setattr(write, "_write_png", failing)
        with pytest.raises(OSError, match="disk full"):
            generate_toy_city(root, **TINY, train_frames=4, test_frames=0)
    assert len(written) == 3
    assert not root.exists()
    # What it left beside the root does not get into the next attempt.
    (tmp_path / "city.partial" / "stale.txt").write_text("old")
    generate_toy_city(root, **TINY, train_frames=1, test_frames=0)
    assert len(contents(root)) == 4
    assert not (tmp_path / "city.partial").exists()


def test_an_existing_root_is_refused(city: Path) -> None:
    before = contents(city)
    with pytest.raises(FileExistsError, match="exists already"):
        generate_toy_city(city, **TINY, train_frames=1, test_frames=0)
    assert contents(city) == before
