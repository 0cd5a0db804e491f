"""Finished runs as a source of predictions: the mean of their networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foldseg.config import override_view
from foldseg.config.schema import Pictures, Tta
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.deploy.interface import PredictionOptions, build_memory_error
from foldseg.errors import FoldsegError
from foldseg.inference.predictor import Predictor
from foldseg.inference.quantise import quantise
from foldseg.inference.store import Quantised
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import trained_labels


@dataclass(frozen=True)
class RunsSource:
    """Networks of the same classes, each in its view. Their probabilities are averaged. All stay in memory."""

    labels: LabelSet
    reading: Pictures
    provenance: dict[str, Any]
    predictors: tuple[Predictor, ...]
    tta: Tta

    def predict_probabilities(self, picture: Image) -> Quantised:
        """Return the probabilities of the classes, (classes, H, W) uint8: round(255 p)."""
        return quantise(self.predict_mean(picture), self.predictors[0].activation).numpy()

    def predict_label_map(self, picture: Image) -> Mask:
        """Return class indices or class bits, (H, W) uint8."""
        return self.predictors[0].activation.decide(self.predict_mean(picture)).cpu().numpy()

    def predict_mean(self, picture: Image) -> Tensor:
        """Return the mean of the networks' probabilities, (classes, H, W) float32.

        FoldsegError when the device has no room for them.
        """
        try:
            total = self.predictors[0].image(picture, self.tta)
            for predictor in self.predictors[1:]:
                total = total + predictor.image(picture, self.tta)
        except torch.OutOfMemoryError as error:
            raise build_memory_error(picture, self.provenance["view"]) from error
        return total if len(self.predictors) == 1 else total / len(self.predictors)


def open_runs_source(paths: Sequence[Path], options: PredictionOptions) -> RunsSource:
    """Open finished runs of the same classes. FoldsegError names what is missing, unfinished or does not fit."""
    runs = [RunFolder.open(path) for path in paths]
    labels = trained_labels(runs[0])
    for run in runs[1:]:
        run_labels = trained_labels(run)
        if run_labels != labels:
            raise FoldsegError(f"{run.path}: its classes are not those of {runs[0].path}: {run_labels.names}")
    reading = common_reading(runs)
    checkpoint = options.checkpoint or "best"
    views = [override_view(run.experiment.view.predict, options.view, run.config) for run in runs]
    provenance = {
        "source": _name_of(runs),
        "weights": [run.hash_of(checkpoint) for run in runs],
        "view": views[0].model_dump(mode="json"),
        "tta": options.tta.model_dump(mode="json"),
    }
    predictors = tuple(
        Predictor.load(run, options.device or run.experiment.device, view, checkpoint)
        for run, view in zip(runs, views, strict=True)
    )
    return RunsSource(labels, reading, provenance, predictors, options.tta)


def common_reading(runs: Sequence[RunFolder]) -> Pictures:
    """Return how images are read that all of the runs predict. FoldsegError if they read images in different ways."""
    first = runs[0].experiment.data.pictures.of_images
    for run in runs[1:]:
        other = run.experiment.data.pictures.of_images
        if other != first:
            raise FoldsegError(
                f"{run.path}: reads images in another way than {runs[0].path} (data.pictures: {_shown(other)} and "
                f"{_shown(first)}), so one picture cannot be read for both"
            )
    return first


def _shown(pictures: Pictures) -> dict[str, Any]:
    return pictures.model_dump(mode="json", include={"channels", "value_range", "white_level"}, exclude_none=True)


def _name_of(runs: Sequence[RunFolder]) -> str:
    """Return `experiment/fold_0` for one run, `experiment` for several."""
    path = runs[0].path.resolve()
    return "/".join(path.parts[-2:]) if len(runs) == 1 else path.parent.name
