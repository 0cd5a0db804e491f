"""Training one fold: every experiment steps, logs and checkpoints agree. Killed runs: test_resume_command.py."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from foldseg.config import Experiment, load_experiment
from foldseg.config.schema.definitions import is_lower_better
from foldseg.data.datasets import DataSet
from foldseg.data.fold_data import FoldData
from foldseg.data.folds_file import make_folds_file
from foldseg.errors import FoldsegError
from foldseg.files import read_json
from foldseg.models.network import SegmentationNetwork
from foldseg.training import fit
from foldseg.training.fit import train_fold
from foldseg.training.open_fold import open_fold
from foldseg.training.soup import make_soup
from tiny_data import Surroundings, tiny_data

REPOSITORY = Path(__file__).parents[2]
EXPERIMENTS = sorted((REPOSITORY / "configs/experiments").glob("[!_]*.yaml"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that train a tiny network on 12 frames of 96x64, with folds, in a folder of their own."""
    from foldseg.config import load_data

    root = tmp_path_factory.mktemp("toy")
    data = [
        f"data.root={root / 'city'}",
        f"data.folds={root / 'folds.csv'}",
        "data.dataset={kind: toy_city, width: 96, height: 64, train_frames: 12, test_frames: 2, seed: 3}",
    ]
    make_folds_file(load_data(REPOSITORY / "configs/data/toy_city.yaml", data))
    network = "model.options.decoder_channels=[8, 8, 8, 8]"
    return [*data, network, "workers=0", "validate_every=1", "schedule.epochs=4", "early_stopping=null"]


def opened_fold(config: Experiment) -> FoldData:
    return open_fold(config, 0, DataSet(config.data))


def experiment(toy: list[str], runs: Path, *more: str, name: str = "toy_full") -> Experiment:
    return load_experiment(REPOSITORY / f"configs/experiments/{name}.yaml", [*toy, f"runs={runs}", *more])


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_committed_experiment_is_built_and_stepped_once(path: Path, toy: list[str], tmp_path: Path, camvid_root):
    overrides = ["schedule.epochs=1", "validate_every=1", "workers=0", "batch_size=2", f"runs={tmp_path}"]
    as_committed = load_experiment(path)
    for part in ("train", "predict"):
        view = getattr(as_committed.view, part)
        if view.kind in ("crop", "tiles") and max(view.size) >= 256:
            overrides.append(f"view.{part}.size=[64, 64]")
    if "decoder_fc_channels" in as_committed.model.options:  # 120 million parameters of VGG's, and twice that of Adam's
        # oneDNN's gradient of a 7x7 convolution in bf16 reads memory that nobody wrote, where the map is of 2x2
        overrides += ["model.options.decoder_fc_channels=8", "precision=fp32"]
    overrides += tiny_data(as_committed.data.dataset.kind, Surroundings(path, tmp_path, toy[:3], camvid_root))
    run = train_fold(load_experiment(path, overrides), 0)
    assert run.summary.is_file()
    assert len(pd.read_csv(run.metrics)) == 1


def test_best_checkpoint_is_the_argmax_of_the_log_and_is_not_overwritten_by_later_epochs(toy, tmp_path):
    """Defects 10 and 23: the last epoch must not become the best, nor its weights be saved as such."""
    run = train_fold(experiment(toy, tmp_path, "optimizer.lr=0.03", "schedule.epochs=6"), 0)
    log = pd.read_csv(run.metrics)
    best = torch.load(run.best, weights_only=True)
    assert best["epoch"] == log["dataset_miou"].idxmax()
    if log["dataset_miou"].idxmax() != len(log) - 1:
        assert not same(weights(run.best), weights(run.last))


