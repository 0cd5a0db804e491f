"""What scripts share: arguments, and by way of `ending.py` how a command ends and what it says."""

import argparse
import re
from pathlib import Path

from foldseg.ending import log_to_terminal as log_to_terminal
from foldseg.ending import run as run
from foldseg.files import user_path


def path(text: str) -> Path:
    """Return a path, as an argument of a script; `~` is filled in, also where the shell does not (--out=~/x)."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name is no path")
    try:
        return user_path(Path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT, as an argument of a script -> (height, width)."""
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no WIDTHxHEIGHT, e.g. 1936x1216")
    return int(found[2]), int(found[1])


def share(text: str) -> float:
    """0 to 1, as an argument of a script."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 and 1")
    return value


def positive(text: str) -> float:
    """Return a number above 0, as an argument of a script."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def count(text: str) -> int:
    """Return a whole number from 1, as an argument of a script."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    """Add `key=value` words, which may stand before, between and after options (with `parse_intermixed_args`)."""
    # A default, or argparse calls them required
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=f"e.g. {example}")


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add what scripts that predict with anything trained have in common."""
    parser.add_argument(
        "source", type=path, help="runs/x/fold_0, runs/x (the mean of its folds), submissions/x or an exported x.onnx"
    )
    parser.add_argument("--tta", metavar="YAML", help="flip, flips, d4 or e.g. '{symmetries: flip, scales: [0.75]}'")
    parser.add_argument("--checkpoint", help="of runs: best (default), last, ema, swa, average, snapshot_1, ...")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), help="default: as trained")
