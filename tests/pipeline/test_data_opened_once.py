"""A command scans its data and checks its folds file once, whatever the number of members, folds and splits."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import typer

from foldseg.cli.app import app
from foldseg.config.schema import Data, ToyCity
from foldseg.data import datasets
from foldseg.data.datasets import DATASETS, DataSet, DatasetDefinition, OpenedData
from tiny_demo import TinyDemo

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Counts:
    """How often the data root was scanned, and the folds file checked."""

    scans: int = 0
    folds: int = 0


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    counts, definition, load_folds = Counts(), DATASETS[ToyCity], datasets.load_folds

    def scan(settings: Data) -> pd.DataFrame:
        counts.scans += 1
        return definition.scan(settings)

    def load(path: Path, table: pd.DataFrame) -> pd.DataFrame:
        counts.folds += 1
        return load_folds(path, table)

    monkeypatch.setitem(DATASETS, ToyCity, DatasetDefinition(scan, definition.labels))
    monkeypatch.setattr(datasets, "load_folds", load)
    return counts


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a command in this process."""

    def run(*words: object) -> None:
        monkeypatch.chdir(REPOSITORY)
        command = typer.main.get_command(app)
        with command.make_context("foldseg", [str(word) for word in words]) as context:
            command.invoke(context)

    return run


@pytest.fixture
def contest(demo: TinyDemo, tmp_path: Path) -> Path:
    """A copy of the demo's runs and submission; its data is shared."""
    shutil.copytree(demo.root / "runs", tmp_path / "runs")
    shutil.copytree(demo.root / "submissions", tmp_path / "submissions")
    return tmp_path


def test_every_command_opens_its_data_once(
    demo: TinyDemo, contest: Path, counts: Counts, run: Callable[..., None]
) -> None:
    runs, submission = contest / "runs", contest / "submissions/toy"
    folders = [f"runs={runs}", f"submissions={contest / 'submissions'}"]
    ensemble = ["configs/ensembles/toy.yaml", *folders, "workers=1", "bootstrap_samples=100", "steps=[]"]
    training = ["configs/experiments/toy_crop.yaml", "all", *demo.overrides, f"runs={runs}"]
    city = ["configs/data/toy_city.yaml", *(word for word in demo.overrides if word.startswith("data."))]
    shutil.rmtree(runs / "toy_crop/fold_1")
    commands: dict[str, list[object]] = {
        "train": training,
        "predict": [runs / "toy_crop/fold_0", "--tta", "flip"],
        "ensemble": ensemble,
        "verify": [submission],
        "compare": [submission, runs / "toy_full", runs / "toy_crop"],
        "pseudo-labels": [ensemble[0], contest / "pseudo", *ensemble[1:]],
        "show-ensemble": [ensemble[0], contest / "summary.png", *folders, "steps=[]"],
        "show-batch": [training[0], *training[2:], "--out", contest / "batch.png"],
        "tta-gains": [runs / "toy_crop", "--tta", "flip"],
    }
    for verb, words in commands.items():
        counts.scans = counts.folds = 0
        run(verb, *words)
        assert (verb, counts) == (verb, Counts(1, 1))
    counts.scans = counts.folds = 0
    run("verify", submission, "--from-stores")
    assert counts == Counts(1, 1)
    counts.scans = counts.folds = 0
    run("score", city[0], submission / "oof", *city[1:], "data.labels=scored")
    assert counts == Counts(1, 0)  # folds are no matter there


def test_data_that_differs_in_classes_alone_is_scanned_once(demo: TinyDemo, counts: Counts) -> None:
    settings = Data(dataset=ToyCity(), root=demo.root / "city", folds=demo.root / "folds.csv", fold_count=2)
    opened = OpenedData()
    scored, everything = (opened.open(settings.model_copy(update={"labels": labels})) for labels in ("scored", "all"))
    assert scored.folded is everything.folded
    assert scored.samples is everything.samples
    assert scored.fingerprint == everything.fingerprint
    assert (len(scored.labels), len(everything.labels)) == (5, 20)
    assert opened.open(settings.model_copy(update={"labels": "scored"})) is scored
    assert counts == Counts(1, 1)


def test_what_a_data_set_says_of_its_images(demo: TinyDemo) -> None:
    data = DataSet(Data(dataset=ToyCity(), root=demo.root / "city", folds=demo.root / "folds.csv", fold_count=2))
    assert data.folds == [0, 1]
    assert len(data.samples) == 28
    assert data.test["id"].tolist() == [f"test_{number:03d}" for number in range(4)]
    assert data.size_of("test_000") == (64, 96)
    assert data.sizes[["height", "width"]].drop_duplicates().to_numpy().tolist() == [[64, 96]]
    assert data.images["train_0003"] == demo.root / "city/seg_train_images/train_0003.jpg"
