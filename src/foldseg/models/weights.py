"""Loads weights from files: of an encoder, or of a whole network. Errors name the tensors that do not fit."""

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
_NUMPY_GLOBALS: list[Any] = [
    np.dtype,
    np.ndarray,
    *(type(np.dtype(kind)) for kind in _DTYPES),
    codecs.encode,
    # Functions with which numpy pickles its numbers and arrays, under the module's name in numpy 2 and before it
    (multiarray.scalar, "numpy._core.multiarray.scalar"),
    (multiarray.scalar, "numpy.core.multiarray.scalar"),
    (multiarray._reconstruct, "numpy._core.multiarray._reconstruct"),
    (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
]
"""What a file of weights may hold besides tensors and plain types."""

_WRAPPERS = ("state_dict", "model", "model_state_dict", "network")
"""Keys under which files keep the dictionary of tensors."""

_PREFIXES = ("module.", "network.", "net.", "model.", "encoder.", "backbone.")
"""Beginnings of the names of tensors that say nothing about the tensor."""


def load_torch_file(path: Path) -> Any:
    """Read a file of torch's or a .safetensors file onto the CPU.

    Besides tensors it may hold plain types, and numpy's numbers and arrays. FoldsegError if the file is missing or
    damaged, or if it holds objects that could run code.

    torch writes checksums but does not compare them, so they are compared here. A wrong checksum is an error in a
    checkpoint of ours. For other files it is only reported, because torch can also write files without checksums.
    """
    check_is_file(path)
    try:
        with torch.serialization.safe_globals(_NUMPY_GLOBALS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of unusual pickle protocols, for example
            content = torch.load(path, map_location="cpu", weights_only=True)
        damaged_part = zipfile.ZipFile(path).testzip() if zipfile.is_zipfile(path) else None
    except MemoryError:
        raise
    except Exception as error:  # readers of damaged files raise many kinds of errors
        # EINVAL is no error of the disk: it comes from seeking to before the start of a file that was cut short
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise FoldsegError(f"{path}: cannot be read: {error.strerror or error}") from error
        if foreign := re.search(r"(?:GLOBAL|[Uu]nsupported (?:class|global):?) ([\w.]+\.\w+)", str(error)):
            raise FoldsegError(
                f"{path}: holds an object of {foreign[1]} beside its weights, which is not read: it could run any "
                "code. If you trust the file, save its weights alone: "
                f"torch.save(torch.load('{path.name}', weights_only=False)['state_dict'], 'weights.pth')"
            ) from error
        raise FoldsegError(
            f"{path}: is not a file of weights, or is damaged ({_explain_damage(path, error)})"
        ) from error
    if damaged_part is not None:
        if isinstance(content, dict) and "foldseg" in content:
            raise FoldsegError(f"{path}: is damaged ({damaged_part} has another checksum than when it was written)")
        say_once(f"{path}: is damaged, or was written without checksums: that of {damaged_part} is wrong")
    return content


def _explain_damage(path: Path, error: Exception) -> str:
    with path.open("rb") as stream:
        start = stream.read(2)
    if not start:
        return "it is empty"
    if start == b"PK" and not zipfile.is_zipfile(path):
        return "it is cut short"
    return str(error).strip().splitlines()[0] if str(error) else type(error).__name__


def load_encoder_weights(encoder: nn.Module, path: Path, optional: tuple[str, ...] = ()) -> None:
    """Load an encoder's weights from a file with the tensor names of smp, torchvision or timm.

    Wrapping dictionaries and prefixes are removed, and heads that the encoder lacks are left out. If the names do not
    match, tensors are matched by their order, with a warning; then every shape must agree. FoldsegError lists what is
    missing. Tensors whose names end with one of `optional` may be missing. The first layer is adapted to the encoder's
    number of channels.
    """
    file_tensors = adapt_first_layer(_strip_prefixes(_extract_tensors(load_torch_file(path), path)), encoder)
    encoder_tensors = _without_counters(encoder.state_dict())
    matches = _match_by_name(file_tensors, encoder_tensors)
    if len(matches) < len(encoder_tensors):
        matches = _match_by_order(file_tensors, encoder_tensors) or matches
    missing = [name for name in encoder_tensors if name not in matches and not name.endswith(optional)]
    if missing:
        examples = ", ".join(missing[:5])
        raise FoldsegError(
            f"{path}: does not fit the encoder: {len(missing)} of {len(encoder_tensors)} tensors are missing or of "
            f"another shape, e.g. {examples}; the file has e.g. {', '.join(list(file_tensors)[:3])}"
        )
    check_finite(matches, path)
    torch.nn.Module.load_state_dict(encoder, matches, strict=False)
    logger.info("encoder weights: %d tensors from %s", len(matches), path)


def adapt_first_layer(tensors: Mapping[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
    """Return tensors of a file in which the first layer takes images of as many channels as the encoder does.

    The first tensor that fits the encoder's first convolution, but for the channels, is adapted as smp and timm do it:
    for one channel the weights are summed up; otherwise they are repeated, and scaled so that outputs keep their size.
    """
    first = next((part for part in encoder.modules() if isinstance(part, nn.Conv2d)), None)
    if first is None:
        return dict(tensors)
    outputs, channels, *kernel = first.weight.shape
    for name, value in tensors.items():
        if value.ndim == 4 and (value.shape[0], *value.shape[2:]) == (outputs, *kernel):
            if value.shape[1] == channels:
                break
            logger.info("first layer: weights of %d channels are adapted to %d", value.shape[1], channels)
            return {**tensors, name: adapt_channels(value, channels)}
    return dict(tensors)


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """Return the weights (outputs, C, h, w) of a convolution for inputs of another number of channels."""
    present = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, [index % present for index in range(channels)]] * (present / channels)


def check_start(path: Path) -> None:
    """Raise FoldsegError if the checkpoint that `model.start_from` means is no file."""
    if not path.is_file():
        raise FoldsegError(f"model.start_from: {path}: no such file; valid are a run's folder, an experiment's, a file")


def start_from(network: nn.Module, path: Path) -> None:
    """Load a checkpoint's weights into a new network: all of the encoder, and what else has the same name and shape.

    All other tensors keep their initial values, and are logged. The first layer is adapted to the number of channels.
    FoldsegError if the encoders differ.
    """
    check_start(path)
    content = _extract_tensors(load_torch_file(path), path)
    file_tensors = {name.removeprefix("network."): value for name, value in content.items()}
    of_encoder = {name: value for name, value in file_tensors.items() if name.startswith("net.encoder.")}
    file_tensors |= adapt_first_layer(of_encoder, network.encoder)  # type: ignore[arg-type]
    matches: dict[str, Tensor] = {}
    new: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        if name in file_tensors and file_tensors[name].shape == value.shape:
            matches[name] = file_tensors[name]
        else:
            new[name] = value
    encoder = [name for name in network.state_dict() if name.startswith("net.encoder.")]
    missing = [name for name in encoder if name in new]
    if missing:
        raise FoldsegError(
            f"model.start_from: {path}: was trained with another encoder: {len(missing)} of {len(encoder)} tensors of "
            f"model.encoder are missing or of another shape, e.g. {missing[0]}; the file has e.g. "
            f"{next(iter(file_tensors))}"
        )
    check_finite(matches, path)
    network.load_state_dict(matches, strict=False)
    shapes = [f"{name} {tuple(value.shape)}" for name, value in new.items()]
    total = len(matches) + len(new)
    logger.info("start: %d of %d tensors from %s; new: %s", len(matches), total, path, ", ".join(shapes) or "none")


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Load a checkpoint's weights into the network of its configuration. FoldsegError if they do not fit."""
    expected = module.state_dict()
    state = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    different = [name for name in expected if name not in state or state[name].shape != expected[name].shape]
    surplus = [name for name in state if name not in expected]
    if different or surplus:
        example = (different or surplus)[0]
        state_shape = tuple(state[example].shape) if example in state else "nothing"
        expected_shape = tuple(expected[example].shape) if example in expected else "nothing"
        raise FoldsegError(
            f"{source}: was saved by another network (encoder, decoder or number of classes): "
            f"{len(different) + len(surplus)} tensors differ, e.g. {example}: has {state_shape}, expected "
            f"{expected_shape}"
        )
    module.load_state_dict(state)


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise FoldsegError if a tensor holds NaN or an infinity: all predictions with it would be NaN."""
    names = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if names:
        raise FoldsegError(f"{path}: {len(names)} of {len(tensors)} tensors hold NaN or infinity, e.g. {names[0]}")


def _extract_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, from within the dictionaries that wrap them."""
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


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return all tensors but the batch norms' counters of batches, which many files lack."""
    return {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}


def _strip_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove prefixes that all names share (`module.encoder.conv1` -> `conv1`).

    If only some names have an encoder's prefix, the other tensors are left out.
    """
    while True:
        for prefix in _PREFIXES:
            part = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            if part and (len(part) == len(tensors) or prefix in ("encoder.", "backbone.")):
                tensors = part
                break
        else:
            return tensors


def _match_by_name(file_tensors: dict[str, Tensor], encoder_tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the file's tensors by the encoder's names, where name and shape agree.

    smp wraps timm's networks: their names then begin with `model.`, and `layers.0` may be `layers_0`.
    """
    prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in encoder_tensors)), "")
    by_plain_name = {name.replace(".", "_"): value for name, value in file_tensors.items()}
    if len(by_plain_name) < len(file_tensors):  # two names became the same
        by_plain_name = {}
    matches = {}
    for name, value in encoder_tensors.items():
        short_name = name.removeprefix(prefix)
        plain_match = by_plain_name.get(short_name.replace(".", "_"))
        match = file_tensors.get(name, file_tensors.get(short_name, plain_match))
        if match is not None and match.shape == value.shape:
            matches[name] = match
    return matches


def _match_by_order(file_tensors: dict[str, Tensor], encoder_tensors: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Return the file's tensors by the encoder's names, matched by position. None unless every shape agrees.

    The file may have more tensors at its end: those of a classifier.
    """
    pairs = list(zip(encoder_tensors.items(), _without_counters(file_tensors).values(), strict=False))
    by_name = _match_by_name(file_tensors, encoder_tensors)
    if any(name in by_name and by_name[name] is not tensor for (name, _), tensor in pairs):
        return None  # the names that do agree contradict the order
    if len(pairs) < len(encoder_tensors) or any(value.shape != tensor.shape for (_, value), tensor in pairs):
        return None
    logger.warning(
        "the file's names (%s, ...) differ from the encoder's (%s, ...): %d tensors are matched by order and shape",
        next(iter(file_tensors)),
        pairs[0][0][0],
        len(pairs),
    )
    return {name: tensor for (name, _), tensor in pairs}
