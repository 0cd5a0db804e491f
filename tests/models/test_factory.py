"""Networks by name, and what is said of names, options and files that are wrong."""

from pathlib import Path

import pytest
import torch

from foldseg.config.schema import FullView, Model, TilesView
from foldseg.errors import FoldsegError
from foldseg.models.encoders import HALF, IMAGENET
from foldseg.models.factory import build_network, check_model, check_view
from foldseg.models.network import SegmentationNetwork

TINY = {"encoder": "mobilenet_v2", "encoder_weights": None}


def build(classes: int = 3, pretrained: bool = True, **settings: object) -> SegmentationNetwork:
    return build_network(Model(**(TINY | settings)), classes, pretrained=pretrained)  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ["unet", "fpn", "deeplabv3plus", "linknet", "pspnet", "segformer"])
def test_logits_have_the_size_of_the_picture(architecture: str) -> None:
    network = build(5, architecture=architecture).eval()
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        logits = network(images)
    assert logits.shape == (2, 5, 64, 96)
    assert logits.dtype == torch.float32


def test_pictures_are_normalised_within_the_network() -> None:
    """Pixel 255 is (1 - mean) / std, pixel 0 is -mean / std, of ImageNet."""
    network, seen = build(), []
    network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    images[..., 1] = 255
    network(images)
    found = seen[0][..., :2]
    for channel, (mean, std) in enumerate(zip(*IMAGENET, strict=True)):
        assert found[0, channel, 0].tolist() == pytest.approx([-mean / std, (1 - mean) / std], abs=1e-5)


@pytest.mark.parametrize(
    ("encoder", "statistics"),
    [("mobilenet_v2", IMAGENET), ("timm-tf_efficientnet_lite0", HALF), ("tu-mobilenetv3_small_100", IMAGENET)],
)
def test_the_statistics_are_those_of_the_encoders_weights(encoder: str, statistics: object) -> None:
    network = build(encoder=encoder)
    mean, std = statistics  # type: ignore[misc]
    assert network.mean.flatten().tolist() == pytest.approx([255 * v for v in mean])
    assert (1 / network.scale).flatten().tolist() == pytest.approx([255 * v for v in std])


def test_encoder_and_decoder_share_out_all_parameters() -> None:
    network = build()
    encoder, decoder = network.encoder_parameters(), network.decoder_parameters()
    ids = [id(p) for p in [*encoder, *decoder]]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {id(p) for p in network.parameters()}
    assert encoder
    assert decoder


@pytest.mark.parametrize(("depth", "stride"), [(5, 32), (3, 8)])
def test_the_stride_is_the_encoders(depth: int, stride: int) -> None:
    options = {"encoder_depth": depth, "decoder_channels": [32, 16, 8, 8, 8][-depth:]}
    assert build(options=options).stride == stride


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"architecture": "unett"}, "model.architecture: unknown name 'unett'; valid are .*unet, .*fpn"),
        ({"encoder": "resnet35"}, "model.encoder: unknown name 'resnet35'; valid are .*resnet34"),
        ({"encoder": "tu-resnet35"}, "model.encoder: unknown name 'tu-resnet35'; valid are .*tu-resnet34"),
        ({"encoder_weights": "weights/none.pth"}, r"none\.pth: no such file; valid are imagenet, null or a file"),
        ({"options": {"nonsense": 1}}, "model.options.nonsense: unet with mobilenet_v2 has no such option"),
        ({"options": {"decoder_channels": [8, 8]}}, "model: unet with mobilenet_v2 cannot be built"),
        ({"options": {"decoder_attention_type": "what"}}, "model: unet with mobilenet_v2 cannot be built"),
        ({"options": {"activation": "what"}}, "model.options.activation: what would be applied before the softmax"),
        ({"options": {"encoder_depth": 9}}, "model: unet with mobilenet_v2 cannot be built"),
        ({"options": {"classes": 4}}, "model.options.classes: unet with mobilenet_v2 has no such option"),
        ({"architecture": "dpt"}, "model: dpt with mobilenet_v2 cannot be built"),
    ],
)
def test_what_cannot_be_built_is_explained(settings: dict[str, object], says: str) -> None:
    with pytest.raises(FoldsegError, match=f"(?s){says}"):
        build(**settings)


def test_checking_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foldseg.models.factory.ARCHITECTURES", {"unet": None})
    check_model(Model(**TINY))  # type: ignore[arg-type]


def test_a_local_file_is_loaded_into_the_encoder(tmp_path: Path) -> None:
    source = build()
    torch.save(source.net.encoder.state_dict(), tmp_path / "e.pth")  # type: ignore[union-attr]
    network = build(encoder_weights=str(tmp_path / "e.pth"))
    for ours, theirs in zip(network.encoder_parameters(), source.encoder_parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_without_pretrained_nothing_is_read(tmp_path: Path) -> None:
    """The file is no file of weights: reading it would raise."""
    (tmp_path / "e.pth").write_text("not weights")
    build(pretrained=False, encoder_weights=str(tmp_path / "e.pth"))


def test_without_pretrained_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was downloaded")

    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    build(pretrained=False, encoder_weights="imagenet")
    build(pretrained=False, encoder_weights="imagenet", encoder="tu-mobilenetv3_small_100")


def test_a_finished_run_does_not_need_its_encoders_weights_any_more(tmp_path: Path) -> None:
    """The checkpoint holds them; another machine, or a Kaggle notebook, has no such file."""
    build(pretrained=False, encoder_weights=str(tmp_path / "gone.pth"))


@pytest.mark.parametrize(("size", "fits"), [((64, 96), True), ((64, 80), False), ((40, 64), False)])
def test_tiles_must_be_multiples_of_the_stride(size: tuple[int, int], fits: bool) -> None:
    view = TilesView(kind="tiles", size=size)
    if fits:
        check_view(view, 32)
    else:
        with pytest.raises(FoldsegError, match=r"view\.predict\.size: .* should be multiples of 32"):
            check_view(view, 32)


def test_a_full_view_takes_every_stride() -> None:
    check_view(FullView(kind="full"), 32)
