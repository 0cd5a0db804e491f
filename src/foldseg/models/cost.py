"""Measures what a network costs on this device: parameters, multiplications, memory and time."""

import statistics
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from foldseg.models.network import SegmentationNetwork

_MEGA = 2**20
_BATCH = 2
"""Images in a batch of training. Pooled branches have one value per image and channel; batch norms need two."""


@dataclass(frozen=True)
class Cost:
    """Costs of a network for images of one size. MB are 2**20 bytes."""

    parameters: int
    trainable: int
    """Number of parameters that are not frozen."""
    gmacs: float
    """10^9 multiply-adds of convolutions and matrix products for one image."""
    activations: float
    """MB per image that are kept from the forward to the backward pass."""
    peak: float
    """MB at the worst moment of a training step of two images: with weights and gradients, without optimiser."""
    output_stride: int
    """Stride of the encoder's last map."""
    latency: float
    """Median time for one image in ms."""


def measure_cost(network: SegmentationNetwork, height: int, width: int, repeats: int = 5) -> Cost:
    """Measure a network on the device that it is on, in float32, for images of height x width pixels."""
    device = network.mean.device
    images = torch.zeros(_BATCH, network.channels, height, width, dtype=torch.uint8, device=device)
    image = images[:1]
    activations = count_saved_bytes(network.train(), images)
    peak = _measure_peak(network, images)
    network.zero_grad()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.eval()(image)
    with torch.inference_mode():
        encoded = network.encoder(image.float())
        latency = statistics.median(_time_forward(network, image) for _ in range(repeats))
    maps = encoded[0] if isinstance(encoded, tuple) else encoded
    return Cost(
        parameters=sum(p.numel() for p in network.parameters()),
        trainable=sum(p.numel() for p in network.parameters() if p.requires_grad),
        gmacs=counter.get_total_flops() / 2e9,
        activations=activations / _BATCH / _MEGA,
        peak=peak / _MEGA,
        output_stride=height // maps[-1].shape[2],
        latency=1000 * latency,
    )


def count_saved_bytes(network: SegmentationNetwork, images: Tensor) -> int:
    """Return the bytes that are kept from the forward to the backward pass, without parameters and buffers.

    Memory that tensors share counts once.
    """
    excluded = {t.untyped_storage().data_ptr() for t in (*network.parameters(), *network.buffers(), images)}
    sizes: dict[int, int] = {}
    tensors: list[Tensor] = []  # keeps them alive, so that no memory is used again and counted once for two tensors

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in excluded:
            sizes[storage.data_ptr()] = storage.nbytes()
            tensors.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = network.outputs(images)
    assert outputs.logits.requires_grad
    return sum(sizes.values())


class _LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the memory of all tensors that operations create. torch itself does that on GPUs only."""

    def __init__(self, present: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sizes = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in present}
        self.live = self.peak = sum(self._sizes.values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in tree_leaves(result):
            if isinstance(part, Tensor):
                self._add(part.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.live -= self._sizes.pop(key, 0)


def _measure_peak(network: SegmentationNetwork, images: Tensor) -> int:
    """Return the bytes at the worst moment of a training step."""
    present = [*network.parameters(), *network.buffers(), images]
    if images.device.type == "cuda":
        others = torch.cuda.memory_allocated() - sum(t.untyped_storage().nbytes() for t in present)
        torch.cuda.reset_peak_memory_stats()
        _run_step(network, images)
        return torch.cuda.max_memory_allocated() - others
    with _LiveMemory(present) as memory:
        _run_step(network, images)
    return memory.peak


def _run_step(network: SegmentationNetwork, images: Tensor) -> None:
    outputs = network.outputs(images)
    means = [logits.float().mean() for logits in (outputs.logits, *outputs.auxiliary)]
    total = torch.stack(means).sum()
    if outputs.presence is not None:
        total = total + outputs.presence.mean()
    total.backward()  # type: ignore[no-untyped-call]


def _time_forward(network: nn.Module, images: Tensor) -> float:
    started = time.perf_counter()
    network(images)
    if images.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
