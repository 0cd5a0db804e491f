"""What every source of predictions offers, and how it can be asked to predict."""

from collections.abc import Sequence
from dataclasses import dataclass
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


AS_REMEMBERED = Asked()


def asked_for(overrides: Sequence[str], tta: str | None, device: str | None, checkpoint: str | None) -> Asked:
    """Return what a command line asks for: `tta` is YAML; overrides are `view.predict=...`, `tta=...`, `tta.<key>=...`.

    FoldsegError when the TTA is none; the view is checked where its source is known.
    """
    of_tta = [text for text in overrides if text.partition("=")[0].split(".")[0] == "tta"]
    chosen = load_tta([*([] if tta is None else [f"tta={tta}"]), *of_tta])
    return Asked(tuple(text for text in overrides if text not in of_tta), chosen, device, checkpoint)


def no_room_for(picture: Image, view: Any) -> FoldsegError:
    """Return the error that says that a picture is too large for the memory, and what takes less."""
    return FoldsegError(
        f"a picture of {picture.shape[1]}x{picture.shape[0]} does not fit into memory in view.predict={view}; "
        "tiles take less: view.predict={kind: tiles, size: [512, 512]}"
    )
