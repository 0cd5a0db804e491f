"""A predictor with a network that sees one pixel must give every picture back, whatever its view and TTA."""

import weakref
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from foldseg.config.schema import FullView, PredictView, ResizedView, TilesView, Tta, TtaView
from foldseg.data.frames import FileFrames
from foldseg.errors import FoldsegError
from foldseg.inference.predictor import Predictor
from foldseg.views.eval_samples import batches, eval_loader
from identity import PALETTE, blocks, identity

STRIDE = 16
FULL = FullView(kind="full")
TILES = TilesView(kind="tiles", size=(32, 48), stride=(20, 31))
RESIZED = ResizedView(kind="resized", factor=1.0)
D4 = Tta(symmetries="d4")


class Network:
    """Calls a function; takes sides that are multiples of its stride alone."""

    stride = STRIDE

    def __init__(self, function: object = identity) -> None:
        self.function = function
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        assert not any(side % STRIDE for side in images.shape[-2:])
        self.shapes.append(tuple(images.shape))
        return self.function(images)  # type: ignore[operator]


def predictor(view: PredictView = FULL, network: object = None) -> Predictor:
    return Predictor(network or Network(), view, torch.device("cpu"), None)  # type: ignore[arg-type]


def probabilities(picture: np.ndarray) -> Tensor:
    return identity(torch.from_numpy(picture).permute(2, 0, 1)[None]).softmax(1)[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (47, 61), (33, 97), (64, 48)])
@pytest.mark.parametrize("view", [FULL, FullView(kind="full", multiple=24), TILES, RESIZED])
@pytest.mark.parametrize("shifts", [((0, 0),), ((8, -8),), ((-3, 5), (40, 0))])
def test_turned_and_moved_views_come_back_to_the_pixel(
    size: tuple[int, int], view: PredictView, shifts: tuple[tuple[int, int], ...]
) -> None:
    """Defect 11: a mean that is a sum, and a flip whose inverse is another one."""
    picture = PALETTE[blocks(*size)]
    found = predictor(view).image(picture, Tta(symmetries="d4", shifts=shifts))
    assert found.shape == (3, *size)
    assert torch.allclose(found, probabilities(picture), atol=1e-6)


@pytest.mark.parametrize("view", [FULL, TILES, ResizedView(kind="resized", factor=0.8)])
@pytest.mark.parametrize("size", [(95, 131), (77, 60)])
def test_every_view_comes_back_to_its_place(size: tuple[int, int], view: PredictView) -> None:
    """Scaled ones within what resizing blurs; views one by one, so that none hides behind the others."""
    mask = blocks(*size, side=24)
    kernel = np.ones((11, 11), np.uint8)
    inside = cv2.erode(mask, kernel) == cv2.dilate(mask, kernel)
    assert inside.mean() > 0.25
    tta = Tta(symmetries="d4", scales=(0.5, 1.25, 2.2), shifts=((7, -5),))
    one = predictor(view)
    sample = one.samples(SimpleNamespace(ids=["a"], read=lambda _: (PALETTE[mask], None)), tta)[0]  # type: ignore[arg-type]
    names = []
    for seen, maps in one.views([sample], tta):
        names.append(seen.name)
        assert maps.shape == (1, 3, *size)
        assert np.array_equal(maps[0].argmax(0).numpy()[inside], mask[inside]), seen.name
    assert len(set(names)) == 8 * 4 * 2


def test_views_are_what_their_names_say() -> None:
    """What a network is shown of a picture of 32x48: turned, by a scale of the picture itself, moved by reflection."""
    seen: dict[str, Tensor] = {}

    def watch(images: Tensor) -> Tensor:
        seen[name] = images.clone()
        return identity(images)

    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    one = predictor(network=Network(watch))
    tta = Tta(symmetries="d4", scales=(0.5,), shifts=((16, 0), (0, -4)))
    sample = one.samples(SimpleNamespace(ids=["a"], read=lambda _: (picture, None)), tta)[0]  # type: ignore[arg-type]
    views = one.views([sample], tta)
    for name in [view.name for view in tta.views]:
        assert next(views)[0].name == name
    as_batch = {key: value[0].permute(1, 2, 0).numpy() for key, value in seen.items()}
    assert np.array_equal(as_batch["plain"], picture)
    assert np.array_equal(as_batch["flip"], picture[:, ::-1])
    assert np.array_equal(as_batch["rot90"], np.rot90(picture))
    assert np.array_equal(as_batch["transpose"], picture.transpose(1, 0, 2))
    small = cv2.resize(picture, (24, 16), interpolation=cv2.INTER_AREA)
    assert np.array_equal(as_batch["scale_0.5"][:, :24], small)
    assert as_batch["scale_0.5"].shape == (16, 32, 3)
    assert np.array_equal(as_batch["shift_16_0"][16:], picture)
    assert np.array_equal(as_batch["shift_16_0"][:16], picture[16:0:-1])
    assert np.array_equal(as_batch["shift_0_-4"][:, 12:60], picture)
    assert np.array_equal(as_batch["rot90*shift_0_-4"][:48, 12:44], np.rot90(picture))


