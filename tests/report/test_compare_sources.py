"""Sources side by side on made-up predictions whose mistakes are known to the pixel."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from foldseg.config.schema import ScoreName
from foldseg.data.camvid import LABELS
from foldseg.data.datasets import get_label_set
from foldseg.data.folds import format_folds
from foldseg.errors import FoldsegError
from foldseg.report.compare import OVERALL, compare_sources, format_comparison
from foldseg.report.oof_labels import RESAMPLES
from foldseg.scoring.compare import compare_classes, compare_models
from foldseg.scoring.counts import count_pixels
from foldseg.scoring.scores import score


def expected_counts(world, cars: dict[str, float]) -> np.ndarray:
    return np.stack([count_pixels(world.truth(), world.prediction(cars.get(i, 1.0)), len(LABELS)) for i in world.ids])


@pytest.fixture
def cars(world) -> list[dict[str, float]]:
    """Share of the car that is found: by the first model, and by a better one."""
    ids = world.ids
    return [
        dict(zip(ids, shares, strict=True)) for shares in ([0.1, 0.3, 0.2, 0.5, 0.3, 0.4], [0.6, 0.7, 0.8, 0.9, 0.6, 1])
    ]


@pytest.mark.parametrize("name", [None, "image_mean_iou_present"])
def test_scores_and_differences_are_those_of_the_counts(world, cars, name: ScoreName | None):
    paths = [world.runs("one", cars[0]), world.runs("two", cars[1])]
    compared = compare_sources(paths, name)
    used = name or "dataset_miou"
    assert (compared.score, compared.sources, compared.images, compared.groups) == (used, ["one", "two"], 6, 6)
    table = compared.table.set_index(["source", "class"])
    counts = [expected_counts(world, own) for own in cars]
    for source, own in zip(("one", "two"), counts, strict=True):
        found = score(used, own, LABELS)
        scores = {OVERALL: found.value} | found.per_class
        assert table.loc[source]["score"].to_dict() == pytest.approx(scores, nan_ok=True)
    groups = np.arange(6)
    gain = compare_models(used, counts[1], counts[0], LABELS, groups, RESAMPLES)
    row = table.loc["two", OVERALL]
    assert gain.difference > 0 and gain.probability > 0.9
    assert row[["difference", "difference_low", "difference_high", "probability"]].tolist() == pytest.approx(
        [gain.difference, *gain.interval, gain.probability]
    )
    car = compare_classes(used, counts[1], counts[0], LABELS, groups, RESAMPLES)["car"]
    assert table.loc["two", "car"]["difference"] == pytest.approx(car.difference)
    assert table.loc["one"]["difference"].isna().all()
    assert table.loc["two", "tree"].isna().all()  # no tree anywhere


def test_only_common_images_count_and_what_is_left_out_is_said(world, cars):
    one, two = world.runs("one", cars[0]), world.runs("two", cars[1])
    compared = compare_sources([one, two / "fold_1"])
    part = [i for i, fold in zip(world.folds["id"], world.folds["fold"], strict=True) if fold == 1]
    assert compared.images == len(part) < 6
    assert compared.left_out == {"one": 6 - len(part), "two/fold_1": 0}
    chosen = [world.ids.index(i) for i in part]
    expected = score("dataset_miou", expected_counts(world, cars[0])[chosen], LABELS).value
    assert compared.table.set_index(["source", "class"])["score"]["one", OVERALL] == pytest.approx(expected)
    assert f"left out, since another lacks them: {6 - len(part)} of one's images" in format_comparison(compared)


def test_a_run_an_experiment_and_a_submission_are_compared(world, cars):
    one, two = world.runs("one", cars[0]), world.runs("two", cars[1])
    world.submission([{"experiment": "one"}], cars[1])
    compared = compare_sources([one, two, world.root / "subs/both"])
    by_source = compared.table[compared.table["class"] == OVERALL].set_index("source")
    assert by_source["score"]["two"] == by_source["score"]["both"] > by_source["score"]["one"]
    assert by_source["difference"]["two"] == by_source["difference"]["both"]


def test_the_text_has_every_class_and_every_later_source(world, cars):
    one, two = world.runs("one", cars[0]), world.runs("two", cars[1])
    text = format_comparison(compare_sources([one, two]))
    first, scores, differences = text.split("\n\n")
    assert first == "dataset_miou on 6 OOF images in 6 groups"
    assert [line.split()[0] for line in scores.splitlines()[2:]] == [OVERALL, *LABELS.names]
    assert differences.splitlines()[0].split() == ["two", "-", "one", "difference", "95%", "interval", "P(better)"]
    overall = differences.splitlines()[2].split()
    assert overall[0] == OVERALL and overall[1].startswith("+0.") and 0.9 < float(overall[-1]) < 1
    assert differences.splitlines()[-1].split()[1:] == ["-", "-", "-"]  # no bicyclist


def rewrite(path: Path, change) -> None:
    content = yaml.safe_load(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content) if path.suffix == ".yaml" else json.dumps(content))


def test_what_cannot_be_compared_is_refused(world, tmp_path):
    one, two = world.runs("one", {}), world.runs("two", {})
    with pytest.raises(FoldsegError, match="have no OOF image in common"):
        compare_sources([one / "fold_0", two / "fold_1"])
    with pytest.raises(FoldsegError, match="given twice"):
        compare_sources([one, two, one])
    with pytest.raises(FoldsegError, match="holds no OOF predictions"):
        compare_sources([one, tmp_path])


def test_other_classes_are_named(world):
    one, two = world.runs("one", {}), world.runs("two", {})
    few = ["road", "car"]
    labels = get_label_set(world.data.model_copy(update={"labels": few})).definition
    for fold in (0, 1):
        rewrite(two / f"fold_{fold}/config.yaml", lambda content: content["data"].update(labels=few))
        for path in ("provenance.json", "predictions/oof/store.json"):
            rewrite(two / f"fold_{fold}" / path, lambda content: content.update(classes=["background", *few]))
        rewrite(two / f"fold_{fold}/provenance.json", lambda content: content.update(labels=labels))
    with pytest.raises(
        FoldsegError, match=r"two: its classes are background, road, car; those of one are sky, .*labels: scored"
    ):
        compare_sources([one, two])


def test_another_division_into_folds_is_named(world):
    path = world.root / "other.csv"
    other = world.folds.assign(fold=1 - world.folds["fold"])
    path.write_text(format_folds(other))
    elsewhere = replace(world, data=world.data.model_copy(update={"folds": path}), folds=other)
    one, two = world.runs("one", {}), elsewhere.runs("two", {})
    with pytest.raises(FoldsegError, match="two: was divided into folds otherwise than one: the fold of A1_f00000 is"):
        compare_sources([one, two])


def test_the_script_prints_the_table_and_writes_it(world, cars, command_line, tmp_path):
    one, two = world.runs("one", cars[0]), world.runs("two", cars[1])
    csv = tmp_path / "table.csv"
    done = command_line.run("compare", one, two, "--score", "pixel_accuracy", "--csv", csv)
    assert done.status == 0, done.stderr
    assert done.stdout.startswith("pixel_accuracy on 6 OOF images in 6 groups")
    table = pd.read_csv(csv)
    assert table["source"].unique().tolist() == ["one", "two"]
    expected = score("pixel_accuracy", expected_counts(world, cars[1]), LABELS).value
    assert table["score"][len(LABELS) + 1] == pytest.approx(expected, abs=1e-15)
    wrong = command_line.run("compare", one, tmp_path)
    assert wrong.status == 1 and "holds no OOF predictions" in wrong.stderr
