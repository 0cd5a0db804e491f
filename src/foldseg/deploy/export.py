"""Exports a finished run to an ONNX file, and compares the outputs of both networks on random noise.

`deploy/check_export.py` compares their predictions of real pictures.
"""

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import foldseg
from foldseg.config.schema import PredictView
from foldseg.deploy.exported_source import HOW_TO_GET, checked_plan
from foldseg.errors import FoldsegError
from foldseg.files import write_bytes
from foldseg.models.network import SegmentationNetwork
from foldseg.outputs import SIGNATURE, check_output
from foldseg.runs.exported_file import INPUT, KEY, OUTPUT, ExportFacts, class_facts
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network, trained_labels
from foldseg.views.activation import SOFTMAX, Activation, choose_activation
from foldseg.views.geometry import padded_size

logger = logging.getLogger(__name__)

TOLERANCE = 1e-3
"""The largest difference between two probabilities that counts as rounding."""

_OPSET = 17
_TRACED_SIZE, _OTHER_SIZE = (128, 192), (192, 160)  # if any size shall be taken: the sizes to trace and to compare with
_CELLS = {"pspnet": 6, "upernet": 6}  # they pool maps to 6x6 and less; in ONNX 6 must divide the sides of the maps


def export_onnx(
    run: RunFolder,
    path: Path,
    view: PredictView | None = None,
    checkpoint: str = "best",
    size: tuple[int, int] | None = None,
) -> None:
    """Write a finished run's network as an ONNX file. Its metadata hold all that is needed to predict with it.

    Input `images`: (N, channels, H, W) uint8, of three channels RGB, whose sides are multiples of the network's stride.
    Output `probabilities`: (N, classes, H, W) float32. N is free, and so are H and W unless `size` (height, width) is
    given. `view`: None for the run's own. FoldsegError when the network cannot be translated, or its translation
    predicts something else.
    """
    check_output(path, ".onnx", [run.path])
    onnx = _import_onnx(path)
    network = load_network(run, run.existing_checkpoint(checkpoint))
    labels = trained_labels(run)
    metadata = ExportFacts(
        foldseg=foldseg.__version__,
        run="/".join(run.path.resolve().parts[-2:]),
        checkpoint=checkpoint,
        weights=run.hash_of(checkpoint),
        dataset=run.experiment.data.dataset.kind,
        classes=class_facts(labels),
        void_ids=labels.void_ids,
        overlapping=labels.overlapping,
        background_ids=labels.background_ids,
        stride=network.stride,
        size=size,
        view=view or run.experiment.view.predict,
        pictures=run.experiment.data.pictures.of_images,
    )
    checked_plan(metadata.view, metadata, run.path)
    activation = choose_activation(labels)
    model = onnx.load_from_string(onnx_bytes(network, size, run.experiment.model.architecture, activation))
    model.producer_name = SIGNATURE
    onnx.helper.set_model_props(model, {KEY: metadata.model_dump_json()})
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())
    logger.info("%s: %.1f MB, for pictures of %s", path, path.stat().st_size / 1e6, _describe_size(size))


def onnx_bytes(
    network: SegmentationNetwork, size: tuple[int, int] | None, architecture: str, activation: Activation = SOFTMAX
) -> bytes:
    """Return the content of an ONNX file with a network in evaluation mode, compared with the network on noise.

    `size`: the one (height, width) that it shall take, or None for any. FoldsegError says which sizes are possible.
    """
    module = _Probabilities(network, activation).eval()
    what = f"{architecture} cannot be exported for pictures of {_describe_size(size)}"
    multiple = network.stride * _CELLS.get(architecture, 1)
    hint = f"sides should be multiples of {multiple}"
    if size is None and architecture in _CELLS:
        raise FoldsegError(f"{what}: it pools to cells; give it one size with --size, whose {hint}")
    if size is not None and any(side % multiple for side in size):
        raise FoldsegError(f"{what}: {hint}")
    sizes = [size] if size else [padded_size(example, network.stride) for example in (_TRACED_SIZE, _OTHER_SIZE)]
    traced, other = (_noise(count, network.channels, shape) for count, shape in ((2, sizes[0]), (1, sizes[-1])))
    try:
        content = _translate(module, traced, any_size=size is None)
        difference = max(_largest_difference(module, content, images) for images in (traced, other))
    except Exception as error:  # torch, its networks and onnxruntime raise exceptions of many classes
        reason = str(error).strip().partition("\n")[0]
        advice = "" if size else "; it may be possible for one size, with --size"
        raise FoldsegError(f"{what}: {reason}{advice}") from error
    if not difference < TOLERANCE:
        raise FoldsegError(f"{what}: its probabilities change by {difference:.2g}; {hint}")
    return content


class _Probabilities(nn.Module):
    """A network that turns images (N, C, H, W) uint8 into probabilities (N, classes, H, W) float32."""

    def __init__(self, network: SegmentationNetwork, activation: Activation) -> None:
        super().__init__()
        self.network, self.activation = network, activation

    def forward(self, images: Tensor) -> Tensor:
        return self.activation.compute_probabilities(self.network(images))


def _translate(module: nn.Module, images: Tensor, *, any_size: bool) -> bytes:
    """Trace a module into the content of an ONNX file, by torch's older exporter; see docs/explanation/libraries.md."""
    free_axes = {0: "n", 2: "height", 3: "width"} if any_size else {0: "n"}
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns wherever a network tests a size
        torch.onnx.export(
            module,
            (images,),
            content,  # type: ignore[arg-type]  # a stream is accepted, too
            dynamo=False,
            opset_version=_OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: free_axes, OUTPUT: free_axes},
        )
    return content.getvalue()


def _largest_difference(module: nn.Module, content: bytes, images: Tensor) -> float:
    """Return the largest difference between a module's probabilities and those of its translation."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, so they need not be logged as well
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    translated = session.run([OUTPUT], {INPUT: images.numpy()})[0]
    with torch.inference_mode():
        original = module(images).numpy()
    return float(np.abs(translated - original).max())


def _noise(count: int, channels: int, size: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, channels, *size), dtype=torch.uint8, generator=generator)


def _describe_size(size: tuple[int, int] | None) -> str:
    return "any size" if size is None else f"{size[1]}x{size[0]}"


def _import_onnx(path: Path) -> Any:
    """Return the package onnx. FoldsegError, before anything is loaded, if it or onnxruntime is not installed."""
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise FoldsegError(f"{path}: {error.name} {HOW_TO_GET}") from error
    return onnx
