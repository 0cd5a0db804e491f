"""A made-up CamVid of eight 48x64 frames, and runs and submissions whose mistakes are known to the pixel."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from foldseg.config import Data, Ensemble, Experiment, save
from foldseg.data.camvid import LABELS
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import make_folds_file
from foldseg.data.labels import Mask
from foldseg.ensemble.fitted import write_fitted_steps
from foldseg.ensemble.line import Line
from foldseg.inference.run_stores import expected_metadata
from foldseg.inference.store import PredictionStore
from foldseg.runs.run_folder import RunFolder
from foldseg.submission import label_png
from foldseg.training.sessions import describe_run

IDS = [f"{sequence}_f{number:05d}" for sequence in ("A1", "B2") for number in (0, 300, 600)]
BUILDING, POLE, ROAD, CAR = 1, 2, 3, 8


def truth() -> Mask:
    """Building above, road below, a 4-pixel pole, an 80-pixel car, one column of void."""
    mask = np.full((48, 64), BUILDING, np.uint8)
    mask[24:] = ROAD
    mask[10:12, 40:42] = POLE
    mask[30:38, 20:30] = CAR
    mask[:, 0] = 255
    return mask


def prediction(car: float = 1.0) -> Mask:
    """The truth without its void; `car` is the share of the car's columns that are found, the rest is road."""
    mask = truth()
    mask[:24, 0], mask[24:, 0] = BUILDING, ROAD
    mask[30:38, 20 + round(10 * car) : 30] = ROAD
    return mask


@dataclass(frozen=True)
class World:
    """The made-up data and what is made from it."""

    root: Path
    data: Data
    ids: list[str]
    folds: pd.DataFrame

    def truth(self) -> Mask:
        return truth()

    def prediction(self, car: float = 1.0) -> Mask:
        return prediction(car)

    def runs(self, name: str, cars: Mapping[str, float], confidence: int = 255) -> Path:
        """Finished runs of all folds with complete OOF stores; `cars` says how much of an image's car is found."""
        experiment = Experiment.model_validate(
            {
                "name": name,
                "data": self.data,
                "view": {"train": {"kind": "full"}, "predict": {"kind": "full"}},
                "runs": self.root / "runs",
            }
        )
        for fold, part in self.folds.groupby("fold"):
            run = RunFolder.of(experiment, int(str(fold)))
            describe_run(run, experiment, int(str(fold)), LABELS.names, DataSet(self.data))
            run.best.parent.mkdir()
            run.best.write_bytes(b"weights")
            run.summary.write_text("{}")
            store = PredictionStore(run.predictions / "oof")
            ids = part["id"].tolist()
            store.begin(expected_metadata(run, "oof", DataSet(self.data)))
            for image in ids:
                hot = np.arange(len(LABELS))[:, None, None] == prediction(cars.get(image, 1.0))
                rest = (255 - confidence) // (len(LABELS) - 1)
                store.write(image, np.where(hot, confidence, rest).astype(np.uint8))
        return self.root / "runs" / name

    def submission(self, members: list[dict], cars: Mapping[str, float]) -> Ensemble:
        """A finished ensemble's config, score.json and OOF label maps."""
        settings = {"name": "both", "members": members, "runs": self.root / "runs", "submissions": self.root / "subs"}
        ensemble = Ensemble.model_validate(settings)
        folder = ensemble.submissions / ensemble.name
        save(ensemble, folder / "config.yaml")
        label_png.write(folder / "oof", ((i, prediction(cars.get(i, 1.0))) for i in self.ids), LABELS)
        stages = [*(m["experiment"] for m in members), "blend"]
        scores = {stage: {"dataset_miou": 0.5} for stage in stages}
        write_fitted_steps(folder / "fitted.npz", Line())
        (folder / "score.json").write_text(
            json.dumps({"score": "dataset_miou", "folds": [0, 1], "oof": scores, "steps": {}})
        )
        return ensemble


@pytest.fixture
def world(tmp_path: Path) -> World:
    root = tmp_path / "camvid"
    splits = {"train": IDS, "val": ["C3_f00000"], "test": ["D4_f00000"]}
    rng = np.random.default_rng(0)
    for split, ids in splits.items():
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        (root / f"{split}.txt").write_text("".join(f"/SegNet/CamVid/{split}/{i}.png {i}.png\n" for i in ids))
        for image in ids:
            frame = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            cv2.imwrite(str(root / split / f"{image}.png"), frame)
            cv2.imwrite(str(root / f"{split}annot" / f"{image}.png"), LABELS.decode(truth()))
    data = Data.model_validate({"dataset": "camvid", "root": root, "folds": tmp_path / "folds.csv", "fold_count": 2})
    folds = make_folds_file(data)
    return World(tmp_path, data, IDS, folds)
