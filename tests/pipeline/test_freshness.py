"""What is on disk is valid for what files hold, not for their names and times: every story through the commands."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest
import torch

from command.line import CommandLine, Finished
from foldseg.files import read_json, write_json
from tiny_demo import REPOSITORY, TinyDemo

CONFIG = "configs/experiments/toy_crop.yaml"


@dataclass(frozen=True)
class Contest:
    """A copy of the demo's data, with times of its own, of its runs of crops, and a submission of these."""

    root: Path
    words: list[str]
    line: CommandLine

    @property
    def city(self) -> Path:
        return self.root / "city"

    @property
    def submission(self) -> Path:
        return self.root / "submissions/e"

    def train(self, *more: str, fold: str = "all") -> Finished:
        return self.line.run("train", CONFIG, fold, *self.words, *more)

    def blend(self, *more: str) -> Finished:
        return self.line.run("ensemble", self.root / "e.yaml", *more)

    def score(self, *more: str) -> Finished:
        return self.line.run("verify", self.submission, *more)

    def maps(self) -> dict[str, int]:
        """Prediction -> time of change."""
        files = (self.root / "runs").glob("toy_crop/*/predictions/*/*.prob")
        return {str(file.relative_to(self.root / "runs/toy_crop")): file.stat().st_mtime_ns for file in files}

    def made(self) -> dict[str, bytes]:
        """Return what was handed in, and the ledger."""
        files = [self.submission / name for name in ("submission.json", "score.json", "data.csv")]
        return {file.name: file.read_bytes() for file in [*files, self.root / "submissions/ledger.csv"]}

    def runs(self) -> list[Path]:
        return [self.root / f"runs/toy_crop/fold_{fold}" for fold in (0, 1)]


@pytest.fixture
def contest(demo: TinyDemo, tmp_path: Path, command_line: CommandLine) -> Contest:
    shutil.copytree(demo.root / "city", tmp_path / "city", copy_function=shutil.copyfile)
    shutil.copytree(demo.root / "runs/toy_crop", tmp_path / "runs/toy_crop")
    ensemble = f"""
        members: [{{experiment: toy_crop}}]
        submission: signate_json
        runs: {tmp_path / "runs"}
        submissions: {tmp_path / "submissions"}
        workers: 1
        bootstrap_samples: 200
    """
    (tmp_path / "e.yaml").write_text(ensemble)
    words = [*demo.overrides, f"runs={tmp_path / 'runs'}", f"data.root={tmp_path / 'city'}"]
    return Contest(tmp_path, words, command_line)


@pytest.fixture
def submitted(contest: Contest) -> Contest:
    """The copied runs have been told where the copied data is, and are blended."""
    assert contest.train().status == 0
    assert contest.blend().status == 0
    return contest


def replace(path: Path, other: Path) -> None:
    """Replace a file by another one, keeping its time of change."""
    times = path.stat()
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def refused(done: Finished, *says: str) -> None:
    assert done.status == 1, done.said
    assert "Traceback" not in done.stderr
    assert all(text in done.stderr for text in says), done.stderr


def test_data_that_has_moved_or_was_touched_is_the_same_data(contest: Contest) -> None:
    before, files = contest.maps(), sorted(contest.city.rglob("*"))
    for path in contest.city.rglob("*.png"):
        os.utime(path, (1, 1))
    contest.city.chmod(0o555)
    done = contest.train()
    contest.city.chmod(0o755)
    assert done.status == 0 and done.stderr.count("is finished already") == 2
    assert "predict" not in done.stderr and "changed" not in done.stderr
    assert contest.maps() == before
    assert sorted(contest.city.rglob("*")) == files  # nothing is written beside the data


def test_a_replaced_test_picture_alone_is_predicted_again(submitted: Contest) -> None:
    before, pictures = submitted.maps(), submitted.city / "seg_test_images"
    replace(pictures / "test_000.jpg", pictures / "test_003.jpg")
    refused(submitted.score(), "is stale", "test: 1 image (test_000)", "run foldseg ensemble again")
    done = submitted.train()
    assert done.status == 0
    assert "predictions/test: 1 picture (e.g. test_000) changed after being predicted; predicted again" in done.stderr
    after = submitted.maps()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"fold_{fold}/predictions/test/test_000.prob" for fold in (0, 1)}
    assert submitted.blend().status == 0
    content = read_json(submitted.submission / "submission.json")
    assert content["test_000.jpg"] == content["test_003.jpg"]
    assert submitted.score().status == 0 and submitted.score("--from-stores").status == 0


