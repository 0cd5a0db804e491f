"""Weights from files: what fits is loaded, what does not is named, and nothing is guessed."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from foldseg.config.schema import Model
from foldseg.errors import FoldsegError
from foldseg.models.factory import build_network
from foldseg.models.weights import load_encoder_weights, load_strictly, load_torch_file


class Encoder(nn.Module):
    """Two convolutions of one shape, with a norm between."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 3, 3, bias=False)


def random_state(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = Encoder().state_dict()
    return {
        name: value if name.endswith("tracked") else torch.rand(value.shape, generator=generator)
        for name, value in state.items()
    }


def saved(content: object, folder: Path) -> Path:
    torch.save(content, folder / "w.pth")
    return folder / "w.pth"


def assert_loaded(encoder: Encoder, state: dict[str, Tensor]) -> None:
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "encoder.", "backbone.", "model.", "module.encoder.", "network.net.encoder.", "module.model."],
)
def test_prefixes_are_stripped(tmp_path: Path, prefix: str) -> None:
    """Defect 18: weights with a `module.` prefix that do not load."""
    state, encoder = random_state(), Encoder()
    load_encoder_weights(encoder, saved({prefix + name: value for name, value in state.items()}, tmp_path))
    assert_loaded(encoder, state)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "network"])
def test_wrapped_dictionaries_are_opened(tmp_path: Path, key: str) -> None:
    state, encoder = random_state(), Encoder()
    load_encoder_weights(encoder, saved({"epoch": 3, key: {"module." + n: v for n, v in state.items()}}, tmp_path))
    assert_loaded(encoder, state)


def test_only_the_encoders_part_of_a_whole_network_is_taken(tmp_path: Path) -> None:
    state, encoder = random_state(), Encoder()
    whole = {f"net.encoder.{n}": v for n, v in state.items()} | {"net.decoder.first.weight": torch.zeros(9)}
    load_encoder_weights(encoder, saved(whole, tmp_path))
    assert_loaded(encoder, state)


def test_a_classifier_is_left_out(tmp_path: Path) -> None:
    state, encoder = random_state(), Encoder()
    load_encoder_weights(encoder, saved(state | {"fc.weight": torch.zeros(10, 3)}, tmp_path))
    assert_loaded(encoder, state)


def test_names_decide_whatever_the_order(tmp_path: Path) -> None:
    state, encoder = random_state(), Encoder()
    load_encoder_weights(encoder, saved(dict(reversed(state.items())), tmp_path))
    assert_loaded(encoder, state)


@pytest.mark.parametrize("head", [{}, {"fc.weight": torch.zeros(10, 3)}])
def test_other_names_throughout_are_matched_by_order_and_shape(tmp_path: Path, head: dict[str, Tensor]) -> None:
    state, encoder = random_state(), Encoder()
    renamed = {f"features_{i}": value for i, value in enumerate(v for n, v in state.items() if "tracked" not in n)}
    load_encoder_weights(encoder, saved(renamed | head, tmp_path))
    assert_loaded(encoder, state)


def test_order_is_not_trusted_where_names_contradict_it(tmp_path: Path) -> None:
    """`second` comes first in the file and one tensor is named otherwise: by order, the convolutions would swap."""
    state, encoder = random_state(), Encoder()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    swapped = {"second.weight": state["second.weight"]}
    swapped |= {n.replace("running_var", "var"): v for n, v in state.items() if n not in ("first.weight", *swapped)}
    swapped["first.weight"] = state["first.weight"]
    with pytest.raises(FoldsegError, match=r"1 of 6 tensors are missing .* e\.g\. norm\.running_var"):
        load_encoder_weights(encoder, saved(swapped, tmp_path))
    assert_loaded(encoder, before)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"second.weight": torch.zeros(3, 3, 5, 5)}, r"1 of 6 tensors are missing or of .* shape, e\.g\. second\.w"),
        ({"norm.bias": None, "norm.weight": None}, r"2 of 6 tensors are missing .*e\.g\. norm\.weight, norm\.bias"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    tmp_path: Path, change: dict[str, Tensor | None], says: str
) -> None:
    encoder = Encoder()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    state = {name: value for name, value in (random_state() | change).items() if value is not None}
    with pytest.raises(FoldsegError, match=rf"w\.pth: does not fit the encoder: {says}"):
        load_encoder_weights(encoder, saved(state, tmp_path))
    assert_loaded(encoder, before)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], 5])
def test_a_file_without_tensors_is_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(FoldsegError, match=r"w\.pth: holds no dictionary of tensors"):
        load_encoder_weights(Encoder(), saved(content, tmp_path))


