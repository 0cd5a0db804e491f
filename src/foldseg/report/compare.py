"""Which of several runs, experiments or ensembles is better on common OOF images, and how certain that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.config.schema import ScoreName
from foldseg.data.datasets import OpenedData
from foldseg.data.labels import LabelSet
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.report.oof_labels import OofLabels, open_oof
from foldseg.report.tables import format_interval, format_number, format_probability, format_signed, format_table
from foldseg.scoring.compare import compare_classes, compare_models
from foldseg.scoring.counts import Counts, count_prediction
from foldseg.scoring.intervals import warn_of_large_group
from foldseg.scoring.scores import bootstrap, bootstrap_classes, check_score

OVERALL = "overall"
_SCORE = ["class", "score", "low", "high"]
_DIFFERENCE = ["difference", "difference_low", "difference_high", "probability"]


@dataclass(frozen=True)
class SourceComparison:
    """Scores of several sources on the images that all of them have."""

    score: ScoreName
    sources: list[str]
    """Names of the sources."""
    images: int
    """Number of images that all sources have."""
    groups: int
    """Number of groups of these images."""
    left_out: Mapping[str, int]
    """Source -> number of its images that another source lacks."""
    table: pd.DataFrame
    """A row per source and class, and one of class `overall`.

    The columns are source, class, score, low, high (95% interval), difference, difference_low, difference_high,
    probability. A difference is that to the first source; probability is that of being better. Undefined numbers, as
    the first source's differences, are NaN.
    """


def compare_sources(paths: Sequence[Path], score: ScoreName | None = None) -> SourceComparison:
    """Score the OOF predictions of each source (see `open_oof`), and compare the later sources with the first.

    `score`: None for the score of the first source. FoldsegError if the sources have no image in common, or differ in
    classes, data or folds: then the models that predict an image were not trained on the same other images.
    """
    opened = OpenedData()
    sources = [open_oof(path, opened) for path in paths]
    names = _name_sources(paths, sources)
    for name, oof in zip(names[1:], sources[1:], strict=True):
        _check_comparable(names[0], sources[0], name, oof)
    common = sorted(set.intersection(*(set(oof.table["id"]) for oof in sources)))
    if not common:
        raise FoldsegError(f"{', '.join(names)}: have no OOF image in common; compare runs of the same fold")
    left_out = {name: len(oof) - len(common) for name, oof in zip(names, sources, strict=True)}
    score = score or sources[0].score
    labels, table = sources[0].labels, sources[0].only(common).table
    check_score(score, labels, "--score")
    counts = _count_pixels(names, [oof.only(common) for oof in sources])
    groups = table["group"].to_numpy()
    warn_of_large_group(groups)
    samples = max(oof.bootstrap_samples for oof in sources)
    parts = []
    for oof, name, source_counts in zip(sources, names, counts, strict=True):
        part = _score_source(score, source_counts, labels, groups, oof.bootstrap_samples)
        if oof is not sources[0]:
            pair = source_counts, counts[0], labels, groups, samples
            gains = [compare_models(score, *pair), *compare_classes(score, *pair).values()]
            part[_DIFFERENCE] = [(gain.difference, *gain.interval, gain.probability) for gain in gains]
        parts.append(part.assign(source=name))
    columns = ["source", *_SCORE, *_DIFFERENCE]
    rows = pd.concat(parts, ignore_index=True)[columns]
    return SourceComparison(score, names, len(common), len(set(groups)), left_out, rows)


def _score_source(
    score: ScoreName, counts: Counts, labels: LabelSet, groups: NDArray[np.generic], samples: int
) -> pd.DataFrame:
    """Return the score of a source with its interval, overall and per class."""
    scores = {OVERALL: bootstrap(score, counts, labels, groups, samples)}
    scores |= bootstrap_classes(score, counts, labels, groups, samples)
    rows = [(key, resampled.value, *resampled.interval()) for key, resampled in scores.items()]
    return pd.DataFrame(rows, columns=_SCORE)


def _name_sources(paths: Sequence[Path], sources: Sequence[OofLabels]) -> list[str]:
    """Return short names of the sources, or their paths if two names are equal.

    FoldsegError if a source is given twice.
    """
    names = [oof.name for oof in sources]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len({path.resolve() for path in paths}) < len(paths):
        raise FoldsegError(f"{', '.join(map(str, paths))}: one of them is given twice")
    return names


def _check_comparable(first_name: str, first: OofLabels, name: str, other: OofLabels) -> None:
    """Raise FoldsegError unless two sources have the same data set, classes and folds."""
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


def _count_pixels(names: Sequence[str], sources: Sequence[OofLabels]) -> list[Counts]:
    """Return the counts of every source. All are counted with the truth of the first, which is read only once."""
    labels = sources[0].labels
    counts: list[list[Counts]] = [[] for _ in sources]
    for image_id, truth, first_prediction in sources[0]:
        for name, source, source_counts in zip(names, sources, counts, strict=True):
            prediction = first_prediction if source is sources[0] else source.prediction(image_id)
            if prediction.shape != truth.shape:
                raise FoldsegError(
                    f"{name}: {image_id} is {prediction.shape}, that of {names[0]} {truth.shape} (height, width)"
                )
            source_counts.append(count_prediction(truth, prediction, labels))
    return [np.stack(source_counts) for source_counts in counts]


def format_comparison(compared: SourceComparison) -> str:
    """Return a comparison as text: scores side by side, then every later source against the first."""
    first, *later = compared.sources
    by_source = {name: part.set_index("class") for name, part in compared.table.groupby("source", sort=False)}
    head = f"{compared.score} on {compared.images} OOF images in {compared.groups} groups"
    notes = [f"{count} of {name}'s images" for name, count in compared.left_out.items() if count]
    if notes:
        head += f"; left out, since another lacks them: {shorten(notes)}"
    blocks = [head, _score_table(by_source)]
    blocks += [_difference_table(f"{name} - {first}", by_source[name]) for name in later]
    return "\n\n".join(blocks)


def _score_table(by_source: Mapping[Any, pd.DataFrame]) -> str:
    """Return a table of the score of each class (rows) and source (columns), with its interval."""
    header = [""]
    for name in by_source:
        header += [str(name), "95% interval"]
    rows = []
    for key in next(iter(by_source.values())).index:
        cells = [str(key)]
        for part in by_source.values():
            cells += [format_number(part["score"][key]), format_interval(part["low"][key], part["high"][key])]
        rows.append(cells)
    return format_table(header, rows)


def _difference_table(title: str, part: pd.DataFrame) -> str:
    """Return a table of the differences of a source to the first one, per class."""
    rows = []
    for key, row in part.iterrows():
        interval = format_interval(row["difference_low"], row["difference_high"], format_signed)
        rows.append([str(key), format_signed(row["difference"]), interval, format_probability(row["probability"])])
    return format_table([title, "difference", "95% interval", "P(better)"], rows)
