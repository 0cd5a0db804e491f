"""Encoder weights from a local file, and weights from a checkpoint: what does not fit is named."""

import codecs
import errno
import logging
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor, nn

from foldseg.errors import FoldsegError
from foldseg.inputs import check_is_file
from foldseg.notices import say_once

logger = logging.getLogger(__name__)

_DTYPES = (np.bool_, np.int8, np.uint8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64)
_NUMPY: list[Any] = [
    np.dtype, np.ndarray, *(type(np.dtype(kind)) for kind in _DTYPES), codecs.encode,
    *(
        (getattr(multiarray, name), f"{module}.{name}")  # the module's name in numpy 2 and before it
        for name in ("scalar", "_reconstruct")
        for module in ("numpy._core.multiarray", "numpy.core.multiarray")
    ),
]  # fmt: skip
_WRAPPERS = ("state_dict", "model", "model_state_dict", "network")
_PREFIXES = ("module.", "network.", "net.", "model.", "encoder.", "backbone.")


def load_torch_file(path: Path) -> Any:
    """Read a file of torch's or a .safetensors file onto the CPU.

    What it holds beside tensors may be plain types and numpy's numbers and arrays. FoldsegError when the file is
    missing, damaged, or holds objects that could run code. torch does not look at the checksums that it writes. They
    are compared here: in a run's checkpoint a wrong one is an error. Of another file it is said, since torch can leave
    them out.
    """
    check_is_file(path)
    try:
        with torch.serialization.safe_globals(_NUMPY), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an unusual pickle protocol, for one
            content = torch.load(path, map_location="cpu", weights_only=True)
        damaged = zipfile.ZipFile(path).testzip() if zipfile.is_zipfile(path) else None
    except MemoryError:
        raise
    except Exception as error:  # what reads the formats raises whatever it stumbles over
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which is a seek to before a cut file's start
            raise FoldsegError(f"{path}: cannot be read: {error.strerror or error}") from error
        if foreign := re.search(r"(?:GLOBAL|[Uu]nsupported (?:class|global):?) ([\w.]+\.\w+)", str(error)):
            raise FoldsegError(
                f"{path}: holds an object of {foreign[1]} beside its weights, which is not read: it could run any "
                "code. If you trust the file, save its weights alone: "
                f"torch.save(torch.load('{path.name}', weights_only=False)['state_dict'], 'weights.pth')"
            ) from error
        raise FoldsegError(f"{path}: is not a file of weights, or is damaged ({_reason(path, error)})") from error
    if damaged is not None:
        is_ours = isinstance(content, dict) and "foldseg" in content
        if is_ours:
            raise FoldsegError(f"{path}: is damaged ({damaged} has another checksum than when it was written)")
        say_once(f"{path}: is damaged, or was written without checksums: that of {damaged} is wrong")
    return content


def _reason(path: Path, error: Exception) -> str:
    with path.open("rb") as stream:
        start = stream.read(2)
    if not start:
        return "it is empty"
    if start == b"PK" and not zipfile.is_zipfile(path):
        return "it is cut short"
    return str(error).strip().splitlines()[0] if str(error) else type(error).__name__


def load_encoder_weights(encoder: nn.Module, path: Path, optional: tuple[str, ...] = ()) -> None:
    """Load an encoder's weights from a file in smp's, torchvision's or timm's naming.

    Wrapping dictionaries and prefixes are stripped, heads that the encoder lacks are left out. If names do not match,
    tensors are matched by order, provided that every shape agrees, with a warning. FoldsegError lists what is missing,
    but for tensors whose names end with one of `optional`.
    """
    found = _strip(_tensors(load_torch_file(path), path))
    wanted = {name: value for name, value in encoder.state_dict().items() if not name.endswith("num_batches_tracked")}
    named = _by_name(found, wanted)
    if len(named) < len(wanted):
        named = _by_order(found, wanted) or named
    missing = [name for name in wanted if name not in named and not name.endswith(optional)]
    if missing:
        shown = ", ".join(missing[:5])
        raise FoldsegError(
            f"{path}: does not fit the encoder: {len(missing)} of {len(wanted)} tensors are missing or of another "
            f"shape, e.g. {shown}; the file has e.g. {', '.join(list(found)[:3])}"
        )
    check_finite(named, path)
    torch.nn.Module.load_state_dict(encoder, named, strict=False)
    logger.info("encoder weights: %d tensors from %s", len(named), path)


