"""Whoever adds a data set as ARCHITECTURE.md says finds the suite as it was: what it cannot know is skipped."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
FAMILY = """
from foldseg.data.camvid import LABELS as LABELS
from foldseg.data.camvid import scan as scan
"""

ENTRY = """
from foldseg.config.schema.datasets import Village
from foldseg.data import village

DATASETS[Village] = DatasetDefinition.of_layout(village.scan, village.LABELS)
"""

KIND = '''

class Village(DatasetKind):
    """Two folders of pictures."""

    kind: Literal["village"] = "village"
'''


def replace_once(path: Path, old: str, new: str) -> None:
    content = path.read_text()
    assert content.count(old) == 1, (path, old)
    path.write_text(content.replace(old, new))


def test_an_experiment_of_a_new_data_set_is_skipped_with_a_word(tmp_path: Path) -> None:
    for part in ("src", "tests", "configs", "folds"):
        shutil.copytree(REPOSITORY / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    data = tmp_path / "src/foldseg/data"
    (data / "village.py").write_text(FAMILY)
    replace_once(data / "datasets.py", "\ncheck_entries(DATASETS", ENTRY + "\ncheck_entries(DATASETS")
    with (tmp_path / "src/foldseg/config/schema/datasets.py").open("a") as kinds:
        kinds.write(KIND)
    configs = tmp_path / "configs"
    (configs / "data/village.yaml").write_text(
        "data: {dataset: village, root: data/village, folds: folds/village.csv}\n"
    )
    (configs / "experiments/village.yaml").write_text("base: [camvid_full.yaml, ../data/village.yaml]\n")
    (configs / "ensembles/village.yaml").write_text("members: [{experiment: village}]\n")
    words = ["-rs", "-k", "every_committed and village", "tests/training/test_fit.py", "tests/config/test_load.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert "there is no tiny folder of village; add one to TINY in tests/tiny_data.py" in done.stdout
