"""Checkpoints: how weights are written, whole or not at all, and how they are read again."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldseg.errors import FoldsegError
from foldseg.files import replacing
from foldseg.models.weights import check_finite, load_torch_file

_NETWORK = "network."


def write_weights(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors, and what is said of them, to `path`: all of it or nothing. FoldsegError when that fails."""
    with replacing_weights(path) as partial:
        torch.save(content, partial)


@contextmanager
def replacing_weights(path: Path) -> Iterator[Path]:
    """Do as `replacing` does, for a file that torch writes inside of the block.

    The new file is on the disk itself before it takes the old one's place. So one of the two is whole if the power
    fails. FoldsegError when it cannot be written.
    """
    with replacing(path) as partial:
        try:
            yield partial
        except RuntimeError as error:  # torch's writer hides the operating system's reason, a full disk most often
            raise FoldsegError(f"{path}: could not be written (is the disk full?): {error}") from error
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint: a mapping whose `state_dict` holds tensors by name. FoldsegError when it is something else."""
    checkpoint = load_torch_file(path)
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise FoldsegError(f"{path}: is not a checkpoint of a run (it has no state_dict of tensors)")
    check_finite(state, path)
    if not isinstance(checkpoint.get("foldseg", {}), Mapping):
        raise FoldsegError(f"{path}: is damaged: what it says of its classes is no mapping")
    return checkpoint


def network_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's weights, on the CPU, by the names that they have in a checkpoint."""
    return {f"{_NETWORK}{name}": value.cpu() for name, value in network.state_dict().items()}


def network_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the network's part of a checkpoint's weights, by the network's own names."""
    return {k.removeprefix(_NETWORK): v for k, v in checkpoint["state_dict"].items() if k.startswith(_NETWORK)}
