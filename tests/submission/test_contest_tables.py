"""Tables of a contest, scored from the command line: truth and prediction as run-length strings."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from command.line import CommandLine, Finished
from foldseg.data.rle_text import RleDialect, encode_text

SIZE = (30, 50)
USUAL = RleDialect()
NAMES = ("a", "b", "c", "d")


def draw(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    masks = {}
    for name in NAMES:
        mask = np.zeros(SIZE, bool)
        row, column = rng.integers(0, 15), rng.integers(0, 30)
        mask[row : row + 12, column : column + 15] = True
        masks[name] = mask
    return masks


TRUTH, PREDICTION = draw(0), draw(1)
for masks in (TRUTH, PREDICTION):
    masks["d"][:] = False


def table(masks: dict[str, np.ndarray], dialect: RleDialect = USUAL, empty: str = "") -> str:
    return "id,rle\n" + "".join(f"{name},{encode_text(mask, dialect) or empty}\n" for name, mask in masks.items())


def miou() -> float:
    """By the slow way."""
    ious = []
    for wanted in (False, True):
        shared = sum(((TRUTH[n] == wanted) & (PREDICTION[n] == wanted)).sum() for n in NAMES)
        either = sum(((TRUTH[n] == wanted) | (PREDICTION[n] == wanted)).sum() for n in NAMES)
        ious.append(shared / either)
    return float(np.mean(ious))


def value(done: Finished, name: str) -> float:
    assert done.status == 0, done.said
    return float(next(line.split()[1] for line in done.stdout.splitlines() if line.startswith(f"{name} ")))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set whose images are elsewhere."""
    path = tmp_path / "salt.yaml"
    dataset = {"kind": "table", "file": "train.csv", "classes": {"background": 0, "salt": 255}}
    path.write_text(yaml.safe_dump({"data": {"dataset": dataset, "root": "nowhere", "folds": "folds.csv"}}))
    return path


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        (RleDialect(), []),
        (RleDialect(rows_first=True, base=0), ["--format", "{kind: run_length, direction: rows, base: 0}"]),
    ],
)
def test_a_prediction_is_scored_against_a_truth(
    command_line: CommandLine, tmp_path: Path, data: Path, dialect: RleDialect, words: list[str]
) -> None:
    (tmp_path / "truth.csv").write_text(table(TRUTH, dialect))
    (tmp_path / "prediction.csv").write_text(table(PREDICTION, dialect, "-1"))
    files = tmp_path / "truth.csv", tmp_path / "prediction.csv"
    done = command_line.run("score", *files, "--data", data, "--size", "50x30", *words)
    assert value(done, "dataset_miou") == pytest.approx(miou(), abs=1e-7)


def test_a_truth_of_another_dialect_has_an_option_of_its_own(
    command_line: CommandLine, tmp_path: Path, data: Path
) -> None:
    (tmp_path / "truth.csv").write_text(table(TRUTH, RleDialect(rows_first=True)))
    (tmp_path / "prediction.csv").write_text(table(PREDICTION))
    files = tmp_path / "truth.csv", tmp_path / "prediction.csv"
    words = "--format", "run_length", "--truth-format", "{kind: run_length, direction: rows}"
    done = command_line.run("score", *files, "--data", data, "--size", "50x30", *words)
    assert value(done, "dataset_miou") == pytest.approx(miou(), abs=1e-7)


def test_rows_that_a_truth_leaves_out_are_empty(command_line: CommandLine, tmp_path: Path, data: Path) -> None:
    present = {name: mask for name, mask in TRUTH.items() if mask.any()}
    (tmp_path / "truth.csv").write_text(table(present))
    (tmp_path / "prediction.csv").write_text(table(PREDICTION))
    files = tmp_path / "truth.csv", tmp_path / "prediction.csv"
    done = command_line.run("score", *files, "--data", data, "--size", "50x30")
    assert value(done, "dataset_miou") == pytest.approx(miou(), abs=1e-7)
    assert "has no row of 1 image(s), so their true masks are empty: d" in done.said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "how large is the image a? Give --size WIDTHxHEIGHT, or the data set"),
        (["--size", "30x30"], "row 1 (a) has the number"),
        (["--format", "{kind: run_length, basis: 0}"], "basis (--format): unknown key"),
        (["--format", "{"], "--format: '{' is not a YAML value"),
        (["--format", "rle"], "there is no kind rle; valid are label_png"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    command_line: CommandLine, tmp_path: Path, data: Path, words: list[str], says: str
) -> None:
    (tmp_path / "truth.csv").write_text(table(TRUTH))
    (tmp_path / "prediction.csv").write_text(table(PREDICTION))
    done = command_line.run("score", tmp_path / "truth.csv", tmp_path / "prediction.csv", "--data", data, *words)
    assert done.status == 1 and "Traceback" not in done.said
    assert says in done.stderr


def test_a_missing_row_of_a_prediction_is_an_error(command_line: CommandLine, tmp_path: Path, data: Path) -> None:
    (tmp_path / "truth.csv").write_text(table(TRUTH))
    (tmp_path / "prediction.csv").write_text(table({name: PREDICTION[name] for name in NAMES[1:]}))
    files = tmp_path / "truth.csv", tmp_path / "prediction.csv"
    done = command_line.run("score", *files, "--data", data, "--size", "50x30")
    assert done.status == 1 and "1 image(s) are missing (a)" in done.stderr
    done = command_line.run("score", *files, "--data", data, "--size", "50x30", "--allow-missing")
    assert value(done, "dataset_miou") < miou()


def test_a_table_is_drawn_as_pictures(command_line: CommandLine, tmp_path: Path, data: Path) -> None:
    (tmp_path / "s.csv").write_text(table(TRUTH, RleDialect(rows_first=True)))
    words = "--data", data, "--size", "50x30", "--no-check", "--format", "{kind: run_length, direction: rows}"
    done = command_line.run("convert", tmp_path / "s.csv", tmp_path / "drawn", *words)
    assert done.status == 0, done.said
    for name, mask in TRUTH.items():
        picture = cv2.imread(str(tmp_path / f"drawn/{name}.png"))
        assert (picture.any(2) == mask).all()