def test_a_corrected_mask_is_told_and_the_runs_are_kept_if_the_user_says_so(submitted: Contest) -> None:
    made, masks = submitted.made(), submitted.city / "seg_train_annotations"
    replace(masks / "train_0001.png", masks / "train_0020.png")
    replace(submitted.city / "seg_train_images/train_0001.jpg", submitted.city / "seg_train_images/train_0020.jpg")
    told = "1 image (train_0001), 1 mask (train_0001)"
    refused(submitted.train(), "toy_crop/fold_0: was trained on something else", told, "--accept-changed-data")
    refused(submitted.blend(), "toy_crop/fold_0: was trained on", told, "and 1 more runs", "--accept-changed-data")
    refused(submitted.score(), "submissions/e: is stale", f"OOF: {told}")
    assert submitted.made() == made
    done = submitted.train("--accept-changed-data")
    assert done.status == 0 and done.stderr.count("is kept, though it was trained on something else") == 2
    assert done.stderr.count("predictions/oof: 1 picture (e.g. train_0001) changed after being predicted") == 1
    for run in submitted.runs():
        (accepted,) = read_json(run / "provenance.json")["accepted"]
        assert told in accepted["changes"][0]
    assert submitted.train().status == 0
    assert submitted.blend().status == 0 and submitted.score().status == 0
    assert submitted.made()["score.json"] != made["score.json"]


def test_a_run_that_was_stopped_does_not_go_on_with_other_data(contest: Contest) -> None:
    (contest.runs()[0] / "summary.json").unlink()
    masks = contest.city / "seg_train_annotations"
    replace(masks / "train_0001.png", masks / "train_0020.png")
    config = (contest.runs()[0] / "config.yaml").read_bytes()
    refused(contest.train(fold="0"), "fold_0: was trained on something else", "1 mask (train_0001)")
    assert (contest.runs()[0] / "config.yaml").read_bytes() == config  # it still says where the data was


def test_other_weights_to_start_from_are_other_data(contest: Contest) -> None:
    words = [
        "name=later",
        f"model.start_from={contest.root / 'runs/toy_crop'}",
        "schedule.epochs=1",
        "validate_every=1",
    ]
    assert contest.train(*words, fold="0").status == 0
    assert "is finished already" in contest.train(*words, fold="0").stderr
    path = contest.runs()[0] / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.net.segmentation_head.0.bias"] += 1
    torch.save(content, path)
    refused(
        contest.train(*words, fold="0"),
        "later/fold_0: was trained on",
        "weights of model.start_from: 1 file (best.ckpt)",
    )


def test_another_label_set_is_refused_before_anything_is_written(submitted: Contest) -> None:
    """As if a class had had other raw ids when the runs were trained."""
    made = submitted.made()
    for run in submitted.runs():
        facts = read_json(run / "provenance.json")
        assert facts["labels"]["car"] == "raw ids 0, scored"
        write_json(run / "provenance.json", facts | {"labels": facts["labels"] | {"car": "raw ids 7, scored"}})
    told = "label set: car: raw ids 7, scored became raw ids 0, scored"
    refused(submitted.train(), "fold_0: was trained on something else", told)
    refused(submitted.blend(), told)
    refused(submitted.score(), told)
    for command in ("predict-images", "pseudo-labels"):
        words = {
            "predict-images": [
                submitted.runs()[0],
                submitted.city / "seg_test_images",
                "--out",
                submitted.root / "out",
            ],
            "pseudo-labels": [submitted.root / "e.yaml", submitted.root / "out"],
        }
        refused(submitted.line.run(command, *words[command]), told)
    assert submitted.made() == made


