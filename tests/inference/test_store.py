"""The prediction store: what is written comes back, and what is partial, stale or damaged is told."""

import dataclasses
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from torch.nn import functional

from foldseg.errors import FoldsegError
from foldseg.inference.enlargement import Enlargement, planes_of_logits
from foldseg.inference.quantise import quantise, quantise_by_torch
from foldseg.inference.store import PredictionStore, StoreMetadata, StoreState

METADATA = StoreMetadata(
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
    made.begin(METADATA)
    return made


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (1, 9), (9, 1), (48, 64), (63, 2), (64, 3), (65, 3), (200, 2)])
def test_what_is_written_comes_back(store: PredictionStore, size: tuple[int, int]) -> None:
    store.write("a", maps(*size))
    found = PredictionStore(store.path).read("a")
    assert found.dtype == np.uint8
    assert np.array_equal(found, maps(*size))


def test_a_store_of_the_first_days_is_read(store: PredictionStore) -> None:
    planes = maps(70, 8)
    header = json.dumps({"classes": 3, "height": 70, "width": 8}).encode()
    body = zstandard.ZstdCompressor(write_checksum=True).compress(planes.tobytes())
    (store.path / "a.prob").write_bytes(b"FSP1" + len(header).to_bytes(4, "little") + header + body)
    assert np.array_equal(store.read("a"), planes)


@pytest.mark.parametrize("classes", [2, 5, 20])
@pytest.mark.parametrize("sharpness", [0.01, 0.3, 5.0])
def test_the_most_probable_class_outlives_quantisation(classes: int, sharpness: float) -> None:
    """In unsure maps thousands of pixels have two classes that are rounded to the same."""
    generator = torch.Generator().manual_seed(classes)
    soft = (sharpness * torch.randn(2, classes, 90, 110, generator=generator)).softmax(1)
    for maps in (soft, soft[..., 3:80].flip(-1), soft.transpose(2, 3)):
        planes = quantise(maps).numpy()
        assert np.abs(planes.astype(int) - quantise_by_torch(maps).numpy()).max() <= 1
        assert np.array_equal(quantise_by_torch(maps).argmax(1).numpy(), maps.argmax(1).numpy())
        rounded = (maps * 255 + 0.5).to(torch.uint8).numpy()
        assert np.array_equal(planes.argmax(1), maps.argmax(1).numpy())
        changed = planes != rounded
        assert np.abs(planes.astype(int) - rounded)[changed].max(initial=0) <= 1
        assert changed.sum() <= 2 * (rounded.argmax(1) != maps.argmax(1).numpy()).sum() + 0.001 * changed.size


def test_planes_that_are_not_contiguous_are_written_in_order(store: PredictionStore) -> None:
    turned = maps().transpose(0, 2, 1)[:, ::-1]
    store.write("a", turned)
    assert np.array_equal(store.read("a"), turned)


def test_predictions_are_joined_by_id_not_by_order(store: PredictionStore) -> None:
    """Defect 24."""
    for seed, name in [(2, "c"), (0, "a"), (1, "b")]:
        store.write(name, maps(seed=seed))
    assert np.array_equal(store.read("b"), maps(seed=1))


def test_the_metadata_come_back_equal(store: PredictionStore) -> None:
    assert PredictionStore(store.path).metadata == METADATA


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
    again.begin(METADATA)
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
def test_predictions_of_other_metadata_are_removed(store: PredictionStore, change: dict[str, object]) -> None:
    store.write("a", maps())
    assert store.metadata == METADATA
    other = dataclasses.replace(METADATA, **change)
    store.begin(other)
    assert store.metadata == other  # not the ones that were read before
    assert store.missing() == other.ids


@pytest.mark.parametrize(
    "change",
    [
        {"run": "renamed/fold_0"},
        {"tta": {"symmetries": "flip", "scales": [1.0], "merge": "mean"}},
        {"view": METADATA.view | {"stride": None, "merge": "mean", "weights": None, "border": "shift"}},
    ],
)
def test_predictions_that_are_described_in_other_words_are_kept(
    store: PredictionStore, change: dict[str, object]
) -> None:
    """What settings were called before there were more of them, and what the run's folder was called."""
    store.write("a", maps())
    store.begin(dataclasses.replace(METADATA, **change))
    assert store.missing() == ["b", "c"]


def test_maps_of_replaced_pictures_are_missing_and_removed_before_they_are_written_again(
    store: PredictionStore,
) -> None:
    before = dataclasses.replace(METADATA, pictures=["1", "2", "3"])
    store.begin(before)
    for name in METADATA.ids:
        store.write(name, maps())
    store.require_complete(before)
    now = dataclasses.replace(METADATA, pictures=["1", "2", "other"], code="newer")
    assert store.state(now) is StoreState.PARTIAL and store.replaced(now) == ["c"]
    with pytest.raises(FoldsegError, match=r"oof: 1 picture of 3 changed after being predicted, e\.g\. c; "):
        store.require_complete(now)
    store.begin(now)
    assert store.missing() == ["c"] and store.metadata == dataclasses.replace(now, code="")
    store.begin(METADATA)  # whoever does not know the pictures forgets none
    assert store.metadata.pictures == now.pictures


