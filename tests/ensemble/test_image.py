"""One image through an ensemble: memory."""

import tracemalloc
from pathlib import Path

import numpy as np

from foldseg.data import signate
from foldseg.ensemble.image import Task, process
from foldseg.inference.store import PredictionStore


def peak_of(members: int, folder: Path) -> int:
    """Bytes that are allocated, at most, while one image of `members` members is processed."""
    labels = signate.LABELS.view("scored")
    store = PredictionStore(folder)
    store.write("a", np.random.default_rng(0).integers(0, 256, (len(labels), 200, 300), np.uint8))
    sources = {f"member_{i}": [store] for i in range(members)}
    into = dict.fromkeys(sources, np.arange(len(labels)))
    task = Task("a", folder / "none.jpg", None, sources, dict.fromkeys(sources, 1.0), into, (), labels)
    tracemalloc.start()
    process(task)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_members(tmp_path: Path):
    peak_of(1, tmp_path)  # what is allocated once
    assert peak_of(12, tmp_path) < 1.1 * peak_of(3, tmp_path)
