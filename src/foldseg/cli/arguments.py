"""Arguments and options that several verbs have, with the one way in which each is written."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer

from foldseg.cli.project import path_in_project
from foldseg.files import user_path

_OVERRIDE = re.compile(r"[A-Za-z_][\w.]*=")


def parse_path(text: str) -> Path:
    """Return a path of the command line; `~` is filled in, also where the shell does not (--out=~/x)."""
    if not text:
        raise typer.BadParameter("an empty name is no path")
    try:
        return path_in_project(user_path(Path(text)))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


class ImageSize(NamedTuple):
    """Of an image, in pixels."""

    height: int
    width: int


def parse_size(text: str) -> ImageSize:
    """WIDTHxHEIGHT -> (height, width)."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not match:
        raise typer.BadParameter(f"{text!r} is no WIDTHxHEIGHT, e.g. 1936x1216")
    return ImageSize(int(match[2]), int(match[1]))


def parse_class_share(text: str) -> tuple[str, float]:
    """CLASS=PROBABILITY -> (class, probability)."""
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no CLASS=PROBABILITY, e.g. car=0.8") from None


def split_words(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Divide words into paths and overrides (`key=value`, unless a file has that very name)."""
    overrides = [word for word in words if _OVERRIDE.match(word) and not Path(word).exists()]
    return [parse_path(word) for word in words if word not in overrides], overrides


Device = Literal["auto", "cpu", "gpu"]
"""Where a network computes."""

ExperimentFile = Annotated[
    Path, typer.Argument(parser=parse_path, metavar="EXPERIMENT", help="An experiment: configs/experiments/X.yaml.")
]
EnsembleFile = Annotated[
    Path, typer.Argument(parser=parse_path, metavar="ENSEMBLE", help="An ensemble: configs/ensembles/X.yaml.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="A setting and its value instead of the file's, e.g. batch_size=4."),
]
Run = Annotated[
    Path, typer.Argument(parser=parse_path, metavar="RUN", help="The folder of a run: runs/EXPERIMENT/fold_K.")
]
TtaOption = Annotated[
    str | None,
    typer.Option(
        "--tta",
        metavar="YAML",
        help="Test-time augmentation: flip, flips, d4 or e.g. '{symmetries: flip, scales: [0.75]}'.",
    ),
]
CheckpointOption = Annotated[
    str | None,
    typer.Option(
        "--checkpoint", help="Which weights: best (default), last, swa, average, soup, top_3, snapshot_1, ..."
    ),
]
DeviceOption = Annotated[
    Device | None, typer.Option("--device", help="Where the network computes. Default: as trained.")
]
SizeOption = Annotated[
    ImageSize | None,
    typer.Option("--size", parser=parse_size, metavar="WIDTHxHEIGHT", help="Size of the images, e.g. 1936x1216."),
]
CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv", parser=parse_path, metavar="FILE", help="Also write the table to this file, with all digits."
    ),
]
