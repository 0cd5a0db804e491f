"""Test-time augmentation: turns and their inverses, and how views are merged."""

import numpy as np
import pytest
import torch
from torch import Tensor

from foldseg.config.schema.tta import SYMMETRIES
from foldseg.errors import FoldsegError
from foldseg.inference.tta import MERGES, TURNS, Merger, check_probabilities

LETTER = torch.tensor([[1, 2, 3], [4, 5, 6]])
TURNED = {
    "plain": [[1, 2, 3], [4, 5, 6]],
    "flip": [[3, 2, 1], [6, 5, 4]],  # defect 11: a "vflip" that flips the width
    "vflip": [[4, 5, 6], [1, 2, 3]],
    "rot180": [[6, 5, 4], [3, 2, 1]],
    "rot90": [[3, 6], [2, 5], [1, 4]],
    "rot270": [[4, 1], [5, 2], [6, 3]],
    "transpose": [[1, 4], [2, 5], [3, 6]],
    "transverse": [[6, 3], [5, 2], [4, 1]],
}


@pytest.mark.parametrize("name", TURNS)
def test_turns(name: str) -> None:
    turn, back = TURNS[name]
    assert turn(LETTER).tolist() == TURNED[name]
    assert torch.equal(back(turn(LETTER)), LETTER)
    assert torch.equal(turn(back(LETTER)), LETTER)


def test_every_set_of_symmetries_is_of_known_turns_and_closed() -> None:
    """One after the other, two symmetries of a set make one of the set."""
    for names in SYMMETRIES.values():
        results = [TURNS[name][0](LETTER).tolist() for name in names]
        assert len(results) == len(names)
        for first in names:
            for second in names:
                assert TURNS[second][0](TURNS[first][0](LETTER)).tolist() in results
    assert list(TURNS) == list(dict.fromkeys(SYMMETRIES["d4"]))


def merged(name: str, *views: list[float]) -> list[float]:
    """Merge views of one pixel."""
    merger = Merger(name)
    for number, view in enumerate(views):
        merger.add(torch.tensor(view).view(1, -1, 1, 1), str(number))
    return merger.result().flatten().tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean", [0.5, 0.35, 0.15]),
        ("geometric_mean", [0.648886, 0.324443, 0.026671]),  # roots of .16, .04 and .00027..; over their sum
        ("max", [0.5, 1 / 3, 1 / 6]),  # .9 .6 .3, over 1.8
        ("vote", [0.5, 0.5, 0.0]),
        ("tsharpen", [0.486, 0.3519, 0.1621]),
    ],
)
def test_merges_by_hand(name: str, expected: list[float]) -> None:
    """Two views of one pixel: .9 .1 .0 and .1 .6 .3."""
    a, b = np.array([0.9, 0.1, 0.0]), np.array([0.1, 0.6, 0.3])
    if name == "geometric_mean":
        roots = np.sqrt(np.maximum(a, 1e-7) * np.maximum(b, 1e-7))
        expected = (roots / roots.sum()).tolist()
    if name == "tsharpen":
        roots = (np.sqrt(a) + np.sqrt(b)) / 2
        expected = (roots / roots.sum()).tolist()
    assert merged(name, a.tolist(), b.tolist()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", MERGES)
def test_views_that_agree_are_not_changed(name: str) -> None:
    """But for the vote, which keeps the class alone, and tsharpen, which takes roots."""
    view = torch.tensor([0.6, 0.3, 0.1])
    expected = {"vote": torch.tensor([1.0, 0, 0]), "tsharpen": view.sqrt() / view.sqrt().sum()}.get(name, view)
    assert merged(name, *[view.tolist()] * 3) == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    "maps",
    [
        torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(0)),  # logits
        torch.full((1, 3, 5, 5), 0.5),
        torch.full((1, 3, 5, 5), torch.nan),
        torch.tensor([1.5, -0.5, 0]).view(1, 3, 1, 1).expand(1, 3, 40, 40),
    ],
    ids=["logits", "sigmoids", "nan", "beyond"],
)
def test_what_is_no_probability_is_refused(maps: Tensor) -> None:
    with pytest.raises(FoldsegError, match=r"view rot90: only probabilities can be merged; found values from "):
        check_probabilities(maps, "rot90")


def test_probabilities_in_half_precision_are_not_refused() -> None:
    maps = torch.randn(2, 20, 33, 47, generator=torch.Generator().manual_seed(0)).mul(5).softmax(1)
    check_probabilities(maps.half().float(), "plain")
