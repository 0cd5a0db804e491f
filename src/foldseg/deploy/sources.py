"""What predicts pictures: a run, an experiment, an ensemble, an exported file. Opening a file imports no torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from foldseg.config import load_tta
from foldseg.config.schema import Tta
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.errors import FoldsegError
from foldseg.inference.store import Quantised

PLAIN, FLIP = Tta(), Tta(symmetries="flip")


class Source(Protocol):
    """Something that labels any picture: (H, W, 3) uint8 RGB, upright, of any size."""

    @property
    def labels(self) -> LabelSet:
        """The classes, in the order of the probabilities."""

    @property
    def facts(self) -> dict[str, Any]:
        """All that its predictions depend on, fit for JSON; equal facts, equal predictions.

        `source` (a name), `weights` (a list of SHA-256), `view`, `tta`.
        """

    def probabilities(self, picture: Image) -> Quantised:
        """Return (classes, H, W) uint8, round(255 p)."""

    def mask(self, picture: Image) -> Mask:
        """Return class indices (H, W) uint8."""


@dataclass(frozen=True)
class Asked:
    """How a source should predict. What is not said is as the source remembers it."""

    view: tuple[str, ...] = ()  # overrides view.predict=...
    tta: Tta = PLAIN
    device: str | None = None  # auto, cpu or gpu
    checkpoint: str | None = None


def asked_for(overrides: Sequence[str], tta: str | None, device: str | None, checkpoint: str | None) -> Asked:
    """Return what a command line asks for: `tta` is YAML; overrides are `view.predict=...`, `tta=...`, `tta.<key>=...`.

    FoldsegError when the TTA is none; the view is checked where its source is known.
    """
    of_tta = [text for text in overrides if text.partition("=")[0].split(".")[0] == "tta"]
    chosen = load_tta([*([] if tta is None else [f"tta={tta}"]), *of_tta])
    return Asked(tuple(text for text in overrides if text not in of_tta), chosen, device, checkpoint)


def open_source(path: Path, asked: Asked = Asked()) -> Source:
    """Open a run's folder, an experiment's (the mean of its folds), a finished ensemble's or an exported .onnx file.

    FoldsegError when `path` is none of these, is not finished, or cannot predict as `asked`.
    """
    return SOURCES[_kind(path)](path, asked)


def no_room_for(picture: Image, view: Any) -> FoldsegError:
    """Return the error that says that a picture is too large for the memory, and what takes less."""
    return FoldsegError(
        f"a picture of {picture.shape[1]}x{picture.shape[0]} does not fit into memory in view.predict={view}; "
        "tiles take less: view.predict={kind: tiles, size: [512, 512]}"
    )


def _kind(path: Path) -> str:
    if path.suffix == ".onnx":
        return "exported"
    if (path / "score.json").is_file() or (path / "oof").is_dir():
        return "ensemble"
    if (path / "config.yaml").is_file():
        return "run"
    if _folds(path):
        return "experiment"
    found = "is something else" if path.exists() else "does not exist"
    raise FoldsegError(
        f"{path}: {found}; expected a run (runs/x/fold_0), an experiment (runs/x), an ensemble (submissions/x) or an "
        "exported x.onnx"
    )


def _folds(path: Path) -> list[Path]:
    return sorted(folder for folder in path.glob("fold_*") if folder.is_dir())


def _run(path: Path, asked: Asked) -> Source:
    return _of_runs([path], asked)


def _experiment(path: Path, asked: Asked) -> Source:
    return _of_runs(_folds(path), asked)


def _of_runs(paths: Sequence[Path], asked: Asked) -> Source:
    from foldseg.deploy.runs import open_runs  # here, since torch and its kin take 12 s of processor time to import

    return open_runs(paths, asked)


def _ensemble(path: Path, asked: Asked) -> Source:
    from foldseg.deploy.ensembles import open_ensemble

    return open_ensemble(path, asked)


def _exported(path: Path, asked: Asked) -> Source:
    from foldseg.deploy.exported import open_exported

    return open_exported(path, asked)


SOURCES: dict[str, Callable[[Path, Asked], Source]] = {
    "run": _run,
    "experiment": _experiment,
    "ensemble": _ensemble,
    "exported": _exported,
}
"""To add a kind of source: a class like `Source`, a function that opens it and a line here, and its sign in `_kind`."""
