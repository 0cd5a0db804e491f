"""The forms in which predicted pictures are written: one file per picture."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import PictureForm
from foldseg.data.labels import Image, LabelSet, Mask, RawIds
from foldseg.deploy.drawing import overlay, with_legend
from foldseg.deploy.interface import Source
from foldseg.deploy.output_folder import hash_prediction_code
from foldseg.inference.store import PredictionStore, Quantised, StoreMetadata
from foldseg.submission.label_png import write_png


@dataclass(frozen=True)
class PredictedPicture:
    """A picture (H, W, channels) uint8 and its prediction: class indices (H, W), or quantised (classes, H, W)."""

    name: str
    image: Image
    prediction: Mask | Quantised


@dataclass(frozen=True)
class WriterContext:
    """What a writer knows before the first picture. `settings` and `hashes` are those of `OutputFolder.begin`."""

    folder: Path
    labels: LabelSet
    alpha: float
    settings: Mapping[str, Any]
    hashes: Mapping[str, str]


Writer = Callable[[PredictedPicture], None]
"""Writes the file of one picture."""


@dataclass(frozen=True)
class Form:
    """How predicted pictures are written.

    `suffix`: ends the names of the files. `predict`: calls the source for what is written of a picture. `open_writer`:
    prepares the folder and returns the function that writes into it. `uses_alpha`: whether the share of colour changes
    the files. `needs_all_names`: whether all pictures must be known at the beginning, so that none can be added later.
    """

    suffix: str
    predict: Callable[[Source, Image], Mask | Quantised]
    open_writer: Callable[[WriterContext], Writer]
    uses_alpha: bool = False
    needs_all_names: bool = False


DrawFunction = Callable[[Image, Mask, LabelSet, float], RawIds]
"""Returns what is written as PNG: (picture RGB, class indices, classes, alpha) -> (H, W) or BGR (H, W, 3)."""


def draw_raw_ids(image: Image, mask: Mask, labels: LabelSet, alpha: float) -> RawIds:
    """Return raw ids (H, W), as `submission/label_png.py` hands them in.

    They are class bits if some combination of overlapping classes has no raw id.
    """
    written = labels if labels.has_id_of_every_value else labels.with_bits_as_ids()
    return written.decode(mask)


def draw_colours(image: Image, mask: Mask, labels: LabelSet, alpha: float) -> Image:
    """Return each pixel in the colour of its class."""
    return _bgr(labels.colourise(mask))


def draw_overlay(image: Image, mask: Mask, labels: LabelSet, alpha: float) -> Image:
    """Return the picture with the classes' colours mixed in, and a legend below it."""
    return _bgr(with_legend(overlay(image, mask, labels, alpha), labels))


def _bgr(picture: Image) -> Image:
    """Return an RGB picture as BGR, which OpenCV writes."""
    return picture[..., ::-1]


def _make_png_form(draw: DrawFunction, uses_alpha: bool = False) -> Form:
    """Return the form whose files are PNGs that `draw` draws."""

    def open_writer(context: WriterContext) -> Writer:
        def write(picture: PredictedPicture) -> None:
            drawing = draw(picture.image, picture.prediction, context.labels, context.alpha)
            write_png(context.folder / f"{picture.name}.png", drawing)

        return write

    return Form(".png", _predict_label_map, open_writer, uses_alpha)


def _predict_label_map(source: Source, image: Image) -> Mask:
    return source.predict_label_map(image)


def _predict_probabilities(source: Source, image: Image) -> Quantised:
    return source.predict_probabilities(image)


def _open_store(context: WriterContext) -> Writer:
    """Begin a prediction store in the folder; return what writes into it."""
    store, settings = PredictionStore(context.folder), context.settings
    names = settings["pictures"]
    store.begin(
        StoreMetadata(
            run=settings["source"],
            split="pictures",
            fold=-1,
            classes=settings["classes"],
            checkpoint=" ".join(settings["weights"]),
            view=settings["view"],
            tta=settings["tta"],
            ids=names,
            pictures=[context.hashes[name] for name in names],
            code=hash_prediction_code(),
        )
    )

    def write(picture: PredictedPicture) -> None:
        store.write(picture.name, picture.prediction)

    return write


FORMS: dict[str, Form] = {
    "masks": _make_png_form(draw_raw_ids),
    "colours": _make_png_form(draw_colours),
    "overlay": _make_png_form(draw_overlay, uses_alpha=True),
    "probabilities": Form(".prob", _predict_probabilities, _open_store, needs_all_names=True),
}
"""Name -> how pictures are written."""
check_entries(FORMS, PictureForm, "deploy/forms.py: FORMS")
