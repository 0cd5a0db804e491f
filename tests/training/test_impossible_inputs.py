"""Networks that cannot take what a view gives them: one clear error before training, with the way out."""

from pathlib import Path

import pytest
from tiny_training import FULL, assert_refused, tiny_overrides, trained

from command.line import CommandLine

SWIN = "tu-swin_tiny_patch4_window7_224"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    overrides = tiny_overrides(tmp_path_factory.mktemp("toy"))
    return [text for text in overrides if not text.startswith("model.")]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            ["model={architecture: deeplabv3plus, encoder: resnet18}", "batch_size=1"],
            ("deeplabv3plus with resnet18 cannot take 1 image of 64x48", "batch_size=2 or more", "model.norm=group"),
        ),
        (
            ["model={architecture: pan, encoder: resnet18}"],
            ("pan with resnet18 cannot take 2 images of 64x48", "It takes 128x128 and more"),
        ),
        (
            [f"model={{architecture: unet, encoder: {SWIN}}}"],
            (
                f"unet with {SWIN} cannot take 2 images of 64x48",
                "made for 224x224",
                "crop, size: [224, 224]",
                "img_size",
            ),
        ),
        (
            ["model={architecture: dpt, encoder: tu-vit_tiny_patch16_224}"],
            ("dpt with tu-vit_tiny_patch16_224 cannot take", "made for 224x224"),
        ),
    ],
)
def test_a_network_that_cannot_take_the_images_is_refused_before_training(
    command_line: CommandLine, toy: list[str], tmp_path: Path, settings: list[str], says: tuple[str, ...]
):
    words = [*toy, "model.encoder_weights=null", "model.options={}", f"runs={tmp_path}", *settings]
    done = trained(command_line, words, FULL)
    assert_refused(done, "view.train: model: ", *says)
    assert not (tmp_path / "toy_full/fold_0/config.yaml").exists()


def test_the_cures_work(command_line: CommandLine, toy: list[str], tmp_path: Path):
    words = [*toy, "model={architecture: deeplabv3plus, encoder: resnet18, encoder_weights: null, norm: group}"]
    done = trained(command_line, [*words, "model.options={}", f"runs={tmp_path}", "batch_size=1", "schedule.epochs=1"])
    assert done.status == 0, done.said
