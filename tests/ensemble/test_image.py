"""One image through an ensemble: memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from foldseg.config.schema import MeanBlend
from foldseg.data import signate
from foldseg.ensemble.image import ImageTask, MemberStores
from foldseg.ensemble.line import Line
from foldseg.ensemble.passes import Pass, run_pass
from foldseg.ensemble.prediction import EnsembleSpec
from foldseg.inference.store import PredictionStore


def peak_of(members: int, folder: Path) -> int:
    """Bytes that are allocated, at most, while one image of `members` members is processed."""
    labels = signate.LABELS.select("scored")
    store = PredictionStore(folder)
    store.write("a", np.random.default_rng(0).integers(0, 256, (len(labels), 200, 300), np.uint8))
    names = tuple(f"member_{i}" for i in range(members))
    spec = EnsembleSpec(names, np.ones(members), MeanBlend(), labels, "dataset_miou")
    stores = (MemberStores((store,), np.arange(len(labels))),) * members
    task = ImageTask("a", folder / "none.jpg", None, stores, Line())
    tracemalloc.start()
    run_pass(Pass(spec), task)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("foldseg.ensemble.image._CACHE_BYTES", 0)  # members that are kept while they are small
    peak_of(1, tmp_path)  # what is allocated once
    assert peak_of(12, tmp_path) < 1.1 * peak_of(3, tmp_path)
