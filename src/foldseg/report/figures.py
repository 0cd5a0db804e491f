"""Drawing pictures and charts: grids of frames and masks, error maps, bars, heat maps.

Pictures are RGB (H, W, 3) uint8. Figures are `matplotlib.figure.Figure` objects without pyplot's global state: they
need no window, and are freed like any other object.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from foldseg.data.labels import IGNORE_INDEX, Colour, Image, LabelSet, Mask
from foldseg.files import write_bytes
from foldseg.outputs import SIGNATURE

RIGHT, MISSED, FALSE_ALARM, UNSCORED, VOID = (70, 70, 70), (235, 40, 40), (255, 170, 0), (80, 110, 190), (0, 0, 0)
"""Colours of an error map; see `draw_error_map`."""

_LARGEST_WIDTH = 640
"""Wider pictures are shrunk to so many pixels before they are drawn, which saves most of the time and memory."""
_GREY = (0.45, 0.45, 0.45)


@dataclass(frozen=True)
class Picture:
    """A picture in a grid, the title above it and the note below it."""

    image: Image
    title: str = ""
    note: str = ""


def draw_error_map(truth: Mask, prediction: Mask, labels: LabelSet | None = None) -> Image:
    """Draw where a prediction is wrong: (H, W, 3) uint8 RGB. Truth and prediction are (H, W) uint8, see `Mask`.

    Right pixels are RIGHT, void pixels of the truth VOID, wrong ones MISSED. If `labels` has classes that are not
    scored, a wrong pixel is

    - MISSED if the true class is scored;
    - FALSE_ALARM if only the predicted class is scored;
    - UNSCORED if neither is scored.

    If classes overlap, a wrong pixel is MISSED if a scored class is missed, otherwise FALSE_ALARM if a scored class is
    predicted where it is not, otherwise UNSCORED.
    """
    if labels is not None and labels.overlapping:
        return _draw_errors_of_bits(truth, prediction, labels)
    is_scored = np.ones(256, bool)
    if labels is not None:
        is_scored[: len(labels)] = labels.scored
    is_wrong = truth != prediction
    colour = np.zeros(truth.shape, np.uint8)
    colour[is_wrong] = 1
    colour[is_wrong & ~is_scored[truth]] = 2
    colour[is_wrong & ~is_scored[truth] & ~is_scored[prediction]] = 3
    colour[truth == IGNORE_INDEX] = 4
    return np.array([RIGHT, MISSED, FALSE_ALARM, UNSCORED, VOID], np.uint8)[colour]


def _draw_errors_of_bits(truth: Mask, prediction: Mask, labels: LabelSet) -> Image:
    scored_bits = labels.pack_planes(labels.scored[:, None])[0]
    colour = np.where(truth != prediction, np.uint8(3), np.uint8(0))
    colour[prediction & ~truth & scored_bits > 0] = 2
    colour[truth & ~prediction & scored_bits > 0] = 1
    colour[truth == IGNORE_INDEX] = 4
    return np.array([RIGHT, MISSED, FALSE_ALARM, UNSCORED, VOID], np.uint8)[colour]


def make_class_legend(labels: LabelSet, masks: Iterable[Mask] | None = None) -> list[Patch]:
    """Return legend entries of the classes that occur in `masks`, void last if it occurs. None: of all classes."""
    values = np.zeros(256, np.int64)
    if masks is None:
        values[: labels.number_of_values] = 1
    for mask in masks or ():
        values += np.bincount(mask.ravel(), minlength=256)
    present = labels.values_of_classes @ values
    entries = [
        _patch(label.name, label.colour) for label, pixels in zip(labels.classes, present, strict=True) if pixels
    ]
    if values[IGNORE_INDEX]:
        entries.append(_patch("void", VOID))
    return entries


def make_error_legend(labels: LabelSet) -> list[Patch]:
    """Return the legend entries of an error map."""
    if labels.overlapping:
        wrong = [_patch("class missed", MISSED), _patch("class where there is none", FALSE_ALARM)]
        wrong += [] if labels.scored.all() else [_patch("wrong, but not scored", UNSCORED)]
    elif labels.scored.all():
        wrong = [_patch("wrong", MISSED)]
    else:
        wrong = [_patch("scored class missed", MISSED), _patch("scored class where there is none", FALSE_ALARM)]
        wrong.append(_patch("wrong, but not scored", UNSCORED))
    return [_patch("right", RIGHT), *wrong, _patch("void", VOID)]


def draw_picture_grid(
    rows: Sequence[Sequence[Picture | None]], legend: Sequence[Patch] = (), title: str = "", width: float = 3.4
) -> Figure:
    """Draw pictures in rows, with a legend below. `width`: that of a column, in inches. None leaves a place empty."""
    columns = max(len(row) for row in rows)
    height, row_height = 0.0, []
    for row in rows:
        pictures = [picture for picture in row if picture is not None]
        lines = max((p.title.count("\n") + bool(p.title) + bool(p.note) for p in pictures), default=0)
        aspect = max((p.image.shape[0] / p.image.shape[1] for p in pictures), default=1.0)
        row_height.append(width * aspect + 0.2 * lines)
    per_line = max(1, int(columns * width / 1.7))
    height = (
        sum(row_height) + 0.1 + (0.4 if title else 0.0) + (0.25 * -(-len(legend) // per_line) + 0.1 if legend else 0)
    )
    close = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.05, wspace=0.01, hspace=0.01)
    figure = Figure(figsize=(columns * width, height), layout=close)
    axes = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": row_height})
    for axis in axes.flat:
        axis.axis("off")
    for places, row in zip(axes, rows, strict=True):
        for axis, picture in zip(places, row, strict=False):
            if picture is not None:
                axis.imshow(_shrink(picture.image))
                axis.set_title(picture.title, fontsize=9)
                axis.text(0.5, -0.02, picture.note, transform=axis.transAxes, ha="center", va="top", fontsize=8)
    if title:
        figure.suptitle(title, fontsize=11)
    if legend:
        figure.legend(handles=list(legend), loc="outside lower center", ncols=per_line, fontsize=8, frameon=False)
    return figure


def draw_bar_chart(
    values: "pd.Series[float]",
    title: str,
    colours: Sequence[Colour] | None = None,
    form: Callable[[float], str] = "{:.3f}".format,
    logarithmic: bool = False,
) -> Figure:
    """Draw horizontal bars, the first on top, with their values beside them. In place of a bar, NaN is a dash.

    `colours`: RGB of each bar. `form` formats a value.
    """
    figure = Figure(figsize=(7.0, 0.8 + 0.26 * len(values)), layout="constrained")
    axis = figure.subplots()
    numbers = values.to_numpy(np.float64)
    fills = [_unit(c) for c in colours] if colours is not None else "#4878a8"
    bars = axis.barh(np.arange(len(values)), np.nan_to_num(numbers), color=fills, edgecolor=_GREY, linewidth=0.5)
    axis.bar_label(bars, ["–" if np.isnan(v) else form(v) for v in numbers.tolist()], padding=3, fontsize=8)
    axis.set_yticks(np.arange(len(values)), [str(name) for name in values.index], fontsize=8)
    axis.invert_yaxis()
    axis.set_title(title, fontsize=10)
    if logarithmic:
        axis.set_xscale("log")
    axis.margins(x=0.12)
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def draw_heat_map(
    table: pd.DataFrame,
    title: str,
    form: Callable[[float], str] = "{:.2f}".format,
    limits: tuple[float, float] = (0.0, 1.0),
    colour_map: str = "Blues",
) -> Figure:
    """Draw a table as coloured cells with their values in them. NaN is an empty grey cell.

    The names of index and columns label the axes. `form` formats a value. `limits`: values of the lightest and the
    darkest colour.
    """
    numbers = table.to_numpy(np.float64)
    rows, columns = numbers.shape
    figure = Figure(figsize=(2.2 + 0.55 * columns, 1.6 + 0.32 * rows), layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(numbers, cmap=colour_map, vmin=limits[0], vmax=limits[1], aspect="auto")
    axis.set_facecolor("0.9")
    brightness = picture.to_rgba(numbers)[..., :3] @ np.array([0.299, 0.587, 0.114])
    for row, column in np.argwhere(~np.isnan(numbers)):
        text_colour = "black" if brightness[row, column] > 0.5 else "white"
        axis.text(column, row, form(numbers[row, column]), ha="center", va="center", fontsize=7, color=text_colour)
    axis.set_xticks(np.arange(columns), [str(name) for name in table.columns], rotation=40, ha="right", fontsize=8)
    axis.set_yticks(np.arange(rows), [str(name) for name in table.index], fontsize=8)
    axis.set_xlabel(str(table.columns.name or ""), fontsize=8)
    axis.set_ylabel(str(table.index.name or ""), fontsize=8)
    axis.set_title(title, fontsize=10)
    axis.spines[:].set_visible(False)
    return figure


def render_png(figure: Figure, dpi: int = 110) -> bytes:
    """Return a figure as the content of a PNG file; `dpi`: pixels per inch."""
    stream = io.BytesIO()
    signed = {"Software": SIGNATURE}
    figure.savefig(stream, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.08, metadata=signed)
    return stream.getvalue()


def save_png(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Write a figure as a PNG, all of it or nothing."""
    write_bytes(path, render_png(figure, dpi))


def format_percent(value: float) -> str:
    """Return a share in percent, with enough digits for rare classes: 0.1234 -> `12.3%`, 0.00056 -> `0.056%`."""
    return f"{100 * value:.1f}%" if value >= 0.01 or value == 0 else f"{100 * value:.2g}%"


def _shrink(image: Image) -> Image:
    """Return an image that is at most `_LARGEST_WIDTH` pixels wide."""
    height, width = image.shape[:2]
    if width <= _LARGEST_WIDTH:
        return image
    size = (_LARGEST_WIDTH, max(1, round(height * _LARGEST_WIDTH / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _patch(name: str, colour: Colour) -> Patch:
    return Patch(facecolor=_unit(colour), edgecolor=_GREY, linewidth=0.5, label=name)


def _unit(colour: Colour) -> tuple[float, float, float]:
    """Return a colour as matplotlib takes it: three numbers from 0 to 1."""
    return colour[0] / 255, colour[1] / 255, colour[2] / 255
