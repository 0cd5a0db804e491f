"""What the networks of several experiments cost, side by side, with published figures if there are any."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from foldseg.config import Experiment
from foldseg.data.datasets import get_label_set
from foldseg.errors import FoldsegError
from foldseg.models.cost import Cost, measure_cost
from foldseg.models.device import choose_device
from foldseg.models.factory import build_network
from foldseg.report.tables import format_table

PUBLISHED = Path(__file__).with_name("published_networks.csv")
"""CSV of figures that other projects publish, with their sources; the column `experiment` names ours."""

_OURS = ("M parameters", "M trainable", "GMACs", "MB kept", "MB peak", "stride", "ms")
_PUBLISHED = ("M parameters", "GMACs", "VOC mIoU", "CamVid mIoU")


def measure_networks(
    experiments: Sequence[Experiment], size: tuple[int, int], device: str = "auto", published: Path | None = None
) -> pd.DataFrame:
    """Return a table of what each experiment's network costs for images of `size` (height, width). See `Cost`.

    `published`: a CSV with a column `experiment`, whose figures become further columns. FoldsegError if a network
    cannot be built or does not take the size.
    """
    torch_device = choose_device(device)
    rows = [_measure(experiment, size, torch_device) for experiment in experiments]
    table = pd.DataFrame(rows, columns=["experiment", "architecture", "encoder", *_OURS])
    if published is None:
        return table
    theirs = pd.read_csv(published, comment="#")[["experiment", *_PUBLISHED, "source"]]
    return table.merge(theirs, "left", "experiment", suffixes=("", " published"))


def _measure(experiment: Experiment, size: tuple[int, int], device: torch.device) -> list[str | int | float]:
    """Return a row of the table."""
    classes, channels = len(get_label_set(experiment.data)), experiment.data.pictures.channels
    network = build_network(experiment.model, classes, channels=channels, pretrained=False).to(device)
    if any(side % network.stride for side in size):
        raise FoldsegError(f"size: {size[0]} {size[1]} should be multiples of {network.stride} for {experiment.name}")
    cost: Cost = measure_cost(network, *size)
    numbers = (
        cost.parameters / 1e6, cost.trainable / 1e6, cost.gmacs, cost.activations, cost.peak, cost.output_stride,
        cost.latency,
    )  # fmt: skip
    return [experiment.name, experiment.model.architecture, experiment.model.encoder, *numbers]


def format_costs(table: pd.DataFrame) -> str:
    """Return the table as text. A published figure is in brackets behind ours, or has a column of its own."""
    header = ["experiment", *_OURS, *(name for name in ("VOC mIoU", "CamVid mIoU") if name in table)]
    rows = [[str(row["experiment"]), *(_cell(row, name) for name in header[1:])] for _, row in table.iterrows()]
    return format_table(header, rows)


def _cell(row: pd.Series, name: str) -> str:
    if pd.isna(row[name]):
        return "-"
    digits = {"stride": 0, "MB kept": 0, "MB peak": 0, "ms": 0, "GMACs": 1, "VOC mIoU": 1, "CamVid mIoU": 1}
    published = row.get(f"{name} published")
    note = "" if published is None or pd.isna(published) else f" ({published:g})"
    return f"{row[name]:.{digits.get(name, 2)}f}{note}"
