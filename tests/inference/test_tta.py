"""Test-time augmentation and its way back."""

import pytest
import torch
from torch import Tensor

from foldseg.inference.tta import TTA, tta_mean


def identity(images: Tensor) -> Tensor:
    """A network that sees one pixel: probabilities of three classes are the picture's colours."""
    return (images.float() / 20).softmax(1)


def pictures(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * 100 + width)
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("names", [[name] for name in TTA] + [list(TTA)])
@pytest.mark.parametrize("size", [(1, 1), (4, 7), (5, 6), (33, 31)])
def test_an_identity_network_is_not_changed(names: list[str], size: tuple[int, int]) -> None:
    """Defect 11: a mean that is a sum, and a flip whose inverse is another one."""
    images = pictures(*size)
    assert torch.allclose(tta_mean(identity, images, names), identity(images), atol=1e-6)


@pytest.mark.parametrize("name", TTA)
def test_the_inverse_undoes_the_transform(name: str) -> None:
    transform, inverse = TTA[name]
    images = pictures(4, 7)
    assert torch.equal(inverse(transform(images)), images)
    assert not torch.equal(transform(images), images)


def test_flip_mirrors_left_and_right() -> None:
    """Defect 11: a "vflip" that flips the width."""
    image = torch.tensor([[[[1, 2, 3], [4, 5, 6]]]])
    assert TTA["flip"][0](image).tolist() == [[[[3, 2, 1], [6, 5, 4]]]]


def test_views_are_averaged_after_the_way_back() -> None:
    """A network that answers by column, 0 0.5 1, answers 1 0.5 0 for the mirrored view: the mean is 0.5 all over."""
    ramp = torch.tensor([0.0, 0.5, 1.0]).expand(1, 1, 2, 3)
    mean = tta_mean(lambda _: ramp, torch.zeros(1, 3, 2, 3), ["flip"])
    assert mean.tolist() == [[[[0.5] * 3] * 2]]


def test_without_names_the_network_is_called_once() -> None:
    calls = []

    def network(images: Tensor) -> Tensor:
        calls.append(images)
        return identity(images)

    tta_mean(network, pictures(4, 4), [])
    assert len(calls) == 1


def test_an_unknown_view_raises() -> None:
    with pytest.raises(KeyError):
        tta_mean(identity, pictures(4, 4), ["vflip"])
