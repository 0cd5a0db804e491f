"""What every norm, precision and monitored loss promises, beyond what their rooms test."""

import pytest
import torch
from torch import Tensor, nn

from foldseg.config.schema.definitions import LOSSES, NORM_DEFINITIONS, PRECISIONS, is_lower_better
from foldseg.errors import FoldsegError
from foldseg.models.device import check_device, choose_autocast
from foldseg.models.network import list_batch_norms
from foldseg.models.norms import exchange_norms
from foldseg.scoring.scores import SCORES
from foldseg.training.validation import IMAGE_LOSSES, make_comparable

MASK = torch.tensor([[0, 1, 2, 255], [2, 1, 0, 255]])
every_norm = pytest.mark.parametrize("norm", NORM_DEFINITIONS)
every_precision = pytest.mark.parametrize("name", PRECISIONS)
every_loss = pytest.mark.parametrize("name", LOSSES)


def maps(right: float) -> Tensor:
    """Return probabilities (3, 2, 4) that give the true class `right`, and 0.5 to each class at void pixels."""
    wrong = (1 - right) / 2
    return torch.stack([torch.where(index == MASK, right, wrong) for index in range(3)])


@every_norm
def test_a_norm_states_whether_it_has_running_statistics(norm: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))
    exchange_norms(network, norm)
    assert bool(list_batch_norms(network)) == NORM_DEFINITIONS[norm].is_batch_norm


@every_norm
def test_a_norm_states_the_parameters_that_a_batch_norm_lacks(norm: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))
    before = {name for name, _ in network.named_parameters()}
    exchange_norms(network, norm)
    new = {name for name, _ in network.named_parameters()} - before
    assert all(name.endswith(NORM_DEFINITIONS[norm].new_parameters) for name in new)
    assert bool(new) == bool(NORM_DEFINITIONS[norm].new_parameters)


@every_precision
def test_a_precision_that_needs_a_gpu_is_refused_without_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if PRECISIONS[name].needs_gpu:
        with pytest.raises(FoldsegError, match=f"precision: {name} needs a GPU"):
            check_device("auto", name)
    else:
        check_device("auto", name)


@every_precision
def test_a_precision_is_a_dtype_on_a_gpu_alone(name: str) -> None:
    assert choose_autocast(torch.device("cpu"), name) is None
    dtype = choose_autocast(torch.device("cuda"), name)
    assert (dtype is None) == (PRECISIONS[name].half_dtype is None)
    assert dtype in (None, torch.bfloat16, torch.float16)
    assert PRECISIONS[name].scales_gradients == (dtype == torch.float16)


@every_loss
def test_a_loss_is_lower_for_a_better_prediction(name: str) -> None:
    values = [float(IMAGE_LOSSES[name](maps(right), MASK)) for right in (0.9, 0.5, 0.1)]
    assert values == sorted(values)
    ranks = [make_comparable(name, value) for value in [*values, float("nan")]]
    assert ranks == sorted(ranks, reverse=True)
    assert is_lower_better(name)


@every_loss
def test_a_loss_is_not_defined_where_all_is_void(name: str) -> None:
    assert IMAGE_LOSSES[name](maps(0.9), torch.full_like(MASK, 255)).isnan()


@every_loss
def test_a_loss_names_a_score_that_predictions_are_scored_with(name: str) -> None:
    assert LOSSES[name].score in SCORES
    assert not set(LOSSES) & set(SCORES)
