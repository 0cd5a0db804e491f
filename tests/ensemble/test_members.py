"""Members of different label sets and views: made-up runs whose maps are known, blended as they would be."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foldseg.config.schema import Ensemble, Experiment, Member
from foldseg.data import signate
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import make_folds_file
from foldseg.data.labels import LabelSet
from foldseg.data.mask_files import read_mask
from foldseg.ensemble.members import find_members
from foldseg.ensemble.run import EnsembleResult, predict_ensemble
from foldseg.errors import FoldsegError
from foldseg.files import read_json, write_json
from foldseg.inference.run_stores import SPLITS, select_split, store_of
from foldseg.inference.store import StoreMetadata
from foldseg.report.ensemble_picture import write_ensemble_picture
from foldseg.report.oof_labels import open_oof
from foldseg.runs.run_folder import RunFolder
from foldseg.training.sessions import describe_run

SCORED = signate.LABELS.select("scored")
VOTE = {"kind": "tiles", "size": [32, 32], "overlap": 0.5, "merge": "vote"}


def unsure_maps(truth: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """(classes, H, W) uint8 of a network that half knows the truth and half guesses, in blocks of 4 pixels."""
    rng = np.random.default_rng(seed)
    guess = rng.dirichlet(np.full(classes, 0.2), (truth.shape[0] // 4, truth.shape[1] // 4)).transpose(2, 0, 1)
    maps = 0.4 * (np.arange(classes)[:, None, None] == truth) + 0.6 * guess.repeat(4, 1).repeat(4, 2)
    return (255 * maps + 0.5).astype(np.uint8)


@dataclass(frozen=True)
class Contest:
    """Finished runs on a tiny AI Edge folder, and what is made of them."""

    folder: Path
    root: Path

    def train(self, name: str, labels: object, views: tuple[object, ...] = (None,), seed: int = 0) -> None:
        """Write both folds of an experiment, with stores of each view that guess."""
        block = {"dataset": "signate", "root": self.root, "folds": self.folder / "folds.csv", "fold_count": 2}
        view = {"train": {"kind": "full"}, "predict": {"kind": "full"}}
        settings = {"name": name, "data": block | {"labels": labels}, "view": view, "runs": self.folder / "runs"}
        experiment = Experiment.model_validate(settings)
        make_folds_file(experiment.data)
        for fold in (0, 1):
            run = RunFolder.of(experiment, fold)
            data = DataSet(experiment.data)
            own = data.labels
            describe_run(run, experiment, fold, own.names, data)
            run.best.parent.mkdir()
            run.best.write_bytes(b"weights")
            run.summary.write_text("{}")
            for number, other in enumerate(views):
                for split in SPLITS:
                    self._predict(run, own, split, other, seed + 100 * number + 10 * fold)

    def _predict(self, run: RunFolder, labels: LabelSet, split: str, view: object, seed: int) -> None:
        asked = Member.model_validate({"experiment": "x", "view": view}).view
        seen = (asked or run.experiment.view.predict).model_dump(mode="json")
        name, ids = (
            f"{run.path.parent.name}/{run.path.name}",
            select_split(run, split, DataSet(run.experiment.data))["id"].tolist(),
        )
        truth = read_mask(
            self.root / "seg_train_annotations/train_0000.png", labels
        )  # the cars of others lie elsewhere
        store = store_of(run, split, (), asked)
        store.begin(StoreMetadata(name, split, run.fold, run.classes, run.checkpoint_hash, seen, [], ids))
        for number, image in enumerate(ids):
            store.write(image, unsure_maps(truth, len(labels), 1000 * seed + number))

    def ensemble(self, *members: dict, **more: object) -> Ensemble:
        folders = {"runs": self.folder / "runs", "submissions": self.folder / "submissions"}
        settings = {"name": "e", "members": members, "submission": "signate_json", "score": "image_mean_iou_present"}
        return Ensemble.model_validate(settings | folders | {"workers": 1, "bootstrap_samples": 100} | more)

    def blend(self, *members: dict, **more: object) -> EnsembleResult:
        return predict_ensemble(self.ensemble(*members, **more))


@pytest.fixture
def contest(tmp_path: Path, signate_root: Path) -> Contest:
    return Contest(tmp_path, signate_root)


def equal(ours: dict, theirs: dict) -> bool:
    """Whether scores are equal, NaN (of an absent class) to NaN."""
    return json.dumps(ours) == json.dumps(theirs)


def slowly_merged(planes: np.ndarray, labels: LabelSet) -> np.ndarray:
    """(5, H, W) int: background, car, pedestrian, lane, signal; whatever is not scored is background."""
    merged = np.zeros((5, *planes.shape[1:]), int)
    for plane, name in zip(planes, labels.names, strict=True):
        merged[1 + signate.SCORED.index(name) if name in signate.SCORED else 0] += plane
    return merged


def test_members_of_twenty_and_of_four_classes_are_blended(contest: Contest) -> None:
    contest.train("all", "all", seed=1)
    contest.train("few", "scored", seed=2)
    result = contest.blend({"experiment": "all"}, {"experiment": "few", "weight": 0.5}, labels="scored")
    oof = open_oof(result.folder)
    assert oof.labels == SCORED
    agree = []
    for row in oof.table.itertuples():
        total = np.zeros((5, 48, 64))
        for name, labels, weight in (("all", signate.LABELS, 1.0), ("few", SCORED, 0.5)):
            run = RunFolder(contest.folder / f"runs/{name}/fold_{row.fold}")
            total += weight * slowly_merged(store_of(run, "oof").read(str(row.id)), labels)
        agree.append(oof.prediction(str(row.id)) == total.argmax(0))
        truth = read_mask(contest.root / str(row.mask), SCORED)
        assert np.array_equal(oof.truth(str(row.id)), truth)
    assert np.mean(agree) > 0.999  # ties apart
    assert list(result.scores["oof"]) == ["all", "few", "blend"]
    for stage in result.scores["oof"].values():
        assert set(signate.SCORED) <= set(stage["per_class"])
        assert 0 < stage["per_class"]["signal"] < 1 and 0 < stage["per_class"]["car"] < 1
    submitted = json.loads(result.submission.read_text())
    assert {"car", "signal"} <= {category for image in submitted.values() for category in image} <= set(signate.SCORED)


def test_a_run_of_all_classes_alone_is_scored_on_twenty_or_on_four(contest: Contest) -> None:
    contest.train("all", "all")
    scores = {}
    for labels, names in (("as_trained", signate.LABELS.names), ("scored", SCORED.names)):
        result = contest.blend({"experiment": "all"}, name=labels, labels=labels)
        scores[labels] = result.scores["oof"]["blend"]
        assert list(scores[labels]["per_class"]) == names
        assert open_oof(result.folder).labels.names == names
    assert scores["scored"]["pixel_accuracy"] > scores["as_trained"]["pixel_accuracy"]  # a bus for a truck is right


def test_the_picture_of_merged_members_can_be_drawn(contest: Contest) -> None:
    contest.train("all", "all", seed=1)
    contest.train("few", "scored", seed=2)
    ensemble = contest.ensemble({"experiment": "all"}, {"experiment": "few"}, labels="scored")
    predict_ensemble(ensemble)
    write_ensemble_picture(ensemble, contest.folder / "summary.png", "train_0000")
    assert (contest.folder / "summary.png").is_file()
    with pytest.raises(FoldsegError, match="other labels than asked for"):
        write_ensemble_picture(ensemble.model_copy(update={"labels": "as_trained"}), contest.folder / "summary.png")


def test_other_classes_are_refused_with_the_way_out(contest: Contest) -> None:
    contest.train("all", "all")
    contest.train("few", "scored")
    says = r"few/fold_0: predicts the classes background, car.*cannot be blended but with labels: scored"
    with pytest.raises(FoldsegError, match=says):
        find_members(contest.ensemble({"experiment": "all"}, {"experiment": "few"}))


def test_classes_without_a_place_among_the_scored_ones_are_refused(contest: Contest) -> None:
    contest.train("two", ["car", "lane"])
    says = r"two/fold_0: its classes cannot be merged into the scored ones: background is not within one of"
    with pytest.raises(FoldsegError, match=says):
        find_members(contest.ensemble({"experiment": "two"}, labels="scored"))


@pytest.mark.parametrize("labels", ["as_trained", "scored"])
def test_folds_of_one_member_have_the_same_classes(contest: Contest, labels: str) -> None:
    contest.train("all", "all")
    run = RunFolder(contest.folder / "runs/all/fold_1")
    write_json(run.provenance, read_json(run.provenance) | {"classes": ["background", "car"]})
    with pytest.raises(FoldsegError, match=r"fold_1: predicts the classes background, car.*cannot be blended$"):
        find_members(contest.ensemble({"experiment": "all"}, labels=labels))


def test_merged_classes_cannot_be_handed_in_as_label_pngs(contest: Contest) -> None:
    contest.train("all", "all")
    with pytest.raises(FoldsegError, match=r"label_png cannot say background, .* data\.labels=all as_trained"):
        contest.blend({"experiment": "all"}, labels="scored", submission="label_png")


def test_one_experiment_in_two_views_is_two_members(contest: Contest) -> None:
    contest.train("all", "all", (None, VOTE))
    own, vote = {"experiment": "all"}, {"experiment": "all", "view": VOTE}
    name = "all@tiles_32x32_0.5_vote"
    assert find_members(contest.ensemble(own, vote)).sources("oof", 1)[name][0].path.name == "oof-tiles_32x32_0.5_vote"
    both = contest.blend(own, vote | {"weight": 3.0}, name="both").scores["oof"]
    assert list(both) == ["all", name, "blend"]
    alone = {stage: contest.blend(member, name="one").scores["oof"] for stage, member in (("all", own), (name, vote))}
    assert equal(both["all"], alone["all"]["all"]) and equal(both["all"], alone["all"]["blend"])
    assert equal(both[name], alone[name][name])
    assert not equal(both["all"], both[name])
    ledger = pd.read_csv(contest.folder / "submissions/ledger.csv")
    assert ledger["members"].tolist() == [f"all*1 {name}*3", "all*1", f"{name}*1"]


def test_the_same_predictions_under_two_names_are_refused(contest: Contest) -> None:
    """A run's own view asked for by name is its own store: it would count twice."""
    contest.train("a", "all")
    with pytest.raises(FoldsegError, match=r"members: a@full_1 and a are the same predictions, .*a/fold_0"):
        find_members(contest.ensemble({"experiment": "a"}, {"experiment": "a", "view": {"kind": "full"}}))


