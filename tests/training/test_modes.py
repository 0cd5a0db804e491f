"""Ways to run: in stages, to debug, several processes, compiled, with the batch that fits, alone in a folder."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from foldseg.config import Experiment, load_data, load_ensemble, load_experiment
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import make_folds_file
from foldseg.ensemble.members import find_members
from foldseg.ensemble.run import predict_ensemble
from foldseg.errors import FoldsegError
from foldseg.files import locked, read_json
from foldseg.inference.run_stores import predict_run
from foldseg.models.factory import build_network
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network
from foldseg.submission import ledger
from foldseg.training import fit, memory
from foldseg.training.debug import MODES
from foldseg.training.devices import launch
from foldseg.training.fit import train_fold
from foldseg.training.open_fold import open_fold
from foldseg.training.stages import build_stages_schedule, find_stage, list_snapshot_epochs
from foldseg.views.build import build_train_samples, build_validation_samples
from foldseg.views.epoch_plan import EpochSampler, TrainingProcess
from foldseg.views.eval_samples import eval_loader

REPOSITORY = Path(__file__).parents[2]
PATH = REPOSITORY / "configs/experiments/toy_full.yaml"
STAGES = (
    "stages=[{epochs: 2, train_view: {kind: crop, size: [32, 32]}, batch_size: 2, augment: none}, "
    "{epochs: 2, lr: 1e-3}]"
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that train a tiny network on 6 frames of 64x48 for 4 epochs."""
    root = tmp_path_factory.mktemp("toy")
    data = [
        f"data.root={root / 'city'}",
        f"data.folds={root / 'folds.csv'}",
        "data.fold_count=2",
        "data.dataset={kind: toy_city, width: 64, height: 48, train_frames: 12, test_frames: 6, seed: 3}",
    ]
    make_folds_file(load_data(REPOSITORY / "configs/data/toy_city.yaml", data))
    network = ["model.options.decoder_channels=[8, 8, 8, 8]", "batch_size=3", "schedule.epochs=4"]
    return [*data, *network, "workers=0", "validate_every=1", "early_stopping=null"]


def experiment(toy: list[str], runs: Path, *more: str) -> Experiment:
    return load_experiment(PATH, [*toy, f"runs={runs}", *more])


# Stages


def test_stages_change_view_batch_and_rate_in_one_run(toy, tmp_path, monkeypatch):
    seen: list[tuple[int, tuple[int, ...], float]] = []
    original = fit.FoldModule.training_step

    def remember(self, batch, index):
        seen.append((self.current_epoch, tuple(batch.masks.shape), self.optimizers().param_groups[-1]["lr"]))
        return original(self, batch, index)

    monkeypatch.setattr(fit.FoldModule, "training_step", remember)
    run = train_fold(experiment(toy, tmp_path, STAGES, "schedule=cosine", "optimizer.lr=0.01"), 0)
    small, large = [s for s in seen if s[0] < 2], [s for s in seen if s[0] >= 2]
    assert {shape for _, shape, _ in small} == {(2, 32, 32)}
    assert {shape for _, shape, _ in large} == {(3, 48, 64)}
    assert (len(small), len(large)) == (6, 4)  # 6 images: 3 and 2 steps an epoch
    assert small[0][2] == pytest.approx(0.01)
    assert large[0][2] == pytest.approx(0.001)  # the schedule begins anew, at the stage's own peak
    assert [lr for *_, lr in large] == sorted((lr for *_, lr in large), reverse=True)
    log = pd.read_csv(run.metrics)
    assert log["stage"].tolist() == [0, 0, 1, 1]
    assert log["epoch"].tolist() == [0, 1, 2, 3]