def test_a_turned_image_with_odd_sides_is_padded_anew() -> None:
    """The picture comes first and its padding below and right of it, whichever way it was turned."""
    network = Network()
    predictor(FullView(kind="full", multiple=48), network).image(np.zeros((50, 20, 3), np.uint8), D4)
    assert network.shapes == [(1, 3, 96, 48)] * 4 + [(1, 3, 48, 96)] * 4
    network = Network()
    predictor(TILES, network).image(np.zeros((70, 20, 3), np.uint8), D4)
    assert {shape[-2:] for shape in network.shapes} == {(32, 48)}


def by_column(images: Tensor) -> Tensor:
    """A network that says what it sees by the column where it sees it: 0 to 1 from left to right."""
    ramp = torch.linspace(-4, 4, images.shape[-1]).expand(len(images), 1, *images.shape[-2:])
    return torch.cat([ramp, -ramp], 1)


@pytest.mark.parametrize("merge", ["mean", "geometric_mean", "max", "vote", "tsharpen"])
def test_views_are_merged_after_the_way_back(merge: str) -> None:
    """A mirrored view says the opposite, so nothing is left of what the column said."""
    found = predictor(network=Network(by_column)).image(
        np.zeros((16, 48, 3), np.uint8), Tta(symmetries="flip", merge=merge)
    )
    assert torch.allclose(found, torch.full((2, 16, 48), 0.5), atol=1e-6)
    plain = predictor(network=Network(by_column)).image(np.zeros((16, 48, 3), np.uint8))
    assert float(plain[0, 0, -1]) > 0.99


def test_what_is_left_out_is_not_asked() -> None:
    network = Network()
    tta = Tta(symmetries="flips", scales=(2.0,), without=("vflip", "rot180*scale_2"))
    predictor(network=network).image(np.zeros((16, 16, 3), np.uint8), tta)
    assert len(network.shapes) == 6
    network = Network()
    predictor(network=network).image(np.zeros((16, 16, 3), np.uint8))
    assert len(network.shapes) == 1


def test_views_are_not_in_memory_together() -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    class Watched(Network):
        def __call__(self, images: Tensor) -> Tensor:
            nonlocal most
            most = max(most, sum(one() is not None for one in alive))
            return super().__call__(images)

    one = predictor(network=Watched())
    plain = one.views

    def views(samples: object, tta: Tta) -> object:
        for view, maps in plain(samples, tta):  # type: ignore[arg-type]
            alive.append(weakref.ref(maps))
            yield view, maps
            del maps

    object.__setattr__(one, "views", views)
    for merge in ("mean", "geometric_mean", "max", "vote", "tsharpen"):
        one.image(np.zeros((16, 16, 3), np.uint8), Tta(symmetries="d4", merge=merge))
    assert len(alive) == 40
    assert most <= 1  # the first, which became the total


def test_logits_are_not_taken_for_probabilities() -> None:
    """A network whose answers are not finite, as of one that overflows in half precision."""
    broken = predictor(network=Network(lambda images: identity(images) * torch.inf))
    with pytest.raises(FoldsegError, match="view plain: only probabilities can be merged; found values from nan"):
        broken.image(np.zeros((16, 16, 3), np.uint8), Tta(symmetries="flip"))


def test_images_of_equal_size_are_predicted_together(tmp_path: Path) -> None:
    sizes = [(20, 30), (20, 30), (20, 30), (33, 30), (20, 30)]
    masks = {f"i{number}": blocks(*size, side=6, seed=number) for number, size in enumerate(sizes)}
    for name, mask in masks.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), PALETTE[mask][..., ::-1])
    table = pd.DataFrame({"id": list(masks), "image": [f"{name}.png" for name in masks], "mask": ""})
    tta = Tta(symmetries="flip", scales=(1.5,))
    network = Network()
    one = predictor(network=network)
    loader = eval_loader(one.samples(FileFrames.of(table, tmp_path, None), tta), workers=1)
    seen = []
    for batch in batches(loader, 2):
        seen.append([sample.id for sample in batch])
        for sample, maps in zip(batch, one.batch(batch, tta), strict=True):
            assert torch.allclose(maps, predictor().image(PALETTE[masks[sample.id]], tta), atol=1e-6)
    assert seen == [["i0", "i1"], ["i2"], ["i3"], ["i4"]]
    assert [shape[0] for shape in network.shapes] == [2] * 4 + [1] * 12


def test_the_plain_view_needs_no_name() -> None:
    assert TtaView().name == "plain"
    assert Tta().views == (TtaView(),)
