"""Which of several runs, experiments or ensembles is better, and how surely, on the OOF images that all have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.config.schema import ScoreName
from foldseg.data.datasets import OpenedData
from foldseg.data.labels import LabelSet
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.report.oof import OofLabels, open_oof
from foldseg.report.tables import between, number, probability, signed, text_table
from foldseg.scoring.compare import paired, paired_classes
from foldseg.scoring.counts import Counts, count_pixels
from foldseg.scoring.intervals import warn_of_large_group
from foldseg.scoring.scores import bootstrap, bootstrap_classes, check_score

OVERALL = "overall"
_SCORE = ["class", "score", "low", "high"]
_DIFFERENCE = ["difference", "difference_low", "difference_high", "probability"]


@dataclass(frozen=True)
class Compared:
    """Sources on their common images.

    `table` has a row per source and class, and one of class `overall`: source, class, score, low, high (95% interval)
    and, but for the first source, what it has more than the first: difference, difference_low, difference_high,
    probability (of being better). Undefined numbers are NaN.
    """

    score: ScoreName
    sources: list[str]
    images: int
    groups: int
    left_out: Mapping[str, int]
    """source -> its images that another one lacks"""
    table: pd.DataFrame


def compare(paths: Sequence[Path], score: ScoreName | None = None) -> Compared:
    """Score the OOF predictions of each source (see `open_oof`) and compare the later ones with the first.

    `score`: None for what the first was monitored or scored with. FoldsegError when sources have no image in common, or
    other classes, data or folds: their OOF images are then not predicted by models that know as much.
    """
    opened = OpenedData()
    sources = [open_oof(path, opened) for path in paths]
    names = _names(paths, sources)
    for name, oof in zip(names[1:], sources[1:], strict=True):
        _check_alike(names[0], sources[0], name, oof)
    common = sorted(set.intersection(*(set(oof.table["id"]) for oof in sources)))
    if not common:
        raise FoldsegError(f"{', '.join(names)}: have no OOF image in common; compare runs of the same fold")
    left_out = {name: len(oof) - len(common) for name, oof in zip(names, sources, strict=True)}
    score = score or sources[0].score
    labels, table = sources[0].labels, sources[0].only(common).table
    check_score(score, labels, "--score")
    counts = _count(names, [oof.only(common) for oof in sources])
    groups = table["group"].to_numpy()
    warn_of_large_group(groups)
    parts = [
        _scored(score, own, labels, groups, oof.bootstrap_samples) for oof, own in zip(sources, counts, strict=True)
    ]
    samples = max(oof.bootstrap_samples for oof in sources)
    for part, own in zip(parts[1:], counts[1:], strict=True):
        pair = own, counts[0], labels, groups, samples
        gains = [paired(score, *pair), *paired_classes(score, *pair).values()]
        part[_DIFFERENCE] = [(gain.difference, *gain.interval, gain.probability) for gain in gains]
    whole = pd.concat([part.assign(source=name) for name, part in zip(names, parts, strict=True)], ignore_index=True)
    columns = ["source", *_SCORE, *_DIFFERENCE]
    return Compared(score, names, len(common), len(set(groups)), left_out, whole[columns])


def _scored(
    score: ScoreName, counts: Counts, labels: LabelSet, groups: NDArray[np.generic], samples: int
) -> pd.DataFrame:
    found = {OVERALL: bootstrap(score, counts, labels, groups, samples)}
    found |= bootstrap_classes(score, counts, labels, groups, samples)
    return pd.DataFrame([(key, one.value, *one.interval()) for key, one in found.items()], columns=_SCORE)


def _names(paths: Sequence[Path], sources: Sequence[OofLabels]) -> list[str]:
    """Short names, unless two are the same. FoldsegError when a source is given twice."""
    names = [oof.name for oof in sources]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len({path.resolve() for path in paths}) < len(paths):
        raise FoldsegError(f"{', '.join(map(str, paths))}: one of them is given twice")
    return names


def _check_alike(first_name: str, first: OofLabels, name: str, other: OofLabels) -> None:
    ours, theirs = first.data.settings.dataset.kind, other.data.settings.dataset.kind
    if ours != theirs:
        raise FoldsegError(f"{name}: is of {theirs}, {first_name} of {ours}")
    if first.labels.names != other.labels.names:
        raise FoldsegError(
            f"{name}: its classes are {', '.join(other.labels.names)}; those of {first_name} are "
            f"{', '.join(first.labels.names)}; an ensemble with labels: scored brings them together"
        )
    both = first.table.merge(other.table, on="id")
    for column in ("fold", "group"):
        differs = both[both[f"{column}_x"] != both[f"{column}_y"]]
        if len(differs):
            row = differs.iloc[0]
            raise FoldsegError(
                f"{name}: was divided into folds otherwise than {first_name}: the {column} of {row['id']} is "
                f"{row[f'{column}_y']} there and {row[f'{column}_x']} here ({len(differs)} such images); their OOF "
                "predictions are of models that have seen different images"
            )


def _count(names: Sequence[str], parts: Sequence[OofLabels]) -> list[Counts]:
    """Counts of every source against the truth of the first, which is read once."""
    classes = len(parts[0].labels)
    counts: list[list[Counts]] = [[] for _ in parts]
    for image, truth, prediction in parts[0]:
        for name, part, own in zip(names, parts, counts, strict=True):
            labels = prediction if part is parts[0] else part.prediction(image)
            if labels.shape != truth.shape:
                raise FoldsegError(
                    f"{name}: {image} is {labels.shape}, that of {names[0]} {truth.shape} (height, width)"
                )
            own.append(count_pixels(truth, labels, classes))
    return [np.stack(own) for own in counts]


def comparison_text(compared: Compared) -> str:
    """Return the table in plain text: scores side by side, then every later source against the first."""
    first, *later = compared.sources
    by_source = {name: part.set_index("class") for name, part in compared.table.groupby("source", sort=False)}
    classes = list(by_source[first].index)
    head = f"{compared.score} on {compared.images} OOF images in {compared.groups} groups"
    notes = [f"{count} of {name}'s images" for name, count in compared.left_out.items() if count]
    if notes:
        head += f"; left out, since another lacks them: {shorten(notes)}"
    header = ["", *(cell for name in compared.sources for cell in (name, "95% interval"))]
    rows = [
        [
            key,
            *(c for p in by_source.values() for c in (number(p["score"][key]), between(p["low"][key], p["high"][key]))),
        ]
        for key in classes
    ]
    blocks = [head, text_table(header, rows)]
    for name in later:
        part = by_source[name]
        lines = [
            [
                key,
                signed(part["difference"][key]),
                between(part["difference_low"][key], part["difference_high"][key], signed),
                probability(part["probability"][key]),
            ]
            for key in classes
        ]
        blocks.append(text_table([f"{name} - {first}", "difference", "95% interval", "P(better)"], lines))
    return "\n\n".join(blocks)