@pytest.mark.parametrize("monitor", ["val_cross_entropy", "dataset_mean_dice"])
def test_best_and_top_and_stopping_follow_what_is_monitored(toy, tmp_path, monitor):
    """Of a loss less is better; the rate is so high that it soon rises."""
    more = [f"monitor={monitor}", "optimizer.lr=0.03", "schedule.epochs=6", "top_k=2", "keep_every=2"]
    run = train_fold(experiment(toy, tmp_path, *more, "early_stopping={patience: 2, min_delta: 0.0}"), 0)
    log, summary = pd.read_csv(run.metrics), read_json(run.summary)
    sign = -1 if is_lower_better(monitor) else 1
    order = log[monitor].sort_values(ascending=is_lower_better(monitor), kind="stable").index.tolist()
    assert torch.load(run.best, weights_only=True)["epoch"] == summary["best_epoch"] == order[0]
    assert summary["best"] == pytest.approx(log[monitor][order[0]])
    assert summary["top_epochs"] == order[:2]
    assert monitor in summary["averages"]["average"]
    since_best = (sign * log[monitor]).expanding().apply(lambda seen: len(seen) - 1 - seen.argmax(), raw=True)
    assert (since_best[:-1] < 2).all()
    assert (since_best.iloc[-1] == 2) == (summary["stopped"] == f"{monitor} got no better") == (len(log) < 6)
    kept = {path.stem for path in run.best.parent.glob("epoch_*.ckpt")}
    assert kept == {f"epoch_{epoch}" for epoch in (1, 3, 5) if epoch < len(log)}
    assert torch.load(run.checkpoint("epoch_1"), weights_only=True)["epoch"] == 1
    make_soup(run)
    soup = read_json(run.path / "soup.json")
    alone = [sign * value for value in soup["alone"].values()]
    assert sign * soup["alone"][soup["of"][0]] == max(alone)
    assert sign * soup["soup"] >= max(alone)


def test_checkpoints_are_plain_and_say_what_they_are(toy, tmp_path):
    run = train_fold(experiment(toy, tmp_path, "schedule.epochs=1"), 1)
    for path in (run.best, run.last):
        content = torch.load(path, weights_only=True)
        assert content["foldseg"]["classes"] == ["background", "car", "pedestrian", "lane", "signal"]
        assert content["foldseg"]["model"]["encoder"] == "tu-resnet10t"


def test_run_describes_itself_before_the_first_batch(toy, tmp_path, monkeypatch):
    seen = {}

    def stop(run, module, data, resume):
        seen["files"] = sorted(p.name for p in run.path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "_train_to_end", stop)
    with pytest.raises(KeyboardInterrupt):
        train_fold(experiment(toy, tmp_path), 0)
    assert seen["files"] == ["config.yaml", "data.csv", "provenance.json"]


def test_a_part_of_the_training_images_is_drawn_and_the_run_can_still_be_predicted(toy, tmp_path):
    from foldseg.inference.run_stores import predict_run

    few = experiment(toy, tmp_path, "train_images=3", "batch_size=1", "schedule.epochs=1")
    train = opened_fold(few).train
    assert len(train) == 3
    assert train["id"].tolist() == opened_fold(few).train["id"].tolist()
    assert (train["fold"] != 0).all()
    assert (
        train["id"].tolist() != opened_fold(experiment(toy, tmp_path, "train_images=3", "seed=1")).train["id"].tolist()
    )
    run = train_fold(few, 0)
    assert len(pd.read_csv(run.metrics)) == 1
    predict_run(run)  # folds are the same, although not all images were trained on
    with pytest.raises(FoldsegError, match=r"train_images: 99 is more than the \d+ that fold 0 is trained on"):
        train_fold(experiment(toy, tmp_path, "train_images=99", name="toy_crop"), 0)


def test_folds_start_from_the_same_weights(toy, tmp_path, monkeypatch):
    """Defect 22: nothing of one fold's training may reach the next."""
    first = []
    original = fit._train_to_end

    def remember(run, module, data, resume):
        first.append({k: v.clone() for k, v in module.state_dict().items()})
        original(run, module, data, resume)

    monkeypatch.setattr(fit, "_train_to_end", remember)
    for fold in (0, 1):
        train_fold(experiment(toy, tmp_path, "schedule.epochs=1"), fold)
    assert same(*first)


def test_early_stopping_stops_when_the_score_does_not_rise(toy, tmp_path):
    more = ["schedule.epochs=9", "schedule=constant", "optimizer.lr=1e-9"]
    run = train_fold(experiment(toy, tmp_path, *more, "early_stopping={patience: 2, min_delta: 0.5}"), 0)
    log = pd.read_csv(run.metrics)
    assert len(log) == 3  # the first sets the mark, two more do not pass it


