"""What an epoch is made of: shares and ratios as they were asked for, a function of seed and epoch alone."""

from collections import Counter

import numpy as np
import pytest

from foldseg.config.schema import ClassCrops, PositiveShare, Sampling, Source
from foldseg.errors import FoldsegError
from foldseg.views.balance import CLASS_WEIGHTS, class_weights, draw_systematically, positive_share
from foldseg.views.epoch_plan import EpochPlan, repeat_factors

NAMES = ("road", "car", "pole")


def counts(images: int = 40) -> np.ndarray:
    """Pixels of road (all images), car (a quarter of them), pole (two images) and void."""
    pixels = np.zeros((images, 4), np.int64)
    pixels[:, 0] = 900
    pixels[::4, 1] = 90
    pixels[[3, 5], 2] = 5
    return pixels


def plan(sizes: tuple[int, ...] = (), epochs: int = 5, seed: int = 0, **sampling: object) -> EpochPlan:
    return EpochPlan(Sampling(**sampling), NAMES, counts(), sizes, epochs, seed)  # type: ignore[arg-type]


def source(ratio: float) -> Source:
    return Source(images="a", masks="b", ratio=ratio)  # type: ignore[arg-type]


def drawn(made: EpochPlan, epochs: int = 1) -> Counter[int]:
    return Counter(draw.frame for epoch in range(epochs) for draw in made.draw_epoch(epoch))


def test_without_settings_every_frame_is_drawn_once() -> None:
    for epoch in range(3):
        assert sorted(draw.frame for draw in plan().draw_epoch(epoch)) == list(range(40))


@pytest.mark.parametrize(("wanted", "least", "most"), [(10, 0, 1), (100, 2, 3), (80, 2, 2)])
def test_an_epoch_has_the_length_asked_for_and_draws_evenly(wanted: int, least: int, most: int) -> None:
    made = plan(samples_per_epoch=wanted)
    assert made.length == len(made.draw_epoch(0)) == wanted
    found = drawn(made)
    assert {found[frame] for frame in range(40)} == set(range(least, most + 1))


def test_a_short_epoch_draws_other_frames_every_time() -> None:
    made = plan(samples_per_epoch=10)
    assert len(drawn(made, 12)) > 35


def test_plans_depend_on_seed_and_epoch_alone() -> None:
    settings = {"samples_per_epoch": 30, "balance": ClassCrops(), "sources": (source(0.5),)}
    made = plan((7,), **settings)
    made.draw_epoch(3)
    assert made.draw_epoch(1) == plan((7,), **settings).draw_epoch(1)
    assert made.draw_epoch(1) != made.draw_epoch(2)
    assert made.draw_epoch(1) != plan((7,), seed=1, **settings).draw_epoch(1)


def test_systematic_draws_round_expectations_and_never_draw_what_weighs_nothing() -> None:
    weights = np.array([1.0, 0.0, 2.5, 0.5])
    totals = np.zeros(4)
    for seed in range(200):
        found = np.bincount(draw_systematically(weights, 6, np.random.default_rng(seed)), minlength=4)
        assert (abs(found - 1.5 * weights) < 1).all()
        totals += found
    assert np.allclose(totals / 200, 1.5 * weights, atol=0.15)
    assert draw_systematically(np.zeros(3), 0, np.random.default_rng(0)).tolist() == []


def test_repeat_factors_are_those_of_the_paper() -> None:
    """By hand: car in 1/4, pole in 1/20 of the images, threshold 0.2: 1 and sqrt(0.2 / 0.05) = 2."""
    factors = repeat_factors(counts()[:, :-1] > 0, 0.2)
    assert factors[3] == factors[5] == 2
    assert (np.delete(factors, [3, 5]) == 1).all()
    assert repeat_factors(counts()[:, :-1] > 0, 0.5)[4] == pytest.approx(2**0.5)


def test_images_of_rare_classes_are_drawn_more_often() -> None:
    found = drawn(plan(oversample_below=0.8), 60)  # pole: sqrt(0.8 / 0.05) = 4, car: sqrt(0.8 / 0.25) = 1.8
    assert found[3] / found[2] == pytest.approx(4, rel=0.15)
    assert found[4] / found[2] == pytest.approx(3.2**0.5, rel=0.15)


