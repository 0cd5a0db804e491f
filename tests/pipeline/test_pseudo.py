"""Pseudo labels: sure pixels only, and for each fold from models that have not seen its validation images."""

import cv2
import numpy as np
import pytest

from command.line import CommandLine
from foldseg.ensemble.confident import confident_labels
from foldseg.ensemble.members import find_members
from foldseg.ensemble.pseudo import write_pseudo_labels
from foldseg.errors import FoldsegError
from foldseg.files import read_json
from made_up_members import mean_of
from tiny_demo import TinyDemo, ensemble_overrides


def test_pixels_below_the_confidence_of_their_class_are_void() -> None:
    probabilities = np.array([[[0.7, 0.2, 0.45]], [[0.3, 0.8, 0.55]]], np.float32)
    assert confident_labels(probabilities, np.array([0.6, 0.8], np.float32)).tolist() == [[0, 1, 255]]
    assert confident_labels(probabilities, np.array([0.71, 0.5], np.float32)).tolist() == [[255, 1, 1]]


def test_labels_of_a_fold_come_from_that_folds_models_alone(demo: TinyDemo, tmp_path) -> None:
    """The other fold's models have seen the fold's validation images."""
    shares = write_pseudo_labels(demo.config, tmp_path, 0.4, {"lane": 0.6})
    members = find_members(demo.config)
    least = np.array([0.4, 0.4, 0.4, 0.6, 0.4], np.float32)  # background, car, pedestrian, lane, signal
    for fold in (0, 1):
        facts = read_json(tmp_path / f"fold_{fold}/pseudo.json")
        assert facts["fold"] == fold
        assert all(f"fold_{fold}/checkpoints/best.ckpt" in weights for weights in facts["runs"])
        found = []
        for name in facts["ids"]:
            stores = [s for part in members.sources("test", fold).values() for s in part]
            expected = confident_labels(mean_of([(store.read(name), 1.0) for store in stores]), least)
            found.append(cv2.imread(str(tmp_path / f"fold_{fold}/{name}.png"), cv2.IMREAD_UNCHANGED))
            assert np.mean(found[-1] != expected) < 1e-3  # weighted by thirds or by ones: a rounding here and there
        assert shares[fold]["void"] == pytest.approx(np.mean(np.stack(found) == 255))
        assert 0 < shares[fold]["void"] < 1
        assert sum(shares[fold].values()) == pytest.approx(1)


def test_mistakes_are_named(demo: TinyDemo, tmp_path) -> None:
    with pytest.raises(FoldsegError, match=r"confidence: unknown classes \['tram'\]; valid are background, car"):
        write_pseudo_labels(demo.config, tmp_path, 0.9, {"tram": 0.5})
    with pytest.raises(FoldsegError, match="confidence: should be probabilities"):
        write_pseudo_labels(demo.config, tmp_path, 90)
    assert not list(tmp_path.iterdir())


def test_the_command_shows_what_was_kept(demo: TinyDemo, command_line: CommandLine, tmp_path) -> None:
    options = "--confidence", "0.5", "--of", "car=0.3", *ensemble_overrides(demo.root)
    done = command_line.run("pseudo-labels", "configs/ensembles/toy.yaml", tmp_path / "out", *options)
    assert done.status == 0, done.stderr
    assert "fold 1" in done.stdout and "void" in done.stdout
    assert len(list((tmp_path / "out/fold_1").glob("*.png"))) == 4
