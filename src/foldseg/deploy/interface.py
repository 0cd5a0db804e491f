"""What every source of predictions offers, and the options of a prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from foldseg.config import load_tta
from foldseg.config.schema import Pictures, Tta
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.errors import FoldsegError
from foldseg.inference.store import Quantised

PLAIN, FLIP = Tta(), Tta(symmetries="flip")


class Source(Protocol):
    """Something that predicts any picture: (H, W, channels) uint8, of three channels RGB, upright, of any size."""

    @property
    def labels(self) -> LabelSet:
        """The classes, in the order of the probabilities."""

    @property
    def reading(self) -> Pictures:
        """How picture files are read for it: their channels, and what their numbers mean."""

    @property
    def provenance(self) -> dict[str, Any]:
        """All that its predictions depend on, fit for JSON: equal provenance means equal predictions.

        It has the keys `source` (a name), `weights` (a list of SHA-256), `view` and `tta`, and may have others.
        """

    def predict_probabilities(self, picture: Image) -> Quantised:
        """Return the probabilities of the classes, (classes, H, W) uint8: round(255 p)."""

    def predict_label_map(self, picture: Image) -> Mask:
        """Return class indices (H, W) uint8."""


@dataclass(frozen=True)
class PredictionOptions:
    """How a source should predict. The defaults leave the choice to the source: what the run remembers.

    `view`: overrides `view.predict=...`. `device`: auto, cpu or gpu. `checkpoint`: its name.
    """

    view: tuple[str, ...] = ()
    tta: Tta = PLAIN
    device: str | None = None
    checkpoint: str | None = None


DEFAULT_OPTIONS = PredictionOptions()


def parse_options(
    overrides: Sequence[str], tta: str | None, device: str | None, checkpoint: str | None
) -> PredictionOptions:
    """Return the options that a command line gives.

    `overrides` are `view.predict=...`, `tta=...` and `tta.<key>=...`; `tta` is YAML. FoldsegError for a TTA that is
    not valid. The view is checked later, when its source is open.
    """
    tta_overrides = [text for text in overrides if text.partition("=")[0].split(".")[0] == "tta"]
    view_overrides = tuple(text for text in overrides if text not in tta_overrides)
    from_option = [] if tta is None else [f"tta={tta}"]
    return PredictionOptions(view_overrides, load_tta([*from_option, *tta_overrides]), device, checkpoint)


def build_memory_error(picture: Image, view: Any) -> FoldsegError:
    """Return the error that says that a picture is too large for the memory, and which view needs less."""
    return FoldsegError(
        f"a picture of {picture.shape[1]}x{picture.shape[0]} does not fit into memory in view.predict={view}; "
        "tiles take less: view.predict={kind: tiles, size: [512, 512]}"
    )
