"""A project in which the commands of a page take seconds: the committed configurations, with tiny networks and data."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import yaml

from importing.trees import TREES
from pages.markdown import REPOSITORY

HAS_CRF = importlib.util.find_spec("pydensecrf") is not None
DEMO = "make demo"
"""The block of commands that is run once, before all pages."""
PRINTED = "demo.txt"
"""File in the project with what it printed."""
TINY_EXPERIMENT: dict[str, Any] = {
    "model": {
        "architecture": "unet",
        "encoder": "tu-resnet10t",
        "encoder_weights": None,
        "options": {"encoder_depth": 4, "decoder_channels": [16, 8, 8, 8]},
    },
    "schedule": {"epochs": 1},
    "validate_every": 1,
    "early_stopping": None,
    "precision": "fp32",
    "accumulate": 1,
    "workers": 0,
}
TINY_WINDOW = [32, 48]
TINY_CITY = {"kind": "toy_city", "width": 96, "height": 64, "train_frames": 20, "test_frames": 3, "seed": 1}
TINY_ENSEMBLE = {"workers": 1, "bootstrap_samples": 200}


def lay_out(project: Path) -> None:
    """Write configurations, scripts and Makefile into a new project; data and folds are not there yet."""
    shutil.copytree(REPOSITORY / "scripts", project / "scripts")
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, project)
    for config in REPOSITORY.glob("configs/*/*.yaml"):
        copy = project / config.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(yaml.safe_dump(_shrink(config), sort_keys=False))


def lay_out_exports(folder: Path) -> None:
    """Write what annotation tools export: folders, a zip without images, a tar, and a class file."""
    for name in ("coco", "labelme", "label_studio"):
        TREES[name](folder / name)
    TREES["mmsegmentation"](folder / "mmseg")
    (folder / "classes.txt").write_text("background 0 0 0\nbox 250 50 53\ndisc 51 221 255\n")
    for name, kind in (("cvat_masks", "zip"), ("supervisely", "tar")):
        source = TREES[name](folder / f"{name}_source")
        if kind == "zip":
            shutil.move(source / "JPEGImages", folder / "cvat_images")
        shutil.make_archive(str(folder / name), kind, source)
        shutil.rmtree(source)


def _shrink(config: Path) -> dict[str, Any]:
    """Return a configuration with which a command takes seconds."""
    settings = yaml.safe_load(config.read_text())
    if config.parent.name == "data":
        settings["data"]["fold_count"] = 2
        if isinstance(settings["data"]["dataset"], dict):
            settings["data"]["dataset"] = TINY_CITY
    elif config.parent.name == "ensembles":
        settings |= TINY_ENSEMBLE
        steps = settings.get("steps", [])
        settings["steps"] = [_shorten(step) for step in steps if HAS_CRF or not _is_crf(step)]
    elif not config.name.startswith("_"):
        settings = _merge(settings, TINY_EXPERIMENT)
        settings["batch_size"] = 4 if config.name.startswith("toy") else 2  # the others have few images to train on
        for view in settings.get("view", {}).values():
            if "size" in view:
                view["size"] = TINY_WINDOW
    return settings


def _is_crf(step: Any) -> bool:
    return step == "crf" or (isinstance(step, dict) and step["kind"] == "crf")


def _shorten(step: Any) -> Any:
    """Return a step that takes a single iteration where it would take several."""
    if not _is_crf(step):
        return step
    return ({"kind": step} if isinstance(step, str) else step) | {"iterations": 1}


def _merge(settings: Any, changes: Any) -> Any:
    if not (isinstance(settings, dict) and isinstance(changes, dict)):
        return changes
    return settings | {key: _merge(settings.get(key), value) for key, value in changes.items()}
