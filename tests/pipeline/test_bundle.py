"""A bundle is enough: unpacked into an empty environment without network, it predicts a hidden test set, or trains.

The environment takes torch and the other packages from the one that tests run in, by a .pth file. foldseg itself is
installed from the bundle. `docs/how-to/kaggle.md` says what was tried with all wheels.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from command.line import CommandLine
from foldseg.config import load_experiment
from foldseg.config.schema import CleanUpStep, CrfStep
from foldseg.data.reading import read_image
from foldseg.deploy.bundle import write_bundle
from foldseg.deploy.bundle_wheels import (
    TRAINING_ONLY,
    list_closure,
    list_requirements,
    list_step_packages,
    normalise,
    write_own_wheel,
)
from foldseg.deploy.ensemble_source import open_ensemble_source
from foldseg.deploy.hidden_test import predict_hidden_test
from foldseg.deploy.interface import PredictionOptions
from foldseg.deploy.reductions import list_reductions, predict_reduced
from foldseg.ensemble.run import predict_ensemble
from foldseg.errors import FoldsegError
from foldseg.files import read_json
from tiny_demo import REPOSITORY, TinyDemo

IMPORT_NAMES = {
    "pytorch-lightning": "pytorch_lightning",
    "scikit-learn": "sklearn",
}
BLOCKER = f"""
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec
missing = {sorted(IMPORT_NAMES.get(name, name) for name in TRAINING_ONLY)}
PathFinder.find_spec = lambda name, *more: None if name.partition(".")[0] in missing else find_spec(name, *more)
"""


RECALL = """
from foldseg.scoring.intervals import Ratios


def recall(counts, labels):
    return Ratios(counts[..., 0], counts[..., 1])
"""


def hidden_overrides(demo: TinyDemo, root: Path) -> list[str]:
    return [f"data.root={root}", "data.dataset=signate"]


@pytest.fixture
def hidden(demo: TinyDemo, tmp_path: Path) -> Path:
    """The demo's data in another place, with two of its test images under other names."""
    root = tmp_path / "hidden"
    shutil.copytree(demo.root / "city", root)
    for path in sorted((root / "seg_test_images").iterdir())[2:]:
        path.unlink()
    for number, path in enumerate(sorted((root / "seg_test_images").iterdir())):
        path.rename(path.with_name(f"secret_{number}.jpg"))
    return root


class Kernel:
    """A virtual environment without network, in which a bundle is unpacked."""

    def __init__(self, folder: Path, bundle: Path, blocker: str = "") -> None:
        self.work, self.bundle = folder / "work", folder / "bundle"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        self.python = folder / "venv/bin/python"
        [packages] = (folder / "venv/lib").glob("python*/site-packages")
        others = [path for path in sys.path if path.endswith("site-packages")]
        pip = Path(sys.base_prefix) / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        (packages / "others.pth").write_text("\n".join([*others, str(pip)]) + "\n")
        (packages / "sitecustomize.py").write_text(blocker)
        self.work.mkdir(parents=True)
        with zipfile.ZipFile(bundle) as archive:
            archive.extractall(self.bundle)

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHONPATH"))}
        environment |= {"PIP_CONFIG_FILE": os.devnull, "HOME": str(self.work)}
        command = [self.python, self.bundle / "run.py", *map(str, words)]
        if can_unshare():
            command = ["unshare", "--net", *command]
        return subprocess.run(command, cwd=self.work, capture_output=True, text=True, env=environment, check=False)


def can_unshare() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "--net", "true"], check=False).returncode == 0


has_pip = pytest.mark.skipif(
    not list(Path(sys.base_prefix).glob("lib/python*/site-packages/pip")), reason="needs pip in the base Python"
)


@has_pip
def test_a_bundle_predicts_a_hidden_test_set_in_an_environment_without_network(
    demo: TinyDemo, hidden: Path, tmp_path: Path
) -> None:
    """Packages that only training needs cannot be imported there."""
    write_bundle(demo.result.folder, tmp_path / "toy.zip", bare=True)
    kernel = Kernel(tmp_path, tmp_path / "toy.zip", BLOCKER)
    assert sorted(path.name for path in kernel.bundle.iterdir()) == [
        "README.txt", "bundle.json", "project", "requirements.txt", "run.py", "wheels",
    ]  # fmt: skip
    assert not list(kernel.bundle.rglob("last.ckpt"))
    out = kernel.work / "submission.json"
    done = kernel.run("predict-test", "submissions/toy", out, *hidden_overrides(demo, hidden), "--time-limit", "9h")
    assert done.returncode == 0, done.stderr
    assert "2 images in" in done.stdout and "time limit" not in done.stdout
    assert predict_hidden_test(demo.result.folder, tmp_path / "here.json", hidden_overrides(demo, hidden))
    there, here = read_json(out), read_json(tmp_path / "here.json")
    assert there == here and sorted(there) == ["secret_0.jpg", "secret_1.jpg"]

    handed_in = read_json(demo.result.submission)
    assert list(there.values()) == list(handed_in.values())[:2]
    where = subprocess.run(
        [kernel.python, "-c", "import foldseg; print(foldseg.__file__)"], capture_output=True, text=True, check=True,
        cwd=kernel.work, env={"PATH": os.environ["PATH"]},
    ).stdout  # fmt: skip
    assert str(kernel.python.parents[1]) in where


