"""From a run's weights to its stores: in either form, any number of images at a time, wherever it was interrupted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from foldseg.config.schema import Experiment, Tta
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import make_folds_file
from foldseg.errors import FoldsegError
from foldseg.files import write_bytes
from foldseg.inference import store as store_module
from foldseg.inference.quantise import quantise
from foldseg.inference.run_stores import Predictor, predict_run
from foldseg.inference.store import PredictionStore
from foldseg.models.factory import build_network
from foldseg.runs.run_folder import RunFolder
from foldseg.training.sessions import describe_run

Make = Callable[..., RunFolder]


@pytest.fixture
def make(tmp_path: Path, signate_root: Path) -> Make:
    """Makes a finished run of a network that has learned nothing but has large weights."""

    def make(architecture: str = "fpn", **settings: object) -> RunFolder:
        block: dict[str, object] = {
            "name": architecture,
            "data": {"dataset": "signate", "root": signate_root, "folds": tmp_path / "folds.csv", "fold_count": 2},
            "model": {"architecture": architecture, "encoder": "resnet18", "encoder_weights": None},
            "view": {"train": {"kind": "full"}, "predict": {"kind": "full"}},
            "runs": tmp_path,
            "workers": 0,
        }
        experiment = Experiment.model_validate(block | settings)
        make_folds_file(experiment.data)
        run = RunFolder.of(experiment, 0)
        data = DataSet(experiment.data)
        describe_run(run, experiment, 0, data.labels.names, data)
        torch.manual_seed(0)
        network = build_network(experiment.model, len(data.labels))
        network.net.segmentation_head[0].weight.data.mul_(5)  # type: ignore[index, union-attr, operator]
        run.best.parent.mkdir()
        torch.save({"state_dict": {f"network.{k}": v for k, v in network.state_dict().items()}}, run.best)
        run.summary.write_text("{}")
        return run

    return make


def planes(store: PredictionStore) -> np.ndarray:
    store.require_complete()
    return np.stack([store.read(name) for name in store.metadata.ids])


def test_logits_give_the_probabilities_of_the_whole_network(make: Make) -> None:
    """48x64 pads to 64x64, the head has 16x16 logits."""
    run = make(predictions="logits")
    (kept,) = predict_run(run, ["oof"])
    predictor = Predictor.load(run)
    samples = predictor.samples(_frames(run))
    expected = np.stack([quantise(predictor(samples[i])).numpy() for i in range(len(samples))])
    found = planes(kept)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.999
    assert len(np.unique(found.argmax(1))) > 3  # the network does say something


def _frames(run: RunFolder) -> object:
    from foldseg.data.frames import FileFrames
    from foldseg.inference.run_stores import select_split

    data = DataSet(run.experiment.data)
    return FileFrames.of(select_split(run, "oof", data), data.root, None)


def test_images_are_predicted_together_as_the_run_says(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one = planes(predict_run(make(), ["oof"])[0])
    sizes = []
    batch = Predictor.batch

    def counted(self: Predictor, samples: list, tta: Tta) -> torch.Tensor:
        sizes.append(len(samples))
        return batch(self, samples, tta)

    monkeypatch.setattr(Predictor, "batch", counted)
    together = planes(predict_run(make(name="three", eval_batch_size=4), ["oof"], Tta())[0])
    assert sizes == [4, 2]
    assert np.abs(one_by_one.astype(int) - together).max() <= 1


def test_a_head_that_enlarges_nothing_has_no_logits_to_keep(make: Make) -> None:
    with pytest.raises(FoldsegError, match="that of Unet does not, use probabilities"):
        predict_run(make("unet", predictions="logits"), ["oof"])


def test_another_tta_of_a_run_that_keeps_logits_says_what_to_do(make: Make) -> None:
    run = make(predictions="logits")
    with pytest.raises(FoldsegError, match=r"for TTA flip give foldseg predict --predictions probabilities"):
        predict_run(run, ["oof"], ["flip"])
    predict_run(run, ["oof"], ["flip"], form="probabilities")
    predict_run(run, ["oof"], ["flip"])  # which is complete, in whatever form


def test_an_interrupted_prediction_loses_nothing_and_goes_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run, batch, calls = make(), Predictor.batch, []

    def interrupted(self: Predictor, samples: list, tta: Tta) -> torch.Tensor:
        calls.append(samples[0].id)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return batch(self, samples, tta)

    monkeypatch.setattr(Predictor, "batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_run(run, ["oof"])
    store = PredictionStore(run.predictions / "oof")
    assert [name for name in store.metadata.ids if name not in store.missing()] == calls[:2]
    predict_run(run, ["oof"])
    assert calls[3:] == calls[2:3] + [name for name in store.metadata.ids if name not in calls[:3]]
    store.require_complete()


def test_a_full_disk_names_the_file_and_loses_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run, written = make(), []

    def full(path: Path, content: bytes) -> None:
        if len(written) == 2:
            raise FoldsegError(f"{path}: could not be written: No space left on device")
        write_bytes(path, content)
        written.append(path.stem)

    monkeypatch.setattr(store_module, "write_bytes", full)
    with pytest.raises(FoldsegError, match=r"oof/train_\d+\.prob: could not be written: No space left on device"):
        predict_run(run, ["oof"])
    store = PredictionStore(run.predictions / "oof")
    assert [name for name in store.metadata.ids if name not in store.missing()] == written


def test_predictions_logits_need_the_full_view(make: Make) -> None:
    view = {"train": {"kind": "full"}, "predict": {"kind": "tiles", "size": [64, 64]}}
    with pytest.raises(ValueError, match=r"predictions logits need view\.predict\.kind full; found tiles"):
        make(predictions="logits", view=view)