def test_a_score_of_fewer_classes_than_the_contest_has_is_told_of(contest: Contest, caplog) -> None:
    contest.train("a", ["car", "sky"])
    contest.blend({"experiment": "a"})
    assert "image_mean_iou_present is not the contest's: pedestrian, lane, signal are scored there, too" in caplog.text


def test_missing_maps_of_another_view_are_predicted_from_the_weights(contest: Contest) -> None:
    """These weights are made up, so the attempt is what can be seen."""
    contest.train("all", "all")
    with pytest.raises(FoldsegError, match=r"fold_0/checkpoints/best\.ckpt: is not a file of weights"):
        contest.blend({"experiment": "all", "view": VOTE})


def test_members_may_have_their_own_tta(contest: Contest) -> None:
    contest.train("all", "all")
    own = {"experiment": "all", "tta": {"symmetries": "d4", "scales": [0.75]}}
    members = find_members(contest.ensemble({"experiment": "all"}, own, {"experiment": "all", "tta": []}, tta=["flip"]))
    names = {name: store.path.name for name, (store,) in members.sources("oof", 1).items()}
    assert names == {"all": "oof-flip", "all~d4_x0.75": "oof-d4_x0.75", "all~none": "oof"}


def test_members_with_the_same_tta_are_refused(contest: Contest) -> None:
    contest.train("all", "all")
    config = contest.ensemble({"experiment": "all"}, {"experiment": "all", "tta": "flip"}, tta=["flip"])
    with pytest.raises(FoldsegError, match="members: all~flip and all are the same predictions"):
        find_members(config)