@has_pip
def test_a_bundle_trains_in_an_environment_without_network(demo: TinyDemo, tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    score = tmp_path / "own.py"
    score.write_text(RECALL)
    words = [*demo.overrides, "schedule.epochs=1", "validate_every=1", "name=small", f"monitor={score}:recall"]
    experiment = load_experiment(REPOSITORY / "configs/experiments/toy_full.yaml", words)
    config.write_text(json.dumps(experiment.model_dump(mode="json")))
    write_bundle(config, tmp_path / "small.zip", train=True, bare=True)
    kernel = Kernel(tmp_path, tmp_path / "small.zip")
    done = kernel.run("train", "configs/experiments/small.yaml", "0", f"data.root={demo.root / 'city'}")
    assert done.returncode == 0, done.stderr
    run = kernel.work / "foldseg_project/runs/small/fold_0"
    summary = read_json(run / "summary.json")
    assert (summary["best_epoch"], summary["monitor"]) == (0, "own.py:recall")


def test_weights_are_those_of_the_network_alone(demo: TinyDemo, tmp_path: Path) -> None:
    write_bundle(demo.result.folder, tmp_path / "toy.zip", bare=True)
    with zipfile.ZipFile(tmp_path / "toy.zip") as archive:
        archive.extractall(tmp_path / "toy")
    found = sorted((tmp_path / "toy/project/runs").rglob("*.ckpt"))
    assert len(found) == 6
    for path in found:
        there = torch.load(path, weights_only=True)
        here = torch.load(demo.root / "runs" / path.relative_to(tmp_path / "toy/project/runs"), weights_only=True)
        assert set(there) == {"state_dict", "foldseg"}
        for key, value in there["state_dict"].items():
            assert torch.equal(value, here["state_dict"][key])


def test_what_only_training_needs_is_not_required_for_predicting() -> None:
    names = {normalise(line) for line in list_requirements(train=False)}
    assert names | TRAINING_ONLY == {normalise(line) for line in list_requirements(train=True)}
    closure = list_closure(list_requirements(train=False), with_torch=False)
    assert {"timm", "numpy", "pydantic-core"} <= set(closure)
    assert not {"torch", "torchvision", "triton", "scipy"} & set(closure)


def test_packages_of_steps_are_required() -> None:
    pytest.importorskip("pydensecrf")
    assert list_step_packages([CrfStep(), CleanUpStep()]) == ["pydensecrf2==1.1"]
    assert list_step_packages([CleanUpStep()]) == []


def test_the_wheel_of_foldseg_holds_all_its_files(tmp_path: Path) -> None:
    wheel = write_own_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in ("foldseg", "toycity"):
        source = REPOSITORY / "src" / package
        files = [path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert {path.relative_to(REPOSITORY / "src").as_posix() for path in files} <= names
    assert any(name.endswith(".dist-info/RECORD") for name in names)


def test_what_cannot_be_bundled_is_refused(demo: TinyDemo, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    with pytest.raises(FoldsegError, match="is not finished"):
        write_bundle(demo.root / "submissions/none", out)
    with pytest.raises(FoldsegError, match="add --train"):
        write_bundle(REPOSITORY / "configs/experiments/toy_full.yaml", out)
    with pytest.raises(FoldsegError, match="holds no wheels"):
        write_bundle(demo.result.folder, out, wheels=tmp_path)
    best = demo.root / "runs/toy_crop/fold_0/checkpoints/best.ckpt"
    content = best.read_bytes()
    try:
        shutil.copy(best.with_name("last.ckpt"), best)
        with pytest.raises(FoldsegError, match="was fitted with other weights: members: 1 checkpoint"):
            write_bundle(demo.result.folder, out, bare=True)
    finally:
        best.write_bytes(content)
    assert not out.exists()


def test_wheels_are_taken_from_a_folder(demo: TinyDemo, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/timm-1.0.31-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "wheels/foldseg-0.0.1-py3-none-any.whl").write_bytes(b"old")
    said = write_bundle(demo.result.folder, tmp_path / "out.zip", wheels=tmp_path / "wheels")
    assert "2 wheels" in said
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        wheels = sorted(name for name in archive.namelist() if name.startswith("wheels/"))
    assert [name.split("-")[0] for name in wheels] == ["wheels/foldseg", "wheels/timm"] and "0.0.1" not in wheels[0]
    assert "so the machine must have: segmentation-models-pytorch" in caplog.text and " torch>" not in caplog.text


def test_a_hidden_test_set_that_cannot_be_predicted_leaves_nothing(
    demo: TinyDemo, hidden: Path, tmp_path: Path
) -> None:
    out, overrides = tmp_path / "out.json", hidden_overrides(demo, hidden)
    with pytest.raises(FoldsegError, match=r"batch_size=2: only settings of data and submission"):
        predict_hidden_test(demo.result.folder, out, ["batch_size=2"])
    with pytest.raises(FoldsegError, match=r"out\.png: should be a new file or folder like submission\.json"):
        predict_hidden_test(demo.result.folder, tmp_path / "out.png", overrides)
    with pytest.raises(FoldsegError, match=r"2 of 4 images took .* Nothing is written"):
        predict_hidden_test(demo.result.folder, out, hidden_overrides(demo, demo.root / "city"), limit=1e-3)
    (hidden / "seg_test_images/secret_1.jpg").write_bytes(b"no picture")
    with pytest.raises(FoldsegError, match=r"secret_1\.jpg"):
        predict_hidden_test(demo.result.folder, out, overrides)
    assert not out.exists() and not list(tmp_path.glob(".out*"))


def test_pictures_of_a_folder_are_predicted_by_their_names(demo: TinyDemo, hidden: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    predict_hidden_test(demo.result.folder, out, folder=hidden / "seg_test_images")
    assert sorted(read_json(out)) == ["secret_0.jpg", "secret_1.jpg"]


def test_reductions_are_in_the_order_that_is_said(demo: TinyDemo) -> None:
    folder = predict_ensemble(demo.ensemble("name=light", "tta=flip")).folder
    source = open_ensemble_source(folder, PredictionOptions())
    reductions = list_reductions(source)
    parts = [reduction.left_out.split(" (")[0] for reduction in reductions]
    names = [f"toy_{variant}" for variant in ("full", "crop", "resized")]
    assert parts[:2] == ["", "test-time augmentation"] and len(parts) == 5
    assert set(parts[2:4]) < {f"member {name}" for name in names}
    assert parts[4].startswith("one of 2 folds of toy_")
    costs = [reduction.estimate(np.ones(3)) for reduction in reductions]
    assert costs == [12, 6, 4, 2, 1]


def test_a_member_that_is_left_out_is_as_if_it_had_not_been_there(demo: TinyDemo) -> None:
    """The blend of all but one member, with its place filled, is the blend of an ensemble without it."""
    whole = open_ensemble_source(demo.result.folder, PredictionOptions())
    picture = read_image(next((demo.root / "city/seg_test_images").iterdir()))
    reductions = list_reductions(whole)
    full, seconds = predict_reduced(whole, reductions[0], "a", picture)
    assert np.array_equal(full.labels, whole.predict_label_map(picture)) and (seconds > 0).all()
    without = next(reduction for reduction in reductions if reduction.members.count(None) == 1)
    gone = without.members.index(None)
    rest = [f"{{experiment: {name}}}" for index, name in enumerate(whole.spec.members) if index != gone]
    smaller = predict_ensemble(demo.ensemble(f"members=[{', '.join(rest)}]", "name=smaller", "tta=none"))
    expected = open_ensemble_source(smaller.folder, PredictionOptions()).predict_label_map(picture)
    found, seconds = predict_reduced(whole, without, "a", picture)
    assert (found.labels == expected).mean() > 0.999 and seconds[gone] == 0


def test_the_commands(demo: TinyDemo, hidden: Path, command_line: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    words = ["predict-test", demo.result.folder, out, *hidden_overrides(demo, hidden)]
    wrong = command_line.run(*words, "--time-limit", "9 hours")
    assert wrong.status == 2 and "is no time such as 9h" in wrong.stderr
    done = command_line.run(*words, "--time-limit", "10m")
    assert done.status == 0 and "2 images in" in done.stdout, done.said
    bundled = command_line.run("bundle", demo.result.folder, tmp_path / "b.zip", "--no-wheels")
    assert bundled.status == 0 and "!python BUNDLE/run.py predict-test submissions/toy" in bundled.stdout
    again = command_line.run("bundle", demo.result.folder, tmp_path / "b.zip", "--no-wheels")
    assert again.status == 0, again.said
    (tmp_path / "c.zip").write_text("mine")
    kept = command_line.run("bundle", demo.result.folder, tmp_path / "c.zip", "--no-wheels")
    assert kept.status == 1 and (tmp_path / "c.zip").read_text() == "mine"
