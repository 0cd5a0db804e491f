"""From an experiment's settings to its samples."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.config.schema import Data, Experiment, Sampling
from foldseg.data.cache import CachedFrames, cached_frames
from foldseg.data.frames import FileFrames, Frames, JoinedFrames
from foldseg.data.labels import LabelSet
from foldseg.data.sources import source_frames
from foldseg.views.mixing import Mixing
from foldseg.views.samples import EvalSamples, TrainSamples
from foldseg.views.sampling import EpochPlan


def train_samples(
    experiment: Experiment,
    fold: int,
    train: pd.DataFrame,
    folded: pd.DataFrame,
    labels: LabelSet,
    stride: int,
    data_fingerprint: str,
) -> TrainSamples:
    """Return what a fold is trained on: the frames of `train`, and those of the sources that are not held out.

    `folded` are the images of all folds, `data_fingerprint` tells their division. FoldsegError for whatever of the
    sampling cannot be done with this data.
    """
    own = table_frames(train, folded, experiment.data, labels, experiment.cache)
    held_out = set(folded["id"]) - set(train["id"])
    pictures = experiment.data.pictures
    more = [
        source_frames(source, fold, labels, held_out, data_fingerprint, pictures)
        for source in experiment.sampling.sources
    ]
    sources = [cached_frames(files, experiment.cache) if experiment.cache else files for files in more]
    frames = JoinedFrames((own, *sources)) if sources else own
    is_plain = experiment.sampling == Sampling()
    is_mixed = experiment.cut_mix is not None or experiment.copy_paste is not None
    plan = mixing = None
    if not is_plain or is_mixed:
        pixels, sizes = _class_pixels(own), [len(part.ids) for part in sources]
        epochs, names = experiment.schedule.epochs, labels.names
        if not is_plain:
            plan = EpochPlan(experiment.sampling, names, pixels, sizes, epochs, experiment.seed)
        if is_mixed:
            mixing = Mixing(experiment.cut_mix, experiment.copy_paste, frames, names, pixels)
    view = experiment.view.train
    return TrainSamples(frames, view, experiment.augment, stride, experiment.seed, plan, mixing)


@lru_cache(maxsize=1)
def _class_pixels(frames: Frames) -> NDArray[np.int64]:
    """Count once what every stage of a run needs: from files that is a pass over all masks."""
    return frames.class_pixels()


def validation_samples(
    experiment: Experiment, validation: pd.DataFrame, folded: pd.DataFrame, labels: LabelSet, stride: int
) -> EvalSamples:
    """Return what a fold is validated on."""
    frames = table_frames(validation, folded, experiment.data, labels, experiment.cache)
    return EvalSamples(frames, experiment.view.predict, stride)


def table_frames(table: pd.DataFrame, folded: pd.DataFrame, data: Data, labels: LabelSet, cache: Path | None) -> Frames:
    """Return the frames of `table`, some of `folded`; from the cache of all folds in the folder `cache`, if given."""
    if cache is None:
        return FileFrames.of(table, data.root, labels, pictures=data.pictures)
    everything = cached_frames(FileFrames.of(folded, data.root, labels, pictures=data.pictures), cache)
    return CachedFrames(everything.home, table["id"].tolist())
