"""What every symmetry and every merge of views of test-time augmentation promises."""

import pytest
import torch

from foldseg.config.schema.tta import SYMMETRIES
from foldseg.inference.tta import MERGES, TURNS, Merger


@pytest.mark.parametrize("name", TURNS)
def test_a_symmetry_and_its_inverse_undo_each_other(name: str) -> None:
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    turn, back = TURNS[name]
    assert torch.equal(back(turn(maps)), maps)
    assert torch.equal(turn(back(maps)), maps)


@pytest.mark.parametrize("name", SYMMETRIES)
def test_a_set_of_symmetries_begins_with_the_image_itself_and_repeats_nothing(name: str) -> None:
    maps = torch.arange(6).view(2, 3)
    views = [TURNS[turn][0](maps).tolist() for turn in SYMMETRIES[name]]
    assert views[0] == maps.tolist()
    assert all(views.count(view) == 1 for view in views)


@pytest.mark.parametrize("name", MERGES)
def test_merged_probabilities_are_probabilities_whatever_the_order_of_views(name: str) -> None:
    views = torch.randn(4, 1, 5, 6, 7, generator=torch.Generator().manual_seed(0)).mul(3).softmax(2)

    def merged(order: list[int]) -> torch.Tensor:
        merger = Merger(name)
        for number in order:
            merger.add(views[number].clone(), str(number))
        return merger.result()

    found = merged([0, 1, 2, 3])
    assert found.shape == views[0].shape and bool((found >= 0).all())
    assert torch.allclose(found.sum(1), torch.ones(1, 6, 7), atol=1e-5)
    assert torch.allclose(merged([2, 0, 3, 1]), found, atol=1e-5)
