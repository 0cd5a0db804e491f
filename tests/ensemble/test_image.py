"""One image through an ensemble: memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from foldseg.config.schema import MeanBlend
from foldseg.data import signate
from foldseg.ensemble.image import Task, process
from foldseg.ensemble.line import Line
from foldseg.ensemble.scene import Target
from foldseg.inference.store import PredictionStore


def peak_of(members: int, folder: Path) -> int:
    """Bytes that are allocated, at most, while one image of `members` members is processed."""
    labels = signate.LABELS.select("scored")
    store = PredictionStore(folder)
    store.write("a", np.random.default_rng(0).integers(0, 256, (len(labels), 200, 300), np.uint8))
    sources = {f"member_{i}": [store] for i in range(members)}
    into = dict.fromkeys(sources, np.arange(len(labels)))
    target = Target("dataset_miou", labels, MeanBlend(), np.ones(members))
    task = Task("a", folder / "none.jpg", None, sources, into, target, Line())
    tracemalloc.start()
    process(task)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("foldseg.ensemble.image._IN_MEMORY", 0)  # members that are kept while they are small
    peak_of(1, tmp_path)  # what is allocated once
    assert peak_of(12, tmp_path) < 1.1 * peak_of(3, tmp_path)
