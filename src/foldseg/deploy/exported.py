"""An exported network as a source of predictions. Needs onnxruntime, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foldseg.config import override_view
from foldseg.config.schema import PredictView
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.deploy.interface import FLIP, PLAIN, Asked
from foldseg.deploy.numpy_views import Maps, Network, Plan, plan_of, predict
from foldseg.ensemble.blend import argmax
from foldseg.errors import FoldsegError
from foldseg.inference.store import Quantised
from foldseg.runs.exported_file import INPUT, KEY, OUTPUT, ExportFacts, read_facts

HOW_TO_GET = "is needed for exported files and is not installed: pip install -e '.[onnx]'"


@dataclass(frozen=True)
class Exported:
    """An open exported file, and the way in which it sees pictures."""

    labels: LabelSet
    facts: dict[str, Any]
    network: Network
    plan: Plan
    flip: bool

    def probabilities(self, picture: Image) -> Quantised:
        """Return (classes, H, W) uint8, round(255 p)."""
        return (self.mean(picture) * np.float32(255) + np.float32(0.5)).astype(np.uint8)

    def mask(self, picture: Image) -> Mask:
        """Return class indices (H, W) uint8."""
        return argmax(self.mean(picture))

    def mean(self, picture: Image) -> Maps:
        """Return class probabilities (classes, H, W) float32, the mean over test-time augmentation."""
        maps = predict(self.network, picture, self.plan)
        if not self.flip:
            return maps
        return (maps + predict(self.network, picture[:, ::-1], self.plan)[..., ::-1]) / np.float32(2)


def open_exported(path: Path, asked: Asked) -> Exported:
    """Open a file of foldseg export-onnx. FoldsegError when it is none, or cannot predict as `asked`."""
    if asked.checkpoint is not None:
        raise FoldsegError(f"{path}: an exported file has no checkpoints, {asked.checkpoint!r} was asked for")
    if asked.tta not in (PLAIN, FLIP):
        raise FoldsegError(f"{path}: an exported file can be flipped, tta: {asked.tta.slug} it cannot")
    session = _session(path, asked.device or "auto")
    metadata = session.get_modelmeta().custom_metadata_map
    if KEY not in metadata:
        raise FoldsegError(f"{path}: was not written by foldseg export-onnx (its metadata have no {KEY!r})")
    exported = read_facts(metadata[KEY], path)
    _check_ends(session, exported, path)
    view = override_view(exported.view, asked.view, path)
    facts = {
        "source": f"{exported.run} as {path.name}",
        "weights": [exported.weights],
        "view": view.model_dump(mode="json"),
        "tta": asked.tta.model_dump(mode="json"),
    }
    return Exported(exported.labels, facts, _network(session), checked_plan(view, exported, path), asked.tta == FLIP)


def _check_ends(session: Any, exported: ExportFacts, path: Path) -> None:
    """FoldsegError unless a network takes pictures and gives a map of each of the classes that its facts name."""
    takes, gives = ([end.name for end in ends] for ends in (session.get_inputs(), session.get_outputs()))
    shape = session.get_outputs()[0].shape
    if takes != [INPUT] or gives != [OUTPUT] or len(shape) != 4 or shape[1] not in (len(exported.classes), None):
        raise FoldsegError(
            f"{path}: takes {takes} and gives {gives} of the shape {shape}; expected {INPUT} and {OUTPUT} with "
            f"{len(exported.classes)} channels, one for each class; export it again"
        )


def checked_plan(view: PredictView, exported: ExportFacts, path: Path) -> Plan:
    """Return how an exported network sees pictures in `view`; FoldsegError says why it cannot."""
    try:
        return plan_of(view, exported.stride, exported.size)
    except ValueError as error:
        shown = view.model_dump(mode="json", exclude_defaults=True)
        raise FoldsegError(f"{path}: cannot predict in view.predict={shown}: {error}") from None


def _network(session: Any) -> Network:
    def network(picture: Image) -> Maps:
        images = np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
        return np.asarray(session.run([OUTPUT], {INPUT: images})[0][0], np.float32)

    return network


def _session(path: Path, device: str) -> Any:
    """Open the file. FoldsegError when it is missing or damaged, or there is no GPU that was asked for."""
    try:
        import onnxruntime
    except ImportError as error:
        raise FoldsegError(f"{path}: onnxruntime {HOW_TO_GET}") from error
    if not path.is_file():
        raise FoldsegError(f"{path}: no such file")
    providers = _providers(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its exceptions have no other base
        raise FoldsegError(f"{path}: is no ONNX file, or a damaged one ({str(error).splitlines()[0]})") from error


def _providers(device: str, available: Sequence[str]) -> list[str]:
    if device != "cpu" and "CUDAExecutionProvider" in available:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if device == "gpu":
        raise FoldsegError(f"device: gpu was asked for, and this onnxruntime has {', '.join(available)} alone")
    return ["CPUExecutionProvider"]