def test_a_store_of_unknown_pictures_learns_those_that_are_predicted_now(store: PredictionStore) -> None:
    store.write("a", maps())
    now = dataclasses.replace(METADATA, pictures=["1", "2", "3"])
    assert store.unverified() == ["a"]
    store.begin(now)
    store.write("b", maps())
    assert store.metadata.pictures == ["", "2", "3"] and store.unverified() == ["a"] and store.missing() == ["c"]


def test_states_are_told_apart(tmp_path: Path) -> None:
    store = PredictionStore(tmp_path / "oof")
    newer = dataclasses.replace(METADATA, checkpoint="cd" * 32, ids=["a"])
    assert store.state(METADATA) is StoreState.ABSENT
    with pytest.raises(FoldsegError, match=r"oof: has not been predicted yet; make it with foldseg predict"):
        store.require_complete(METADATA)
    store.begin(METADATA)
    assert (store.state(METADATA), store.state(newer)) == (StoreState.PARTIAL, StoreState.STALE)
    with pytest.raises(FoldsegError, match="3 of 3 images are missing"):
        store.require_complete(METADATA)
    with pytest.raises(FoldsegError, match="oof: is stale, it was predicted with other weights and images; run"):
        store.require_complete(newer)
    for name in METADATA.ids:
        store.write(name, maps())
    assert (store.state(METADATA), store.state(newer)) == (StoreState.COMPLETE, StoreState.STALE)
    store.require_complete(METADATA)
    (store.path / "store.json").write_text("{")
    assert PredictionStore(store.path).state(METADATA) is StoreState.STALE
    with pytest.raises(FoldsegError, match=r"is stale, .* things that its damaged store\.json does not tell"):
        PredictionStore(store.path).require_complete(METADATA)


HEADS = [
    (4, (64, 96), (64, 96)),
    (4, (64, 96), (61, 90)),
    (8, (64, 96), (41, 7)),
    (4, (4, 4), (3, 1)),
    (2, (32, 64), (31, 64)),
]


@pytest.mark.parametrize(("factor", "padded", "size"), HEADS)
@pytest.mark.parametrize("corners", [True, False])
def test_logits_are_read_as_the_head_would_have_enlarged_them(
    store: PredictionStore, factor: int, padded: tuple[int, int], size: tuple[int, int], corners: bool
) -> None:
    generator = torch.Generator().manual_seed(factor)
    small = (4 * torch.randn(3, padded[0] // factor, padded[1] // factor, generator=generator)).half()
    large = functional.interpolate(small[None].float(), scale_factor=factor, mode="bilinear", align_corners=corners)
    expected = 255 * large[0, :, : size[0], : size[1]].softmax(0).numpy()
    how = Enlargement(padded, size, corners)
    store.write_logits("a", small.numpy(), how)
    found = store.read("a")
    assert (found.dtype, found.shape) == (np.uint8, (3, *size))
    assert np.abs(found - expected).max() <= 0.5 + 1e-3
    assert np.array_equal(found, planes_of_logits(small.numpy(), how))


def test_logits_that_no_exponential_can_hold_are_read(store: PredictionStore) -> None:
    logits = np.array([[[60000, -60000]], [[-60000, 60000]]], np.float16)
    store.write_logits("a", logits, Enlargement((1, 2), (1, 2), True))
    assert store.read("a").tolist() == [[[255, 0]], [[0, 255]]]


def test_a_store_may_hold_probabilities_and_logits(store: PredictionStore) -> None:
    store.write("a", maps())
    store.write_logits("b", np.zeros((3, 2, 2), np.float16), Enlargement((8, 8), (5, 7), True))
    assert np.array_equal(store.read("a"), maps())
    assert np.array_equal(store.read("b"), np.full((3, 5, 7), 85))


@pytest.mark.parametrize(("share", "place"), [*product([0.0, 0.1, 0.5, 0.95], [0, 5, 100, -1])])
def test_damaged_logits_are_named(store: PredictionStore, share: float, place: int) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 10, 10)).astype(np.float16)
    store.write_logits("a", logits, Enlargement((40, 40), (40, 40), True))
    path = store.path / "a.prob"
    content = bytearray(path.read_bytes())
    for damaged in (content[: int(len(content) * share)], content[:place] + bytes([content[place] ^ 0x10])):
        path.write_bytes(damaged)
        with pytest.raises(FoldsegError, match=r"a\.prob: is damaged"):
            store.read("a")


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


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"run": "x"}', json.dumps(dataclasses.asdict(METADATA) | {"x": 1})]
)
def test_a_store_whose_description_is_damaged_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(
        FoldsegError, match=r"store\.json: (not valid JSON|does not describe|should be a mapping|split is missing)"
    ):
        _ = PredictionStore(tmp_path).metadata


def test_a_folder_without_description_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"store\.json: no such file"):
        PredictionStore(tmp_path).missing()


def test_no_partial_file_is_taken_for_a_prediction(store: PredictionStore) -> None:
    (store.path / ".a.prob.123.partial").write_bytes(b"half")
    assert store.missing() == ["a", "b", "c"]
    store.write("a", maps())
    assert sorted(path.name for path in store.path.glob("*.prob")) == ["a.prob"]
