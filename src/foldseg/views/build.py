"""From an experiment's settings to its samples."""

from pathlib import Path

import pandas as pd

from foldseg.config.schema import Experiment, Sampling
from foldseg.data.cache import CachedFrames, cache_frames
from foldseg.data.datasets import DataSet
from foldseg.data.extra_images import open_source_frames
from foldseg.data.fold_data import FoldData
from foldseg.data.frames import FileFrames, Frames, JoinedFrames
from foldseg.views.mixing import Mixing
from foldseg.views.samples import EvalSamples, TrainSamples
from foldseg.views.sampling import EpochPlan


def train_samples(experiment: Experiment, fold_data: FoldData, stride: int) -> TrainSamples:
    """Return what a fold is trained on: its own frames, and those of the sources that are not held out.

    FoldsegError for whatever of the sampling cannot be done with this data.
    """
    data, fold, labels = fold_data.data, fold_data.fold, fold_data.labels
    own = table_frames(fold_data.train, data, experiment.cache)
    more = [
        open_source_frames(source, fold, labels, fold_data.held_out, data.fingerprint, data.pictures)
        for source in experiment.sampling.sources
    ]
    sources = [cache_frames(files, experiment.cache) if experiment.cache else files for files in more]
    frames = JoinedFrames((own, *sources)) if sources else own
    is_plain = experiment.sampling == Sampling()
    is_mixed = experiment.cut_mix is not None or experiment.copy_paste is not None
    plan = mixing = None
    if not is_plain or is_mixed:
        pixels, sizes = own.count_class_pixels(), [len(part.ids) for part in sources]
        epochs, names = experiment.schedule.epochs, labels.names
        if not is_plain:
            plan = EpochPlan(experiment.sampling, names, pixels, sizes, epochs, experiment.seed)
        if is_mixed:
            mixing = Mixing(experiment.cut_mix, experiment.copy_paste, frames, names, pixels)
    view = experiment.view.train
    return TrainSamples(frames, view, experiment.augment, stride, experiment.seed, plan, mixing)


def validation_samples(experiment: Experiment, fold_data: FoldData, stride: int) -> EvalSamples:
    """Return what a fold is validated on."""
    frames = table_frames(fold_data.validation, fold_data.data, experiment.cache)
    return EvalSamples(frames, experiment.view.predict, stride)


def table_frames(table: pd.DataFrame, data: DataSet, cache: Path | None) -> Frames:
    """Return the frames of `table`, rows of `data.folded`. `cache`: a folder with the decoded frames of all folds."""
    if cache is None:
        return FileFrames.of(table, data.root, data.labels, pictures=data.pictures)
    everything = cache_frames(FileFrames.of(data.folded, data.root, data.labels, pictures=data.pictures), cache)
    return CachedFrames(everything.home, table["id"].tolist())
