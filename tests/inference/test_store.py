"""The prediction store: what is written comes back, and what is partial, stale or damaged is told."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from foldseg.errors import FoldsegError
from foldseg.inference.store import PredictionStore, StoreFacts

FACTS = StoreFacts(
    run="unet/fold_0",
    split="oof",
    fold=0,
    classes=["sky", "road", "car"],
    checkpoint="ab" * 32,
    view={"kind": "tiles", "size": [64, 96], "overlap": 0.5},
    tta=["flip"],
    ids=["a", "b", "c"],
)


def maps(height: int = 5, width: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> PredictionStore:
    made = PredictionStore(tmp_path / "oof")
    made.begin(FACTS)
    return made


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (1, 9), (9, 1), (48, 64)])
def test_what_is_written_comes_back(store: PredictionStore, size: tuple[int, int]) -> None:
    store.write("a", maps(*size))
    found = PredictionStore(store.path).read("a")
    assert found.dtype == np.uint8
    assert np.array_equal(found, maps(*size))


def test_planes_that_are_not_contiguous_are_written_in_order(store: PredictionStore) -> None:
    turned = maps().transpose(0, 2, 1)[:, ::-1]
    store.write("a", turned)
    assert np.array_equal(store.read("a"), turned)


def test_predictions_are_joined_by_id_not_by_order(store: PredictionStore) -> None:
    """Defect 24."""
    for seed, name in [(2, "c"), (0, "a"), (1, "b")]:
        store.write(name, maps(seed=seed))
    assert np.array_equal(store.read("b"), maps(seed=1))


def test_the_facts_come_back_equal(store: PredictionStore) -> None:
    assert PredictionStore(store.path).facts == FACTS


def test_missing_ids_are_known_while_the_store_grows(store: PredictionStore) -> None:
    assert store.missing() == ["a", "b", "c"]
    store.write("b", maps())
    assert store.missing() == ["a", "c"]
    with pytest.raises(FoldsegError, match=r"oof: is not complete: 2 of 3 images are missing, e\.g\. a, c"):
        store.require_complete()
    store.write("a", maps())
    store.write("c", maps())
    store.require_complete()


def test_beginning_again_goes_on_where_it_stopped(store: PredictionStore) -> None:
    store.write("b", maps())
    again = PredictionStore(store.path)
    again.begin(FACTS)
    assert again.missing() == ["a", "c"]


@pytest.mark.parametrize(
    "change",
    [
        {"checkpoint": "cd" * 32},
        {"view": {"kind": "full"}},
        {"tta": []},
        {"classes": ["sky", "car", "road"]},
        {"ids": ["a", "b", "d"]},
    ],
)
def test_predictions_of_other_facts_are_removed(store: PredictionStore, change: dict[str, object]) -> None:
    store.write("a", maps())
    assert store.facts == FACTS
    other = dataclasses.replace(FACTS, **change)
    store.begin(other)
    assert store.facts == other  # not the ones that were read before
    assert store.missing() == other.ids


def test_a_prediction_that_is_not_there_is_named(store: PredictionStore) -> None:
    with pytest.raises(FoldsegError, match="oof: has no prediction for b"):
        store.read("b")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.3, 0.6, 0.95])
def test_a_file_cut_short_is_named(store: PredictionStore, share: float) -> None:
    store.write("a", maps(40, 50))
    path = store.path / "a.prob"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FoldsegError, match=r"a\.prob: is damaged"):
        store.read("a")


@pytest.mark.parametrize("place", [0, 5, 12, 60, 500, -300, -1])
def test_a_byte_that_flipped_is_noticed(store: PredictionStore, place: int) -> None:
    store.write("a", maps(40, 50))
    path = store.path / "a.prob"
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(bytes(content))
    with pytest.raises(FoldsegError, match=r"a\.prob: is damaged"):
        store.read("a")


def test_a_header_of_another_shape_is_noticed(store: PredictionStore) -> None:
    store.write("a", maps(5, 7))
    path = store.path / "a.prob"
    path.write_bytes(path.read_bytes().replace(b'"height": 5', b'"height": 4'))
    with pytest.raises(FoldsegError, match=r"a\.prob: is damaged"):
        store.read("a")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"run": "x"}', json.dumps(dataclasses.asdict(FACTS) | {"x": 1})])
def test_a_store_whose_description_is_damaged_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(FoldsegError, match=r"store\.json: (not valid JSON|does not describe a prediction store)"):
        _ = PredictionStore(tmp_path).facts


def test_a_folder_without_description_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"store\.json: no such file"):
        PredictionStore(tmp_path).missing()


def test_no_partial_file_is_taken_for_a_prediction(store: PredictionStore) -> None:
    (store.path / ".a.prob.123.partial").write_bytes(b"half")
    assert store.missing() == ["a", "b", "c"]
    store.write("a", maps())
    assert sorted(path.name for path in store.path.glob("*.prob")) == ["a.prob"]
