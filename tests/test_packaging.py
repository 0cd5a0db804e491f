"""A wheel is of use without the repository, and asks for ranges; the repository pins what is tested."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from foldseg.config import load_ensemble, load_experiment

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, str]:
    lines = [line for name in ("requirements.txt", "requirements-dev.txt") for line in (REPOSITORY / name).open()]
    return dict(re.findall(r"^([\w.-]+)==(\S+)", line)[0] for line in lines if "==" in line and line[0] != "#")


def test_every_range_holds_the_version_that_is_tested() -> None:
    asked = [Requirement(text) for text in PROJECT["dependencies"]]
    extras = [
        Requirement(text)
        for name in ("onnx", "video", "coco", "cvat")
        for text in PROJECT["optional-dependencies"][name]
    ]
    tested = pins()
    assert [one.name for one in [*asked, *extras] if not one.specifier.contains(tested[one.name])] == []
    assert all(spec.operator == ">=" for one in asked for spec in one.specifier)
    pinned = re.findall(r"^([\w.-]+)==", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE)
    assert sorted(pinned) == sorted(one.name for one in asked)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, installed into a folder."""
    tree = tmp_path_factory.mktemp("tree")
    for part in ("src", "configs", "folds"):
        shutil.copytree(REPOSITORY / part, tree / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tree)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
    subprocess.run([sys.executable, "-c", build], cwd=tree, check=True, capture_output=True)
    (wheel,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        (metadata,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        assert "Requires-Dist: torch>=2.4" in content.read(metadata).decode()
    site = tmp_path_factory.mktemp("site")
    uv = shutil.which("uv")  # as scripts/install.sh: an environment that uv made has no pip
    pip = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--target", site, wheel], check=True, capture_output=True)
    return site


def foldseg(site: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, site / "bin/foldseg", *words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def test_an_installed_wheel_has_the_command_and_what_it_starts_from(site: Path, tmp_path: Path) -> None:
    helped = foldseg(site, tmp_path, "--help")
    assert helped.returncode == 0 and "train" in helped.stdout and "init" in helped.stdout
    assert foldseg(site, tmp_path).stdout.strip() == helped.stdout.strip()
    unknown = foldseg(site, tmp_path, "trian")
    assert unknown.returncode == 2 and "Did you mean 'train'?" in unknown.stderr
    copied = foldseg(site, tmp_path, "init", "mine")
    assert copied.returncode == 0, copied.stderr
    for path in REPOSITORY.glob("configs/*/*.*"):
        copy = tmp_path / "mine" / path.relative_to(REPOSITORY)
        assert copy.read_bytes() == path.read_bytes()
    assert load_experiment(tmp_path / "mine/configs/experiments/toy_full.yaml").name == "toy_full"
    assert load_ensemble(tmp_path / "mine/configs/ensembles/toy.yaml").name == "toy"
    again = foldseg(site, tmp_path, "init", "mine")
    assert again.returncode == 1 and again.stderr.endswith(
        "mine/configs: is there already; give another folder, or remove it\n"
    )


def test_an_installed_verb_works(site: Path, tmp_path: Path) -> None:
    foldseg(site, tmp_path, "init", ".")
    overrides = ["data.root=city", "data.folds=folds.csv"]
    overrides.append("data.dataset={kind: toy_city, width: 96, height: 64, train_frames: 24, test_frames: 4, seed: 1}")
    done = foldseg(site, tmp_path, "folds", "configs/data/toy_city.yaml", *overrides)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "folds.csv").read_text().splitlines()) == 25
    wrong = foldseg(site, tmp_path, "ensemble", "configs/ensembles/toy.yaml")
    assert wrong.returncode == 1 and "Traceback" not in wrong.stderr
    assert "no such experiment among the runs" in wrong.stderr
