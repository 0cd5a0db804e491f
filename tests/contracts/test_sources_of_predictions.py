"""What every source of predictions promises."""

import json
from pathlib import Path

import numpy as np
import pytest

from foldseg.data.labels import LabelSet
from foldseg.data.reading import read_image
from foldseg.deploy.export import export_onnx
from foldseg.deploy.interface import Source
from foldseg.deploy.sources import SOURCES, open_source
from foldseg.runs.experiment_folder import ExperimentFolder
from foldseg.runs.exported_file import ExportedFile
from foldseg.runs.kinds import recognise
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.submission_folder import SubmissionFolder
from tiny_demo import TinyDemo


@pytest.fixture(scope="module")
def paths(demo: TinyDemo, tmp_path_factory: pytest.TempPathFactory) -> dict[type, Path]:
    """One of each kind of what is on disk that predicts."""
    run = demo.root / "runs/toy_full/fold_0"
    exported = tmp_path_factory.mktemp("exported") / "x.onnx"
    export_onnx(RunFolder.open(run), exported)
    return {
        RunFolder: run,
        ExperimentFolder: run.parent,
        SubmissionFolder: demo.result.folder,
        ExportedFile: exported,
    }


@pytest.fixture(scope="module", params=SOURCES, ids=lambda kind: kind.__name__)
def source(request: pytest.FixtureRequest, paths: dict[type, Path]) -> Source:
    path = paths[request.param]
    assert type(recognise(path)) is request.param
    return open_source(path)


def test_a_source_says_what_its_predictions_depend_on(source: Source) -> None:
    assert isinstance(source.labels, LabelSet)
    provenance = source.provenance
    assert provenance.keys() >= {"source", "weights", "view", "tta"}
    assert provenance["weights"] and all(len(weights) == 64 for weights in provenance["weights"])
    assert json.loads(json.dumps(provenance)) == provenance


def test_a_source_predicts_pictures_of_any_size(source: Source, demo: TinyDemo) -> None:
    first = next(iter(sorted((demo.root / "city/seg_test_images").iterdir())))
    for area in (np.s_[:], np.s_[:41, :57], np.s_[:1, :1]):
        picture = read_image(first)[area]
        mask, probabilities = source.predict_label_map(picture), source.predict_probabilities(picture)
        assert mask.shape == picture.shape[:2] and mask.dtype == np.uint8
        assert probabilities.shape == (len(source.labels), *mask.shape) and probabilities.dtype == np.uint8
        assert mask.max() < len(source.labels)
        assert np.array_equal(source.predict_label_map(picture), mask)
        # Rounding moves each of the classes by half a level, and the most probable one by one more
        assert np.abs(probabilities.astype(int).sum(0) - 255).max() <= len(source.labels)
