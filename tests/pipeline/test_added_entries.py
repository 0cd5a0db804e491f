"""Entries that are added as ARCHITECTURE.md says can be used at once: a loss, a view, a form of pictures, a score, ...

The modules are in `tests/added`. A step is added in `test_line.py`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from command.line import CommandLine, Finished

REPOSITORY = Path(__file__).parents[2]
MODULES = {"brier": "losses", "run_csv": "submission", "village": "data"}
"""Module in `tests/added` -> the room that it is copied into."""
RECALLS = '''

def _recalls(counts: Counts, labels: LabelSet | None = None) -> Ratios:
    """Share of each class's pixels that are found, a term per class."""
    return Ratios(counts[..., SHARED].astype(np.float64), counts[..., TRUTH].astype(np.float64))
'''
RECALL_LINE = """\
    "dataset_mean_recall": ScoreDefinition(
        _recalls, ClassValue("recall", _recalls), "all", has_term_per_class=True, counts_excess=False
    ),
"""
PATCHES_VIEW = '''

class PatchesView(TrainView, PredictView):
    """Squares of the image at half its size: random ones in training, side by side in prediction."""

    kind: Literal["patches"] = "patches"
    side: Count = 16
    """Height and width of a square."""

    def resized_size(self, size: ImageSize, scale: float = 1.0) -> ImageSize:
        """The image is shown at half its size."""
        return scale_size(size, 0.5 * scale)

    @property
    def window(self) -> tuple[int, int]:
        """The square that is cut out in training."""
        return self.side, self.side

    @property
    def tiles(self) -> TilesView:
        """The squares in which an image is predicted."""
        return TilesView(size=self.window, overlap=0.0)
'''
GREYS_FORM = '''

def _draw_greys(image: Image, mask: Mask, labels: LabelSet, alpha: float) -> Image:
    """Return class indices, 100 grey levels apart."""
    return mask * 100
'''
VILLAGE = '''

class Village(DatasetKind):
    """Two folders of pictures."""

    kind: Literal["village"] = "village"
'''
RUN_TABLE = '''

class RunTable(SubmissionKind):
    """A table of runs."""

    kind: Literal["run_csv"] = "run_csv"
