"""Runs, stores and ensembles that are broken, foreign or interrupted: one clear error, nothing lost."""

import errno
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from command.line import CommandLine
from foldseg.config import load_experiment
from foldseg.ensemble.run import predict_ensemble
from foldseg.errors import FoldsegError
from foldseg.files import read_json, write_json
from foldseg.inference.run_stores import predict_run, store_of
from foldseg.report.oof_labels import open_oof
from foldseg.runs.run_folder import RunFolder
from foldseg.training.fit import train_fold
from tiny_demo import REPOSITORY, TinyDemo


@pytest.fixture
def copied(demo: TinyDemo, tmp_path: Path) -> Path:
    """A copy of the demo's runs, to be spoiled."""
    return Path(shutil.copytree(demo.root / "runs", tmp_path / "runs"))


def rewrite_config(run: Path, *keys: str, value: object) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    block = content
    for key in keys[:-1]:
        block = block[key]
    block[keys[-1]] = value
    (run / "config.yaml").write_text(yaml.safe_dump(content))


def test_checkpoint_of_another_encoder_is_named(copied: Path):
    run = copied / "toy_full/fold_0"
    rewrite_config(run, "model", "encoder", value="resnet18")
    shutil.rmtree(run / "predictions")
    with pytest.raises(FoldsegError, match=r"best\.ckpt: was saved by another network"):
        predict_run(RunFolder.open(run))


def test_class_count_that_does_not_fit_the_checkpoint_is_named(copied: Path):
    run = copied / "toy_full/fold_0"
    facts = read_json(run / "provenance.json")
    write_json(run / "provenance.json", {**facts, "classes": ["background", "car"]})
    shutil.rmtree(run / "predictions")
    with pytest.raises(FoldsegError, match=r"best\.ckpt: was trained on the classes .*signal.*the run says"):
        predict_run(RunFolder.open(run))


def test_damaged_checkpoint_is_named(copied: Path):
    run = RunFolder.open(copied / "toy_full/fold_0")
    run.best.write_bytes(run.best.read_bytes()[:1000])
    with pytest.raises(FoldsegError, match=r"best\.ckpt: is not a file of weights, or is damaged"):
        predict_run(run)


@pytest.mark.parametrize("file", ["config.yaml", "provenance.json", "checkpoints/best.ckpt", "summary.json"])
def test_half_written_run_is_named_with_the_way_on(copied: Path, demo: TinyDemo, file: str):
    (copied / "toy_crop/fold_1" / file).unlink()
    with pytest.raises(FoldsegError, match=rf"toy_crop/fold_1: the run is not finished.*{Path(file).name}"):
        predict_ensemble(demo.ensemble(f"runs={copied}"))


def test_missing_experiment_and_fold_are_named(copied: Path, demo: TinyDemo):
    shutil.rmtree(copied / "toy_crop/fold_1")
    with pytest.raises(FoldsegError, match="toy_crop/fold_1: no such run"):
        predict_ensemble(demo.ensemble(f"runs={copied}"))
    with pytest.raises(FoldsegError, match="toy_wide: no such experiment"):
        predict_ensemble(demo.ensemble(f"runs={copied}", "members=[{experiment: toy_wide}]"))


@pytest.mark.parametrize("verb", ["verify", "compare", "predict-images"])
def test_a_run_under_the_name_of_another_fold_is_refused(
    command_line: CommandLine, copied: Path, demo: TinyDemo, tmp_path: Path, verb: str
):
    """It would be counted twice, and the other fold's images not at all."""
    shutil.rmtree(copied / "toy_full/fold_1")
    shutil.copytree(copied / "toy_full/fold_0", copied / "toy_full/fold_1")
    more = {"compare": [copied / "toy_crop"], "predict-images": [demo.root / "city/seg_test_images", "--out"]}
    words = [copied / "toy_full", *more.get(verb, []), *([tmp_path / "out"] if verb == "predict-images" else [])]
    done = command_line.run(verb, *words)
    assert done.status == 1 and "fold_1: holds a run of fold 0; give it back the name fold_0" in done.stderr


def test_a_link_to_an_experiment_is_no_other_member(command_line: CommandLine, copied: Path, tmp_path: Path):
    (copied / "alias").symlink_to(copied / "toy_full")
    members = "members=[{experiment: toy_full}, {experiment: alias}]"
    words = f"runs={copied}", f"submissions={tmp_path / 'submissions'}", "steps=[]", members
    done = command_line.run("ensemble", "configs/ensembles/toy.yaml", *words)
    assert done.status == 1 and "members: alias and toy_full are the same predictions" in done.stderr


def test_members_with_other_classes_are_refused(copied: Path, demo: TinyDemo):
    for fold in (0, 1):
        run = copied / f"toy_crop/fold_{fold}"
        facts = read_json(run / "provenance.json")
        write_json(run / "provenance.json", {**facts, "classes": ["background", "car"]})
    with pytest.raises(FoldsegError, match=r"toy_crop/fold_0: predicts the classes background, car.*cannot be blended"):
        predict_ensemble(demo.ensemble(f"runs={copied}"))