def test_workers_change_nothing_in_stages(toy, tmp_path):
    runs = [train_fold(experiment(toy, tmp_path / str(n), STAGES, f"workers={n}"), 0) for n in (0, 1)]
    ours, theirs = (pd.read_csv(run.metrics).drop(columns="seconds") for run in runs)
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_the_rate_of_stages_by_hand(toy, tmp_path):
    config = experiment(toy, tmp_path, STAGES, "schedule=poly", "schedule.power=1", "optimizer.lr=0.01")
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.01)
    schedule = build_stages_schedule(config, optimizer, [4, 2])
    rates = []
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025, 0.001, 0.0005, 0.0])


def test_snapshots_of_stages_are_of_the_cycles_of_each(toy, tmp_path):
    stages = "stages=[{epochs: 2}, {epochs: 4}]"
    more = ["schedule={kind: warm_restarts, cycles: 2, epochs: 6}", "snapshots=true"]
    config = experiment(toy, tmp_path, stages, *more)
    assert list_snapshot_epochs(config) == [0, 1, 3, 5]
    assert [find_stage(config, epoch) for epoch in range(6)] == [0, 0, 1, 1, 1, 1]


def test_only_the_last_stage_is_stopped_early(toy, tmp_path):
    more = ["schedule={kind: constant, epochs: 8}", "early_stopping={patience: 1, min_delta: 0.9}"]
    run = train_fold(experiment(toy, tmp_path, "stages=[{epochs: 4}, {epochs: 4}]", *more), 0)
    assert len(pd.read_csv(run.metrics)) == 6  # the first of the last stage sets the mark, the next does not pass it


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stages=[{epochs: 1}, {epochs: 2}]"], "stages have 3 epochs together, schedule.epochs is 4"),
        ([STAGES, "schedule=plateau"], "schedule plateau cannot begin anew"),
        (["batch_size=4", "devices=3"], "batch_size 4 cannot be divided among 3 devices"),
        (["batch_size=auto", "devices=2"], "batch_size auto is found on one device"),
        (["debug=slow"], "debug"),
        (["compile=1.5"], "compile"),
    ],
)
def test_impossible_combinations_are_refused(toy, tmp_path, overrides, message):
    with pytest.raises(FoldsegError, match=message):
        experiment(toy, tmp_path, *overrides)


def test_a_false_on_the_command_line_is_false(toy, tmp_path):
    """Defect 20: `--flag False` that means True."""
    for text in ("false", "False", "no", "off"):
        config = experiment(toy, tmp_path, f"compile={text}", f"snapshots={text}")
        assert config.compile is False
        assert config.snapshots is False


# Debug modes


@pytest.mark.parametrize("mode", MODES)
def test_every_debug_mode_trains_is_predicted_and_cannot_be_blended(toy, tmp_path, mode):
    run = train_fold(experiment(toy, tmp_path / "runs", f"debug={mode}", "debug_images=2", STAGES), 0)
    assert run.path == tmp_path / f"runs/toy_full-{mode}/fold_0"
    summary = read_json(run.summary)
    assert summary["debug"] == mode
    assert summary["validation_images"] == 2
    stores = predict_run(run)
    assert [len(store.metadata.ids) for store in stores] == [2, 2]
    path = tmp_path / "blend.yaml"
    path.write_text(f"members: [{{experiment: toy_full-{mode}}}]\nfolds: [0]\nruns: {tmp_path / 'runs'}\n")
    with pytest.raises(FoldsegError, match=rf"is a debug run \({mode}\)"):
        find_members(load_ensemble(path))


def test_overfit_trains_and_validates_on_the_same_images_until_they_are_known(toy, tmp_path):
    more = [
        "debug=overfit",
        "debug_images=2",
        "schedule={kind: constant, epochs: 30}",
        "batch_size=2",
        "augment=strong",
    ]
    config = experiment(toy, tmp_path, *more)
    data = open_fold(fit.apply_debug_mode(config), 0, DataSet(config.data))
    assert set(data.train["id"]) == set(data.validation["id"])
    assert len(data.train) == 6
    assert data.train["id"].nunique() == 2
    log = pd.read_csv(train_fold(config, 0).metrics)
    assert log["train_loss"].iloc[-1] < 0.4 * log["train_loss"].iloc[0]
    assert log["pixel_accuracy"].iloc[-1] > 0.85


