"""What each view gains: what is scored is what would be predicted, and a view that does harm is found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from foldseg.config.schema import Experiment, PredictView, Tta
from foldseg.data import camvid
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import make_folds_file
from foldseg.errors import FoldsegError
from foldseg.inference.run_stores import Predictor
from foldseg.inference.tta import MERGES, Merger
from foldseg.report.tta_gains import format_gains, measure_tta_gains, merge_candidates
from foldseg.runs.kinds import open_runs
from foldseg.runs.run_folder import RunFolder
from foldseg.training.sessions import describe_run


@pytest.mark.parametrize("name", MERGES)
@pytest.mark.parametrize("number", [2, 3, 5])
def test_candidates_are_what_merging_them_would_give(name: str, number: int) -> None:
    generator = torch.Generator().manual_seed(number)
    views = [torch.randn(4, 9, 70_000 // 9, generator=generator).softmax(0).half() for _ in range(number)]

    def merged(*chosen: int) -> np.ndarray:
        merger = Merger(name)
        for index in chosen:
            merger.add(views[index].float(), str(index))
        return merger.result().numpy().argmax(0)

    everyone, others = range(number), range(1, number)
    expected = [views[index].float().numpy().argmax(0) for index in everyone]
    expected += [merged(0, index) for index in others]
    expected += [merged(*everyone)]
    expected += [merged(*(index for index in everyone if index != left_out)) for left_out in others]
    found = merge_candidates(views, MERGES[name])
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours == theirs).mean() > 0.9999  # sums in another order: ties of rounded numbers


class Knowing:
    """Knows a class by its colour; but a picture whose void corner is not below on the left is one of sky to it."""

    stride = 16

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.calls += 1
        colours = torch.from_numpy(camvid.LABELS.colours).float()
        distances = torch.stack([(images.float() - colour.view(3, 1, 1)).square().mean(1) for colour in colours], 1)
        logits = -distances / 300
        mirrored = images[:, :, 45, 1].float().mean(1) > 30
        logits[mirrored, 0] += 1000
        return logits


@pytest.fixture
def experiment(tmp_path: Path, camvid_root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Two finished runs whose network knows the classes by their colours."""

    def load(run: RunFolder, device: str, view: PredictView | None, checkpoint: str) -> Predictor:
        return Predictor(Knowing(), view or run.experiment.view.predict, torch.device("cpu"), None)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "load", staticmethod(load))
    block = {"dataset": "camvid", "root": camvid_root, "folds": tmp_path / "folds.csv", "fold_count": 2}
    views = {"train": {"kind": "full"}, "predict": {"kind": "full"}}
    made = Experiment.model_validate({"name": "x", "data": block, "view": views, "runs": tmp_path, "workers": 0})
    make_folds_file(made.data)
    for fold in (0, 1):
        run = RunFolder.of(made, fold)
        describe_run(run, made, fold, camvid.LABELS.names, DataSet(made.data))
        run.best.parent.mkdir()
        run.best.write_bytes(b"weights")
        run.summary.write_text("{}")
    return tmp_path / "x"


def test_a_view_that_does_harm_is_found(experiment: Path) -> None:
    tta = Tta(symmetries="flip", shifts=((16, 0),))
    gains = measure_tta_gains(open_runs(experiment), tta)
    assert gains.images == 8
    assert gains.score == "dataset_miou"
    by_name = {view.name: view for view in gains.views}
    assert list(by_name) == ["shift_16_0", "flip", "flip*shift_16_0"]
    assert gains.plain > 0.9
    for name in ("flip", "flip*shift_16_0"):
        score, comparison = by_name[name].alone
        assert score < 0.2
        assert comparison.difference == pytest.approx(score - gains.plain)
        assert comparison.interval[1] < 0
        assert comparison.probability < 0.001
    score, comparison = by_name["flip"].all_without
    assert score - gains.all[0] == pytest.approx(comparison.difference)


def test_the_last_line_is_what_to_write(experiment: Path) -> None:
    """Of two plain views and a mirrored one that is surer than both, the mirrored one is to go."""
    gains = measure_tta_gains(open_runs(experiment), Tta(symmetries="flip", merge="max"))
    assert gains.harmful == ["flip"]
    lines = format_gains(gains).splitlines()
    assert lines[0].split()[:2] == ["dataset_miou", "alone"]
    assert lines[-2:] == ["8 OOF images", "without: [flip]"]
    left_out = measure_tta_gains(open_runs(experiment), Tta(symmetries="flips", without=("flip",), merge="max"))
    assert left_out.harmful == ["vflip", "rot180"]  # which fail alike: without one of them all is as bad
    assert format_gains(left_out).splitlines()[-1] == "without: [flip, vflip, rot180]"


def test_a_single_run_and_another_score(experiment: Path) -> None:
    gains = measure_tta_gains(open_runs(experiment / "fold_1"), Tta(symmetries="flip"), name="pixel_accuracy")
    assert gains.images == 4
    assert gains.score == "pixel_accuracy"


def test_what_cannot_be_asked(experiment: Path, tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match="has no view but the plain one"):
        measure_tta_gains(open_runs(experiment), Tta())
    with pytest.raises(FoldsegError, match="is neither a run"):
        open_runs(tmp_path / "nothing")
