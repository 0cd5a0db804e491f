"""The whole way at a tiny size: what the demo leaves on disk is complete, consistent and can be recomputed."""

import shutil
from pathlib import Path

import cv2
import nbformat
import numpy as np
import orjson
import pandas as pd
import pytest
import yaml
from nbclient import NotebookClient

from command.line import CommandLine
from foldseg.config.schema import FullView, ResizedView, TilesView
from foldseg.data import signate
from foldseg.ensemble.blend import argmax
from foldseg.ensemble.members import find_members
from foldseg.ensemble.run import predict_ensemble
from foldseg.errors import FoldsegError
from foldseg.inference.run_stores import predict_run
from foldseg.inference.store import PredictionStore
from foldseg.runs.run_folder import RunFolder
from foldseg.scoring.counts import count_pixels
from foldseg.scoring.scores import score
from made_up_members import mean_of
from tiny_demo import REPOSITORY, TinyDemo

LABELS = signate.LABELS.select("scored")


def truth_of(demo: TinyDemo, name: str):
    from foldseg.data.mask_files import read_mask

    return read_mask(demo.root / "city/seg_train_annotations" / f"{name}.png", LABELS)


def test_every_oof_image_is_predicted_once_and_by_the_fold_that_did_not_see_it(demo: TinyDemo):
    folds = pd.read_csv(demo.root / "folds.csv").set_index("id")["fold"]
    for run in (demo.root / "runs").glob("*/fold_*"):
        ids = PredictionStore(run / "predictions/oof").metadata.ids
        assert sorted(ids) == sorted(folds.index[folds == RunFolder(run).fold])


def test_submission_holds_every_test_image_and_only_scored_categories(demo: TinyDemo):
    content = orjson.loads(demo.result.submission.read_bytes())
    assert list(content) == [f"test_{i:03d}.jpg" for i in range(4)]
    assert {category for image in content.values() for category in image} <= set(signate.SCORED)
    assert any("lane" in image for image in content.values())


def test_reported_scores_can_be_recomputed_from_the_stores(demo: TinyDemo):
    """From scratch: read the maps of the right fold, average, count, score."""
    members = find_members(demo.config)
    counts = []
    for row in members.oof.itertuples():
        stores = [s for part in members.sources("oof", int(row.fold)).values() for s in part]
        assert len(stores) == 3
        labels = argmax(mean_of([(store.read(row.id), 1.0) for store in stores]))
        counts.append(count_pixels(truth_of(demo, row.id), labels, len(LABELS)))
    recomputed = score("dataset_miou", np.stack(counts), LABELS).value
    assert recomputed == pytest.approx(demo.result.scores["oof"]["blend"]["dataset_miou"], abs=1e-9)


def test_oof_label_maps_give_the_final_score(demo: TinyDemo):
    folder = demo.result.folder / "oof"
    counts = []
    for file in sorted(folder.glob("*.png")):
        labels = LABELS.encode(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
        counts.append(count_pixels(truth_of(demo, file.stem), labels, len(LABELS)))
    final = list(demo.result.scores["oof"].values())[-1]
    assert score("dataset_miou", np.stack(counts), LABELS).value == pytest.approx(final["dataset_miou"], abs=1e-12)


def test_scores_have_every_stage_and_an_interval_around_the_value(demo: TinyDemo):
    table = demo.result.scores["oof"]
    assert list(table) == ["toy_full", "toy_crop", "toy_resized", "blend", "blend + clean_up"]
    for stage in table.values():
        low, high = stage["interval"]
        assert low <= stage["dataset_miou"] <= high
        assert list(stage["per_class"]) == LABELS.names
    assert "test" not in demo.result.scores  # the contest's test set has no masks


def test_the_ledger_has_a_row_and_an_empty_column_for_the_leaderboard(demo: TinyDemo):
    row = pd.read_csv(demo.root / "submissions/ledger.csv", keep_default_na=False).iloc[0]
    assert row["name"] == "toy"
    assert row["members"] == "toy_full*1 toy_crop*1 toy_resized*1"
    assert row["oof_low"] <= row["oof"] <= row["oof_high"]
    assert row["leaderboard"] == "" and row["test"] == ""


def test_blending_in_two_processes_changes_nothing(demo: TinyDemo):
    """Also: predicting the ensemble again reads the stores that are there."""
    before = {p: p.stat().st_mtime_ns for p in (demo.root / "runs").rglob("*.prob")}
    config = demo.ensemble("workers=2", "name=again")
    again = predict_ensemble(config)
    assert again.submission.read_bytes() == demo.result.submission.read_bytes()
    assert again.scores == demo.result.scores
    assert before == {p: p.stat().st_mtime_ns for p in (demo.root / "runs").rglob("*.prob")}


@pytest.fixture
def copied(demo: TinyDemo, tmp_path: Path) -> RunFolder:
    """A copy of a run, to be predicted in other views."""
    return RunFolder(Path(shutil.copytree(demo.root / "runs/toy_full/fold_0", tmp_path / "toy_full/fold_0")))


def test_a_finished_run_is_predicted_in_another_view_by_the_command(copied: RunFolder, command_line: CommandLine):
    before = {p: p.stat().st_mtime_ns for p in copied.predictions.rglob("*.prob")}
    view = "view.predict={kind: tiles, size: [32, 32], overlap: 0.5, merge: vote}"
    done = command_line.run("predict", copied.path, "--split", "oof", "--tta", "flip", view)
    assert done.status == 0, done.stderr
    own, other = (PredictionStore(copied.predictions / f"oof{part}-flip") for part in ("", "-tiles_32x32_0.5_vote"))
    other.require_complete()
    assert before.items() < {p: p.stat().st_mtime_ns for p in copied.predictions.rglob("*.prob")}.items()
    assert other.metadata.view.items() > {"kind": "tiles", "size": [32, 32], "overlap": 0.5, "merge": "vote"}.items()
    assert (own.metadata.ids, own.metadata.checkpoint) == (other.metadata.ids, other.metadata.checkpoint)
    votes = np.stack([other.read(name) for name in other.metadata.ids])
    plain = np.stack([own.read(name) for name in own.metadata.ids])
    assert (votes == 0).mean() > (plain == 0).mean()  # votes are all or nothing but where tiles disagree
    assert (votes.argmax(1) == plain.argmax(1)).mean() > 0.5


def test_the_gains_of_views_are_those_of_the_stores(demo: TinyDemo, copied: RunFolder, command_line: CommandLine):
    """The command scores plain, flip and both as their stores are scored, but for what rounding moves."""
    done = command_line.run("tta-gains", copied.path, "--tta", "flip")
    assert done.status == 0, done.stderr
    told = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines() if line.split()}
    assert {"plain", "flip", "all", "without:"} < set(told)
    for name, tta in (("plain", ()), ("all", ("flip",))):
        (store,) = predict_run(copied, ["oof"], tta)
        counts = [count_pixels(truth_of(demo, i), argmax(store.read(i)), len(LABELS)) for i in store.metadata.ids]
        value = score(copied.experiment.monitor, np.stack(counts), LABELS).value
        assert float(told[name]) == pytest.approx(value, abs=2e-3)