@pytest.mark.parametrize("choice", CLASS_WEIGHTS)
def test_every_choice_of_class_weights_gives_crops_of_classes_that_their_images_hold(choice: str) -> None:
    made = plan(samples_per_epoch=200, balance=ClassCrops(share=0.75, classes=choice))  # type: ignore[arg-type]
    draws = made.draw_epoch(0)
    aimed = [draw for draw in draws if draw.classes]
    assert (len(draws), len(aimed)) == (200, 150)
    pixels = counts()
    assert all(pixels[draw.frame, draw.classes[0]] for draw in aimed)
    found = Counter(draw.classes[0] for draw in aimed)
    weights = class_weights(ClassCrops(classes=choice), NAMES, pixels)  # type: ignore[arg-type]
    for index in range(3):
        assert abs(found[index] - 150 * weights[index] / weights.sum()) < 1


def test_class_weights_by_hand() -> None:
    pixels = counts()  # 36000, 900 and 10 pixels of 36910
    assert class_weights(ClassCrops(classes="uniform"), NAMES, pixels).tolist() == [1, 1, 1]
    inverse = class_weights(ClassCrops(classes="inverse_frequency"), NAMES, pixels)
    assert np.allclose(inverse / inverse[0], [1, 40, 3600])
    root = class_weights(ClassCrops(classes="inverse_root"), NAMES, pixels)
    assert np.allclose(root / root[0], [1, 40**0.5, 60])
    assert class_weights(ClassCrops(classes={"pole": 2.0}), NAMES, pixels).tolist() == [0, 0, 2]
    pixels[:, 2] = 0
    assert class_weights(ClassCrops(classes="inverse_frequency"), NAMES, pixels)[2] == 0


def test_the_share_of_positive_samples_slides() -> None:
    made = plan(samples_per_epoch=50, balance=PositiveShare(classes=("car", "pole"), start=0.8, end=0.2), epochs=4)
    holds = counts()[:, 1:3].sum(1) > 0
    for epoch, expected in enumerate([40, 30, 20, 10]):
        draws = made.draw_epoch(epoch)
        assert [holds[draw.frame] for draw in draws] == [draw.classes == (1, 2) for draw in draws]
        assert sum(holds[draw.frame] for draw in draws) == expected


def test_positive_share_ends_where_it_should() -> None:
    positive = PositiveShare(classes=("car",), start=0.8, end=0.4)
    assert [positive_share(positive, epoch, 3) for epoch in (0, 1, 2, 7)] == pytest.approx([0.8, 0.6, 0.4, 0.4])
    assert positive_share(positive, 0, 1) == 0.8


def test_an_image_with_too_few_pixels_is_not_positive() -> None:
    made = plan(balance=PositiveShare(classes=("car", "pole"), start=1, end=1, min_pixels=6))
    assert {draw.frame % 4 for draw in made.draw_epoch(0)} == {0}


def test_sources_are_drawn_by_their_ratios() -> None:
    made = plan((20, 400), sources=(source(0.5), source(2.0)))
    assert made.length == 140
    draws = [draw.frame for draw in made.draw_epoch(0)]
    assert sorted(frame for frame in draws if frame < 40) == list(range(40))
    assert sorted(frame for frame in draws if 40 <= frame < 60) == list(range(40, 60))
    assert len({frame for frame in draws if frame >= 60}) == 80
    shorter = plan((20, 400), sources=(source(0.5), source(2.0)), samples_per_epoch=35)
    assert Counter(np.digitize([draw.frame for draw in shorter.draw_epoch(0)], [40, 60]).tolist()) == {
        0: 10,
        1: 5,
        2: 20,
    }


@pytest.mark.parametrize(
    ("sampling", "says"),
    [
        (
            {"balance": ClassCrops(classes={"bus": 1.0})},
            "sampling.balance.classes: unknown classes bus; valid are road, c",
        ),
        ({"balance": PositiveShare(classes=("tram",))}, "sampling.balance.classes: unknown classes tram; valid are"),
        ({"balance": PositiveShare(classes=("pole",), min_pixels=9)}, "no training image has 9 pixels of pole"),
        ({"balance": PositiveShare(classes=("road",))}, "every training image has 1 pixels of road"),
    ],
)
def test_what_cannot_be_drawn_is_told(sampling: dict[str, object], says: str) -> None:
    with pytest.raises(FoldsegError, match=says.replace(".", r"\.")):
        plan(**sampling)


def test_a_class_that_no_image_has_cannot_be_asked_for() -> None:
    pixels = counts()
    pixels[:, 2] = 0
    with pytest.raises(FoldsegError, match=r"balance\.classes: no training image has pole"):
        class_weights(ClassCrops(classes={"pole": 1.0, "car": 1.0}), NAMES, pixels)
