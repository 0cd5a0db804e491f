"""From a finished run to its prediction stores: OOF and test alike, image by image."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from foldseg.config import override_view
from foldseg.config.schema import PredictView, Tta, view_slug
from foldseg.data.datasets import DataSet, OpenedData
from foldseg.data.frames import FileFrames
from foldseg.data.hashes import format_count, hash_code, hash_files
from foldseg.errors import FoldsegError
from foldseg.inference.logits import Enlargement
from foldseg.inference.predictor import PLAIN
from foldseg.inference.predictor import Predictor as Predictor
from foldseg.inference.small_logits import LogitsPredictor
from foldseg.inference.store import PredictionStore, StoreFacts, StoreState, quantised
from foldseg.inference.writing import background_writer
from foldseg.notices import say_once
from foldseg.resources import explained_resources
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import trained_labels
from foldseg.views.samples import batches, eval_loader

logger = logging.getLogger(__name__)

SPLITS = ("oof", "test")
PREDICTION_CODE = ("data", "views", "models", "inference")
"""Rooms whose code decides what a network predicts."""
MEMORY_CURES = (
    "predict in tiles (view.predict={kind: tiles, size: [512, 512]}), or lower eval_batch_size, tta or workers; what "
    "is predicted already is kept"
)


def quantise(maps: Tensor) -> Tensor:
    """Probabilities (..., classes, H, W) -> uint8 round(255 p), as `foldseg.inference.store.quantised`, on the CPU."""
    return quantise_on_device(maps).cpu()


def quantise_on_device(maps: Tensor) -> Tensor:
    """Quantise where the probabilities are."""
    if maps.device.type == "cpu":  # several times faster there
        images = maps.reshape(-1, *maps.shape[-3:]).numpy()
        return torch.from_numpy(np.stack([quantised(image) for image in images])).view(maps.shape)
    return quantise_by_torch(maps)


def quantise_by_torch(maps: Tensor) -> Tensor:
    """Quantise on any device."""
    planes, first = (maps * 255 + 0.5).to(torch.uint8), maps.argmax(-3, keepdim=True)
    return planes.scatter_add_(-3, first, (planes.argmax(-3, keepdim=True) != first).to(torch.uint8))


def split_table(run: RunFolder, split: str, data: DataSet) -> pd.DataFrame:
    """Return the images that a run predicts: rows of `data.folded` of its fold ("oof"), or `data.test` ("test")."""
    if split == "test":
        table = data.test
    else:
        run.check_folds(data)
        table = data.folded[data.folded["fold"] == run.fold]
    return table if run.experiment.debug is None else table.head(run.experiment.debug_images)


def overridden_view(run: RunFolder, overrides: Sequence[str]) -> PredictView:
    """Return a run's prediction view, changed by overrides `view.predict=...`; FoldsegError for any other key."""
    return override_view(run.experiment.view.predict, overrides, run.config)


def store_of(
    run: RunFolder,
    split: str,
    tta: Tta | Sequence[str] = PLAIN,
    view: PredictView | None = None,
    checkpoint: str = "best",
) -> PredictionStore:
    """Return the store of a run's predictions, whether it exists or not; its name says what is unlike the usual."""
    other = [] if checkpoint == "best" else [checkpoint]
    other += [] if view in (None, run.experiment.view.predict) else [view_slug(view)]
    tta = Tta.model_validate(tta)
    return PredictionStore(run.predictions / "-".join([split, *other, *([] if tta == PLAIN else [tta.slug])]))


def facts_of(
    run: RunFolder,
    split: str,
    data: DataSet,
    tta: Tta | Sequence[str] = PLAIN,
    view: PredictView | None = None,
    checkpoint: str = "best",
) -> StoreFacts:
    """Return what a store of a run's predictions should say of itself; whatever says otherwise is stale.

    Pictures are hashed, unless their hashes are remembered.
    """
    seen = (view or run.experiment.view.predict).model_dump(mode="json")
    merged = Tta.model_validate(tta).model_dump(mode="json")
    name = str(Path(run.path.parent.name) / run.path.name)
    table = split_table(run, split, data)
    ids, pictures = table["id"].tolist(), hash_files(data.root / name for name in table["image"])
    weights, code = run.hash_of(checkpoint), hash_code(*PREDICTION_CODE)
    return StoreFacts(name, split, run.fold, run.classes, weights, seen, merged, ids, pictures, code)


