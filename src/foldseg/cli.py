"""What scripts share: logging, errors that a user can read, arguments."""

import argparse
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

from foldseg.errors import FoldsegError, printable

_CHATTY = ("pytorch_lightning", "lightning", "httpx", "huggingface_hub", "matplotlib")
_IN_WORKER = "foldseg.errors.FoldsegError: "


def run(main: Callable[[], object], *, goes_on: bool = True) -> None:
    """Call a script's `main`; exit with 1 and one clear message on a FoldsegError, with 130 on Ctrl+C.

    `goes_on`: whether a second call goes on where the first one was stopped.
    """
    log_to_terminal()
    try:
        main()
    except FoldsegError as error:
        # An error of a loader's worker process arrives as text with a traceback; its last line is the message
        sys.exit(printable(f"error: {str(error).rsplit(_IN_WORKER, 1)[-1].strip()}"))
    except KeyboardInterrupt:
        again = "goes on where it stopped" if goes_on else "begins anew"
        print(f"interrupted; the same command {again}", file=sys.stderr)  # noqa: T201
        sys.exit(130)


def log_to_terminal() -> None:
    """Show what this project logs, and of its libraries the errors alone."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_not_chatter)
        handler.setFormatter(_Printable("%(asctime)s %(message)s", "%H:%M:%S"))


class _Printable(logging.Formatter):
    """Names of files and of classes are others' and may hold escape codes."""

    def format(self, record: logging.LogRecord) -> str:
        """Format as always, fit for a terminal."""
        return printable(super().format(record))


def _not_chatter(record: logging.LogRecord) -> bool:
    """Leave out what libraries say of themselves; they reset their own loggers' levels when they are imported."""
    return record.levelno >= logging.ERROR or not record.name.startswith(_CHATTY)


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


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add what scripts that predict with anything trained have in common."""
    parser.add_argument(
        "source", type=Path, help="runs/x/fold_0, runs/x (the mean of its folds), submissions/x or an exported x.onnx"
    )
    parser.add_argument("--tta", metavar="YAML", help="flip, flips, d4 or e.g. '{symmetries: flip, scales: [0.75]}'")
    parser.add_argument("--checkpoint", help="of runs: best (default), last, ema, swa, average, snapshot_1, ...")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), help="default: as trained")
