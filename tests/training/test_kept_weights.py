"""Averages of weights, the checkpoints that a run keeps, and predicting with each of them."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from foldseg.config import Experiment, load_data, load_ensemble, load_experiment
from foldseg.config.schema import Ema, Swa
from foldseg.data.folds_file import make_folds_file
from foldseg.ensemble.members import find_members
from foldseg.errors import FoldsegError
from foldseg.files import read_json
from foldseg.inference.run_stores import Predictor, predict_run, store_of
from foldseg.models.folding import fold_batch_norms
from foldseg.models.network import SegmentationNetwork
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network
from foldseg.training.averaging import (
    EmaWeights,
    average_weights,
    choose_swa_epochs,
    compute_ema_decay,
    update_batch_norms,
)
from foldseg.training.fit import train_fold
from foldseg.training.soup import make_soup

REPOSITORY = Path(__file__).parents[2]
PATH = REPOSITORY / "configs/experiments/toy_full.yaml"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that train a tiny network on 6 frames of 64x48."""
    root = tmp_path_factory.mktemp("toy")
    data = [
        f"data.root={root / 'city'}",
        f"data.folds={root / 'folds.csv'}",
        "data.fold_count=2",
        "data.dataset={kind: toy_city, width: 64, height: 48, train_frames: 12, test_frames: 2, seed: 3}",
    ]
    make_folds_file(load_data(REPOSITORY / "configs/data/toy_city.yaml", data))
    network = ["model.options.decoder_channels=[8, 8, 8, 8]", "batch_size=3", f"runs={root / 'runs'}"]
    return [*data, *network, "workers=0", "validate_every=1", "early_stopping=null"]


def experiment(toy: list[str], name: str, *more: str) -> Experiment:
    return load_experiment(PATH, [*toy, f"name={name}", *more])


def weights(run: RunFolder, name: str) -> dict[str, torch.Tensor]:
    state = torch.load(run.checkpoint(name), weights_only=True)["state_dict"]
    return {key.removeprefix("network."): value for key, value in state.items() if key.startswith("network.")}


@pytest.fixture(scope="module")
def run(toy: list[str]) -> RunFolder:
    """A run that keeps everything: 6 epochs in 2 cycles, validated by its own weights."""
    more = ["schedule={kind: warm_restarts, cycles: 2, epochs: 6}", "snapshots=true", "top_k=2", "swa={start: 0.5}"]
    return train_fold(experiment(toy, "all", *more, "ema={decay: 0.9, validated: false}"), 0)


def test_decay_of_the_ema_grows_to_its_value():
    config = Ema(decay=0.9, warm_up=10)
    assert [compute_ema_decay(config, step) for step in (0, 1, 90, 1000)] == pytest.approx([0.1, 2 / 11, 0.9, 0.9])
    assert compute_ema_decay(Ema(decay=0.9, warm_up=1), 0) == 0.9


@pytest.mark.parametrize(
    ("start", "every", "epochs", "expected"),
    [(0.75, 1, 8, [6, 7]), (0.5, 2, 8, [5, 7]), (1.0, 1, 8, [7]), (0.0, 3, 7, [0, 3, 6]), (0.9, 1, 1, [0])],
)
def test_epochs_of_the_swa_end_with_the_last(start, every, epochs, expected):
    assert choose_swa_epochs(Swa(start=start, every=every), epochs) == expected


def test_mean_of_weights_leaves_counters_alone():
    states = [{"w": torch.tensor([float(i)]), "steps": torch.tensor(i)} for i in (1, 2, 6)]
    mean = average_weights(iter(states))
    assert mean["w"].item() == pytest.approx(3.0)
    assert mean["steps"].item() == 6
    assert states[0]["w"].item() == 1.0  # what goes in is not changed


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.BatchNorm2d(3))
        self.head = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.head(self.encoder(x))


class _Network(SegmentationNetwork):
    def forward(self, images):
        return self.net((images - self.mean) * self.scale)