# Several devices


@pytest.mark.parametrize(("length", "batch", "of"), [(13, 4, 2), (12, 6, 3), (5, 4, 4)])
def test_parts_of_batches_are_together_the_batches_of_one_process(length, batch, of):
    whole, parts = EpochSampler(length, 7), [EpochSampler(length, 7, batch, TrainingProcess(i, of)) for i in range(of)]
    for sampler in (whole, *parts):
        sampler.set_epoch(3)
    own = [list(part) for part in parts]
    assert [len(part) for part in parts] == [len(items) for items in own]
    expected, size = list(whole), batch // of
    for start in range(0, length // batch * batch, batch):
        step = start // of
        together = [item for items in own for item in items[step : step + size]]
        assert together == expected[start : start + batch]


def test_two_processes_score_as_one_does_each_image_once(toy, tmp_path):
    """Five validation images for two processes; and their weights carry no wrapper's prefix."""
    config = experiment(toy, tmp_path, "debug=fast", "debug_images=5", "devices=2", "batch_size=2", "swa={}")
    run = train_fold(config, 0)
    data = open_fold(run.experiment, 0, DataSet(run.experiment.data))
    network = load_network(run, run.best)
    module = fit.FoldModule(run.experiment, data.labels, network, None)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    samples = build_validation_samples(run.experiment, data, network.stride)
    trainer.validate(module, eval_loader(samples, 0), verbose=False)
    log = pd.read_csv(run.metrics)
    row = log.iloc[log["dataset_miou"].idxmax()]
    assert len(module._validation.counts) == 5
    scores = [name for name in module.metrics if name in row and name != "val_cross_entropy"]
    assert len(scores) > 8
    np.testing.assert_array_equal(row[scores].to_numpy(float), [module.metrics[name] for name in scores])
    assert row["val_cross_entropy"] == pytest.approx(module.metrics["val_cross_entropy"], abs=1e-5)
    assert row["step"] == (row["epoch"] + 1) * 2  # of 4 images in batches of two, not of one or four


def write_start_method(path: Path) -> None:
    path.write_text(multiprocessing.get_start_method())


def test_a_launched_process_starts_its_loader_workers_as_one_that_is_not(tmp_path):
    """Spawned workers would import torch anew in every validation."""
    launch(1, write_start_method, tmp_path / "method")
    assert (tmp_path / "method").read_text() == multiprocessing.get_start_method()


# Compiled


def test_a_compiled_network_trains_alike_and_its_checkpoints_do_not_show_it(toy, tmp_path, monkeypatch):
    original = torch.compile
    calls: list[str] = []

    def eager(method):
        calls.append(method.__name__)
        return original(method, backend="eager")

    monkeypatch.setattr(torch, "compile", eager)
    plain = train_fold(experiment(toy, tmp_path / "a", "schedule.epochs=1", "top_k=2"), 0)
    compiled = train_fold(experiment(toy, tmp_path / "b", "schedule.epochs=1", "top_k=2", "compile=true"), 0)
    assert calls == ["forward", "outputs"]
    states = [torch.load(run.last, weights_only=True)["state_dict"] for run in (plain, compiled)]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=1e-3, atol=1e-4)


# Memory


@pytest.mark.parametrize(("limit", "fit", "expected"), [(64, 20, 16), (64, 16, 16), (9, 100, 8), (8, 0, 0), (1, 9, 1)])
def test_largest_power(limit, fit, expected):
    assert memory.find_largest_power(lambda size: size <= fit, limit) == expected


