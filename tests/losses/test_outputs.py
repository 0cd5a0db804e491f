"""What else a network gives to training: auxiliary logits and presence."""

import pytest
import torch
from torch.nn import functional

from foldseg.config.schema import Loss
from foldseg.errors import FoldsegError
from foldseg.losses import outputs_loss, segmentation_loss
from foldseg.models.network_outputs import NetworkOutputs

MASKS = torch.tensor([[[0, 0, 2, 2]] * 4, [[255] * 4] * 4, [[1, 255, 1, 1]] * 4], dtype=torch.uint8)
CONFIG = Loss(cross_entropy=1.0, dice=0.5)


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def test_plain_outputs_cost_what_their_logits_cost() -> None:
    out = logits(3, 3, 4, 4)
    total, parts = outputs_loss(NetworkOutputs(out), MASKS, CONFIG)
    expected, terms = segmentation_loss(out, MASKS, CONFIG)
    assert total == expected
    assert parts == terms


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_auxiliary_logits_are_resized_and_weighted(dtype: torch.dtype) -> None:
    out, coarse, same = logits(3, 3, 4, 4), logits(3, 3, 2, 2, seed=1), logits(3, 3, 4, 4, seed=2)
    config = CONFIG.model_copy(update={"auxiliary_weight": 0.3})
    total, parts = outputs_loss(NetworkOutputs(out, (coarse.to(dtype), same.to(dtype))), MASKS, config)
    resized = functional.interpolate(coarse.to(dtype).float(), (4, 4), mode="bilinear", align_corners=False)
    extra = [segmentation_loss(x, MASKS, CONFIG)[0].item() for x in (resized, same.to(dtype))]
    assert float(parts["auxiliary"]) == pytest.approx(sum(extra))
    assert total.item() == pytest.approx(segmentation_loss(out, MASKS, CONFIG)[0].item() + 0.3 * sum(extra))
    total.backward()
    assert all(x.grad is not None and (x.grad != 0).any() for x in (out, coarse, same))


def test_auxiliary_logits_can_be_left_out() -> None:
    config = CONFIG.model_copy(update={"auxiliary_weight": 0.0})
    total, parts = outputs_loss(NetworkOutputs(logits(3, 3, 4, 4), (logits(3, 3, 2, 2, seed=1),)), MASKS, config)
    assert total == segmentation_loss(logits(3, 3, 4, 4), MASKS, CONFIG)[0]
    assert "auxiliary" not in parts


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_presence_is_the_binary_cross_entropy_of_which_classes_occur(dtype: torch.dtype) -> None:
    """The second image is all void: nobody knows what occurs in it."""
    presence = logits(3, 3, seed=3)
    config = CONFIG.model_copy(update={"presence": 0.7})
    total, parts = outputs_loss(NetworkOutputs(logits(3, 3, 4, 4), presence=presence.to(dtype)), MASKS, config)
    occurs = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    expected = functional.binary_cross_entropy_with_logits(presence.to(dtype).float()[[0, 2]], occurs)
    assert float(parts["presence"]) == pytest.approx(expected.item())
    main = segmentation_loss(logits(3, 3, 4, 4), MASKS, CONFIG)[0]
    assert float(total) == pytest.approx(float(main) + 0.7 * float(expected))
    total.backward()
    assert presence.grad is not None
    assert (presence.grad[[0, 2]] != 0).all()
    assert (presence.grad[1] == 0).all()


def test_a_batch_that_is_all_void_costs_nothing() -> None:
    config = CONFIG.model_copy(update={"presence": 1.0})
    presence = logits(3, 3)
    outputs = NetworkOutputs(logits(3, 3, 4, 4), (logits(3, 3, 2, 2),), presence)
    total, _ = outputs_loss(outputs, torch.full_like(MASKS, 255), config)
    total.backward()
    assert total == 0
    assert presence.grad is not None
    assert (presence.grad == 0).all()


def test_presence_without_a_head_is_refused() -> None:
    with pytest.raises(FoldsegError, match=r"loss\.presence: .* the network has no head"):
        outputs_loss(NetworkOutputs(logits(3, 3, 4, 4)), MASKS, CONFIG.model_copy(update={"presence": 1.0}))
