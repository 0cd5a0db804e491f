"""Arguments and options that several verbs have, with the one way in which each is written."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import typer
from typer.core import TyperCommand

from foldseg.cli.project import path_in_project
from foldseg.files import user_path

_OVERRIDE = re.compile(r"[A-Za-z_][\w.]*=")


def parse_path(text: str) -> Path:
    """Return a path that is read; `~` is filled in, also where the shell does not (--data=~/x)."""
    return _parsed(text, is_read=True)


def parse_output(text: str) -> Path:
    """Return a path that is written: never the project's where the command is given in another folder."""
    return _parsed(text, is_read=False)


def _parsed(text: str, *, is_read: bool) -> Path:
    if not text:
        raise typer.BadParameter("an empty name is no path")
    try:
        return path_in_project(user_path(Path(text)), is_read=is_read)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


class ImageSize(NamedTuple):
    """Of an image, in pixels."""

    height: int
    width: int


def parse_size(text: str) -> ImageSize:
    """Return (height, width) from `WIDTHxHEIGHT`."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not match:
        raise typer.BadParameter(f"{text!r} is no WIDTHxHEIGHT, e.g. 1936x1216")
    return ImageSize(int(match[2]), int(match[1]))


def parse_score(text: str) -> Any:
    """Return the name of a score as a `ScoreName`. The settings are imported here since that takes 0.4 s."""
    from foldseg.config.schema.names import ScoreName, is_own_score

    if text not in get_args(ScoreName) and not is_own_score(text):
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(get_args(ScoreName))}, and no FILE.py:FUNCTION")
    if not is_own_score(text):
        return text
    file, _, function = text.rpartition(":")
    return f"{parse_path(file)}:{function}"


def parse_class_share(text: str) -> tuple[str, float]:
    """Return (class, probability) from `CLASS=PROBABILITY`."""
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no CLASS=PROBABILITY, e.g. car=0.8") from None


def split_words(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Divide words into paths and overrides."""
    overrides = [word for word in words if _is_override(word)]
    return [parse_path(word) for word in words if word not in overrides], overrides


def _is_override(word: str) -> bool:
    """Whether a word reads `key=value`, and no file has that very name."""
    return bool(_OVERRIDE.match(word)) and not path_in_project(Path(word)).exists()


class Verb(TyperCommand):
    """A verb whose overrides may stand anywhere behind it, also before what it needs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words behind the verb, overrides last."""
        arguments = [parameter for parameter in self.params if parameter.param_type_name == "argument"]
        if arguments and arguments[-1].name == "overrides":
            args = self._overrides_last(args)
        return super().parse_args(ctx, args)

    def _overrides_last(self, args: Sequence[str]) -> list[str]:
        """Move overrides behind all other words; values of options, and whatever follows `--`, stay."""
        takes_value = {
            name
            for parameter in self.params
            if parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
            for name in parameter.opts
        }
        end = args.index("--") if "--" in args else len(args)
        moved = [
            place
            for place in range(end)
            if _is_override(args[place]) and not (place and args[place - 1] in takes_value)
        ]
        stay = [word for place, word in enumerate(args[:end]) if place not in moved]
        return [*stay, *args[end:], *(args[place] for place in moved)]


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
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="YAML",
        help="Format of the submission, e.g. '{kind: run_length, direction: rows}'. Default: that of its ensemble.",
    ),
]
CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv", parser=parse_output, metavar="FILE", help="Also write the table to this file, with all digits."
    ),
]
