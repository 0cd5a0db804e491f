"""From a finished run to its prediction stores: OOF and test alike, image by image."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from torch import Tensor
from tqdm import tqdm

from foldseg.config import override_view
from foldseg.config.schema import PredictView, Tta, view_slug
from foldseg.data.datasets import DataSet, OpenedData
from foldseg.data.frames import FileFrames
from foldseg.data.hashes import format_count, hash_code, hash_files
from foldseg.errors import FoldsegError
from foldseg.inference.background_writer import background_writer
from foldseg.inference.enlargement import Enlargement
from foldseg.inference.logits_predictor import LogitsPredictor
from foldseg.inference.predictor import PLAIN
from foldseg.inference.predictor import Predictor as Predictor
from foldseg.inference.quantise import quantise_on_device
from foldseg.inference.store import PredictionStore, StoreMetadata, StoreState
from foldseg.notices import say_once
from foldseg.resources import explain_resource_errors
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import trained_labels
from foldseg.views.eval_samples import batches, eval_loader

logger = logging.getLogger(__name__)

SPLITS = ("oof", "test")
PREDICTION_CODE = ("data", "views", "models", "inference")
"""Rooms whose code decides what a network predicts."""
MEMORY_CURES = (
    "predict in tiles (view.predict={kind: tiles, size: [512, 512]}), or lower eval_batch_size, tta or workers; what "
    "is predicted already is kept"
)
_WITH_LOGITS = " or ".join(name for name, kind in PredictView.kinds().items() if kind.has_logits)


def select_split(run: RunFolder, split: str, data: DataSet) -> pd.DataFrame:
    """Return the images that a run predicts: rows of `data.folded` of its fold ("oof"), or `data.test` ("test")."""
    if split == "test":
        table = data.test
    else:
        run.check_folds(data)
        table = data.folded[data.folded["fold"] == run.fold]
    return table if run.experiment.debug is None else table.head(run.experiment.debug_images)


def overridden_view(run: RunFolder, overrides: Sequence[str]) -> PredictView:
    """Return a run's prediction view, changed by overrides `view.predict=...`. FoldsegError for any other key."""
    return override_view(run.experiment.view.predict, overrides, run.config)


def store_of(
    run: RunFolder,
    split: str,
    tta: Tta | Sequence[str] = PLAIN,
    view: PredictView | None = None,
    checkpoint: str = "best",
) -> PredictionStore:
    """Return the store of a run's predictions, whether it exists or not.

    Its name says what differs from the run's own view, the best checkpoint and no TTA: `oof`, `oof-last-full_1-flip`.
    """
    tta = Tta.model_validate(tta)
    parts = [split]
    if checkpoint != "best":
        parts.append(checkpoint)
    if view not in (None, run.experiment.view.predict):
        parts.append(view_slug(view))
    if tta != PLAIN:
        parts.append(tta.slug)
    return PredictionStore(run.predictions / "-".join(parts))


def expected_metadata(
    run: RunFolder,
    split: str,
    data: DataSet,
    tta: Tta | Sequence[str] = PLAIN,
    view: PredictView | None = None,
    checkpoint: str = "best",
) -> StoreMetadata:
    """Return the metadata that a store of a run's predictions should have. A store with other metadata is stale.

    Pictures are hashed, unless their hashes are remembered.
    """
    table = select_split(run, split, data)
    return StoreMetadata(
        run=str(Path(run.path.parent.name) / run.path.name),
        split=split,
        fold=run.fold,
        classes=run.classes,
        checkpoint=run.hash_of(checkpoint),
        view=(view or run.experiment.view.predict).model_dump(mode="json"),
        tta=Tta.model_validate(tta).model_dump(mode="json"),
        ids=table["id"].tolist(),
        pictures=hash_files(data.root / name for name in table["image"]),
        code=hash_code(*PREDICTION_CODE),
    )


