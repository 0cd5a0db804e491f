"""The folder of a pass: what is there is not made again, what is missing is."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from foldseg.config.schema import BiasStep, CleanUpStep
from foldseg.ensemble import pass_folder
from foldseg.ensemble.image import ImageTask, MemberStores
from foldseg.ensemble.line import Line
from foldseg.ensemble.pass_folder import PassFolder
from foldseg.ensemble.passes import Pass, PassRange, Tally, run_pass
from foldseg.inference.store import PredictionStore, StoreMetadata, StoreState
from made_up_members import LABELS, member_of, spec_of, truth_of, write_picture

NAMES = ["im0", "im1", "im2"]
BEFORE_BIAS, AT_THE_END = PassRange(None, 0, keeps_maps=True), PassRange(0)


@pytest.fixture
def tasks(tmp_path: Path) -> list[ImageTask]:
    """Three images with truth, predicted by two members, on their way to a bias and a clean-up."""
    stores = [PredictionStore(tmp_path / f"member_{seed}") for seed in range(2)]
    for seed, store in enumerate(stores):
        store.begin(StoreMetadata(f"run_{seed}", "oof", 0, LABELS.names, "hash", {}, {}, NAMES))
    members = tuple(MemberStores((store,), np.arange(len(LABELS))) for store in stores)
    tasks = []
    for index, name in enumerate(NAMES):
        truth = truth_of(index)
        truth[truth == 255] = 0
        for seed, store in enumerate(stores):
            store.write(name, member_of(truth, 10 * seed + index, 0.4))
        mask = tmp_path / f"{name}_mask.png"
        cv2.imwrite(str(mask), truth)
        image = write_picture(tmp_path / f"{name}.png", truth)
        tasks.append(ImageTask(name, image, mask, members, Line.of([BiasStep(), CleanUpStep(min_area=4)])))
    return tasks


def run(
    work: Path, plan: Pass, tasks: list[ImageTask], monkeypatch: pytest.MonkeyPatch
) -> tuple[PassFolder, list[str]]:
    """Run a pass; return its folder, and the images that were taken rather than read."""
    taken: list[str] = []

    def noting(plan: Pass, task: ImageTask) -> Tally:
        taken.append(task.id)
        return run_pass(plan, task)

    monkeypatch.setattr(pass_folder, "run_pass", noting)
    folder = PassFolder.open(work, "oof", plan, tasks)
    assert len(list(folder.run(1, "testing"))) == len(tasks)
    return folder, taken


def fitted(tasks: list[ImageTask]) -> list[ImageTask]:
    """The same images after the bias has been fitted."""
    line = tasks[0].line.with_params(0, {"factors": np.array([1.0, 2.0, 1.0, 1.0])})
    return [replace(task, line=line) for task in tasks]


def test_maps_are_kept_in_an_ordinary_store(tasks: list[ImageTask], tmp_path: Path, monkeypatch) -> None:
    folder, taken = run(tmp_path / "work", Pass(spec_of(2), BEFORE_BIAS, max_bytes=1 << 16), tasks, monkeypatch)
    assert taken == NAMES
    store = PredictionStore(folder.records.folder / "maps")
    assert store.metadata.ids == NAMES and store.metadata.classes == LABELS.names
    assert store.metadata.checkpoint == folder.records.fingerprint
    assert store.state(folder.store_metadata()) is StoreState.COMPLETE
    assert store.read("im1").shape == (len(LABELS), 24, 30)


@pytest.mark.parametrize("lost", ["im1.npz", "maps/im1.prob"])
def test_an_image_of_which_a_file_is_lost_is_taken_again(
    tasks: list[ImageTask], tmp_path: Path, monkeypatch, lost: str
) -> None:
    plan = Pass(spec_of(2), BEFORE_BIAS, max_bytes=1 << 16)
    folder, _ = run(tmp_path / "work", plan, tasks, monkeypatch)
    assert run(tmp_path / "work", plan, tasks, monkeypatch)[1] == []
    before = (folder.records.folder / "maps/im1.prob").read_bytes()
    (folder.records.folder / lost).unlink()
    assert run(tmp_path / "work", plan, tasks, monkeypatch)[1] == ["im1"]
    assert (folder.records.folder / "maps/im1.prob").read_bytes() == before


def test_a_final_prediction_that_is_lost_is_made_again(tasks: list[ImageTask], tmp_path: Path, monkeypatch) -> None:
    first, _ = run(tmp_path / "work", Pass(spec_of(2), BEFORE_BIAS, max_bytes=1 << 16), tasks, monkeypatch)
    plan = Pass(spec_of(2), AT_THE_END, first.plan.kept)
    folder, taken = run(tmp_path / "work", plan, fitted(tasks), monkeypatch)
    assert taken == NAMES
    before = folder.final.read_labels("im2")
    (folder.final.folder / "labels/im2.png").unlink()
    assert run(tmp_path / "work", plan, fitted(tasks), monkeypatch)[1] == ["im2"]
    assert folder.final.read_labels("im2").tolist() == before.tolist()


def test_other_parameters_and_other_masks_are_another_pass(tasks: list[ImageTask], tmp_path: Path) -> None:
    plan = Pass(spec_of(2), PassRange())
    folders = {PassFolder.open(tmp_path, "test", plan, some).records.folder for some in (tasks, fitted(tasks))}
    mask = np.zeros((24, 30), np.uint8)
    assert tasks[0].mask is not None
    cv2.imwrite(str(tasks[0].mask), mask)
    folders.add(PassFolder.open(tmp_path, "test", plan, tasks).records.folder)
    assert len(folders) == 3
