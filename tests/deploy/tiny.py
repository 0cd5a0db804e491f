"""What the tests of this folder share: sources without a network, and runs without training."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from foldseg.config.schema import Experiment, Pictures
from foldseg.data import camvid
from foldseg.data.datasets import DataSet
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.data.reading import AS_SHOWN
from foldseg.files import write_json
from foldseg.models.factory import build_network
from foldseg.runs.run_folder import RunFolder
from foldseg.training.sessions import describe_run

COLOURS = camvid.LABELS.colours


@dataclass
class Painter:
    """A source that sees a pixel at a time: the class whose colour is nearest. `seen` counts pictures."""

    labels: LabelSet = camvid.LABELS
    weights: str = "ab" * 32
    reading: Pictures = AS_SHOWN
    seen: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def provenance(self) -> dict[str, Any]:
        return {"source": "painter", "weights": [self.weights], "view": {"kind": "full"}, "tta": []}

    def predict_label_map(self, picture: Image) -> Mask:
        self.seen.append(picture.shape)
        return np.abs(picture[:, :, None].astype(int) - COLOURS).sum(-1).argmin(-1).astype(np.uint8)

    def predict_probabilities(self, picture: Image) -> Image:
        classes = np.arange(len(COLOURS))[:, None, None]
        return np.where(self.predict_label_map(picture) == classes, 255, 0).astype(np.uint8)


def blocks(height: int, width: int, seed: int = 0, side: int = 8) -> Mask:
    """(H, W) uint8 classes in random squares."""
    small = np.random.default_rng(seed).integers(0, len(COLOURS), (-(-height // side), -(-width // side)))
    return small.astype(np.uint8).repeat(side, 0).repeat(side, 1)[:height, :width]


def make_run(folder: Path, fold: int = 0, root: Path = Path("data")) -> RunFolder:
    """Write a finished run of CamVid's classes, with random weights that tell pixels apart."""
    settings = {
        "name": folder.name,
        "runs": folder.parent,
        "data": {"dataset": "camvid", "root": root, "folds": folder / "folds.csv"},
        "model": {
            "architecture": "unet",
            "encoder": "tu-resnet10t",
            "encoder_weights": None,
            "options": {"decoder_channels": [32, 16, 16, 8, 8]},
        },
        "view": {"train": {"kind": "full"}, "predict": {"kind": "full"}},
    }
    experiment = Experiment.model_validate(settings)
    table = pd.DataFrame({"id": ["a"], "image": ["a.png"], "mask": ["a.png"], "fold": [fold]})
    data = DataSet(experiment.data)
    vars(data)["folded"] = table  # the data is not there
    run = RunFolder.of(experiment, fold)
    describe_run(run, experiment, fold, camvid.LABELS.names, data)
    write_checkpoint(run, seed=fold)
    write_json(run.summary, {})
    return run


def write_checkpoint(run: RunFolder, seed: int, name: str = "best") -> None:
    """Write random weights, with a head that is sure of itself."""
    torch.manual_seed(seed)
    network = build_network(run.experiment.model, len(run.classes), pretrained=False)
    torch.nn.init.normal_(network.net.segmentation_head[0].weight, std=0.5)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    run.best.parent.mkdir(exist_ok=True)
    torch.save({"state_dict": state, "foldseg": {"classes": run.classes}}, run.checkpoint(name))