def test_another_name_for_the_same_pixels_gives_the_same_maps(copied: RunFolder):
    """Frames of 96x64 need no padding to a multiple of 32, nor resizing by 1; a tile of 96x64 is a frame."""
    same = FullView(kind="full", multiple=32), ResizedView(kind="resized", factor=1.0)
    for view in (*same, TilesView(kind="tiles", size=(64, 96))):
        (store,) = predict_run(copied, ["test"], view=view)
        own = PredictionStore(copied.predictions / "test")
        assert store.path != own.path
        for name in own.metadata.ids:
            assert np.abs(store.read(name).astype(int) - own.read(name)).max() <= 1


def test_tiles_that_the_network_cannot_take_are_refused(copied: RunFolder):
    with pytest.raises(FoldsegError, match=r"view\.predict\.size: \[40, 32\] should be multiples of 16"):
        predict_run(copied, ["test"], view=TilesView(kind="tiles", size=(40, 32)))


def test_crf_is_a_stage_of_its_own(demo: TinyDemo):
    pytest.importorskip("pydensecrf.densecrf")
    result = predict_ensemble(demo.ensemble("steps=[{kind: crf, iterations: 1}]", "name=crf", "tta=[]"))
    assert list(result.scores["oof"])[-1] == "blend + crf"
    assert result.scores["oof"]["blend + crf"] != result.scores["oof"]["blend"]


def test_weights_choose_between_members(demo: TinyDemo):
    """A member that outweighs the others by far decides alone."""
    members = "members=[{experiment: toy_full, weight: 1.0e+6}, {experiment: toy_crop}]"
    result = predict_ensemble(demo.ensemble(members, "steps=[]", "name=weighted"))
    table = result.scores["oof"]
    assert table["blend"]["dataset_miou"] == pytest.approx(table["toy_full"]["dataset_miou"], abs=2e-3)
    assert table["toy_full"] != table["toy_crop"]


@pytest.mark.parametrize("name", ["01_eda", "02_error_analysis"])
def test_notebooks_run_on_the_demo_and_are_committed_without_outputs(demo: TinyDemo, name: str, monkeypatch):
    path = REPOSITORY / f"notebooks/{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    data = demo.root / "data.yaml"
    toy = {"kind": "toy_city", "width": 96, "height": 64, "train_frames": 24, "test_frames": 4, "seed": 1}
    block = {"dataset": toy, "root": str(demo.root / "city"), "folds": str(demo.root / "folds.csv")}
    data.write_text(yaml.safe_dump({"data": block | {"fold_count": 2, "labels": "scored"}}))
    monkeypatch.setenv("FOLDSEG_DATA_CONFIG", str(data))
    monkeypatch.setenv("FOLDSEG_SOURCE", str(demo.result.folder))
    monkeypatch.setenv("FOLDSEG_ROOT", str(REPOSITORY))
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    pictures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) >= 2


def test_summary_picture_shows_every_variant(demo: TinyDemo):
    from foldseg.report.ensemble_picture import write_ensemble_picture

    path = Path(demo.root / "summary.png")
    write_ensemble_picture(demo.config, path, None)
    picture = cv2.imread(str(path))
    assert picture is not None and picture.shape[1] > 400
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