def test_batch_norm_statistics_are_the_mean_over_the_batches():
    network = _Network(_Net(), (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
    network.net.encoder[0].running_mean.fill_(9.0)
    batches = [torch.full((2, 3, 4, 4), value, dtype=torch.uint8) for value in (10, 20, 60)]
    update_batch_norms(network, batches)
    assert torch.allclose(network.net.encoder[0].running_mean, torch.full((3,), 30.0))
    assert network.net.encoder[0].momentum == 0.1
    assert not network.training


def test_frozen_batch_norms_keep_their_statistics():
    network = _Network(_Net(), (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
    network.batch_norm_is_frozen = True
    before = network.net.encoder[0].running_mean.clone()
    update_batch_norms(network, [torch.full((2, 3, 4, 4), 10, dtype=torch.uint8)])
    assert torch.equal(network.net.encoder[0].running_mean, before)
    assert (network.net.head.running_mean != 0).all()


def test_a_run_keeps_the_checkpoints_it_is_asked_for(run):
    log = pd.read_csv(run.metrics)
    best = log["dataset_miou"].sort_values(ascending=False, kind="stable").index[:2].tolist()
    names = {"best", "last", "ema", "swa", "average", "snapshot_1", "snapshot_2", *(f"top_{epoch}" for epoch in best)}
    assert {path.stem for path in (run.path / "checkpoints").iterdir()} == names
    assert read_json(run.summary)["top_epochs"] == best
    for key, value in weights(run, "best").items():
        assert torch.equal(value, weights(run, f"top_{best[0]}")[key])
    for key, value in weights(run, "last").items():
        assert torch.equal(value, weights(run, "snapshot_2")[key])


def test_snapshots_are_of_the_ends_of_cycles(run):
    log = pd.read_csv(run.metrics)
    assert log["lr"].idxmin() in (2, 5)
    assert torch.load(run.checkpoint("snapshot_1"), weights_only=True)["epoch"] == 2


def test_averages_are_means_of_weights_and_are_scored_as_they_are_saved(run, toy):
    log, averages = pd.read_csv(run.metrics), read_json(run.summary)["averages"]
    assert set(averages) == {"ema", "swa", "average"}
    mean = average_weights(weights(run, f"top_{epoch}") for epoch in read_json(run.summary)["top_epochs"])
    for key, value in weights(run, "average").items():
        if "running" not in key and "num_batches" not in key:
            assert torch.allclose(value, mean[key], atol=1e-6), key
    differs = [key for key, value in weights(run, "average").items() if "running_mean" in key]
    assert any(not torch.allclose(weights(run, "average")[key], mean[key], atol=1e-4) for key in differs)
    assert averages["swa"]["dataset_miou"] != log["dataset_miou"].iloc[-1]


def test_the_validated_ema_is_what_is_best_and_training_goes_on_without_it(toy, tmp_path):
    plain = train_fold(experiment(toy, "plain", "schedule.epochs=3", "top_k=3"), 0)
    ema = train_fold(experiment(toy, "ema", "schedule.epochs=3", "top_k=3", "ema={decay: 0.8, warm_up: 1}"), 0)
    for key, value in weights(plain, "last").items():
        assert torch.equal(value, weights(ema, "last")[key]), "the average must not touch what is trained"
    assert not torch.equal(weights(ema, "top_2")["net.segmentation_head.0.weight"],
                           weights(ema, "last")["net.segmentation_head.0.weight"])  # fmt: skip
    callbacks = torch.load(ema.last, weights_only=True)["callbacks"]
    average = next(value["average"] for key, value in callbacks.items() if "EmaWeights" in key)
    for key, value in weights(ema, "top_2").items():
        assert torch.equal(value, average[key])
    assert read_json(ema.summary)["averages"].keys() == {"average"}


def test_the_ema_moves_once_a_step_by_its_formula(toy, monkeypatch):
    seen: list[tuple[int, torch.Tensor]] = []
    key = "net.segmentation_head.0.weight"
    original = EmaWeights.on_train_batch_end

    def remember(self, trainer, module, *rest):
        if not seen:
            seen.append((0, self.weights[key].clone()))  # the weights before the first step
        if trainer.global_step != seen[-1][0]:
            seen.append((trainer.global_step, module.network.state_dict()[key].clone()))
        original(self, trainer, module, *rest)

    monkeypatch.setattr(EmaWeights, "on_train_batch_end", remember)
    more = ["schedule.epochs=3", "batch_size=1", "accumulate=2", "ema={decay: 0.5, warm_up: 4, validated: false}"]
    run = train_fold(experiment(toy, "formula", *more), 0)
    assert [step for step, _ in seen] == list(range(10))  # 6 images in 3 steps an epoch
    expected = seen[0][1]
    for step, (_, raw) in enumerate(seen[1:]):
        keep = min(0.5, (1 + step) / (4 + step))
        expected = keep * expected + (1 - keep) * raw
    assert torch.allclose(weights(run, "ema")[key], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["best", "last", "ema", "swa", "average", "snapshot_1", "top"])
def test_every_checkpoint_can_be_predicted_into_a_store_of_its_own(run, name):
    name = f"top_{read_json(run.summary)['top_epochs'][1]}" if name == "top" else name
    (store,) = predict_run(run, ["test"], checkpoint=name)
    store.require_complete()
    assert store.path.name == ("test" if name == "best" else f"test-{name}")
    assert store.metadata.checkpoint == run.hash_of(name)
    network = load_network(run, run.checkpoint(name))
    assert all(torch.equal(value, weights(run, name)[key]) for key, value in network.state_dict().items())
    loaded = Predictor.load(run, checkpoint=name).network.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in fold_batch_norms(network).state_dict().items())


def test_a_checkpoint_that_is_not_there_is_refused_with_those_that_are(run):
    with pytest.raises(FoldsegError, match=r"snapshot_9\.ckpt: no such checkpoint; the run has average, best, ema"):
        predict_run(run, ["test"], checkpoint="snapshot_9")


def test_checkpoints_of_one_run_are_members_of_an_ensemble(run, tmp_path):
    path = tmp_path / "blend.yaml"
    members = [f"{{experiment: all, checkpoint: {name}}}" for name in ("best", "swa", "snapshot_1")]
    path.write_text(f"members: [{', '.join(members)}]\nfolds: [0]\nruns: {run.path.parent.parent}\n")
    found = find_members(load_ensemble(path))
    assert list(found.runs) == ["all", "all#swa", "all#snapshot_1"]
    found.predict(["test"])
    assert [stores[0].path.name for stores in found.sources("test").values()] == ["test", "test-swa", "test-snapshot_1"]
    path.write_text(path.read_text().replace("checkpoint: swa", "checkpoint: top_99"))
    with pytest.raises(FoldsegError, match=r"top_99\.ckpt: no such checkpoint"):
        find_members(load_ensemble(path))
    path.write_text(path.read_text().replace("checkpoint: top_99", "checkpoint: top-99"))
    with pytest.raises(FoldsegError, match=r"members\.1\.checkpoint"):
        load_ensemble(path)


def test_an_swa_that_training_did_not_reach_is_left_out(toy):
    stop = "early_stopping={patience: 1, min_delta: 0.9}"
    run = train_fold(experiment(toy, "early", "schedule.epochs=8", "swa={start: 0.9}", stop), 0)
    assert read_json(run.summary)["averages"] == {}
    assert not run.checkpoint("swa").exists()


def test_snapshots_need_cycles(toy):
    with pytest.raises(FoldsegError, match="snapshots are of the cycles of schedule warm_restarts; found one_cycle"):
        experiment(toy, "x", "snapshots=true")


def test_stores_of_runs_without_extras_keep_their_names(run):
    assert store_of(run, "oof", ["flip"]).path.name == "oof-flip"


def test_a_soup_is_made_of_what_does_not_lower_the_score(run: RunFolder):
    taken = make_soup(run)
    facts = read_json(run.path / "soup.json")
    assert taken == facts["of"] and taken[0] == max(facts["alone"], key=facts["alone"].__getitem__)
    assert set(facts["alone"]) == {path.stem for path in run.best.parent.glob("*.ckpt")} - {"soup"}
    assert facts["soup"] >= facts["alone"][taken[0]]
    summary = read_json(run.summary)
    assert facts["alone"]["best"] == pytest.approx(summary["best"], abs=1e-9)
    assert facts["alone"]["average"] == pytest.approx(summary["averages"]["average"]["dataset_miou"], abs=1e-9)
    mean = average_weights([weights(run, name) for name in taken])
    found = weights(run, "soup")
    trained = [name for name in mean if "running" not in name and "tracked" not in name]
    assert all(torch.allclose(found[name], mean[name]) for name in trained)
    predict_run(run, ["oof"], checkpoint="soup")
    assert store_of(run, "oof", checkpoint="soup").path.name == "oof-soup"


def test_a_uniform_soup_takes_all_that_are_named(run: RunFolder):
    top = sorted(path.stem for path in run.best.parent.glob("top_*.ckpt"))
    assert sorted(make_soup(run, top, greedy=False)) == top
    found, average = weights(run, "soup"), weights(run, "average")
    assert all(torch.allclose(found[name], average[name], atol=1e-6) for name in average)


@pytest.mark.parametrize(
    ("names", "says"), [(["best"], "wants two checkpoints"), (["best", "top_99"], "top_99.ckpt: no")]
)
def test_soups_that_cannot_be_are_refused(run: RunFolder, names, says):
    with pytest.raises(FoldsegError, match=says):
        make_soup(run, names)
