"""Files of weights as other people and libraries save them, given to a training."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from tiny_training import assert_refused, tiny_overrides, trained
from torch import Tensor

from command.line import CommandLine
from foldseg.config.schema import Model
from foldseg.models.factory import build_network

ENCODERS = ["resnet10t", "convnext_atto"]
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [*tiny_overrides(tmp_path_factory.mktemp("toy")), "schedule.epochs=1"]


def shuffled(state: State) -> State:
    return dict(sorted(state.items(), key=lambda item: hash(item[0]) % 97))


FORMS: dict[str, Callable[[State, Path], None]] = {
    "model.safetensors": save_file,
    "plain.pth": torch.save,
    "sorted.pth": lambda state, path: torch.save(dict(sorted(state.items())), path),
    "prefix.pth": lambda state, path: torch.save({f"module.model.{k}": v for k, v in shuffled(state).items()}, path),
    "numpy.pth": lambda state, path: torch.save(
        {"state_dict": state, "best": np.float64(0.5), "epoch": np.int64(3), "scores": np.array([0.1, 0.2])}, path
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ENCODERS)
def test_weights_of_timm_fit_by_name(tmp_path: Path, name: str, form: str, caplog: pytest.LogCaptureFixture):
    state = {key: torch.randn_like(value.float()) for key, value in timm.create_model(name).state_dict().items()}
    FORMS[form](state, tmp_path / form)
    with caplog.at_level("WARNING"):
        network = build_network(
            Model(encoder=f"tu-{name}", encoder_weights=str(tmp_path / form), options=OPTIONS[name]), 3
        )
    assert not caplog.messages
    ours = {key.removeprefix("model.").replace(".", "_"): value for key, value in network.encoder.state_dict().items()}
    theirs = {key.replace(".", "_"): value for key, value in state.items()}
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items() if "num_batches" not in key)


OPTIONS = {"resnet10t": {}, "convnext_atto": {"encoder_depth": 4, "decoder_channels": [16, 8, 8, 8]}}


def test_a_training_starts_from_timms_own_file(command_line: CommandLine, toy: list[str], tmp_path: Path):
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "model.safetensors")
    words = [*toy, f"runs={tmp_path}", f"model.encoder_weights={tmp_path / 'model.safetensors'}"]
    done = trained(command_line, words)
    assert done.status == 0 and "tensors from" in done.stderr and "by order" not in done.stderr, done.said


def test_objects_that_could_run_code_are_told_with_their_name(
    command_line: CommandLine, toy: list[str], tmp_path: Path
):
    state = timm.create_model("resnet10t").state_dict()
    torch.save({"state_dict": state, "args": argparse.Namespace(lr=0.1)}, tmp_path / "theirs.pth")
    done = trained(command_line, [*toy, f"runs={tmp_path}", f"model.encoder_weights={tmp_path / 'theirs.pth'}"])
    assert_refused(done, "theirs.pth: holds an object of argparse.Namespace", "save its weights alone")
    assert "damaged" not in done.stderr
