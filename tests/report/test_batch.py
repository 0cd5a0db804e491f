"""The sheet of what a network is trained on."""

import cv2
import numpy as np
import pytest

from foldseg.config import Experiment, save
from foldseg.report.batch import draw_augmentations, draw_batch
from foldseg.views.augment import AUGMENTATIONS


@pytest.fixture
def experiment(world) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "sheet",
            "data": world.data,
            "view": {"train": {"kind": "full"}, "predict": {"kind": "full"}},
            "model": {"encoder": "tu-resnet10t", "encoder_weights": None},
            "augment": "none",
        }
    )


def test_samples_are_drawn_with_their_masks(experiment, world):
    figure = draw_batch(experiment, 0, number=2)
    shown = [axis for axis in figure.axes if axis.images]
    assert len(shown) == 4
    names = [axis.get_title() for axis in shown]
    assert names[0] in world.ids and names[1] == ""
    assert {name for name in names if name} <= set(world.folds.query("fold != 0")["id"])
    frame, marked = (np.asarray(axis.images[0].get_array()) for axis in shown[:2])
    assert frame.shape == marked.shape == (64, 64, 3)
    assert not np.array_equal(frame[30:38, 20:30], marked[30:38, 20:30])  # a car's colour over it
    assert np.array_equal(marked[50:, 1:], frame[50:, 1:] // 4)  # padding is void
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["building", "pole", "road", "car", "void"]


def test_every_augmentation_set_has_a_row_of_the_same_samples(experiment):
    figure = draw_augmentations(experiment, 0, list(AUGMENTATIONS), number=3)
    shown = [axis for axis in figure.axes if axis.images]
    assert len(shown) == 3 * len(AUGMENTATIONS)
    assert [axis.get_title() for axis in shown[::3]] == list(AUGMENTATIONS)


def test_the_script_writes_a_sheet(experiment, command_line, tmp_path):
    save(experiment, tmp_path / "sheet.yaml")
    out = tmp_path / "out.png"
    words = tmp_path / "sheet.yaml", "--fold", "1", "augment=light", "--out", out, "--images", "3"
    done = command_line.run("show-batch", *words)
    assert done.status == 0, done.stderr
    assert cv2.imread(str(out)).std() > 10
