"""Starting a run from another: what is taken over, and that no run validates on what its start was trained on."""

from pathlib import Path

import pytest
import torch

from command.line import CommandLine
from foldseg.config import Experiment, load_experiment
from foldseg.errors import FoldsegError
from foldseg.models.factory import build_network
from foldseg.runs.run_folder import RunFolder
from foldseg.training.fit import train_fold

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides for 12 frames of 64x64 in two folds, and one epoch."""
    from foldseg.config import load_data
    from foldseg.data.folds_file import make_folds_file

    root = tmp_path_factory.mktemp("toy")
    data = [
        f"data.root={root / 'city'}",
        f"data.folds={root / 'folds.csv'}",
        "data.dataset={kind: toy_city, width: 64, height: 64, train_frames: 12, test_frames: 2, seed: 3}",
    ]
    make_folds_file(load_data(REPOSITORY / "configs/data/toy_city.yaml", data))
    more = ["workers=0", "validate_every=1", "schedule.epochs=1", "early_stopping=null", f"runs={root / 'runs'}"]
    return [*data, *more]


@pytest.fixture(scope="module")
def source(toy: list[str]) -> RunFolder:
    """Fold 0 of an experiment named `source`."""
    return train_fold(experiment(toy, "source"), 0)


def experiment(toy: list[str], name: str, *more: str) -> Experiment:
    return load_experiment(REPOSITORY / "configs/experiments/toy_full.yaml", [*toy, f"name={name}", *more])


def encoder(path: Path) -> dict[str, torch.Tensor]:
    state = torch.load(path, weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if ".encoder." in name}


@pytest.mark.parametrize("kind", ["run", "experiment", "checkpoint"])
def test_a_run_starts_from_another_with_other_classes(toy: list[str], source: RunFolder, kind: str) -> None:
    start = {"run": source.path, "experiment": source.path.parent, "checkpoint": source.best}[kind]
    still = ["optimizer.lr=1e-12", "optimizer.weight_decay=0", "optimizer.freeze_encoder_epochs=1"]
    run = train_fold(experiment(toy, f"from_{kind}", f"model.start_from={start}", "data.labels=[car, lane]", *still), 0)
    before, after = encoder(source.best), encoder(run.last)
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert after


@pytest.mark.parametrize("name", ["source", "child"])
def test_a_run_is_not_started_from_what_was_trained_on_its_validation_images(
    toy: list[str], source: RunFolder, name: str
) -> None:
    """Defect 22: neither from another fold's run, nor from one that was started from it."""
    if name == "child":
        train_fold(experiment(toy, "child", f"model.start_from={source.path}"), 0)
    start = source.path.parent.parent / name / "fold_0"
    with pytest.raises(FoldsegError, match=rf"{name}/fold_0 was trained on \d+ of the \d+ images that this run valid"):
        train_fold(experiment(toy, f"leaking_{name}", f"model.start_from={start}"), 1)


def test_an_unfinished_run_is_not_started_from(toy: list[str], source: RunFolder, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "fold_0"
    shutil.copytree(source.path, copy)
    (copy / "summary.json").unlink()
    with pytest.raises(FoldsegError, match="the run is not finished"):
        train_fold(experiment(toy, "too_early", f"model.start_from={copy}"), 0)


def test_an_exported_encoder_is_loaded_by_name(source: RunFolder, command_line: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "weights/encoder.pth"
    done = command_line.run("export-encoder", source.path, out)
    assert done.status == 0, done.said
    model = source.experiment.model.model_copy(update={"encoder_weights": str(out)})
    trained = encoder(source.best)
    found = build_network(model, 2).encoder.state_dict()
    counters = [name for name in found if name.endswith("num_batches_tracked")]
    for name in found.keys() - set(counters):
        assert torch.equal(found[name], trained[f"network.net.encoder.{name}"]), name
