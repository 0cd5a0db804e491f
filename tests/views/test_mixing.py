"""CutMix and copy-paste: whole pixels of training images, where they are allowed to be."""

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from foldseg.config.schema import CopyPaste, CropView, CutMix, FullView, ResizedView, TrainView
from foldseg.errors import FoldsegError
from foldseg.views.mixing import (
    Mixing,
    Region,
    apply_cut_mix,
    draw_pixel,
    draw_region,
    find_standing_place,
    paste_region,
)

SKY, ROAD, PAVEMENT, CAR = 0, 1, 2, 3
NAMES = ("sky", "road", "pavement", "car")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def street(size: tuple[int, int] = (60, 80)) -> tuple[np.ndarray, np.ndarray]:
    """Sky above, road below left, pavement below right; the picture is ten times the class."""
    mask = np.full(size, SKY, np.uint8)
    mask[size[0] // 2 :] = ROAD
    mask[size[0] // 2 :, size[1] // 2 :] = PAVEMENT
    return painted(mask), mask


def painted(mask: np.ndarray) -> np.ndarray:
    return (10 * mask)[..., None].repeat(3, 2)


def car(height: int = 8, width: int = 12) -> Region:
    return Region(np.full((height, width, 3), 200, np.uint8), np.ones((height, width), bool), CAR)


class Stock:
    """Frames in memory."""

    def __init__(self, *masks: np.ndarray) -> None:
        self.masks, self.ids = masks, [str(index) for index in range(len(masks))]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = painted(self.masks[index]), self.masks[index]
        for part in (image, mask):
            part.flags.writeable = False  # as those of a cache are
        return image, mask

    def count_class_pixels(self) -> np.ndarray:
        return np.stack([np.bincount(mask.ravel(), minlength=5) for mask in self.masks])


def mixing(*masks: np.ndarray, cut_mix: CutMix | None = None, copy_paste: CopyPaste | None = None) -> Mixing:
    stock = Stock(*masks)
    return Mixing(cut_mix, copy_paste, stock, NAMES, stock.count_class_pixels())


def test_cut_mix_takes_a_rectangle_of_image_and_mask_alike() -> None:
    one, other = street(), tuple(part[:, ::-1] for part in street())
    shares = []
    for seed in range(300):
        plain = (np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8))
        full = (np.ones((60, 80, 3), np.uint8), np.ones((60, 80), np.uint8))
        image, mask = apply_cut_mix(plain, full, 1.0, rng(seed))
        assert np.array_equal(image[..., 0], mask)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == len(rows) * len(columns)
        shares.append(mask.mean())
        mixed = apply_cut_mix(one, other, 1.0, rng(seed))  # type: ignore[arg-type]
        assert np.array_equal(mixed[0], painted(mixed[1]))
    assert not plain[1].any()
    # uniform share 1 - lambda, of which a part is cut off at the border: between a quarter and a half
    assert 0.25 < np.mean(shares) < 0.5
    assert np.std(shares) > 0.15


def test_a_small_alpha_keeps_nearly_all_or_nearly_nothing() -> None:
    shares = [
        apply_cut_mix((np.zeros((60, 60, 3), np.uint8), np.zeros((60, 60), np.uint8)),
                  (np.ones((60, 60, 3), np.uint8), np.ones((60, 60), np.uint8)), 0.05, rng(seed))[1].mean()
        for seed in range(100)
    ]  # fmt: skip
    assert np.mean([share < 0.02 or share > 0.2 for share in shares]) > 0.9


def test_samples_of_different_sizes_can_be_mixed() -> None:
    for seed in range(50):
        image, mask = apply_cut_mix(street((60, 80)), street((40, 100)), 1.0, rng(seed))
        assert image.shape == (60, 80, 3)
        assert np.array_equal(image, painted(mask))
        assert np.array_equal(mask[40:], street((60, 80))[1][40:])


def test_a_region_is_connected_large_enough_and_of_its_class() -> None:
    mask = street()[1]
    mask[40:50, 5:20] = CAR  # 150 pixels
    mask[52:55, 30:34] = CAR  # 12
    mask[5:15, 60:70] = CAR  # 100
    mask[5:15, 50:53] = SKY
    areas = set()
    for seed in range(30):
        region = draw_region(painted(mask), mask, CAR, 50, rng(seed))
        assert region is not None
        assert (region.image[region.inside] == 30).all()
        areas.add(int(region.inside.sum()))
    assert areas == {100, 150}
    assert draw_region(painted(mask), mask, CAR, 151, rng()) is None
    assert draw_region(*street(), CAR, 1, rng()) is None


def test_a_region_of_odd_shape_keeps_its_shape() -> None:
    mask = np.zeros((40, 40), np.uint8)
    cv2.circle(mask, (20, 18), 9, CAR, -1)
    region = draw_region(painted(mask), mask, CAR, 10, rng())
    assert region is not None
    assert region.inside.shape == (19, 19)
    assert region.inside.sum() == (mask == CAR).sum()


def test_a_region_leaves_out_others_within_its_box() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[5:35, 5:9] = mask[31:35, 5:35] = CAR  # an L, and a block in its elbow
    mask[10:20, 15:25] = CAR
    found = {
        int(region.inside.sum())
        for region in (draw_region(painted(mask), mask, CAR, 50, rng(s)) for s in range(9))
        if region
    }
    assert found == {100, 224}


def test_a_region_whose_edge_is_out_of_sight_is_not_pasted() -> None:
    """An arm that stands on its left end: in the first column that end is left of the picture, the rest above it."""
    inside = np.zeros((30, 3), bool)
    inside[0, :] = inside[:, 0] = True
    ground = np.zeros((10, 10), bool)
    ground[0, 0] = True
    assert find_standing_place(ground, inside, rng()) is None


def test_a_pasted_region_stands_on_what_it_may_stand_on() -> None:
    """A car of the road stands on the road and nowhere else: its lower edge, though not its roof."""
    places = set()
    for seed in range(200):
        image, mask = paste_region(*street(), car(), [ROAD], rng(seed))
        rows, columns = np.nonzero(mask == CAR)
        bottom = rows.max()
        below = street()[1][bottom, columns[rows == bottom]]
        assert (below == ROAD).mean() >= 0.75
        assert (image[mask == CAR] == 200).all()
        assert np.array_equal(image[mask != CAR], painted(mask)[mask != CAR])
        places.add((int(bottom), int(columns.min())))
    assert len(places) > 100


def test_where_nothing_may_be_stood_on_nothing_changes() -> None:
    before = street()
    image, mask = paste_region(*before, car(), [CAR], rng())
    assert image is before[0]
    assert mask is before[1]


def test_a_region_may_reach_out_of_the_picture_but_not_with_most_of_its_edge() -> None:
    ground = np.zeros((20, 20), bool)
    ground[:, :2] = True
    assert (
        find_standing_place(ground, np.ones((5, 12), bool), rng()) is None
    )  # of 6 or more columns at most 2 would stand
    ground[:] = True
    seen = {find_standing_place(ground, np.ones((30, 5), bool), rng(seed)) for seed in range(50)}
    assert any(place is not None and place[0] < 0 for place in seen)
    for place in seen:
        assert place is not None
        assert -3 <= place[1] <= 20 - 2


def test_regions_are_scaled() -> None:
    bigger, smaller = car().resized(1.5, 1.5), car(3, 3).resized(0.05, 0.05)
    assert bigger.image.shape == (12, 18, 3)
    assert bigger.inside.all()
    assert smaller.inside.shape == (1, 1)


def test_mixing_happens_at_its_probability_and_writes_into_nothing() -> None:
    """400 trials at 0.3: four standard deviations are 0.09."""
    donor = np.full((60, 80), ROAD, np.uint8)
    donor[10:30, 10:30] = CAR
    made = mixing(donor, copy_paste=CopyPaste(probability=0.3, classes={"car": ("road",)}))
    image, mask = street()
    kept = image.copy(), mask.copy()
    pasted = [(made(image, mask, None, FullView(), rng(seed))[1] == CAR).any() for seed in range(400)]  # type: ignore[arg-type]
    assert abs(np.mean(pasted) - 0.3) < 0.09
    assert np.array_equal(image, kept[0])
    assert np.array_equal(mask, kept[1])

    def cut(frame: int, _: object) -> tuple[np.ndarray, np.ndarray]:
        return painted(donor), donor

    made = mixing(donor, cut_mix=CutMix(probability=0.3))
    mixed = [made(image, mask, cut, FullView(), rng(seed))[1] is not mask for seed in range(400)]
    assert abs(np.mean(mixed) - 0.3) < 0.09


@pytest.mark.parametrize(
    ("view", "size"),
    [
        (ResizedView(factor=0.5), (5, 5)),
        (ResizedView(size=(30, 160)), (5, 20)),
        (ResizedView(long_side=160), (20, 20)),
        (CropView(size=(8, 8), scale=(0.5, 0.5)), (5, 5)),
    ],
    ids=str,
)
def test_pasted_regions_scale_with_the_view_and_by_the_setting(view: TrainView, size: tuple[int, int]) -> None:
    donor = np.full((60, 80), ROAD, np.uint8)
    donor[10:30, 10:30] = CAR
    paste = CopyPaste(probability=1.0, classes={"car": ("road", "pavement")}, scale=(0.5, 0.5))
    _, mask = mixing(donor, copy_paste=paste)(*street(), None, view, rng(1))  # type: ignore[arg-type]
    rows, columns = np.nonzero(mask == CAR)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == size


def test_classes_that_are_unknown_or_nowhere_are_told() -> None:
    for classes, says in (
        ({"bus": ("road",)}, "copy_paste.classes: unknown classes bus; valid are sky"),
        ({"road": ("street",)}, "copy_paste.classes.road: unknown classes street"),
        ({"car": ("road",)}, "copy_paste.classes: no training image has 64 pixels of car"),
    ):
        with pytest.raises(FoldsegError, match=says.replace(".", r"\.")):
            mixing(street()[1], copy_paste=CopyPaste(classes=classes))
    with pytest.raises(ValidationError, match=r"should be \[low, high\]"):
        CopyPaste(classes={"car": ("road",)}, scale=(2.0, 1.0))


def test_a_random_pixel_is_of_the_classes_asked_for() -> None:
    _, mask = street()
    found = [draw_pixel(mask, [ROAD, CAR], rng(seed)) for seed in range(50)]
    assert all(place is not None and mask[place] == ROAD for place in found)
    assert len(set(found)) > 40
    assert draw_pixel(mask, [CAR], rng()) is None
