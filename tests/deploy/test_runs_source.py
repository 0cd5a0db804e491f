"""What a source may be, and what runs say together."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import COLOURS, blocks, make_run, write_checkpoint

from foldseg.config.schema import ResizedView, Tta
from foldseg.data import camvid
from foldseg.deploy.interface import FLIP, PLAIN, PredictionOptions, parse_options
from foldseg.deploy.runs_source import open_runs_source
from foldseg.deploy.sources import open_source
from foldseg.errors import FoldsegError
from foldseg.files import read_json, write_json
from foldseg.inference.map_file import quantise_array
from foldseg.inference.run_stores import Predictor
from foldseg.runs.run_folder import RunFolder

PICTURE = COLOURS[blocks(50, 70, seed=3)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    folder = tmp_path_factory.mktemp("runs") / "x"
    return [make_run(folder, fold) for fold in (0, 1)]


def probabilities_of(run: RunFolder, tta: Tta = PLAIN) -> np.ndarray:
    predictor = Predictor.load(run, "cpu")
    return predictor.image(PICTURE, tta).numpy()


def test_a_run_predicts_any_picture_as_it_predicts_its_own(runs: list[RunFolder]) -> None:
    source = open_source(runs[0].path)
    expected = probabilities_of(runs[0])
    assert source.labels == camvid.LABELS
    assert np.array_equal(source.predict_label_map(PICTURE), expected.argmax(0))
    assert len(np.unique(source.predict_label_map(PICTURE))) > 2  # or the test says little
    found = source.predict_probabilities(PICTURE)
    assert found.dtype == np.uint8
    assert np.array_equal(found, quantise_array(expected))
    assert np.array_equal(found.argmax(0), expected.argmax(0))


def test_an_experiment_is_the_mean_of_its_folds(runs: list[RunFolder]) -> None:
    source = open_source(runs[0].path.parent, PredictionOptions(tta=FLIP))
    parts = [probabilities_of(run, FLIP) for run in runs]
    assert np.abs(parts[0] - parts[1]).max() > 0.1
    # Half a step, and one more of the most probable class, which stays the first of those that round to the same
    assert np.abs(source.predict_probabilities(PICTURE) / 255 - np.mean(parts, 0)).max() <= 1.5 / 255 + 1e-5
    assert (source.predict_label_map(PICTURE) == np.mean(parts, 0).argmax(0)).mean() > 0.999
    assert source.provenance == {
        "source": "x",
        "weights": [run.hash_of("best") for run in runs],
        "view": {"kind": "full", "multiple": 1},
        "tta": FLIP.model_dump(mode="json"),
    }


def test_view_and_checkpoint_can_be_chosen(runs: list[RunFolder]) -> None:
    write_checkpoint(runs[0], seed=9, name="last")
    best, last = (open_source(runs[0].path, PredictionOptions(checkpoint=name)) for name in (None, "last"))
    assert (best.predict_label_map(PICTURE) != last.predict_label_map(PICTURE)).any()
    resized = open_source(runs[0].path, PredictionOptions(view=("view.predict={kind: resized, factor: 0.5}",)))
    assert resized.provenance["view"] == ResizedView(factor=0.5).model_dump(mode="json")
    assert (best.predict_label_map(PICTURE) != resized.predict_label_map(PICTURE)).any()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (PredictionOptions(checkpoint="swa"), r"swa\.ckpt: no such checkpoint; the run has best"),
        (PredictionOptions(view=("seed=1",)), "valid here are view.predict="),
        (PredictionOptions(view=("view.predict={kind: tiles, size: [40, 40]}",)), "multiples of 32"),
    ],
)
def test_what_a_run_cannot_do_is_told(runs: list[RunFolder], options: PredictionOptions, says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        open_source(runs[0].path, options)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "nowhere: does not exist; expected a run .*, an experiment .* or an exported"),
        ("empty", "empty: is something else; expected"),
        ("notes.txt", "is something else; expected"),
        ("x.onnx", r"x\.onnx: no such file"),
    ],
)
def test_what_is_no_source_is_told(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FoldsegError, match=says):
        open_source(tmp_path / name)


def test_a_command_line_says_view_and_tta() -> None:
    found = parse_options(["view.predict.kind=full", "tta.merge=max"], "{symmetries: flip, scales: [0.5]}", "cpu", None)
    assert found == PredictionOptions(
        ("view.predict.kind=full",), Tta(symmetries="flip", scales=(1, 0.5), merge="max"), "cpu"
    )
    assert parse_options([], None, None, "last") == PredictionOptions(checkpoint="last")
    with pytest.raises(FoldsegError, match=r"tta.*'none', 'flip', 'flips' or 'd4'"):
        parse_options([], "sideways", None, None)


def test_an_unfinished_fold_is_told(tmp_path: Path) -> None:
    for fold in (0, 1):
        run = make_run(tmp_path / "x", fold)
    run.summary.unlink()
    with pytest.raises(FoldsegError, match=r"fold_1: the run is not finished \(summary.json missing\)"):
        open_source(tmp_path / "x")


def test_classes_that_the_data_set_has_no_more_are_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "x")
    facts = read_json(run.provenance)
    write_json(run.provenance, facts | {"classes": facts["classes"][::-1]})
    with pytest.raises(FoldsegError, match=r"fold_0: was trained on the classes .*; camvid has now"):
        open_source(run.path)


def test_a_picture_that_the_device_has_no_room_for_is_told(
    runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Predictor, "image", full)
    with pytest.raises(FoldsegError, match=r"a picture of 70x50 does not fit .*; tiles take less: view\.predict="):
        open_runs_source([runs[0].path], PredictionOptions()).predict_label_map(PICTURE)