'''
VILLAGE_LINE = "    Village: DatasetDefinition.of_layout(village.scan, village.LABELS),\n"
LINES = [
    # A view: a class
    ("config/schema/views.py", '        """The view itself."""\n        return self\n', PATCHES_VIEW),
    # A loss: a module, a line, a field
    ("losses/total.py", "\nTERMS: dict[str, Term] = {\n", '    "brier": Term(lambda pixels, *_: brier(pixels)),\n'),
    ("losses/total.py", "import overlap, pixelwise, shape\n", "from foldseg.losses.brier import brier\n"),
    ("config/schema/loss.py", '"""Weight of the boundary loss."""\n', "    brier: TermWeight = 0.0\n"),
    # A form of predicted pictures: a function and a line, its name
    ("deploy/forms.py", '    return Form(".png", _predict_label_map, open_writer, uses_alpha)\n', GREYS_FORM),
    ("deploy/forms.py", "\nFORMS: dict[str, Form] = {\n", '    "greys": _make_png_form(_draw_greys),\n'),
    ("config/schema/names.py", "PictureForm = Literal[", '"greys", '),
    ("cli/prediction.py", "Form = Literal[", '"greys", '),
    # A score: a function and a line, its name
    ("scoring/scores.py", "    return Ratios(total[..., SHARED], total[..., TRUTH])\n", RECALLS),
    ("scoring/scores.py", "\nSCORES: dict[ScoreName, ScoreDefinition] = {\n", RECALL_LINE),
    ("config/schema/names.py", "ScoreName = Literal[\n", '    "dataset_mean_recall",\n'),
    # A submission format: a class, a module, a line
    ("config/schema/submissions.py", "        return cls(), cls(planes=True)\n", RUN_TABLE),
    ("submission/formats.py", "FORMATS: dict[type[SubmissionKind], Format] = {\n", "    RunTable: run_csv.FORMAT,\n"),
    ("submission/formats.py", "from foldseg.submission import ", "run_csv, "),
    ("submission/formats.py", "from foldseg.config.schema.submissions import (\n", "    RunTable,\n"),
    # A data set: a class, a module, a line
    ("config/schema/datasets.py", 'the layout of the folder `data.root`, and the classes."""\n', VILLAGE),
    ("data/datasets.py", "\nDATASETS: dict[type[DatasetKind], DatasetDefinition] = {\n", VILLAGE_LINE),
    ("data/datasets.py", "from foldseg.data import ", "village, "),
    ("data/datasets.py", "from foldseg.config.schema.datasets import ", "Village, "),
]
"""File, text that is there once, what is added after it."""
PROGRAM = """
import sys

for name in [name for name in sys.modules if name.partition(".")[0] == "foldseg"]:
    del sys.modules[name]  # the server of commands has imported the one without the entries
from foldseg.cli.app import main

main()
"""
EXPERIMENT = {
    "base": "../data/village.yaml",
    "model": {
        "architecture": "unet",
        "encoder": "tu-resnet10t",
        "encoder_weights": None,
        "options": {"encoder_depth": 3, "decoder_channels": [8, 8, 8]},
    },
    "view": {"train": "patches", "predict": "patches"},
    "loss": {"brier": 1.0},
    "monitor": "dataset_mean_recall",
    "schedule": {"kind": "constant", "epochs": 1},
    "early_stopping": None,
    "batch_size": 2,
    "precision": "fp32",
    "workers": 0,
}
ENSEMBLE = {
    "members": [{"experiment": "huts"}],
    "folds": [0],
    "score": "dataset_mean_recall",
    "submission": "run_csv",
    "bootstrap_samples": 100,
    "workers": 1,
}
SETTINGS = {
    "data/village": {
        "data": {"dataset": "village", "root": "data/village", "folds": "folds/village.csv", "fold_count": 2}
    },
    "experiments/huts": EXPERIMENT,
    "ensembles/final": ENSEMBLE,
}


def add_after(path: Path, anchor: str, text: str) -> None:
    """Add text after an anchor that occurs once."""
    content = path.read_text()
    assert content.count(anchor) == 1, (path, anchor)
    path.write_text(content.replace(anchor, anchor + text))


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources with made-up entries in `src`, and a project that uses all of them in `project`."""
    folder = tmp_path_factory.mktemp("added")
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for module, room in MODULES.items():
        shutil.copy(REPOSITORY / f"tests/added/{module}.py", folder / "src/foldseg" / room)
    for name, anchor, text in LINES:
        add_after(folder / "src/foldseg" / name, anchor, text)
    (folder / "src/program.py").write_text(PROGRAM)
    for name, settings in SETTINGS.items():
        path = folder / f"project/configs/{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
    write_village(folder / "project/data/village")
    return folder


def write_village(root: Path) -> None:
    """Write 6 training and 2 test images of 32x48, in which the grey tells the class."""
    rng = np.random.default_rng(0)
    for name in [*(f"train_{number}" for number in range(6)), "test_0", "test_1"]:
        ids = rng.integers(0, 3, (4, 6), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        for folder, picture in (("images", (60 + 60 * ids)[..., None].repeat(3, 2)), ("masks", ids)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(root / folder / f"{name}.png"), picture)


def test_added_entries_are_used_from_folds_to_a_scored_submission(command_line: CommandLine, added: Path) -> None:
    project = added / "project"

    def run(*words: str) -> Finished:
        done = command_line.run(*words, program=added / "src/program.py", cwd=project)
        assert done.status == 0, done.said
        return done

    run("folds", "configs/data/village.yaml")
    run("train", "configs/experiments/huts.yaml", "0")
    assert "dataset_mean_recall" in run("ensemble", "configs/ensembles/final.yaml").said
    submission = project / "submissions/final/submission.runs"
    assert pd.read_csv(submission)["id"].tolist() == ["test_0", "test_1"]
    assert "dataset_mean_recall" in run("score", "configs/data/village.yaml", str(submission)).said
    run("verify", "submissions/final")
    run("predict-images", "runs/huts/fold_0", "data/village/images", "--out", "greys", "--as", "greys")
    grey = cv2.imread(str(project / "greys/test_0.png"), cv2.IMREAD_UNCHANGED)
    assert grey is not None and set(np.unique(grey)) <= {0, 100, 200}
    run("convert", str(submission), "pngs", "--data", "configs/data/village.yaml")
    assert sorted(path.name for path in (project / "pngs").glob("*.png")) == ["test_0.png", "test_1.png"]


def test_added_entries_are_held_to_the_contracts(added: Path) -> None:
    shutil.copytree(REPOSITORY / "tests", added / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", added)
    contracts = ("losses", "views", "picture_forms", "score_definitions", "submission_formats", "data_sets")
    files = [f"tests/contracts/test_{name}.py" for name in contracts]
    words = ["-p", "no:cacheprovider", "-k", "brier or patches or greys or dataset_mean_recall or run_csv or village"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *files],
        capture_output=True, text=True, check=False, cwd=added, env=os.environ | {"PYTHONPATH": str(added / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
