"""Fixtures: the project in which the commands of a page run."""

import fcntl
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from command.line import CommandLine
from own_data_sets import write_cells, write_sky
from pages.project import DEMO, PRINTED, lay_out, lay_out_exports
from pages.shell import Shell

VOID = 11  # of CamVid's masks


@pytest.fixture(scope="session")
def toy_project(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Path:
    """A project after `make demo`, shared by all processes that test; to be copied, not changed."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if shared.name.startswith("popen-") else shared  # of pytest-xdist
    project = shared / "toy_project"
    with (shared / "toy_project.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (project / "submissions/toy/summary.png").is_file():
            lay_out(project)
            ran = Shell(project, shared / "toy_requests", command_line).run(DEMO)
            assert ran.status == 0, ran.output
            (project / PRINTED).write_text(ran.output)
    return project


@pytest.fixture
def shell(request: pytest.FixtureRequest, toy_project: Path, tmp_path: Path, command_line: CommandLine) -> Shell:
    """A shell in a copy of the project after `make demo`, beside which lie tiny folders of the other data sets.

    `exported` has what tools export. `my_labels` is a submission for CamVid: the truth, with a class in place of void.
    """
    project = Path(shutil.copytree(toy_project, tmp_path / "project", symlinks=True))
    for name in ("camvid", "signate"):
        shutil.move(request.getfixturevalue(f"{name}_root"), project / "data" / name)
    lay_out_exports(project / "exported")
    write_cells(project / "data/cells")
    write_sky(project / "data/sky")
    labels = project / "my_labels"
    labels.mkdir()
    for mask in (project / "data/camvid/testannot").iterdir():
        ids = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(labels / mask.name), np.where(ids == VOID, 0, ids))
    return Shell(project, tmp_path / "requests", command_line)
