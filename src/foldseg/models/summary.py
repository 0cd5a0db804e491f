"""What a network costs: parameters, multiplications, memory, time, measured on this device."""

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
_BATCH = 2  # of training: batch norms refuse one value per channel, which pooled branches have of one image


@dataclass(frozen=True)
class Cost:
    """Costs of a network for images of one size. MB are 2**20 bytes.

    `gmacs`: 10^9 multiply-adds of convolutions and matrix products for one image. `activations`: MB per image that are
    kept from forward to backward. `peak`: MB at the worst moment of a training step of two images, weights and
    gradients included, the optimiser's state not. `output_stride`: of the encoder's last map. `latency`: ms for
    one image, median.
    """

    parameters: int
    trainable: int
    gmacs: float
    activations: float
    peak: float
    output_stride: int
    latency: float


def measure(network: SegmentationNetwork, height: int, width: int, repeats: int = 5) -> Cost:
    """Measure a network on the device that it is on, in float32, for images of height x width pixels."""
    device = network.mean.device
    images = torch.zeros(_BATCH, 3, height, width, dtype=torch.uint8, device=device)
    one = images[:1]
    activations = saved_bytes(network.train(), images)
    peak = _peak_of_step(network, images)
    network.zero_grad()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.eval()(one)
    with torch.inference_mode():
        encoded = network.encoder(one.float())
        latency = statistics.median(_seconds(network, one) for _ in range(repeats))
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


def saved_bytes(network: SegmentationNetwork, images: Tensor) -> int:
    """Bytes that are kept from forward to backward, but for parameters and buffers; shared memory counts once."""
    own = {t.untyped_storage().data_ptr() for t in (*network.parameters(), *network.buffers(), images)}
    sizes: dict[int, int] = {}
    kept: list[Tensor] = []  # so that no memory is given to another tensor and counted once for both

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = network.outputs(images)
    assert outputs.logits.requires_grad
    return sum(sizes.values())


class _LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follow the memory of all tensors that operations make; on a CPU nobody else does."""

    def __init__(self, present: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in present}
        self.live = self.peak = sum(self._known.values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in tree_leaves(result):
            if isinstance(part, Tensor):
                self._see(part.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.live -= self._known.pop(key, 0)


def _peak_of_step(network: SegmentationNetwork, images: Tensor) -> int:
    present = [*network.parameters(), *network.buffers(), images]
    if images.device.type == "cuda":
        others = torch.cuda.memory_allocated() - sum(t.untyped_storage().nbytes() for t in present)
        torch.cuda.reset_peak_memory_stats()
        _step(network, images)
        return torch.cuda.max_memory_allocated() - others
    with _LiveMemory(present) as memory:
        _step(network, images)
    return memory.peak


def _step(network: SegmentationNetwork, images: Tensor) -> None:
    outputs = network.outputs(images)
    total = torch.stack([part.float().mean() for part in (outputs.logits, *outputs.auxiliary)]).sum()
    if outputs.presence is not None:
        total = total + outputs.presence.mean()
    total.backward()  # type: ignore[no-untyped-call]


def _seconds(network: nn.Module, images: Tensor) -> float:
    started = time.perf_counter()
    network(images)
    if images.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
