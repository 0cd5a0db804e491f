"""Writes a proposal as YAML: short, commented, one setting a line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from foldseg.discovery.proposal import Proposal

_WIDTH = 4096


def flow(value: Any) -> str:
    """Return a value as YAML in one line: `{kind: folders, size: [2, 3]}`."""
    text = yaml.safe_dump(value, default_flow_style=True, width=_WIDTH, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def write_data(proposal: Proposal) -> str:
    """Return the YAML of the data set."""
    lines = [
        f"# {proposal.name}: proposed by `foldseg new`, which looked at the files. Read it, and change what is wrong.",
        "# `foldseg settings folders`, `table` and `data` explain every setting.",
        "data:",
        "  dataset:",
    ]
    for key, value in proposal.dataset.items():
        lines += _block(key, value, 4)
    lines += [f"  root: {flow(str(proposal.root))}", f"  folds: folds/{proposal.name}.csv"]
    lines.append(f"  fold_count: {proposal.fold_count}")
    for key, value in proposal.data.items():
        lines += _block(key, value, 2)
    if proposal.options:
        lines += [
            "  # Uncomment what you want, in place of a line above of the same name:",
            *(f"  # {option}" for option in dict.fromkeys(proposal.options)),
        ]
    return "\n".join(lines) + "\n"


def write_experiment(proposal: Proposal) -> str:
    """Return the YAML of a first experiment."""
    loss = {"binary_cross_entropy": 1.0, "dice": 1.0} if proposal.overlapping else {"cross_entropy": 1.0, "dice": 1.0}
    return f"""\
# A first experiment on {proposal.name}: a U-Net that a GPU trains in minutes to an hour. `foldseg settings experiment`
# lists what can be changed. Without internet, write `encoder_weights: null`, or the path of a file of weights.
base: ../data/{proposal.name}.yaml
model: {{architecture: unet, encoder: resnet34, encoder_weights: imagenet}}
view:
  train: {flow(proposal.view["train"])}
  predict: {flow(proposal.view["predict"])}
augment: light
loss: {flow(loss)}
optimizer: {{kind: adamw, lr: 1.0e-3, encoder_lr_scale: 0.1}}
schedule: {{kind: one_cycle, epochs: 30}}
monitor: {proposal.score}
batch_size: 8
precision: fp32  # bf16 is faster on GPUs from 2020 on
"""


def write_ensemble(proposal: Proposal) -> str:
    """Return the YAML of a first ensemble."""
    return f"""\
# The first ensemble on {proposal.name}: the folds of one experiment, each image also mirrored.
members:
  - experiment: {proposal.name}
tta: [flip]
score: {proposal.score}
submission: {flow(proposal.submission)}
"""


def _block(key: str, value: Any, indent: int) -> list[str]:
    """Return the lines of a setting: in one line if it is short, otherwise a line for each entry."""
    margin = " " * indent
    line = f"{margin}{key}: {flow(value)}"
    if len(line) <= 120 and not _holds_blocks(value):
        return [line]
    if isinstance(value, Mapping):
        blocks = [_block(str(inner), entry, indent + 2) for inner, entry in value.items()]
        return [f"{margin}{key}:", *(part for block in blocks for part in block)]
    if isinstance(value, list):
        return [f"{margin}{key}:", *(f"{margin}  - {flow(entry)}" for entry in value)]
    return [line]


def _holds_blocks(value: Any) -> bool:
    """Whether a value is a list or a mapping of mappings, which is easier to read with a line for each."""
    inner = list(value.values()) if isinstance(value, Mapping) else value
    return isinstance(inner, list) and any(isinstance(entry, Mapping) for entry in inner)


def configuration_paths(name: str, configs: Path) -> dict[str, Path]:
    """Return where the files of a new data set go: `data`, `experiment`, `ensemble` -> path."""
    folders = {"data": "data", "experiment": "experiments", "ensemble": "ensembles"}
    return {key: configs / folder / f"{name}.yaml" for key, folder in folders.items()}
