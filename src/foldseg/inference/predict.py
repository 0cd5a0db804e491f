"""From a finished run to its prediction stores: OOF and test alike, image by image."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from foldseg.config import load_experiment
from foldseg.config.schema import PredictView, view_slug
from foldseg.data.datasets import folded_samples, label_set, load_samples
from foldseg.data.frames import FileFrames
from foldseg.errors import FoldsegError
from foldseg.inference.store import PredictionStore, StoreFacts
from foldseg.inference.tta import tta_mean
from foldseg.models.factory import check_device, check_view
from foldseg.models.network import SegmentationNetwork
from foldseg.training.run import RunFolder
from foldseg.training.trained import load_network
from foldseg.views.geometry import probabilities, restore
from foldseg.views.samples import EvalSample, EvalSamples, eval_loader

logger = logging.getLogger(__name__)

SPLITS = ("oof", "test")


@dataclass(frozen=True)
class Predictor:
    """A run's network, ready to predict in a view."""

    network: SegmentationNetwork
    view: PredictView
    device: torch.device
    autocast: torch.dtype | None

    @staticmethod
    def load(
        run: RunFolder, device: str = "auto", view: PredictView | None = None, checkpoint: str = "best"
    ) -> "Predictor":
        """Build the network of a finished run and load its weights. FoldsegError when they are missing or do not fit.

        `view`: None for the one that the run remembers.
        """
        experiment = run.experiment
        check_device(device)
        view = view or experiment.view.predict
        network = load_network(run, run.existing_checkpoint(checkpoint))
        check_view(view, network.stride)
        use_gpu = device == "gpu" or (device == "auto" and torch.cuda.is_available())
        place = torch.device("cuda" if use_gpu else "cpu")
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(experiment.precision) if use_gpu else None
        if experiment.channels_last:
            network.to(memory_format=torch.channels_last)
        return Predictor(network.to(place).eval(), view, place, half)

    @torch.inference_mode()
    def __call__(self, sample: EvalSample, tta: Sequence[str] = ()) -> Tensor:
        """Class probabilities (classes, H, W) float32 on the image's original grid, on the predictor's device."""
        inputs = sample.inputs.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
            maps = tta_mean(lambda images: probabilities(self.network, images, self.view), inputs, tta)
        return restore(maps, sample.grid)[0]


def quantise(maps: Tensor) -> Tensor:
    """Probabilities in 0..1 -> uint8 round(255 p), on the CPU."""
    return (maps * 255 + 0.5).to(torch.uint8).cpu()


def split_table(run: RunFolder, split: str) -> pd.DataFrame:
    """Return the rows of the samples table that a run predicts: its own fold ("oof"), or the test set ("test")."""
    data = run.experiment.data
    if split == "test":
        table = load_samples(data)
        table = table[table["split"] == "test"]
    else:
        folded = folded_samples(data)
        run.check_folds(folded)
        table = folded[folded["fold"] == run.fold]
    return table if run.experiment.debug is None else table.head(run.experiment.debug_images)


def overridden_view(run: RunFolder, overrides: Sequence[str]) -> PredictView:
    """Return a run's prediction view, changed by overrides `view.predict=...`; FoldsegError for any other key."""
    for override in overrides:
        if override.partition("=")[0].split(".")[:2] != ["view", "predict"]:
            raise FoldsegError(
                f"override {override!r}: a run is predicted as it was trained but for its view; "
                "valid here are view.predict={...} and view.predict.<key>=..."
            )
    return load_experiment(run.config, overrides).view.predict


def store_of(
    run: RunFolder,
    split: str,
    tta: Sequence[str] = (),
    view: PredictView | None = None,
    checkpoint: str = "best",
) -> PredictionStore:
    """Return the store of a run's predictions, whether it exists or not; its name says what is unlike the usual."""
    other = [] if checkpoint == "best" else [checkpoint]
    other += [] if view in (None, run.experiment.view.predict) else [view_slug(view)]
    return PredictionStore(run.predictions / "-".join([split, *other, *sorted(tta)]))


def predict_run(
    run: RunFolder,
    splits: Sequence[str] = SPLITS,
    tta: Sequence[str] = (),
    device: str | None = None,
    view: PredictView | None = None,
    checkpoint: str = "best",
) -> list[PredictionStore]:
    """Write what is missing of a finished run's stores; return them. Goes on where an earlier call stopped.

    `device` and `view`: None for those that the run remembers. `checkpoint`: best, or another that the run keeps.
    Of a debug run only a few images of each split are predicted.
    """
    stores = []
    weights = run.hash_of(checkpoint)
    predictor: Predictor | None = None
    for split in splits:
        table = split_table(run, split)
        store = store_of(run, split, tta, view, checkpoint)
        seen = (view or run.experiment.view.predict).model_dump(mode="json")
        name = str(Path(run.path.parent.name) / run.path.name)
        ids = table["id"].tolist()
        store.begin(StoreFacts(name, split, run.fold, run.classes, weights, seen, sorted(tta), ids))
        todo = table[table["id"].isin(store.missing())]
        if len(todo):
            predictor = predictor or Predictor.load(run, device or run.experiment.device, view, checkpoint)
            _predict_into(store, predictor, todo, run, tta)
        stores.append(store)
    return stores


def _predict_into(
    store: PredictionStore, predictor: Predictor, table: pd.DataFrame, run: RunFolder, tta: Sequence[str]
) -> None:
    experiment = run.experiment
    if label_set(experiment.data).names != run.classes:
        raise FoldsegError(f"{run.path}: its classes {run.classes} are not those of its data set any more")
    frames = FileFrames.of(table, experiment.data.root, None)
    samples = EvalSamples(frames, predictor.view, predictor.network.stride)
    loader: DataLoader[EvalSample] = eval_loader(samples, experiment.workers)
    logger.info("predicting %d images into %s", len(table), store.path)
    for sample in tqdm(loader, total=len(table), desc=store.path.name, unit="image", leave=False, disable=None):
        store.write(sample.id, quantise(predictor(sample, tta)).numpy())
