"""A finished ensemble predicts any picture as it predicted its test images."""

from pathlib import Path

import numpy as np
import pytest

from command.line import CommandLine
from foldseg.data.reading import read_image
from foldseg.data.rle import decode_rle
from foldseg.data.signate import LABELS
from foldseg.deploy.interface import FLIP, PredictionOptions
from foldseg.deploy.sources import open_source
from foldseg.ensemble.run import predict_ensemble
from foldseg.errors import FoldsegError
from foldseg.submission.signate_json import Submission
from tiny_demo import TinyDemo

STEPS = "steps=[{kind: stack, pixels_per_image: 100}, {kind: bias, limit: 4}, {kind: clean_up, min_area: [4, 12]}]"


def test_it_labels_test_images_as_it_handed_them_in(demo: TinyDemo) -> None:
    """The test labels of a submission come from stores; an opened ensemble predicts with the networks."""
    made = predict_ensemble(demo.ensemble(STEPS, "name=source"))
    source = open_source(made.folder)
    submission = Submission(made.submission, source.labels)
    assert source.labels.names == LABELS.select("scored").names
    for name in submission.names:
        picture = read_image(demo.root / "city/seg_test_images" / f"{name}.jpg")
        mask = source.predict_label_map(picture)
        handed_in = np.zeros_like(mask)
        for index, runs in enumerate(submission.read(name, mask.shape)):
            handed_in[decode_rle(runs, mask.shape)] = index
        assert (mask == handed_in).mean() > 0.999
        assert source.predict_probabilities(picture).shape == (len(source.labels), *mask.shape)


def test_the_script_takes_a_submission_folder(demo: TinyDemo, command_line: CommandLine, tmp_path: Path) -> None:
    images = demo.root / "city/seg_test_images"
    done = command_line.run("predict-images", demo.result.folder, images, "--out", tmp_path / "out")
    assert done.status == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == len(list(images.iterdir()))


def test_it_is_not_asked_for_what_it_was_not_fitted_for(demo: TinyDemo) -> None:
    with pytest.raises(FoldsegError, match="an ensemble predicts as it was fitted"):
        open_source(demo.result.folder, PredictionOptions(tta=FLIP))
