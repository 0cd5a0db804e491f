"""A finished ensemble as a source of predictions: its members, its blend, and the steps as they were fitted on OOF."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Pictures, Tta
from foldseg.data.channels import as_rgb
from foldseg.data.hashes import hash_file
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.deploy.interface import PLAIN, PredictionOptions
from foldseg.deploy.runs_source import common_reading
from foldseg.ensemble.blend import Levels, merge_classes, weighted_sum
from foldseg.ensemble.fitted import read_fitted_steps
from foldseg.ensemble.image import cached_members, predict
from foldseg.ensemble.line import Line
from foldseg.ensemble.made_from import KEY, find_changed_checkpoints
from foldseg.ensemble.members import find_members
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Prediction
from foldseg.errors import FoldsegError
from foldseg.inference.predictor import Predictor
from foldseg.inference.quantise import quantise
from foldseg.inference.store import Quantised
from foldseg.runs.submission_folder import SubmissionFolder

_IN_MEMORY = 2 << 30  # bytes: so much of a picture's maps is kept for steps that need them again


@dataclass(frozen=True)
class MemberNetworks:
    """The networks of a member's folds. `into[c]` is the class of the blend that the member's class c belongs to."""

    predictors: tuple[Predictor, ...]
    tta: Tta
    into: NDArray[np.intp]

    @property
    def cost(self) -> float:
        """How much is computed for a picture: once the picture for each fold and view, times the scale squared."""
        return len(self.predictors) * sum(view.scale**2 for view in self.tta.views)

    def levels(self, picture: Image) -> Levels:
        """Return the mean of the folds, quantised as their stores are: (classes, H, W) float32, 255 p."""
        share = 1 / len(self.predictors)
        maps = ((predictor.image(picture, self.tta), predictor.activation) for predictor in self.predictors)
        planes = (quantise(probabilities, activation).numpy() for probabilities, activation in maps)
        return weighted_sum((merge_classes(of_fold, self.into), share) for of_fold in planes)


@dataclass(frozen=True)
class EnsembleSource:
    """All networks of an ensemble, in memory together, and what is done to their blend."""

    reading: Pictures
    provenance: dict[str, Any]
    members: tuple[MemberNetworks, ...]
    spec: EnsembleSpec
    line: Line

    @property
    def labels(self) -> LabelSet:
        """The classes, in the order of the probabilities."""
        return self.spec.labels

    def predict_probabilities(self, picture: Image) -> Quantised:
        """Return (classes, H, W) uint8, round(255 p), after the last step that works on probabilities."""
        return self._predict(picture).quantised()

    def predict_label_map(self, picture: Image) -> Mask:
        """Return class indices or class bits, (H, W) uint8.

        If a step lets exclusive classes overlap, it is the most probable one that holds a pixel.
        """
        return self._predict(picture).labels

    def _predict(self, picture: Image) -> Prediction:
        read_members = cached_members([partial(member.levels, picture) for member in self.members], _IN_MEMORY)
        context = ImageContext("picture", self.spec, lambda: as_rgb(picture), read_members)
        return predict(context, self.line)


def open_ensemble_source(path: Path, options: PredictionOptions) -> EnsembleSource:
    """Open the folder of a submission that foldseg ensemble has finished, with all folds of its members.

    FoldsegError when it is not finished or a run is missing. FoldsegError also for options of view, TTA or checkpoint:
    an ensemble predicts as its members did when it was fitted.
    """
    if options.view or options.tta != PLAIN or options.checkpoint is not None:
        raise FoldsegError(f"{path}: an ensemble predicts as it was fitted, in no other view, TTA or checkpoint")
    submission = SubmissionFolder.open(path)
    config = submission.read_settings()
    members = find_members(config)
    stated = submission.read_scores().get(KEY, {})
    if changes := find_changed_checkpoints(config, stated.get("members", {})):
        raise FoldsegError(f"{path}: was fitted with other weights: {changes[0]}; run foldseg ensemble again")
    loaded, weights = [], []
    reading = common_reading([run for runs in members.runs.values() for run in runs.values()])
    for member in config.members:
        runs = members.runs[member.name].values()
        weights += [run.hash_of(member.checkpoint) for run in runs]
        predictors = [
            Predictor.load(run, options.device or run.experiment.device, member.view, member.checkpoint) for run in runs
        ]
        loaded.append(MemberNetworks(tuple(predictors), members.tta(member), members.into[member.name]))
    line = read_fitted_steps(submission.fitted, config.steps)
    provenance = {
        "source": f"ensemble {config.name}",
        "weights": weights,
        "view": {},
        "tta": {},
        "config": config.model_dump(mode="json", include={"members", "tta", "blend", "steps", "labels", "folds"}),
        "fitted": hash_file(submission.fitted),
        "left_out": sorted(line.left_out),
    }
    return EnsembleSource(reading, provenance, tuple(loaded), members.spec, line)