@explained_resources(MEMORY_CURES)
def predict_run(
    run: RunFolder,
    splits: Sequence[str] = SPLITS,
    tta: Tta | Sequence[str] = PLAIN,
    device: str | None = None,
    view: PredictView | None = None,
    checkpoint: str = "best",
    form: str | None = None,
    opened: OpenedData | None = None,
) -> list[PredictionStore]:
    """Write what is missing of a finished run's stores; return them. Goes on where an earlier call stopped.

    `opened`: the data sets that are open already.
    `device`, `view` and `form` (probabilities, logits): None for those that the run remembers. `checkpoint`: best, or
    another that the run keeps. Of a debug run only a few images of each split are predicted.
    """
    stores = []
    data = (opened or OpenedData()).open(run.experiment.data)
    tta, form = Tta.model_validate(tta), form or run.experiment.predictions
    predictor: Predictor | LogitsPredictor | None = None
    for split in splits:
        table = split_table(run, split, data)
        store = store_of(run, split, tta, view, checkpoint)
        facts = facts_of(run, split, data, tta, view, checkpoint)
        state = store.state(facts)
        if state is not StoreState.COMPLETE and len(table):
            _check_form(run, form, view or run.experiment.view.predict, tta)
            if predictor is None:  # before anything is removed: its checkpoint may be damaged
                predictor = Predictor.load(run, device or run.experiment.device, view, checkpoint)
                predictor = LogitsPredictor.of(predictor) if form == "logits" else predictor
        if state is StoreState.STALE:
            logger.info("%s: is stale (other %s), predicted anew", store.path, " and ".join(store.unlike(facts)))
        _say_what_is_not_fresh(store, facts)
        store.begin(facts)
        todo = table[table["id"].isin(store.missing())]
        if len(todo):
            assert predictor is not None
            frames = FileFrames.of(todo, data.root, None, pictures=data.pictures)
            _predict_into(store, predictor, frames, run, tta)
        stores.append(store)
    return stores


def _say_what_is_not_fresh(store: PredictionStore, facts: StoreFacts) -> None:
    """Log which maps are predicted again, and, of the first store, what cannot be known or was made by other code."""
    if store.state(facts) not in (StoreState.PARTIAL, StoreState.COMPLETE):
        return
    if replaced := store.replaced(facts):
        what = f"{format_count(replaced, 'picture')} (e.g. {replaced[0]}) changed"
        logger.warning("%s: %s after being predicted; predicted again", store.path, what)
    if unverified := store.unverified():
        say_once(
            f"{store.path}: what {format_count(unverified, 'picture')} held when predicted was not recorded (an older "
            "version); the maps are taken as they are, here and in other stores. Remove a store to predict it anew",
            kind="store without contents",
        )
    if store.facts.code not in ("", facts.code) and len(store.missing()) < len(facts.ids):
        say_once(
            f"{store.path}: was predicted by another version of the code; the maps are taken as they are, here and in "
            "other stores. Remove a store to predict it anew",
            kind="store of other code",
        )


def _predict_into(
    store: PredictionStore, predictor: Predictor | LogitsPredictor, frames: FileFrames, run: RunFolder, tta: Tta
) -> None:
    experiment = run.experiment
    trained_labels(run)  # what is predicted is put together with masks later
    samples = predictor.samples(frames, tta)
    loader = eval_loader(samples, experiment.workers)
    logger.info("predicting %d images into %s", len(frames.ids), store.path)
    bar = tqdm(loader, total=len(frames.ids), desc=store.path.name, unit="image", leave=False, disable=None)
    with background_writer() as write:
        for batch in batches(bar, experiment.eval_batch_size):
            # Handed over where they are: the writer waits for the device, and that can be given the next images
            if isinstance(predictor, LogitsPredictor):
                maps, how = predictor(batch)
            else:
                maps, how = quantise_on_device(predictor.batch(batch, tta)), None
            for sample, own in zip(batch, maps, strict=True):
                write(partial(_write, store, sample.id, own, how))


def _write(store: PredictionStore, name: str, maps: Tensor, how: Enlargement | None = None) -> None:
    if how is None:
        store.write(name, maps.cpu().numpy())
    else:
        store.write_logits(name, maps.cpu().numpy(), how)


def _check_form(run: RunFolder, form: str, view: PredictView, tta: Tta) -> None:
    """FoldsegError where a store cannot hold logits: of views that were merged there are only probabilities."""
    if form == "logits" and (tta != PLAIN or not view.has_logits):
        what = f"TTA {tta.slug}" if tta != PLAIN else f"view {view_slug(view)}"
        raise FoldsegError(
            f"{run.path}: its predictions are kept as logits, and only the full view without TTA has such; "
            f"for {what} give foldseg predict --predictions probabilities"
        )
