"""A finished run as an ONNX file, and the proof that both predict the same."""

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
from foldseg.deploy.exported import HOW_TO_GET, checked_plan
from foldseg.errors import FoldsegError
from foldseg.files import write_bytes
from foldseg.models.network import SegmentationNetwork
from foldseg.outputs import SIGNATURE, check_output
from foldseg.runs.exported_file import INPUT, KEY, OUTPUT, ExportFacts, class_facts
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network, trained_labels
from foldseg.views.geometry import padded_size

logger = logging.getLogger(__name__)

SAME = 1e-3
"""The largest difference of a probability that passes for rounding."""

_OPSET = 17
_TRACED, _OTHER = (128, 192), (192, 160)  # pixels, where any size is to be taken: traced with, and compared at
_CELLS = {"pspnet": 6, "upernet": 6}  # they pool a map to 6x6 and less, which ONNX does only where 6 divides its sides


def export_onnx(
    run: RunFolder,
    path: Path,
    view: PredictView | None = None,
    checkpoint: str = "best",
    size: tuple[int, int] | None = None,
) -> None:
    """Write a finished run's network as an ONNX file, with all that is needed to predict in its metadata.

    Input `images`: (N, 3, H, W) uint8 RGB, sides multiples of the network's stride. Output `probabilities`:
    (N, classes, H, W) float32. N is free, and so are H and W unless `size` (height, width) is given. `view`: None for
    the run's own. FoldsegError when the network cannot be translated, or its translation predicts something else.
    """
    check_output(path, ".onnx", [run.path])
    onnx = _onnx(path)
    network = load_network(run, run.existing_checkpoint(checkpoint))
    labels = trained_labels(run)
    facts = ExportFacts(
        foldseg=foldseg.__version__,
        run="/".join(run.path.resolve().parts[-2:]),
        checkpoint=checkpoint,
        weights=run.hash_of(checkpoint),
        dataset=run.experiment.data.dataset.kind,
        classes=class_facts(labels),
        void_ids=labels.void_ids,
        stride=network.stride,
        size=size,
        view=view or run.experiment.view.predict,
    )
    checked_plan(facts.view, facts, run.path)
    model = onnx.load_from_string(onnx_bytes(network, size, run.experiment.model.architecture))
    model.producer_name = SIGNATURE
    onnx.helper.set_model_props(model, {KEY: facts.model_dump_json()})
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())
    logger.info("%s: %.1f MB, for pictures of %s", path, path.stat().st_size / 1e6, _sizes(size))


def onnx_bytes(network: SegmentationNetwork, size: tuple[int, int] | None, architecture: str) -> bytes:
    """Translate a network in evaluation mode, for any size or one (height, width), and compare on noise.

    FoldsegError says of which sizes an architecture can be translated.
    """
    module = _Probabilities(network).eval()
    what = f"{architecture} cannot be exported for pictures of {_sizes(size)}"
    steps = network.stride * _CELLS.get(architecture, 1)
    hint = f"sides should be multiples of {steps}"
    if size is None and architecture in _CELLS:
        raise FoldsegError(f"{what}: it pools to cells; give it one size with --size, whose {hint}")
    if size is not None and any(side % steps for side in size):
        raise FoldsegError(f"{what}: {hint}")
    sizes = [size] if size else [padded_size(side, network.stride) for side in (_TRACED, _OTHER)]
    try:
        content = _translated(module, _noise(2, sizes[0]), any_size=size is None)
        apart = [_apart(module, content, images) for images in (_noise(2, sizes[0]), _noise(1, sizes[-1]))]
    except Exception as error:  # torch, its networks and onnxruntime raise whatever they like
        reason = str(error).strip().partition("\n")[0]
        raise FoldsegError(f"{what}: {reason}" + ("" if size else "; perhaps for one size, with --size")) from error
    if not max(apart) < SAME:
        raise FoldsegError(f"{what}: its probabilities change by {max(apart):.2g}; {hint}")
    return content


class _Probabilities(nn.Module):
    """Images (N, 3, H, W) uint8 -> probabilities (N, classes, H, W) float32."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return torch.softmax(self.network(images), 1)


def _translated(module: nn.Module, images: Tensor, *, any_size: bool) -> bytes:
    """Trace a module into the content of an ONNX file, by torch's older exporter; see ARCHITECTURE.md."""
    free = {0: "n", 2: "height", 3: "width"} if any_size else {0: "n"}
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():  # it warns of every size that the network tests
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (images,),
            content,  # type: ignore[arg-type]  # a stream will do
            dynamo=False,
            opset_version=_OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: free, OUTPUT: free},
        )
    return content.getvalue()


def _apart(module: nn.Module, content: bytes, images: Tensor) -> float:
    """Return the largest difference between a module's probabilities and those of its translation."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found = session.run([OUTPUT], {INPUT: images.numpy()})[0]
    with torch.inference_mode():
        return float(np.abs(found - module(images).numpy()).max())


def _noise(count: int, size: tuple[int, int]) -> Tensor:
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))


def _sizes(size: tuple[int, int] | None) -> str:
    return "any size" if size is None else f"{size[1]}x{size[0]}"


def _onnx(path: Path) -> Any:
    """Import what is needed, before anything is loaded."""
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise FoldsegError(f"{path}: {error.name} {HOW_TO_GET}") from error
    return onnx
