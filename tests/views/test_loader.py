"""Loaders: whatever a sample raises, with workers or without, is one FoldsegError that names the image."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import pytest
import torch
from torch import Tensor

from foldseg.errors import FoldsegError
from foldseg.views import loader
from foldseg.views.loader import Loader


@dataclass(frozen=True)
class Batch:
    maps: Tensor

    def tensors(self) -> list[Tensor]:
        return [self.maps]

    def pin_memory(self) -> "Batch":
        return Batch(self.maps + 100)  # what locked pages cannot be told from, without a GPU


class WithArgumentsError(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def decode() -> None:
    cv2.imdecode(torch.zeros(0, dtype=torch.uint8).numpy(), 1)


ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "ours": (lambda: throw(FoldsegError("b.png: is damaged\n  in two lines")), "^b.png: is damaged\n  in two lines$"),
    "key": (lambda: {}["colour"], "^b: could not be prepared: KeyError: 'colour'$"),
    "arguments": (lambda: throw(WithArgumentsError(1, 2)), "^b: could not be prepared: WithArgumentsError: 1 and 2$"),
    "unicode": (lambda: b"\xff".decode(), "^b: could not be prepared: UnicodeDecodeError: "),
    "opencv": (decode, "^b: could not be prepared: error: "),
    "memory": (lambda: throw(MemoryError()), "^b: could not be prepared: out of memory; lower workers"),
    "files": (lambda: throw(OSError(24, "Too many open files")), "^b: could not be prepared: too many open files"),
    "silent": (lambda: throw(ValueError()), "^b: could not be prepared: ValueError"),
}


def throw(error: Exception) -> None:
    raise error


class Samples:
    """Six samples, the second of which does something."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act

    def __len__(self) -> int:
        return 6

    def __getitem__(self, place: int) -> Batch:
        if place == 1:
            self._act()
        return Batch(torch.full((2, 2), place))

    def get_id(self, place: int) -> str:
        return "abcdef"[place]


def stack(batches: list[Batch]) -> Batch:
    return Batch(torch.stack([batch.maps for batch in batches]))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("size", [None, 3])
@pytest.mark.parametrize("name", ERRORS)
def test_every_error_of_a_sample_is_ours_and_names_it(name: str, size: int | None, workers: int):
    act, says = ERRORS[name]
    loader = Loader(Samples(act), stack if size else None, workers=workers, batch_size=size)
    with pytest.raises(FoldsegError, match=says):
        list(loader)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [None, 3])
def test_all_samples_come_in_their_order(size: int | None, workers: int):
    loader = Loader(
        Samples(int), stack if size else None, workers=workers, batch_size=size, persistent_workers=workers > 0
    )
    for _ in range(2):
        firsts = [batch.maps[..., 0, 0].tolist() for batch in loader]
        assert firsts == ([[0, 1, 2], [3, 4, 5]] if size else [0, 1, 2, 3, 4, 5])


def test_a_batch_is_loaded_where_pages_are_locked(monkeypatch: pytest.MonkeyPatch):
    batch = Batch(torch.ones(2, 2))
    pickled = loader._PickledBatch.of(batch)
    assert not pickled.copy_reason and torch.equal(pickled.pin_memory().maps, torch.full((2, 2), 101.0))
    assert batch.maps.is_shared()

    def full(_: Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm)")

    monkeypatch.setattr(Tensor, "share_memory_", full)
    copied = loader._PickledBatch.of(Batch(torch.ones(2, 2)))
    assert "unable to allocate" in copied.copy_reason and torch.equal(copied.load().maps, torch.ones(2, 2))