def test_accumulated_small_batches_step_as_often_as_large_ones(toy, tmp_path):
    """Defect 8: accumulation must not multiply, nor drop the remainder of an epoch."""
    large = train_fold(experiment(toy, tmp_path / "a", "batch_size=4", "schedule.epochs=2"), 0)
    small = train_fold(experiment(toy, tmp_path / "b", "batch_size=2", "accumulate=2", "schedule.epochs=2"), 0)
    steps = [pd.read_csv(run.metrics)["step"].tolist() for run in (large, small)]
    images = len(opened_fold(experiment(toy, tmp_path)).train)
    assert steps[0] == [images // 4, 2 * (images // 4)]
    assert steps[1] == [-(-(images // 2) // 2), 2 * -(-(images // 2) // 2)]


def test_non_finite_loss_names_the_images_and_keeps_the_checkpoint(toy, tmp_path, monkeypatch):
    """The network's output becomes NaN in the second epoch."""
    config = experiment(toy, tmp_path)
    calls = {"training": 0}
    original = SegmentationNetwork.outputs

    def outputs(self, images):
        calls["training"] += 1
        found = original(self, images)
        return replace(found, logits=found.logits * (float("nan") if calls["training"] > 2 else 1.0))

    monkeypatch.setattr(SegmentationNetwork, "outputs", outputs)
    with pytest.raises(FoldsegError, match=r"loss is nan in epoch \d, on the images train_00"):
        train_fold(config, 0)
    run = fit.RunFolder.of(config, 0)
    kept = weights(run.last)
    assert all(bool(torch.isfinite(value).all()) for value in kept.values())


def test_another_configuration_in_the_same_folder_is_refused_by_name(toy, tmp_path):
    train_fold(experiment(toy, tmp_path, "schedule.epochs=1"), 0)
    with pytest.raises(FoldsegError, match=r"optimizer\.lr \(0\.004 -> 0\.1\)"):
        train_fold(experiment(toy, tmp_path, "schedule.epochs=1", "optimizer.lr=0.1"), 0)


def test_bf16_trains_on_the_cpu(toy, tmp_path):
    run = train_fold(experiment(toy, tmp_path, "precision=bf16", "schedule.epochs=1"), 0)
    assert pd.read_csv(run.metrics)["train_loss"].notna().all()


def test_fp16_without_a_gpu_says_what_to_do(toy, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(FoldsegError, match="precision: fp16 needs a GPU"):
        train_fold(experiment(toy, tmp_path, "precision=fp16"), 0)


def test_going_on_with_other_folds_is_refused(toy, tmp_path):
    """An unfinished run must not be resumed on images that it may have trained on."""
    config = experiment(toy, tmp_path, "schedule.epochs=1")
    run = train_fold(config, 0)
    run.summary.unlink()
    folds = pd.read_csv(config.data.folds)
    other = tmp_path / "other.csv"
    folds.assign(fold=1 - folds["fold"]).to_csv(other, index=False)
    content = run.config.read_text().replace(str(config.data.folds), str(other))
    run.config.write_text(content)
    with pytest.raises(FoldsegError, match="was trained on other images or another division into folds"):
        train_fold(experiment(toy, tmp_path, "schedule.epochs=1", f"data.folds={other}"), 0)


def test_a_run_that_was_killed_after_it_had_stopped_early_is_not_trained_further(toy, tmp_path):
    more = ["schedule.epochs=9", "schedule=constant", "early_stopping={patience: 2, min_delta: 0.9}"]
    run = train_fold(experiment(toy, tmp_path, *more), 0)
    before, best = pd.read_csv(run.metrics), weights(run.best)
    run.summary.unlink()
    run.metrics.unlink()
    run = train_fold(experiment(toy, tmp_path, *more), 0)
    pd.testing.assert_frame_equal(pd.read_csv(run.metrics), before)
    assert same(weights(run.best), best)


def test_a_monitor_without_scored_classes_is_refused_before_training(toy, tmp_path):
    more = ["data.labels=[sky, building]", "monitor=image_mean_iou_present"]
    with pytest.raises(FoldsegError, match="monitor: image_mean_iou_present needs a scored class"):
        train_fold(experiment(toy, tmp_path, *more), 0)


def test_tensorboard_has_losses_scores_classes_rate_and_pictures(toy, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train_fold(experiment(toy, tmp_path, "schedule.epochs=2"), 0)
    assert len(list((run.path / "tensorboard").iterdir())) == 1
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    tags = set(events.Tags()["scalars"])
    assert {"loss/train_loss", "loss/train_dice", "loss/val_cross_entropy", "run/lr", "run/dataset_miou"} <= tags
    assert "iou/lane" in tags
    assert [e.step for e in events.Scalars("run/dataset_miou")] == [0, 1]
    assert events.Tags()["images"] == [f"frame, truth, prediction/{i}" for i in range(3)]
