"""An exported network as a source of predictions. Needs onnxruntime, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foldseg.config import override_view
from foldseg.config.schema import Pictures, PredictView
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.deploy.interface import FLIP, PLAIN, PredictionOptions
from foldseg.deploy.numpy_views import Maps, Network, Plan, plan_of, predict
from foldseg.errors import FoldsegError
from foldseg.inference.class_rule import choose_rule
from foldseg.inference.store import Quantised
from foldseg.runs.exported_file import INPUT, KEY, OUTPUT, ExportFacts, read_facts

HOW_TO_GET = "is needed for exported files and is not installed: pip install -e '.[onnx]'"


@dataclass(frozen=True)
class ExportedSource:
    """An open exported file, and how pictures are shown to its network."""

    labels: LabelSet
    reading: Pictures
    provenance: dict[str, Any]
    network: Network
    plan: Plan
    flip: bool

    def predict_probabilities(self, picture: Image) -> Quantised:
        """Return the probabilities of the classes, (classes, H, W) uint8: round(255 p)."""
        return (self.predict_mean(picture) * np.float32(255) + np.float32(0.5)).astype(np.uint8)

    def predict_label_map(self, picture: Image) -> Mask:
        """Return class indices or class bits, (H, W) uint8."""
        return self.plan.classes.decide(self.predict_mean(picture))

    def predict_mean(self, picture: Image) -> Maps:
        """Return class probabilities (classes, H, W) float32, the mean over test-time augmentation."""
        maps = predict(self.network, picture, self.plan)
        if not self.flip:
            return maps
        return (maps + predict(self.network, picture[:, ::-1], self.plan)[..., ::-1]) / np.float32(2)


def open_exported_source(path: Path, options: PredictionOptions) -> ExportedSource:
    """Open a file of foldseg export-onnx. FoldsegError when it is none, or cannot predict with these options."""
    if options.checkpoint is not None:
        raise FoldsegError(f"{path}: an exported file has no checkpoints, {options.checkpoint!r} was asked for")
    if options.tta not in (PLAIN, FLIP):
        raise FoldsegError(f"{path}: an exported file can only predict with tta none or flip, not {options.tta.slug}")
    session = _open_session(path, options.device or "auto")
    metadata = session.get_modelmeta().custom_metadata_map
    if KEY not in metadata:
        raise FoldsegError(f"{path}: was not written by foldseg export-onnx (its metadata have no {KEY!r})")
    exported = read_facts(metadata[KEY], path)
    _check_inputs_and_outputs(session, exported, path)
    view = override_view(exported.view, options.view, path)
    plan = checked_plan(view, exported, path)
    provenance = {
        "source": f"{exported.run} as {path.name}",
        "weights": [exported.weights],
        "view": view.model_dump(mode="json"),
        "tta": options.tta.model_dump(mode="json"),
    }
    return ExportedSource(
        exported.labels, exported.pictures.of_images, provenance, _network(session), plan, options.tta == FLIP
    )


def _check_inputs_and_outputs(session: Any, exported: ExportFacts, path: Path) -> None:
    """Raise FoldsegError unless the network takes pictures and returns a map for each class that the metadata name."""
    inputs = [node.name for node in session.get_inputs()]
    outputs = [node.name for node in session.get_outputs()]
    shape = session.get_outputs()[0].shape
    has_map_per_class = len(shape) == 4 and shape[1] in (len(exported.classes), None)
    if inputs != [INPUT] or outputs != [OUTPUT] or not has_map_per_class:
        raise FoldsegError(
            f"{path}: takes {inputs} and gives {outputs} of the shape {shape}; expected {INPUT} and {OUTPUT} with "
            f"{len(exported.classes)} channels, one for each class; export it again"
        )


def checked_plan(view: PredictView, exported: ExportFacts, path: Path) -> Plan:
    """Return how pictures are shown to an exported network in `view`. FoldsegError if it cannot predict in it."""
    try:
        return plan_of(view, exported.stride, exported.size, choose_rule(exported.labels))
    except ValueError as error:
        shown = view.model_dump(mode="json", exclude_defaults=True)
        raise FoldsegError(f"{path}: cannot predict in view.predict={shown}: {error}") from None


def _network(session: Any) -> Network:
    def network(picture: Image) -> Maps:
        images = np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
        return np.asarray(session.run([OUTPUT], {INPUT: images})[0][0], np.float32)

    return network


def _open_session(path: Path, device: str) -> Any:
    """Open the file. FoldsegError when it is missing or damaged, or there is no GPU that was asked for."""
    try:
        import onnxruntime
    except ImportError as error:
        raise FoldsegError(f"{path}: onnxruntime {HOW_TO_GET}") from error
    if not path.is_file():
        raise FoldsegError(f"{path}: no such file")
    providers = _choose_providers(device, onnxruntime.get_available_providers())
    session_options = onnxruntime.SessionOptions()
    session_options.log_severity_level = 4  # errors are raised, so they need not be logged as well
    try:
        return onnxruntime.InferenceSession(str(path), session_options, providers=providers)
    except Exception as error:  # onnxruntime's exceptions have no other base class
        raise FoldsegError(f"{path}: is no ONNX file, or a damaged one ({str(error).splitlines()[0]})") from error


def _choose_providers(device: str, available: Sequence[str]) -> list[str]:
    if device != "cpu" and "CUDAExecutionProvider" in available:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if device == "gpu":
        raise FoldsegError(f"device: gpu was asked for, and this onnxruntime has {', '.join(available)} alone")
    return ["CPUExecutionProvider"]