def test_a_label_set_that_was_changed_in_the_code_is_refused(submitted: Contest) -> None:
    made, source = submitted.made(), submitted.root / "src"
    shutil.copytree(REPOSITORY / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    module = source / "foldseg/data/signate.py"
    module.write_text(module.read_text().replace("(raw_id,)", "((raw_id + 1) % 20,)"))
    command = [sys.executable, "-m", "foldseg", "ensemble", str(submitted.root / "e.yaml")]
    surroundings = os.environ | {"PYTHONPATH": str(source)}
    done = subprocess.run(command, cwd=REPOSITORY, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "label set: background" in done.stderr and "Traceback" not in done.stderr
    assert submitted.made() == made


@pytest.mark.parametrize("form", ["masks", "probabilities"])
def test_a_picture_of_the_same_size_and_time_is_seen_to_be_another(contest: Contest, form: str) -> None:
    photos, out = contest.root / "photos", contest.root / "out"
    photos.mkdir()
    for number, name in enumerate(("a", "b")):
        frame = cv2.imread(str(contest.city / f"seg_test_images/test_00{number}.jpg"))
        assert cv2.imwrite(str(photos / f"{name}.bmp"), frame)

    def predict(folder: Path = photos) -> str:
        done = contest.line.run("predict-images", contest.runs()[0], folder, "--out", out, "--as", form)
        assert done.status == 0, done.said
        return done.stderr

    assert "2 of 2 pictures are to be predicted" in predict()
    os.utime(photos / "a.bmp")
    assert "0 of 2 pictures are to be predicted" in predict()
    assert "0 of 2" in predict(Path(shutil.copytree(photos, contest.root / "copy", copy_function=shutil.copyfile)))
    replace(photos / "a.bmp", photos / "b.bmp")
    said = predict()
    assert "1 picture (e.g. a) changed after being predicted; predicted again" in said and "1 of 2 pictures" in said
    suffix = "png" if form == "masks" else "prob"
    assert (out / f"a.{suffix}").read_bytes() == (out / f"b.{suffix}").read_bytes()


def test_what_older_versions_left_is_read_and_said_to_be_unverified(submitted: Contest) -> None:
    for run in submitted.runs():
        (run / "data.csv").unlink()
        facts = read_json(run / "provenance.json")
        write_json(run / "provenance.json", {key: facts[key] for key in facts if key not in ("labels", "code")})
        for file in run.glob("predictions/*/store.json"):
            facts = read_json(file)
            write_json(file, {key: facts[key] for key in facts if key not in ("pictures", "code")})
    scores = read_json(submitted.submission / "score.json")
    write_json(submitted.submission / "score.json", {key: scores[key] for key in scores if key != "made_from"})
    before = submitted.maps()
    done = submitted.score()
    assert done.status == 0 and done.stderr.count("was not recorded (an older version)") == 1
    for command in (submitted.train, submitted.blend):
        done = command()
        assert done.status == 0
        assert done.stderr.count("held when it was trained was not recorded (an older version)") == 1
        assert done.stderr.count("held when predicted was not recorded (an older version)") == 1
    assert submitted.maps() == before


def test_other_code_is_told(submitted: Contest) -> None:
    for run in submitted.runs():
        facts = read_json(run / "provenance.json")
        sessions = [session | {"code": "0123456789ab"} for session in facts["sessions"]]
        write_json(run / "provenance.json", facts | {"sessions": sessions})
        for file in run.glob("predictions/*/store.json"):
            write_json(file, read_json(file) | {"code": "0123456789ab"})
    done = submitted.train()
    assert done.stderr.count("is finished already (trained by other code, of commit") == 2
    assert done.stderr.count("was predicted by another version of the code") == 1


def test_damaged_and_unwritable_memories_of_hashes_are_no_matter(contest: Contest) -> None:
    memory = contest.root / "memory"
    environment = {"FOLDSEG_CACHE": str(memory)}
    assert contest.line.run("train", CONFIG, "all", *contest.words, env=environment).status == 0
    for file in memory.rglob("*.json"):
        file.write_bytes(file.read_bytes()[:20])
    for place in (memory, Path("/dev/null/nowhere")):
        done = contest.line.run("train", CONFIG, "all", *contest.words, env={"FOLDSEG_CACHE": str(place)})
        assert done.status == 0 and done.stderr.count("is finished already") == 2


def test_a_toy_city_of_another_seed_is_refused(contest: Contest) -> None:
    assert json.loads((contest.city / "toy_city.json").read_text())["seed"] == 1
    refused(contest.train("name=other", "data.dataset.seed=2"), "city: was built with seed 1; the settings say seed 2")