@pytest.mark.parametrize(
    "content", [b"", b"hello world", b"epoch,loss\n1,2\n", b"<html>404</html>", b"\x89PNG\r\n\x1a\n", bytes(range(256))]
)
def test_a_file_that_is_no_weights_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(FoldsegError, match=r"w\.pth: is not a file of weights, or is damaged"):
        load_torch_file(tmp_path / "w.pth")


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = saved(random_state(), tmp_path)
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.6, 0.99):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(FoldsegError, match=r"w\.pth: is not a file of weights, or is damaged"):
            load_torch_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"w\.pth: no such file"):
        load_torch_file(tmp_path / "w.pth")


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of the file was run')",)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match="is not a file of weights"):
        load_torch_file(saved({"a": Bomb()}, tmp_path))


@pytest.mark.parametrize(
    ("settings", "classes"),
    [({}, 4), ({"encoder": "resnet18"}, 3), ({"architecture": "fpn"}, 3)],
    ids=["classes", "encoder", "decoder"],
)
def test_a_checkpoint_of_another_network_is_refused(settings: dict[str, str], classes: int) -> None:
    base = {"encoder": "mobilenet_v2", "encoder_weights": None}
    saved_state = build_network(Model(**(base | settings)), classes).state_dict()  # type: ignore[arg-type]
    network = build_network(Model(**base), 3)  # type: ignore[arg-type]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(FoldsegError, match=r"best\.ckpt: was saved by another network .* net\..*: has .*, expected"):
        load_strictly(network, saved_state, Path("best.ckpt"))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_shapes_of_another_number_of_classes_are_shown() -> None:
    with pytest.raises(FoldsegError, match=r"2 tensors differ, e\.g\. weight: has \(4, 2\), expected \(3, 2\)"):
        load_strictly(nn.Linear(2, 3), nn.Linear(2, 4).state_dict(), Path("best.ckpt"))


def test_a_checkpoint_of_the_same_network_is_loaded() -> None:
    one, other = nn.Linear(2, 3), nn.Linear(2, 3)
    load_strictly(one, other.state_dict(), Path("best.ckpt"))
    assert torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("change", [{"weight": None}, {"surplus": torch.zeros(1)}])
def test_a_checkpoint_that_lacks_or_adds_a_tensor_is_refused(change: dict[str, Tensor | None]) -> None:
    state = {k: v for k, v in (dict(nn.Linear(2, 3).state_dict()) | change).items() if v is not None}
    with pytest.raises(FoldsegError, match=f"1 tensors differ, e.g. {next(iter(change))}"):
        load_strictly(nn.Linear(2, 3), state, Path("best.ckpt"))


def small(classes: int = 3, **settings: object) -> Model:
    return Model(**({"encoder": "mobilenet_v2", "encoder_weights": None} | settings))  # type: ignore[arg-type]


def write_checkpoint(state: dict[str, Tensor], folder: Path) -> Path:
    """Write the best checkpoint of a run."""
    folder.mkdir(parents=True)
    torch.save({"state_dict": {f"network.{n}": v for n, v in state.items()}}, folder / "best.ckpt")
    return folder / "best.ckpt"


def test_a_run_with_other_classes_is_started_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Encoder and decoder are taken over, the head and what is new are named."""
    source = build_network(small(), 4).state_dict()
    path = write_checkpoint(source, tmp_path / "run")
    with caplog.at_level("INFO"):
        network = build_network(small(start_from=path, deep_supervision=True, encoder_weights="imagenet"), 3)
    state = network.state_dict()
    for name, value in state.items():
        fits = name in source and source[name].shape == value.shape
        assert torch.equal(value, source[name]) if fits else name.startswith(("net.segmentation_head", "auxiliary"))
    assert "net.segmentation_head.0.weight (3, 16, 3, 3)" in caplog.text
    assert "auxiliary_heads.3.weight" in caplog.text


def test_a_run_with_another_decoder_gives_its_encoder(tmp_path: Path) -> None:
    source = build_network(small(), 3).state_dict()
    path = write_checkpoint(source, tmp_path / "run")
    network = build_network(small(architecture="fpn", start_from=path), 3)
    for name, value in network.encoder.state_dict().items():
        assert torch.equal(value, source[f"net.encoder.{name}"])


def test_a_run_with_another_encoder_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(build_network(small(), 3).state_dict(), tmp_path / "run")
    with pytest.raises(FoldsegError, match=r"model\.start_from: .*best\.ckpt: was trained with another encoder: \d+"):
        build_network(small(encoder="resnet18", start_from=path), 3)


def test_a_start_that_is_not_there_is_told_and_not_needed_afterwards(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"model\.start_from: .*best\.ckpt: no such file"):
        build_network(small(start_from=tmp_path / "best.ckpt"), 3)
    build_network(small(start_from=tmp_path / "best.ckpt"), 3, pretrained=False)
