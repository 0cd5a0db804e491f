"""What can be exported, for which sizes, and that a file which predicts something else is never left behind."""

import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tiny import COLOURS, blocks, make_run, write_checkpoint
from torch import Tensor

from foldseg.config.schema import Model, ResizedView, TilesView
from foldseg.deploy.check_export import check_export, choose_images
from foldseg.deploy.export import export_onnx, onnx_bytes
from foldseg.deploy.sources import open_source
from foldseg.errors import FoldsegError
from foldseg.models.factory import build_network
from foldseg.models.network import SegmentationNetwork
from foldseg.runs.exported_file import INPUT, OUTPUT
from foldseg.runs.run_folder import RunFolder
from foldseg.submission.label_png import write_png

SMALL = {"encoder": "tu-resnet10t", "encoder_weights": None}


def build(architecture: str, **settings: object) -> SegmentationNetwork:
    torch.manual_seed(0)
    return build_network(Model(**({"architecture": architecture} | SMALL | settings)), 4).eval()


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def largest_difference(network: SegmentationNetwork, content: bytes, images: Tensor) -> float:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run([OUTPUT], {INPUT: images.numpy()})[0]
    with torch.inference_mode():
        expected = network(images).softmax(1).numpy()
    assert found.dtype == np.float32 and found.shape == expected.shape
    return float(np.abs(found - expected).max())


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    write_png(tmp_path / "a.png", COLOURS[blocks(40, 60)])
    return tmp_path / "a.png"


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("unet", {"deep_supervision": True, "presence_head": True, "dropout": 0.5}),
        ("fpn", {"norm": "group"}),
        ("deeplabv3plus", {"gradient_checkpointing": True}),
        ("segformer", {"encoder": "mit_b0"}),
        ("fcn8s", {}),
        ("acfnet", {"options": {"decoder_channels": 32}}),
        ("attention_unet", {"options": {"decoder_channels": [64, 48, 32, 16, 8]}}),
    ],
)
def test_a_network_is_exported_for_any_size_and_number_of_pictures(
    architecture: str, settings: dict[str, object]
) -> None:
    network = build(architecture, **settings)
    content = onnx_bytes(network, None, architecture)
    stride = network.stride
    assert largest_difference(network, content, noise(3, 3, 2 * stride, 5 * stride)) < 1e-4


def test_what_pools_to_cells_is_exported_for_one_size() -> None:
    network = build("pspnet")
    with pytest.raises(FoldsegError, match=r"any size: .* give it one size with --size, .* multiples of 48"):
        onnx_bytes(network, None, "pspnet")
    with pytest.raises(FoldsegError, match=r"pspnet cannot be exported for pictures of 80x64: .*multiples of 48"):
        onnx_bytes(network, (64, 80), "pspnet")
    assert largest_difference(network, onnx_bytes(network, (48, 96), "pspnet"), noise(3, 3, 48, 96)) < 1e-4


class Forgetful(torch.nn.Module):
    """A network that computes with the size of its input as a number: tracing makes a constant of it."""

    stride, channels = 8, 3

    def forward(self, images: Tensor) -> Tensor:
        return images.float() / float(images.shape[-1])


def test_a_trace_that_forgets_the_size_is_noticed() -> None:
    with pytest.raises(
        FoldsegError, match=r"forgetful cannot be exported for .* any size: its probabilities change by"
    ):
        onnx_bytes(Forgetful(), None, "forgetful")  # type: ignore[arg-type]


def test_a_file_of_one_size_predicts_any_picture_in_tiles(finished: RunFolder, exported: Path, tmp_path: Path) -> None:
    export_onnx(finished, tmp_path / "fixed.onnx", size=(64, 96))
    fixed, free = open_source(tmp_path / "fixed.onnx"), open_source(exported)
    whole = COLOURS[blocks(64, 96)]
    assert (fixed.predict_label_map(whole) == free.predict_label_map(whole)).mean() > 0.999
    assert fixed.predict_label_map(COLOURS[blocks(50, 131)]).shape == (50, 131)
    with pytest.raises(FoldsegError, match=r"cannot predict in .*: it takes tiles of \[64, 96\] only"):
        export_onnx(finished, tmp_path / "x.onnx", TilesView(kind="tiles", size=(64, 64)), size=(64, 96))


def test_the_view_and_the_checkpoint_are_those_asked_for(tmp_path: Path) -> None:
    run = make_run(tmp_path / "x")
    write_checkpoint(run, seed=4, name="last")
    view = ResizedView(kind="resized", factor=0.5)
    export_onnx(run, tmp_path / "last.onnx", view, "last")
    source = open_source(tmp_path / "last.onnx")
    assert source.provenance["view"] == view.model_dump(mode="json")
    assert source.provenance["weights"] == [run.hash_of("last")]


def test_a_file_that_predicts_something_else_is_removed(exported: Path, picture: Path, tmp_path: Path) -> None:
    run, path = make_run(tmp_path / "other", fold=1), Path(shutil.copy(exported, tmp_path))
    with pytest.raises(FoldsegError, match=r"x\.onnx: does not predict what .*fold_1 predicts and was removed: 1 pict"):
        check_export(run, path, [picture])
    assert not path.exists()


def test_nothing_is_written_when_the_name_or_the_packages_are_wrong(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FoldsegError, match=r"x\.pt: should end in \.onnx"):
        export_onnx(finished, tmp_path / "x.pt")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(FoldsegError, match=r"x\.onnx: onnx is needed .* pip install -e '\.\[onnx\]'"):
        export_onnx(finished, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_any_pictures_may_be_compared(finished: RunFolder, exported: Path, picture: Path) -> None:
    found = check_export(finished, exported, [picture, picture])
    assert found.pictures == 2
    assert 0 <= found.probability < 1e-4 and found.other_class < 1e-3


def test_frames_to_compare_are_spread_over_the_data_set(camvid_root: Path, tmp_path: Path) -> None:
    frames = choose_images(make_run(tmp_path / "x", root=camvid_root))
    assert len(set(frames)) == 8 and all(frame.is_file() for frame in frames)
    assert {frame.parent.name for frame in frames} == {"train", "val", "test"}
