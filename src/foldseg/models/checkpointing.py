"""Gradient checkpointing: blocks of an encoder do not keep activations, but compute them again for the gradients."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from foldseg.errors import FoldsegError

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def checkpoint_blocks(encoder: nn.Module, name: str) -> None:
    """Make the blocks of an encoder keep their inputs only, in place (Chen et al., 2016, arXiv:1604.06174).

    Gradients are the same; a step takes about a third longer. FoldsegError if the encoder is a plain row of layers.
    """
    blocks = _list_blocks(encoder)
    if not blocks:
        raise FoldsegError(
            f"model.gradient_checkpointing: {name} is a row of single layers and has no blocks to compute again; "
            "use another encoder or set it to false"
        )
    for block in blocks:
        block.forward = partial(_run_block, block, block.forward)


def _list_blocks(module: nn.Module) -> list[nn.Module]:
    """Return the outermost parts of an encoder that are neither single layers nor containers of other parts."""
    blocks = []
    for child in module.children():
        is_timm_network = child is getattr(module, "model", None)
        if type(child) in _CONTAINERS or is_timm_network:
            blocks += _list_blocks(child)
        elif any(list(part.parameters()) for part in child.children()):
            blocks.append(child)
    return blocks


def _run_block(block: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=partial(_build_contexts, block), **kwargs)


def _build_contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of the first computation of a block and of the second."""
    return nullcontext(), _kept_statistics(block)


@contextmanager
def _kept_statistics(block: nn.Module) -> Iterator[None]:
    """Keep running statistics as they are inside of the block. The first computation has already moved them."""
    norms: list[Any] = [m for m in block.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