def find(toy: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: int) -> tuple[int, Experiment]:
    """Look for the batch size of a device that has room for so many images."""
    original = memory.outputs_loss

    def limited(outputs, masks, *rest):
        if len(masks) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(outputs, masks, *rest)

    monkeypatch.setattr(memory, "outputs_loss", limited)
    monkeypatch.setattr(fit, "choose_device_to_fill", lambda _: torch.device("cpu"))
    config = experiment(toy, tmp_path, "batch_size=auto", "schedule.epochs=1")
    run = train_fold(config, 0)
    return run.experiment.batch_size, config


def test_auto_finds_the_batch_that_fits_and_a_resumed_run_keeps_it(toy, tmp_path, monkeypatch):
    size, config = find(toy, tmp_path, monkeypatch, 3)
    assert size == 2
    run = RunFolder.of(config, 0)
    run.summary.unlink()
    monkeypatch.setattr(fit, "find_batch_size", lambda *_: pytest.fail("the size is known"))
    assert train_fold(config, 0).experiment.batch_size == 2


def test_auto_says_when_nothing_fits(toy, tmp_path, monkeypatch):
    with pytest.raises(
        FoldsegError, match=r"auto: not even 2 images fit; lower batch_size \(auto; .*view.train \(full"
    ):
        find(toy, tmp_path, monkeypatch, 1)


def test_trying_batches_leaves_the_network_as_it_was(toy, tmp_path):
    config = experiment(toy, tmp_path)
    data = open_fold(config, 0, DataSet(config.data))
    network = build_network(config.model, len(data.labels), pretrained=False)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    samples = build_train_samples(config, data, network.stride)
    assert memory.find_batch_size(config, network, samples, torch.device("cpu")) == 4  # of 6 images
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_auto_is_refused_on_the_cpu(toy, tmp_path):
    with pytest.raises(FoldsegError, match="batch_size: auto needs a GPU"):
        train_fold(experiment(toy, tmp_path, "batch_size=auto", "device=cpu"), 0)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_out_of_memory_says_what_to_lower_and_from_what(toy, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(fit.FoldModule, "training_step", fail)
    message = r"batch_size \(3; .*view.train \(full, multiple 1\), set model.gradient_checkpointing=true, use precision"
    with pytest.raises(FoldsegError, match=message):
        train_fold(experiment(toy, tmp_path), 0)


# Alone in a folder


def test_a_run_that_another_process_trains_is_refused_and_that_of_a_dead_one_is_not(toy, tmp_path):
    config = experiment(toy, tmp_path, "schedule.epochs=1")
    run = RunFolder.of(config, 0)
    code = (
        "import sys, time; from pathlib import Path; from foldseg.files import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(100)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(FoldsegError, match=rf"fold_0: process {holder.pid} on .* is at work there"):
        train_fold(config, 0)
    assert not run.path.exists()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    train_fold(config, 0)


def test_a_lock_is_not_inherited_by_children(tmp_path):
    """A killed run's loader processes live on for seconds; they must not keep its folder."""
    ready, child = tmp_path / "ready", os.fork()
    if child == 0:
        with locked(tmp_path / "folder"):
            if os.fork() == 0:  # the loader's process
                time.sleep(5)
                os._exit(0)
            ready.touch()
            time.sleep(5)
        os._exit(0)
    while not ready.exists():
        time.sleep(0.01)
    with pytest.raises(FoldsegError, match="is at work there"), locked(tmp_path / "folder"):
        pass
    path = tmp_path / "folder.yaml"
    path.write_text(f"members: [{{experiment: none}}]\nsubmissions: {tmp_path}\n")
    with pytest.raises(FoldsegError, match=r"folder: process .* is at work there"):
        predict_ensemble(load_ensemble(path))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with locked(tmp_path / "folder"):
        pass


def test_rows_that_processes_append_at_once_are_all_in_the_ledger(tmp_path):
    path = tmp_path / "ledger.csv"
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            for row in range(5):
                ledger.append_row(path, {"name": f"{number}-{row}"})
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    assert sorted(ledger.read_ledger(path)["name"]) == [f"{n}-{row}" for n in range(4) for row in range(5)]
