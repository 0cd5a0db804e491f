"""Scores of one's own: loaded from a file, tried on an example, and used like those of SCORES."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from foldseg.config.schema.names import AnyScoreName, MonitorName, is_own_score
from foldseg.errors import FoldsegError
from foldseg.scoring.candidates import choose_candidates
from foldseg.scoring.own_score import hash_own_score
from foldseg.scoring.scores import (
    SCORES,
    bootstrap,
    check_score,
    define_score,
    list_scores,
    list_scores_of_scored_classes,
    score,
)
from foldseg.scoring.trial import EXAMPLE_LABELS, count_example

HEAD = "import numpy as np\nfrom foldseg.scoring.intervals import Ratios\n"
DICE = """
def my_dice(counts, labels):
    shared, truth, predicted = counts[:, labels.scored].transpose(2, 0, 1)
    return Ratios(2 * shared, truth + predicted)
"""
SMOOTH = """
def smooth(counts, labels):
    shared, truth, predicted = counts.sum(1).T
    values = (2.0 * shared + 1) / (truth + predicted + 1)
    return Ratios(values[:, None], np.ones((len(values), 1)))
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "my_scores.py"
    path.write_text(HEAD + text)
    return path


@pytest.fixture
def dice(tmp_path: Path) -> str:
    return f"{write(tmp_path, DICE)}:my_dice"


def test_it_is_the_score_that_it_computes(dice: str) -> None:
    counts, groups = count_example(0.7), np.arange(6)
    for function, name in ((score, "value"), (lambda *more: bootstrap(*more, groups), "value")):
        own = getattr(function(dice, counts, EXAMPLE_LABELS), name)  # type: ignore[operator]
        assert own == getattr(function("dataset_mean_dice_scored", counts, EXAMPLE_LABELS), name)  # type: ignore[operator]
    low, high = bootstrap(dice, counts, EXAMPLE_LABELS, groups).interval()  # type: ignore[arg-type]
    assert 0 < low < high < 1


def test_what_it_depends_on_is_found_by_trying(dice: str, tmp_path: Path) -> None:
    definition = define_score(dice)  # type: ignore[arg-type]
    assert (definition.classes, definition.has_term_per_class, definition.counts_excess) == ("scored", True, True)
    path = tmp_path / "more.py"
    path.write_text(HEAD + SMOOTH + "def recall(c, _):\n    return Ratios(c[..., 0], c[..., 1])\n")
    smooth, recall = (define_score(f"{path}:{name}") for name in ("smooth", "recall"))  # type: ignore[arg-type]
    assert (smooth.classes, smooth.has_term_per_class, smooth.counts_excess) == ("all", False, True)
    assert (recall.classes, recall.has_term_per_class, recall.counts_excess) == ("all", True, False)
    assert list_scores(dice, "pixel_accuracy") == [*SCORES, dice]
    assert dice in list_scores_of_scored_classes(dice, f"{path}:smooth")
    assert f"{path}:smooth" not in list_scores_of_scored_classes(f"{path}:smooth")


def test_candidates_are_chosen_by_it(dice: str) -> None:
    curves = np.stack([count_example(right, 3)[:, 1:] for right in (0.2, 0.95, 0.5)], 2)
    assert choose_candidates(dice, curves, EXAMPLE_LABELS).tolist() == [1, 1, 1]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def other(counts, labels): pass", "has no function my_score; it has other"),
        ("x = 1", "has no function my_score; it has none"),
        ("my_score = 3", "has no function my_score"),
        ("def my_score(counts, labels): retrun 1", "cannot be imported: SyntaxError"),
        ("import nothing_like_this", "cannot be imported: ModuleNotFoundError"),
        ("def my_score(counts): return 1", "raises on an example: TypeError"),
        ("def my_score(counts, labels): return counts[:, 7]", "raises on an example: IndexError"),
        ("def my_score(counts, labels): return 0.5", "returns a float; expected foldseg.scoring.intervals.Ratios"),
        ("def my_score(c, _): return Ratios(c[:, 0, 0], c[:, 0, 1])", r"numerators \(6,\); expected \(images, terms\)"),
        ("def my_score(c, _): return Ratios(c[..., 0], c[:, :1, 1])", r"numerators \(6, 4\) and denominators \(6, 1\)"),
        ("def my_score(c, _): return Ratios(c.sum(0), c.sum(0))", r"numerators \(4, 3\); expected"),
        ("def my_score(c, _): return Ratios(c[..., 1] * 2, c[..., 0])", r"has the value \d+\.\d+ on an example"),
        ("def my_score(c, _): return Ratios(-c[..., 0], c[..., 1])", "negative or not finite"),
        ("def my_score(c, _): return Ratios(c[..., 0] / 0, c[..., 1])", "negative or not finite"),
        ("def my_score(c, _): return Ratios(c[..., 0] * 0, c[..., 1] * 0)", "has the value nan on an example"),
        ("def my_score(c, _): return Ratios(c[..., 1] - c[..., 0], c[..., 1])", "higher should be better"),
        (
            "def my_score(c, _): return Ratios(c[..., 0] / c[..., 0].max(), np.ones(c.shape[:2]))",
            "gives an image other numerators if there are other images",
        ),
        ("def my_score(c, _):\n    c[0] = 0\n    return Ratios(c[..., 0], c[..., 1])", "changes the counts"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_function_that_is_no_score_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text + "\n")
    with pytest.raises(FoldsegError, match=says) as refused:
        check_score(f"{path}:my_score", EXAMPLE_LABELS, "monitor")  # type: ignore[arg-type]
    assert str(refused.value).startswith(f"monitor: {path}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"score: .*none\.py: no such file"):
        check_score(f"{tmp_path}/none.py:f", EXAMPLE_LABELS, "score")  # type: ignore[arg-type]


def test_its_file_has_a_hash(dice: str) -> None:
    before = hash_own_score(dice)
    path = Path(dice.rpartition(":")[0])
    path.write_text(path.read_text() + "# other\n")
    assert len(before) == 64 and hash_own_score(dice) != before
    assert hash_own_score("dataset_miou") == ""


@pytest.mark.parametrize("kind", [AnyScoreName, MonitorName])
def test_settings_take_names_and_own_scores(kind: object) -> None:
    adapter = TypeAdapter(kind)
    for name in ("image_mean_dice", "my_scores.py:f", "~/folder/my_scores.py:f_2"):
        assert adapter.validate_python(name) == name
    for name in ("mean_dice", "my_scores.py", "my_scores.py:", "my_scores.py:2f", "my_scores:f", ":f", 3):
        assert not is_own_score(name)
        with pytest.raises(ValidationError, match="image_mean_dice"):
            adapter.validate_python(name)