def test_damaged_map_is_named(copied: Path, demo: TinyDemo):
    store = store_of(RunFolder.open(copied / "toy_full/fold_0"), "test", ["flip"])
    damaged = store.path / f"{store.metadata.ids[0]}.prob"
    damaged.write_bytes(damaged.read_bytes()[:50])
    with pytest.raises(FoldsegError, match=rf"{store.metadata.ids[0]}\.prob: is damaged"):
        predict_ensemble(demo.ensemble(f"runs={copied}", f"submissions={copied.parent / 'submissions'}"))


def test_only_missing_maps_are_predicted_again(copied: Path):
    run = RunFolder.open(copied / "toy_full/fold_0")
    store = store_of(run, "oof")
    files = sorted(store.path.glob("*.prob"))
    lost, content = files[0], files[0].read_bytes()
    lost.unlink()
    kept = {f: f.stat().st_mtime_ns for f in files[1:]}
    predict_run(run, ["oof"])
    assert lost.read_bytes() == content
    assert kept == {f: f.stat().st_mtime_ns for f in files[1:]}


def test_maps_of_an_older_checkpoint_are_replaced(copied: Path):
    run = RunFolder.open(copied / "toy_full/fold_0")
    content = torch.load(run.best, weights_only=True)
    content["state_dict"]["network.net.segmentation_head.0.bias"] += torch.arange(5.0)
    torch.save(content, run.best)
    store = store_of(run, "oof")
    before = {f.name: f.read_bytes() for f in store.path.glob("*.prob")}
    predict_run(RunFolder.open(run.path), ["oof"])
    after = {f.name: f.read_bytes() for f in store.path.glob("*.prob")}
    assert before.keys() == after.keys() and all(before[name] != after[name] for name in before)


def test_full_disk_while_predicting_names_the_file_and_keeps_what_is_there(copied: Path, monkeypatch):
    run = RunFolder.open(copied / "toy_full/fold_0")
    store = store_of(run, "oof")
    lost = sorted(store.path.glob("*.prob"))[0]
    lost.unlink()
    kept = sorted(p.name for p in store.path.iterdir())

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FoldsegError, match=rf"{lost.name}: could not be written: No space left on device"):
        predict_run(run, ["oof"])
    assert sorted(p.name for p in store.path.iterdir()) == kept


def test_killed_prediction_leaves_only_whole_maps_and_goes_on(command_line: CommandLine, copied: Path):
    run = copied / "toy_full/fold_0"
    reference = {f.name: f.read_bytes() for f in (run / "predictions/oof").glob("*.prob")}
    shutil.rmtree(run / "predictions")
    process = command_line.start("predict", run, "--split", "oof")
    deadline = time.monotonic() + 120
    while not list((run / "predictions").glob("oof/*.prob")):
        assert process.is_running() and time.monotonic() < deadline, "it should be killed while it predicts"
        time.sleep(0.005)
    process.kill()
    assert process.wait().status == -signal.SIGKILL
    some = {f.name: f.read_bytes() for f in (run / "predictions/oof").glob("*.prob")}
    assert all(reference[name] == content for name, content in some.items())
    (store,) = predict_run(RunFolder.open(run), ["oof"])
    store.require_complete()
    assert {f.name: f.read_bytes() for f in store.path.glob("*.prob")} == reference


def test_interrupted_training_exits_with_an_error_and_goes_on(
    command_line: CommandLine, demo: TinyDemo, tmp_path: Path
):
    """Ctrl+C in the real command."""
    config = [
        "configs/experiments/toy_full.yaml",
        "0",
        *demo.overrides,
        f"runs={tmp_path}",
        "schedule.epochs=60",
        "early_stopping=null",
    ]
    process = command_line.start("train", *config)
    run = RunFolder(tmp_path / "toy_full/fold_0")
    deadline = time.monotonic() + 120
    while not run.last.is_file():
        assert process.is_running() and time.monotonic() < deadline
        time.sleep(0.02)
    process.kill(signal.SIGINT, group=False)
    done = process.wait(60)
    assert done.status == 130
    assert "interrupted; the same command goes on" in done.stderr and "Traceback" not in done.stderr
    assert run.last.is_file() and not run.summary.is_file()
    with pytest.raises(FoldsegError, match="the run is not finished"):
        RunFolder.open(run.path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "configs/experiments/toy_fulll.yaml", "0"], "did you mean toy_full.yaml"),
        (["train", "configs/experiments/toy_full.yaml", "0", "batchsize=4"], "did you mean 'batch_size'"),
        (
            ["train", "configs/experiments/camvid_full.yaml", "0", "data.root=nowhere"],
            "nowhere: no such folder",
        ),
        (["predict", "runs/nothing/fold_0"], "runs/nothing/fold_0: no such run"),
        (["ensemble", "configs/ensembles/toy.yaml", "--workers", "0"], "workers (the command line)"),
        (["score", "configs/data/toy_city.yaml", "nothing.json"], "nothing.json: no such file or folder"),
    ],
)
def test_scripts_print_one_error_without_a_traceback_and_exit_with_1(
    command_line: CommandLine, arguments: list[str], message: str
):
    done = command_line.run(*arguments)
    assert done.status == 1
    assert message in done.stderr and "Traceback" not in done.stderr