@explain_resource_errors(MEMORY_CURES)
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
    """Predict what is missing in a finished run's stores, and return the stores, one per split.

    `device`, `view` and `form` (probabilities, logits): None for those that the run remembers. `checkpoint`: best, or
    another that the run keeps. `opened`: the data sets that are open already. Of a debug run only a few images of each
    split are predicted. A later call goes on where an earlier one stopped.
    """
    data = (opened or OpenedData()).open(run.experiment.data)
    tta, form = Tta.model_validate(tta), form or run.experiment.predictions
    predictor: Predictor | LogitsPredictor | None = None
    stores = []
    for split in splits:
        table = select_split(run, split, data)
        store = store_of(run, split, tta, view, checkpoint)
        expected = expected_metadata(run, split, data, tta, view, checkpoint)
        state = store.state(expected)
        if state is not StoreState.COMPLETE and len(table):
            _check_form(run, form, view or run.experiment.view.predict, tta)
            if predictor is None:  # loaded before stale maps are removed: its checkpoint may be damaged
                predictor = Predictor.load(run, device or run.experiment.device, view, checkpoint)
                predictor = LogitsPredictor.of(predictor) if form == "logits" else predictor
        if state is StoreState.STALE:
            differences = " and ".join(store.differences(expected))
            logger.info("%s: is stale (other %s), predicted anew", store.path, differences)
        _say_what_may_be_outdated(store, expected)
        store.begin(expected)
        todo = table[table["id"].isin(store.missing())]
        if len(todo):
            assert predictor is not None
            frames = FileFrames.of(todo, data.root, None, pictures=data.pictures)
            _predict_into(store, predictor, frames, run, tta)
        stores.append(store)
    return stores


def _say_what_may_be_outdated(store: PredictionStore, expected: StoreMetadata) -> None:
    """Log which maps are predicted again. Of the first store, say also what was not recorded, or made by other code."""
    if store.state(expected) not in (StoreState.PARTIAL, StoreState.COMPLETE):
        return
    if replaced := store.replaced(expected):
        what = f"{format_count(replaced, 'picture')} (e.g. {replaced[0]}) changed"
        logger.warning("%s: %s after being predicted; predicted again", store.path, what)
    if unverified := store.unverified():
        say_once(
            f"{store.path}: what {format_count(unverified, 'picture')} held when predicted was not recorded (an older "
            "version); the maps are taken as they are, here and in other stores. Remove a store to predict it anew",
            kind="store without contents",
        )
    has_maps = len(store.missing()) < len(expected.ids)
    if has_maps and store.metadata.code not in ("", expected.code):
        say_once(
            f"{store.path}: was predicted by another version of the code; the maps are taken as they are, here and in "
            "other stores. Remove a store to predict it anew",
            kind="store of other code",
        )


def _predict_into(
    store: PredictionStore, predictor: Predictor | LogitsPredictor, frames: FileFrames, run: RunFolder, tta: Tta
) -> None:
    """Predict all frames and write their maps in another thread."""
    experiment = run.experiment
    trained_labels(run)  # raises if classes have changed: the maps are compared with masks later
    loader = eval_loader(predictor.samples(frames, tta), experiment.workers)
    logger.info("predicting %d images into %s", len(frames.ids), store.path)
    bar = tqdm(loader, total=len(frames.ids), desc=store.path.name, unit="image", leave=False, disable=None)
    with background_writer() as write:
        # Maps stay on the device until they are written: the writer waits for it, and it can begin the next images
        for batch in batches(bar, experiment.eval_batch_size):
            if isinstance(predictor, LogitsPredictor):
                logits, enlargement = predictor(batch)
                for sample, maps in zip(batch, logits, strict=True):
                    write(partial(_write_logits, store, sample.id, maps, enlargement))
            else:
                planes = quantise_on_device(predictor.batch(batch, tta), predictor.activation)
                for sample, maps in zip(batch, planes, strict=True):
                    write(partial(_write_planes, store, sample.id, maps))


def _write_planes(store: PredictionStore, name: str, planes: Tensor) -> None:
    store.write(name, planes.cpu().numpy())


def _write_logits(store: PredictionStore, name: str, logits: Tensor, enlargement: Enlargement) -> None:
    store.write_logits(name, logits.cpu().numpy(), enlargement)


def _check_form(run: RunFolder, form: str, view: PredictView, tta: Tta) -> None:
    """Raise FoldsegError if a store cannot hold logits: merged predictions have none."""
    if form == "logits" and (tta != PLAIN or not view.has_logits):
        what = f"TTA {tta.slug}" if tta != PLAIN else f"view {view_slug(view)}"
        raise FoldsegError(
            f"{run.path}: its predictions are kept as logits, and only the {_WITH_LOGITS} view without TTA has such; "
            f"for {what} give foldseg predict --predictions probabilities"
        )
