"""A run without training, and its exported file."""

from pathlib import Path

import pytest
from tiny import make_run

from foldseg.deploy.export import export_onnx
from foldseg.runs.run_folder import RunFolder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of CamVid's classes; not to be changed."""
    return make_run(tmp_path_factory.mktemp("finished") / "x")


@pytest.fixture(scope="session")
def exported(finished: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as a file for any size; not to be changed."""
    path = tmp_path_factory.mktemp("exported") / "x.onnx"
    export_onnx(finished, path)
    return path