def test_crf_that_is_not_installed_says_how_to_get_it_before_anything_is_read(demo: TinyDemo, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(FoldsegError, match="pip install pydensecrf2"):
        predict_ensemble(demo.ensemble("runs=nowhere", "steps=[crf]"))


def test_folds_that_have_changed_since_training_are_refused(copied: Path, demo: TinyDemo):
    """Otherwise a model would predict, as OOF, images that it was trained on."""
    folds = copied.parent / "folds.csv"
    table = pd.read_csv(demo.root / "folds.csv")
    table.assign(fold=1 - table["fold"]).to_csv(folds, index=False)
    for run in copied.glob("*/fold_*"):
        rewrite_config(run, "data", "folds", value=str(folds))
    with pytest.raises(FoldsegError, match="was trained on other images or another division into folds"):
        predict_ensemble(demo.ensemble(f"runs={copied}"))
    with pytest.raises(FoldsegError, match="was trained on other images or another division into folds"):
        predict_run(RunFolder.open(copied / "toy_full/fold_0"), ["oof"])


def test_data_that_has_moved_is_followed_by_the_same_command(copied: Path, demo: TinyDemo, tmp_path: Path):
    moved = shutil.copytree(demo.root / "city", tmp_path / "moved")
    overrides = [*demo.overrides, f"runs={copied}", f"data.root={moved}"]
    run = train_fold(load_experiment(REPOSITORY / "configs/experiments/toy_full.yaml", overrides), 0)
    assert run.experiment.data.root == moved
    assert RunFolder(run.path).experiment.data.root == moved


def test_a_truncated_test_image_is_found_before_training(demo: TinyDemo, tmp_path: Path):
    city = shutil.copytree(demo.root / "city", tmp_path / "city")
    spoiled = city / "seg_test_images/test_001.jpg"
    spoiled.write_bytes(spoiled.read_bytes()[:500])
    overrides = [*demo.overrides, f"runs={tmp_path}", f"data.root={city}"]
    with pytest.raises(FoldsegError, match=r"test_001\.jpg: is cut short"):
        train_fold(load_experiment(REPOSITORY / "configs/experiments/toy_full.yaml", overrides), 0)
    assert not (tmp_path / "toy_full/fold_0").exists()


def test_another_toy_city_than_asked_for_is_refused(demo: TinyDemo, tmp_path: Path):
    overrides = [*demo.overrides, f"runs={tmp_path}", "data.dataset.width=128"]
    with pytest.raises(FoldsegError, match=r"city: was built with width 96; the settings say width 128"):
        train_fold(load_experiment(REPOSITORY / "configs/experiments/toy_full.yaml", overrides), 0)


def test_merged_classes_cannot_be_handed_in_as_label_pngs(demo: TinyDemo):
    with pytest.raises(FoldsegError, match="label_png cannot say background, which stands for several classes"):
        predict_ensemble(demo.ensemble("submission=label_png", "name=png"))


def test_an_ensemble_that_was_killed_does_not_pass_for_a_finished_one(demo: TinyDemo, tmp_path: Path, monkeypatch):
    def killed(plan, task):
        raise KeyboardInterrupt

    monkeypatch.setattr("foldseg.ensemble.pass_folder.run_pass", killed)
    with pytest.raises(KeyboardInterrupt):
        predict_ensemble(demo.ensemble(f"submissions={tmp_path / 'submissions'}", "steps=[]"))
    with pytest.raises(FoldsegError, match="toy: is not finished"):
        open_oof(tmp_path / "submissions/toy")


def test_a_gpu_that_is_not_there_is_told(copied: Path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    shutil.rmtree(copied / "toy_full/fold_0/predictions")
    with pytest.raises(FoldsegError, match="device: gpu was asked for and none is found"):
        predict_run(RunFolder.open(copied / "toy_full/fold_0"), ["oof"], device="gpu")


def test_a_data_set_without_test_images_is_told_before_anything_is_blended(
    copied: Path, demo: TinyDemo, tmp_path: Path
):
    city = shutil.copytree(demo.root / "city", tmp_path / "city")
    for image in (city / "seg_test_images").glob("*.jpg"):
        image.unlink()
    for run in copied.glob("*/fold_*"):
        rewrite_config(run, "data", "root", value=str(city))
    with pytest.raises(FoldsegError, match="city: has no test images"):
        predict_ensemble(demo.ensemble(f"runs={copied}", f"submissions={tmp_path / 'submissions'}"))
    assert not (tmp_path / "submissions/toy").exists()
