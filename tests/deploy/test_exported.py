"""An exported file predicts what its run predicts, says what it is, and tells what it cannot do."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from tiny import COLOURS, blocks

from foldseg.config.schema import Tta
from foldseg.data import camvid
from foldseg.deploy.interface import FLIP, PredictionOptions, Source
from foldseg.deploy.sources import open_source
from foldseg.errors import FoldsegError
from foldseg.runs.exported_file import KEY, read_facts
from foldseg.runs.run_folder import RunFolder

FLIPPED = PredictionOptions(tta=FLIP)
HALF = PredictionOptions(view=("view.predict={kind: resized, factor: 0.5}",))
TILES = PredictionOptions(view=("view.predict={kind: tiles, size: [32, 64]}",))
VOTES = PredictionOptions(view=("view.predict={kind: tiles, size: [32, 64], merge: vote}",))


def assert_alike(ours: Source, theirs: Source, size: tuple[int, int]) -> None:
    picture = COLOURS[blocks(*size, seed=size[0])]
    assert (ours.predict_label_map(picture) != theirs.predict_label_map(picture)).mean() < 0.002
    difference = ours.predict_probabilities(picture).astype(int) - theirs.predict_probabilities(picture)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (PredictionOptions(), (50, 70)),
        (PredictionOptions(), (7, 200)),
        (HALF, (90, 61)),
        (TILES, (90, 131)),
        (VOTES, (90, 131)),
        (FLIPPED, (61, 90)),
    ],
    ids=["full", "full, narrow", "half", "tiles", "votes", "flip"],
)
def test_a_file_predicts_what_its_run_predicts(
    finished: RunFolder, exported: Path, options: PredictionOptions, size: tuple[int, int]
) -> None:
    run, file = open_source(finished.path, options), open_source(exported, options)
    assert_alike(run, file, size)
    assert file.labels == run.labels == camvid.LABELS
    different = {"source": "x/fold_0 as x.onnx"}
    assert file.provenance == run.provenance | different


def test_flipping_changes_something(exported: Path) -> None:
    picture = COLOURS[blocks(64, 96)]
    assert (
        open_source(exported).predict_probabilities(picture)
        != open_source(exported, FLIPPED).predict_probabilities(picture)
    ).any()


def test_the_file_says_what_it_is(finished: RunFolder, exported: Path) -> None:
    (entry,) = onnx.load(exported).metadata_props
    facts = read_facts(entry.value, exported)
    assert entry.key == KEY
    assert facts.labels == camvid.LABELS
    assert facts.weights == finished.hash_of("best")
    assert (facts.run, facts.checkpoint, facts.dataset) == ("x/fold_0", "best", "camvid")
    assert (facts.stride, facts.size, facts.view) == (32, None, finished.experiment.view.predict)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            PredictionOptions(tta=Tta(scales=(0.5,))),
            r"x\.onnx: an exported file can only predict with tta none or flip, not x0\.5",
        ),
        (PredictionOptions(checkpoint="last"), r"x\.onnx: an exported file has no checkpoints"),
        (PredictionOptions(device="gpu"), "gpu was asked for, and this onnxruntime has .*CPUExecutionProvider"),
        (
            PredictionOptions(view=("view.predict={kind: tiles, size: [40, 64]}",)),
            r"cannot predict in .*40.*: .* multiples of 32",
        ),
        (PredictionOptions(view=("view.predict.overlap=2",)), r"view\.predict\.overlap"),
        (
            PredictionOptions(view=(f"{TILES.view[0][:-1]}, weights: gaussian}}",)),
            "of tiles, size, overlap and merge alone can be",
        ),
        (
            PredictionOptions(view=(f"{TILES.view[0][:-1]}, stride: [16, 16]}}",)),
            "of tiles, size, overlap and merge alone can be",
        ),
    ],
)
def test_what_a_file_cannot_do_is_told(exported: Path, options: PredictionOptions, says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        open_source(exported, options)


def test_a_damaged_file_is_told(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(exported.read_bytes()[:5000])
    with pytest.raises(FoldsegError, match=r"cut\.onnx: is no ONNX file, or a damaged one"):
        open_source(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "was not written by foldseg export-onnx"),
        ("{}", "metadata 'foldseg' is not what this version reads"),
        ("[", "metadata 'foldseg' is not what this version reads"),
    ],
)
def test_a_file_of_somebody_else_is_told(exported: Path, tmp_path: Path, text: str | None, says: str) -> None:
    model = onnx.load(exported)
    del model.metadata_props[:]
    if text is not None:
        onnx.helper.set_model_props(model, {KEY: text})
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(FoldsegError, match=rf"other\.onnx: .*{says}"):
        open_source(tmp_path / "other.onnx")


def test_without_onnxruntime_one_is_told_how_to_get_it(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(FoldsegError, match=r"onnxruntime is needed .* pip install -e '\.\[onnx\]'"):
        open_source(exported)