def checkpoint_of(source: Path) -> Path:
    """Return the checkpoint that `start_from` means: a file, or the best one of a run. FoldsegError without one."""
    path = run_checkpoint(source)
    if not path.is_file():
        raise FoldsegError(f"model.start_from: {path}: no such file; valid are a run's folder, an experiment's, a file")
    return path


def run_checkpoint(source: Path) -> Path:
    """Return a file as it is, and of a run's folder its best checkpoint, whether it exists or not."""
    return source / "checkpoints" / "best.ckpt" if source.is_dir() else source


def start_from(network: nn.Module, source: Path) -> None:
    """Take over a run's weights: the encoder's all, of the rest what has the same name and shape.

    What is not taken over keeps its initial values and is logged. FoldsegError when the encoder is another.
    """
    path = checkpoint_of(source)
    found = {name.removeprefix("network."): value for name, value in _tensors(load_torch_file(path), path).items()}
    wanted = network.state_dict()
    fits = {n: found[n] for n in wanted if n in found and found[n].shape == wanted[n].shape}
    encoder = [name for name in wanted if name.startswith("net.encoder.")]
    missing = [name for name in encoder if name not in fits]
    if missing:
        raise FoldsegError(
            f"model.start_from: {path}: was trained with another encoder: {len(missing)} of {len(encoder)} tensors of "
            f"model.encoder are missing or of another shape, e.g. {missing[0]}; the file has e.g. {next(iter(found))}"
        )
    check_finite(fits, path)
    network.load_state_dict(fits, strict=False)
    rest = [f"{name} {tuple(value.shape)}" for name, value in wanted.items() if name not in fits]
    logger.info("start: %d of %d tensors from %s; new: %s", len(fits), len(wanted), path, ", ".join(rest) or "none")


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Load a checkpoint's weights into a network built from its configuration; FoldsegError when they do not fit."""
    expected = module.state_dict()
    state = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    other = [n for n in expected if n not in state or state[n].shape != expected[n].shape]
    extra = [n for n in state if n not in expected]
    if other or extra:
        example = (other or extra)[0]
        have = tuple(state[example].shape) if example in state else "nothing"
        want = tuple(expected[example].shape) if example in expected else "nothing"
        raise FoldsegError(
            f"{source}: was saved by another network (encoder, decoder or number of classes): "
            f"{len(other) + len(extra)} tensors differ, e.g. {example}: has {have}, expected {want}"
        )
    module.load_state_dict(state)


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    items = content.items() if isinstance(content, Mapping) else ()
    tensors = {name: value for name, value in items if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise FoldsegError(f"{path}: holds no dictionary of tensors")
    return tensors


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """FoldsegError when a tensor holds NaN or an infinity: whatever it is multiplied with would be NaN, too."""
    odd = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if odd:
        raise FoldsegError(f"{path}: {len(odd)} of {len(tensors)} tensors hold NaN or infinity, e.g. {odd[0]}")


def _strip(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off prefixes that all names share (`module.encoder.conv1` -> `conv1`); keep an encoder's part only."""
    while True:
        for prefix in _PREFIXES:
            part = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            if part and (len(part) == len(tensors) or prefix in ("encoder.", "backbone.")):
                tensors = part
                break
        else:
            return tensors


def _by_name(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Match tensors of the same shape by name.

    smp wraps timm's networks: their names begin with `model.`, and `layers.0` may be `layers_0`.
    """
    prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in wanted)), "")
    plain = {name.replace(".", "_"): value for name, value in found.items()}
    if len(plain) < len(found):
        plain = {}
    named = {}
    for name, value in wanted.items():
        short = name.removeprefix(prefix)
        match = found.get(name, found.get(short, plain.get(short.replace(".", "_"))))
        if match is not None and match.shape == value.shape:
            named[name] = match
    return named


def _by_order(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Match tensors by position; None unless every shape agrees. A classifier's tensors may be left at the end."""
    tensors = [value for name, value in found.items() if not name.endswith("num_batches_tracked")]
    pairs = list(zip(wanted.items(), tensors, strict=False))
    named = _by_name(found, wanted)
    if any(name in named and named[name] is not tensor for (name, _), tensor in pairs):
        return None  # the names that do agree contradict the order
    if len(pairs) < len(wanted) or any(value.shape != tensor.shape for (_, value), tensor in pairs):
        return None
    logger.warning(
        "the file's names (%s, ...) differ from the encoder's (%s, ...): %d tensors are matched by order and shape",
        next(iter(found)),
        pairs[0][0][0],
        len(pairs),
    )
    return {name: tensor for (name, _), tensor in pairs}
